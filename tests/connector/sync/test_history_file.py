"""CSV and XLSX → rows: headings in two languages, dates and numbers as people write them, bad rows by their number."""

from __future__ import annotations

import zipfile
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import openpyxl
import pytest

from connector.errors import WrongUse
from connector.sync.history_file import read_history


def csv(tmp_path, *lines, encoding="utf-8", name="orders.csv"):
    path = tmp_path / name
    path.write_bytes("\n".join(lines).encode(encoding))
    return str(path)


def xlsx(tmp_path, *lines):
    book = openpyxl.Workbook()
    for line in lines:
        book.active.append(line)
    path = tmp_path / "orders.xlsx"
    book.save(path)
    return str(path)


def test_russian_and_english_headings_in_any_order_and_case_mean_the_same(tmp_path):
    english = read_history(csv(tmp_path, "Currency,DATE, sum ,client", "rub,2026-03-01,10,contact:5"))
    russian = read_history(csv(tmp_path, "клиент;Сумма;Дата  заказа;Валюта", "contact:5;10;01.03.2026;RUB"))
    assert english == russian
    assert (english.rows[0].currency, english.rows[0].number) == ("RUB", 2)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1251"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_every_usual_encoding_and_delimiter_is_understood(tmp_path, encoding, delimiter):
    lines = [delimiter.join(line) for line in (["клиент", "дата", "сумма", "товар"], ["5", "2026-03-01", "10", "Чай"])]
    assert read_history(csv(tmp_path, *lines, encoding=encoding)).rows[0].product == "Чай"


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("10", "10"),
        ("10.50", "10.50"),
        ("10,50", "10.50"),
        ("1 234,50", "1234.50"),
        ("1\u00a0234.5", "1234.5"),
        ("1,234.50", "1234.50"),
        ("1.234,50", "1234.50"),
        ("1,234,567", "1234567"),
        ("1.234.567", "1234567"),
        ("1.234.567,89", "1234567.89"),
        ("1,234,567.89", "1234567.89"),
        ("-3", "-3"),
        ("", None),
    ],
)
def test_an_amount_is_read_as_people_write_it(tmp_path, text, amount):
    found = read_history(csv(tmp_path, "client;date;sum", f"5;2026-03-01;{text}"))
    assert found.rows[0].amount == (None if amount is None else Decimal(amount))


@pytest.mark.parametrize("text", ["ten", "1e99", "NaN", "Infinity", "10 RUB", "1e15", "1.2.3", "1,2,3.4.5"])
def test_an_amount_that_is_none_makes_a_bad_row_and_is_not_repeated(tmp_path, text):
    found = read_history(csv(tmp_path, "client;date;sum", "5;2026-03-01;1", f"6;2026-03-01;{text}"))
    assert [row.number for row in found.bad] == [3]
    assert text not in found.bad[0].reason
    assert len(found.rows) == 1


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-01",
        "01.03.2026",
        "2026/03/01",
        "20260301",
        "2026-03-01 00:00",
        "2026-03-01T00:00:00",
        "01.03.2026 00:00",
    ],
)
def test_a_date_is_read_as_people_write_it(tmp_path, text):
    found = read_history(csv(tmp_path, "client,date,sum", f"5,{text},1"))
    assert found.rows[0].moment == datetime(2026, 3, 1)  # noqa: DTZ001 - local time of the portal


def test_a_moment_with_an_offset_keeps_it(tmp_path):
    found = read_history(csv(tmp_path, "client,date,sum", "5,2026-03-01T10:00:00+05:00,1"))
    assert found.rows[0].moment.astimezone(UTC) == datetime(2026, 3, 1, 5, tzinfo=UTC)
    assert found.rows[0].moment.utcoffset() == timedelta(hours=5)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("5,31.02.2026,1", "date"),
        ("5,03/01/26,1", "date"),
        ("5,,1", "date"),
        (",2026-03-01,1", "customer"),
        ("5", "date"),
    ],
)
def test_a_bad_row_is_named_and_the_others_are_kept(tmp_path, line, reason):
    found = read_history(csv(tmp_path, "client,date,sum", line, "", "7,2026-03-01,1"))
    assert reason in found.bad[0].reason
    assert (found.bad[0].number, found.rows[0].number) == (2, 4)


@pytest.mark.parametrize(
    ("heading", "missing"),
    [
        ("client,date", "amount"),
        ("client,sum", "date"),
        ("date,sum", "customer"),
        ("foo,bar", "customer"),
        ("5,2026,1", "date"),
    ],
)
def test_a_missing_column_is_named(tmp_path, heading, missing):
    with pytest.raises(WrongUse, match=missing):
        read_history(csv(tmp_path, heading, "1,2,3"))


def test_a_quoted_line_break_belongs_to_its_cell(tmp_path):
    found = read_history(csv(tmp_path, "client,date,sum,product", '5,2026-03-01,1,"Tea,\nloose"', "6,2026-03-01,1,x"))
    assert [row.product for row in found.rows] == ["Tea,\nloose", "x"]


def test_a_sheet_is_read_with_its_own_types(tmp_path):
    path = xlsx(
        tmp_path,
        ["Клиент", "Дата", "Сумма", "Номер", "Количество"],
        [5, datetime(2026, 3, 1, 10), 12.5, 1001, 2],  # noqa: DTZ001 - sheets know no zone
        ["company:7", date(2026, 3, 1), "1 000", "A-1", None],
        [None, None, None, None, None],
        [5.0, "01.03.2026", None, 1002.0, 0],
    )
    found = read_history(path)
    assert found.bad == ()
    first, second, third = found.rows
    assert (first.customer, first.amount, first.order, first.quantity) == ("5", Decimal("12.5"), "1001", 2)
    assert (second.customer, second.amount, second.order, second.quantity) == ("company:7", 1000, "A-1", 1)
    assert (third.customer, third.amount, third.order, third.number) == ("5", None, "1002", 5)


def _zip(path, content):
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in content.items():
            archive.writestr(name, text)


def broken_files(tmp_path):
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "binary.csv").write_bytes(b"\x00\x01\x02PK")
    (tmp_path / "neither.csv").write_bytes(b"client,date,sum\n\x98\xff\xfe,1,1")
    (tmp_path / "huge.csv").write_text("client,date,sum\n" + "x" * 200_000 + ",2026-03-01,1")
    (tmp_path / "text.xlsx").write_text("client,date,sum")
    (tmp_path / "empty.xlsx").write_bytes(b"")
    (tmp_path / "orders.pdf").write_text("client,date,sum")
    _zip(tmp_path / "zip.xlsx", {"hello.txt": "x"})
    _zip(tmp_path / "parts.xlsx", {"[Content_Types].xml": "<Types", "xl/workbook.xml": "<"})
    return ["missing.csv", *sorted(path.name for path in tmp_path.iterdir())]


def test_a_file_that_cannot_be_read_is_wrong_input_in_one_sentence(tmp_path):
    for name in broken_files(tmp_path):
        with pytest.raises(WrongUse) as caught:
            read_history(str(tmp_path / name))
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)
