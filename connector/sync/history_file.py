"""Reads an order history from a CSV or XLSX file into plain rows; knows no portal and no database.

One row is one order, or one product of an order when rows share an order number. Columns are found by their
headings, Russian or English, in any order:

==========  =========================================================  ========
column      headings                                                   needed
==========  =========================================================  ========
customer    customer, customer_id, client, клиент (`company:45`,       one of
            `contact:123` or a bare id)                                these
contact     contact, contact_id, контакт                               three
company     company, company_id, компания
date        date, order_date, closed_at, дата, дата заказа             yes
amount      amount, sum, total, сумма, стоимость                       yes
currency    currency, валюта
order       order, order_id, number, номер, заказ
manager     manager, manager_id, менеджер, ответственный
deal        deal, deal_id, сделка
product     product, product_id, item, товар
quantity    quantity, qty, количество
==========  =========================================================  ========
"""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError

import openpyxl
from openpyxl.utils.exceptions import InvalidFileException

from connector.errors import WrongUse

_HEADINGS: Mapping[str, tuple[str, ...]] = {
    "customer": ("customer", "customer_id", "client", "client_id", "клиент", "id клиента"),
    "contact": ("contact", "contact_id", "контакт"),
    "company": ("company", "company_id", "компания"),
    "date": ("date", "order_date", "closed_at", "дата", "дата заказа", "day"),
    "amount": ("amount", "sum", "total", "сумма", "стоимость"),
    "currency": ("currency", "валюта"),
    "order": ("order", "order_id", "number", "номер", "заказ", "номер заказа"),
    "manager": ("manager", "manager_id", "менеджер", "ответственный"),
    "deal": ("deal", "deal_id", "сделка"),
    "product": ("product", "product_id", "item", "товар"),
    "quantity": ("quantity", "qty", "количество"),
}
_BY_HEADING = {heading: column for column, headings in _HEADINGS.items() for heading in headings}
_DATE_FORMATS = ("%d.%m.%Y", "%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M:%S", "%Y/%m/%d", "%Y%m%d")
_ENCODINGS = ("utf-8-sig", "cp1251")
_UNREADABLE = (InvalidFileException, zipfile.BadZipFile, ParseError, KeyError, ValueError, TypeError, csv.Error)
"""What openpyxl and csv raise for files that are not what their names say."""
_GROUPED = {
    ",": re.compile(r"[-+]?\d{1,3}(,\d{3}){2,}|[-+]?\d{1,3}(,\d{3})+\.\d*"),
    ".": re.compile(r"[-+]?\d{1,3}(\.\d{3}){2,}|[-+]?\d{1,3}(\.\d{3})+,\d*"),
}
"""Numbers with a mark between thousands: it repeats, or another one divides whole and part."""
_MOST_BYTES = 512 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """One row that was understood. `moment` is naive local time unless the file gave an offset."""

    number: int
    customer: str | None
    contact: str | None
    company: str | None
    moment: datetime
    amount: Decimal | None
    currency: str | None
    order: str | None
    manager: str | None
    deal: str | None
    product: str | None
    quantity: Decimal


@dataclass(frozen=True, slots=True)
class BadRow:
    """One row that was not, and why. The reason never repeats what stood there."""

    number: int
    reason: str


@dataclass(frozen=True, slots=True)
class History:
    """A whole file."""

    rows: tuple[HistoryRow, ...]
    bad: tuple[BadRow, ...]


def read_history(path: str) -> History:
    """Read a file. Raises `WrongUse` when it cannot be read at all or lacks a needed column."""
    file = Path(path)
    if file.suffix.lower() not in {".csv", ".xlsx"}:
        raise WrongUse(f"{file.name}: an order history is a .csv or .xlsx file")
    try:
        if file.stat().st_size > _MOST_BYTES:
            raise WrongUse(f"{file.name} is larger than 512 MB: split it")
        lines = _xlsx_lines(file) if file.suffix.lower() == ".xlsx" else _csv_lines(file)
        return _read(file.name, lines)
    except FileNotFoundError:
        raise WrongUse(f"there is no file {path}") from None
    except (*_UNREADABLE, OSError) as error:
        raise WrongUse(f"{file.name} cannot be read as {file.suffix[1:]} ({type(error).__name__})") from None


def _read(name: str, lines: Iterator[list[Any]]) -> History:
    header = next(lines, None)
    if header is None:
        raise WrongUse(f"{name} is empty")
    columns = {_BY_HEADING[heading]: at for at, cell in enumerate(header) if (heading := _heading(cell)) in _BY_HEADING}
    missing = [column for column in ("date", "amount") if column not in columns]
    if not columns.keys() & {"customer", "contact", "company"}:
        missing.insert(0, "customer (or contact, company)")
    if missing:
        raise WrongUse(f"{name} has no column {', '.join(missing)}: the first line must name the columns")
    rows: list[HistoryRow] = []
    bad: list[BadRow] = []
    for number, cells in enumerate(lines, start=2):
        if all(cell in (None, "") for cell in cells):
            continue
        try:
            rows.append(
                _row(number, {column: cells[at] if at < len(cells) else None for column, at in columns.items()})
            )
        except ValueError as error:
            bad.append(BadRow(number, str(error)))
    return History(tuple(rows), tuple(bad))


def _row(number: int, cells: Mapping[str, Any]) -> HistoryRow:
    who = {column: _text(cells.get(column)) for column in ("customer", "contact", "company")}
    if not any(who.values()):
        raise ValueError("no customer is named")
    return HistoryRow(
        number=number,
        customer=who["customer"],
        contact=who["contact"],
        company=who["company"],
        moment=_moment(cells["date"]),
        amount=_amount(cells["amount"], "amount"),
        currency=(_text(cells.get("currency")) or "").upper() or None,
        order=_text(cells.get("order")),
        manager=_text(cells.get("manager")),
        deal=_text(cells.get("deal")),
        product=_text(cells.get("product")),
        quantity=_amount(cells.get("quantity"), "quantity") or Decimal(1),
    )


def _heading(cell: Any) -> str:
    return " ".join(str(cell or "").strip().lower().split())


def _text(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip()[:200] or None


def _moment(value: Any) -> datetime:
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime.combine(value, time())
    text = str(value or "").strip()
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        pass
    for form in _DATE_FORMATS:
        try:
            return datetime.strptime(text, form)  # noqa: DTZ007 - the portal's zone is added by the caller
        except ValueError:
            continue
    raise ValueError("the date is not like 2026-11-24 or 24.11.2026")


def _amount(value: Any, column: str) -> Decimal | None:
    text = str("" if value is None else value).replace("\u00a0", "").replace("\u202f", "").replace(" ", "")
    if not text:
        return None
    for mark, pattern in _GROUPED.items():
        if pattern.fullmatch(text):
            text = text.replace(mark, "")
    try:
        number = Decimal(text.replace(",", "."))
    except InvalidOperation:
        raise ValueError(f"the {column} is not a number") from None
    if not number.is_finite() or abs(number) >= Decimal(10) ** 15:
        raise ValueError(f"the {column} is not a usable number")
    return number


def _csv_lines(file: Path) -> Iterator[list[Any]]:
    text = _decoded(file.read_bytes())
    head = text[:8192]
    delimiter = max(",;\t", key=head.split("\n", 1)[0].count)
    yield from csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)


def _decoded(content: bytes) -> str:
    if b"\x00" in content[:4096]:
        raise csv.Error("binary")
    for encoding in _ENCODINGS:
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise csv.Error("encoding")


def _xlsx_lines(file: Path) -> Iterator[list[Any]]:
    book = openpyxl.load_workbook(file, read_only=True, data_only=True)
    try:
        sheet = book.active
        if sheet is not None:
            for line in sheet.iter_rows(values_only=True):
                yield list(line)
    finally:
        book.close()
