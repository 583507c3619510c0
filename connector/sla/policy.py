"""How soon the first contact is due: one term per work class, softened where the history is poor.

Knows no task and no customer; the calendar does the arithmetic. The defaults are those of the contract; a
portal's settings override every number under the word ``sla``::

    {"vip": {"minutes": 30}, "promising": {"working_days": 1}, "at_risk": {"hours": 24},
     "business_hours": true, "low_quality_below": 40}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType

from connector.sla.worktime import Calendar


class WorkClass(StrEnum):
    """How a customer is worked, in the order of work; every method maps its segments to these."""

    VIP = "vip"
    LOYAL = "loyal"
    PROMISING = "promising"
    AT_RISK = "at_risk"
    SLEEPING = "sleeping"


class Unit(StrEnum):
    """What a term is counted in."""

    MINUTES = "minutes"
    """Business minutes."""
    HOURS = "hours"
    """Calendar hours, moved to the next working minute; business hours where the settings say so."""
    WORKING_DAYS = "working_days"
    """Until the end of a working day: 1 is the current one, or the next one after hours."""


@dataclass(frozen=True, slots=True)
class Term:
    """How long after being raised a task is due."""

    amount: int
    unit: Unit

    def doubled(self) -> Term:
        """Twice the time: the end of the day becomes the end of the next working day."""
        return Term(self.amount * 2, self.unit)


_DEFAULTS: Mapping[WorkClass, Term] = MappingProxyType(
    {
        WorkClass.VIP: Term(60, Unit.MINUTES),
        WorkClass.LOYAL: Term(60, Unit.MINUTES),
        WorkClass.PROMISING: Term(1, Unit.WORKING_DAYS),
        WorkClass.AT_RISK: Term(24, Unit.HOURS),
        # A soft touch is due within the week in which it is raised: five working days.
        WorkClass.SLEEPING: Term(5, Unit.WORKING_DAYS),
    }
)


@dataclass(frozen=True, slots=True)
class Policy:
    """The terms of one portal. Quality below `low_quality_below` doubles every one of them."""

    terms: Mapping[WorkClass, Term] = field(default_factory=lambda: _DEFAULTS)
    business_hours: bool = False
    low_quality_below: int = 40

    def is_softened(self, quality: int) -> bool:
        """Whether the history is too poor to hold a manager to the usual time."""
        return quality < self.low_quality_below

    def due_at(self, work_class: str, raised_at: datetime, calendar: Calendar, *, quality: int = 100) -> datetime:
        """When a task raised at that moment is due, aware UTC; never in closed time, at most at closing.

        Raises `ValueError` for a class that is no `WorkClass`.
        """
        term = self.terms[WorkClass(work_class)]
        if self.is_softened(quality):
            term = term.doubled()
        return due_after(term, raised_at, calendar, business_hours=self.business_hours)


def due_after(term: Term, start: datetime, calendar: Calendar, *, business_hours: bool = False) -> datetime:
    """When a term that starts at that moment is over, aware UTC; never in closed time, at most at closing."""
    if term.unit is Unit.WORKING_DAYS:
        return calendar.end_of_working_day(start, days_later=term.amount - 1)
    if term.unit is Unit.MINUTES:
        return calendar.add_minutes(start, term.amount)
    if business_hours:
        return calendar.add_minutes(start, term.amount * 60)
    return calendar.add_minutes(start + timedelta(hours=term.amount), 0)


def policy_from(settings: Mapping[str, object]) -> Policy:
    """The policy in a portal's settings, defaults where they are silent.

    Raises `ValueError` with the word and what is wrong with its value.
    """
    given = settings.get("sla") or {}
    if not isinstance(given, Mapping):
        raise ValueError("sla: a mapping of classes to terms is expected")  # noqa: TRY004  # wrong input
    words = {*WorkClass, "business_hours", "low_quality_below"}
    if unknown := sorted(str(word) for word in given.keys() - words):
        raise ValueError(f"sla: nothing is known of {', '.join(unknown)}")
    terms = {
        name: term_from(f"sla: {name}", given[name]) if name in given else term for name, term in _DEFAULTS.items()
    }
    business_hours = given.get("business_hours", False)
    if not isinstance(business_hours, bool):
        raise ValueError("sla: business_hours is either true or false")  # noqa: TRY004  # wrong input
    below = whole_number("sla: low_quality_below", given.get("low_quality_below", 40), least=0)
    return Policy(terms=terms, business_hours=business_hours, low_quality_below=below)


def whole_number(word: str, value: object, *, least: int) -> int:
    """A whole number out of settings; raises `ValueError` that names the word."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{word}: {value!r} is no whole number of at least {least}")
    return value


def term_from(word: str, value: object, *, least: int = 1) -> Term:
    """A term out of settings, such as {"minutes": 60}; raises `ValueError` that names the word."""
    if not isinstance(value, Mapping) or len(value) != 1 or (unit := next(iter(value))) not in {*Unit}:
        raise ValueError(f"{word} needs one of minutes, hours, working_days, such as {{'minutes': 60}}")
    return Term(whole_number(f"{word} {unit}", value[unit], least=least), Unit(unit))
