"""What is invented where a data set is silent: people, times of day, offers that are still open.

The same number always gives the same invention. Nobody here exists: names are common ones mixed by arithmetic,
addresses end in `.example`, phone numbers are of ranges kept free for fiction (Ofcom's 01632 960xxx, North
America's 555-01xx).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from sandbox.shop import Deal

_ENGLISH_FIRST = """
    Alice Amelia Arthur Charles Chloe Daniel Edith Edward Ella Emily Freya George Grace Harry Isla Jack Jacob Lily
    Lucy Mabel Martha Noah Oliver Oscar Poppy Rose Samuel Sophie Thomas William
"""
_ENGLISH_LAST = """
    Ashdown Barlow Bexley Birchall Calder Colby Denham Draper Eldridge Fairley Garside Halford Hartwell Ingram
    Kershaw Langley Marlowe Norbury Oakden Penrose Quayle Radley Selwyn Thornley Underhill Varley Wetherby Winslow
    Yardley
"""
_WOMEN_FIRST = """
    Алина Анна Вера Дарья Евгения Екатерина Елена Ирина Ксения Лариса Мария Надежда Ольга Полина Софья Татьяна Юлия
"""
_MEN_FIRST = """
    Алексей Антон Артём Борис Вадим Глеб Денис Егор Игорь Кирилл Леонид Максим Никита Олег Павел Роман Тимофей
"""
_MEN_LAST = """
    Арефьев Белозёров Ветров Гордеев Дымов Ершов Журавлёв Зимин Калинин Лаптев Минаев Озеров Поляков Родионов
    Снегирёв Тихонов Устинов Широков Яковлев
"""
_SPREAD = 2_654_435_761  # Knuth's multiplier: neighbouring numbers fall far apart
_OFFER_EVERY = 20
_OFFER_ID = 5_000_000


def _mixed(number: int) -> int:
    return (number * _SPREAD % 2**32) >> 7


def _name(first_names: str, last_names: str, number: int) -> tuple[str, str]:
    first, last = first_names.split(), last_names.split()
    place = _mixed(number)
    return first[place % len(first)], last[place // len(first) % len(last)]


def english_name(number: int) -> tuple[str, str]:
    """A first and a last name."""
    return _name(_ENGLISH_FIRST, _ENGLISH_LAST, number)


def russian_name(number: int) -> tuple[str, str]:
    """A first and a last name that agree in gender."""
    if _mixed(number) % 2:
        return _name(_MEN_FIRST, _MEN_LAST, number // 2)
    first, last = _name(_WOMEN_FIRST, _MEN_LAST, number // 2)
    return first, f"{last}а"


def british_phone(number: int) -> str:
    """One of a thousand numbers that nobody has."""
    return f"+44 1632 960{number % 1000:03d}"


def american_phone(number: int) -> str:
    """One of a hundred numbers that nobody has."""
    return f"+1 202 555 01{number % 100:02d}"


def minute(number: int, start: int, length: int) -> int:
    """A minute of the day, `start` at the earliest and less than `start + length`."""
    return start + _mixed(number) % length


def offers(deals: Sequence[Deal], now: datetime) -> Iterator[Deal]:
    """For every twentieth buyer the last sale once more, offered in the last days and not yet decided."""
    last = {
        (deal.company_id, deal.contact_ids): deal for deal in _by_time(deals) if deal.status == "won" and deal.lines
    }
    for place, deal in enumerate(list(last.values())[::_OFFER_EVERY]):
        offered_at = now - timedelta(days=1 + place % 9, minutes=place)
        yield replace(
            deal,
            id=_OFFER_ID + place,
            name=f"{deal.name} +",
            status="open",
            created_at=offered_at,
            closed_at=offered_at + timedelta(days=30),
        )


def _by_time(deals: Iterable[Deal]) -> list[Deal]:
    return sorted(deals, key=lambda deal: (deal.closed_at or deal.created_at, deal.id))
