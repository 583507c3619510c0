"""Moments, numbers and money as the CRMs' pages write them, and moments back from a form. Pure."""

from __future__ import annotations

from datetime import datetime, tzinfo
from decimal import Decimal, InvalidOperation

from sandbox.cards.views import Language, Refusal

_MOMENTS: dict[Language, str] = {"en": "%d %b %Y, %H:%M", "ru": "%d.%m.%Y %H:%M"}
_FORM = "%Y-%m-%dT%H:%M"


def moment(at: datetime, zone: tzinfo, language: Language) -> str:
    """A moment in the portal's zone."""
    return at.astimezone(zone).strftime(_MOMENTS[language])


def form_moment(at: datetime, zone: tzinfo) -> str:
    """The same for `<input type="datetime-local">`."""
    return at.astimezone(zone).strftime(_FORM)


def read_moment(text: str, zone: tzinfo) -> datetime:
    """What such an input sends, aware. Raises `Refusal`."""
    try:
        return datetime.fromisoformat(text).replace(tzinfo=zone)
    except ValueError:
        raise Refusal(f"{text} is no date and time") from None


def number(value: Decimal, language: Language) -> str:
    """Grouped by thousands, with its own decimals."""
    text = f"{value:,f}"
    return text if language == "en" else text.replace(",", " ").replace(".", ",")


def number_or_text(text: str, language: Language) -> str:
    """The same for a text that should hold a number; as it stands when it holds none."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        return text
    return number(value, language) if value.is_finite() else text


def money(amount: Decimal | None, currency: str | None, language: Language) -> str:
    """An amount with two decimals and its currency; "" when there is none."""
    if amount is None:
        return ""
    return f"{number(amount.quantize(Decimal('0.01')), language)} {currency or ''}".rstrip()
