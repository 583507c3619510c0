"""All that a portal has decided about its work, read once: playbook, clocks, escalation, budgets, calendar, people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any

from sqlalchemy.orm import Session

from adapters.fields import zone
from adapters.records import CRM, Manager
from connector.errors import WrongUse
from connector.sla.calendars import calendar_from
from connector.sla.escalation import EscalationRules, escalation_rules
from connector.sla.followups import FollowUpSettings, followup_settings
from connector.sla.people import People, people_from
from connector.sla.playbook import Playbook
from connector.sla.policy import whole_number
from connector.sla.targets import ClockRules, clock_rules
from connector.sla.voices import NoticeRules, notice_rules
from connector.sla.worktime import Calendar
from connector.store import mirror
from connector.store.models import Portal

STEPS_A_DAY = 10
WORDS = (
    "clocks",
    "digest_hour",
    "expire_days",
    "head_of_sales",
    "notices",
    "quiet_months",
    "sequences",
    "sla_notes",
    "steps_a_day",
)
"""The settings that are read here and nowhere else."""


@dataclass(frozen=True, slots=True)
class PortalRules:
    """A portal's rules. `sequences` False: no step follows the first task. `notes`: an end is noted on the card.

    In `quiet_months` (1 to 12) a customer's silence is no news, and rules of silence notify nobody.
    """

    portal_key: str
    language: str
    currency: str
    calendar: Calendar
    clocks: ClockRules
    escalation: EscalationRules
    notices: NoticeRules
    followups: FollowUpSettings
    people: People
    steps_a_day: int = STEPS_A_DAY
    sequences: bool = True
    notes: bool = False
    quiet_months: frozenset[int] = frozenset()

    @property
    def playbook(self) -> Playbook:
        """The rules in force."""
        return self.followups.playbook


def portal_rules(session: Session, portal: Portal) -> PortalRules:
    """A portal's rules with its staff as last read. Raises `WrongUse` naming a setting that makes no sense."""
    settings = {"language": portal.language, **portal.settings}
    try:
        return read_rules(portal, settings, people_of(session, portal), zone(portal.time_zone))
    except ValueError as error:
        raise WrongUse(f"a setting of {portal.name} is not understood: {error}") from None


def read_rules(portal: Portal, settings: Mapping[str, Any], people: People, here: tzinfo) -> PortalRules:
    """The rules in settings, with the calendar in a zone.

    Raises `ValueError` with the word and what is wrong with its value.
    """
    given = {**settings, "stale_days": settings.get("expire_days", 30)}
    portal_key = f"{portal.crm}:{portal.account_id}"
    followups = followup_settings(settings, portal_key=portal_key, currency=portal.currency)
    return PortalRules(
        portal_key=portal_key,
        language=followups.language.value,
        currency=portal.currency,
        calendar=calendar_from(settings, here),
        clocks=clock_rules(settings),
        escalation=escalation_rules(given, CRM(portal.crm)),
        notices=notice_rules(settings),
        followups=followups,
        people=people,
        steps_a_day=whole_number("steps_a_day", settings.get("steps_a_day", STEPS_A_DAY), least=0),
        sequences=_flag("sequences", settings.get("sequences", True)),
        notes=_flag("sla_notes", settings.get("sla_notes", False)),
        quiet_months=_months(settings.get("quiet_months", [])),
    )


def people_of(session: Session, portal: Portal) -> People:
    """Staff and teams; without a setting the longest-serving active manager is the default one."""
    managers, teams = mirror.staff(session, portal.portal_id)
    settings = dict(portal.settings)
    settings.setdefault("default_manager", _first_active(managers))
    return people_from(settings, managers, teams)


def _first_active(managers: Iterable[Manager]) -> str | None:
    active = [manager.external_id for manager in managers if manager.active]
    return min(active, key=lambda external_id: (len(external_id), external_id), default=None)


def _flag(word: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{word} is either true or false")  # noqa: TRY004  # wrong input
    return value


def _months(value: object) -> frozenset[int]:
    if not isinstance(value, list) or not all(type(month) is int and 1 <= month <= 12 for month in value):
        raise ValueError("quiet_months is a list of numbers of months, such as [1, 8]")
    return frozenset(value)
