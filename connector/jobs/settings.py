"""A portal's own settings: read, checked whole before they are kept, and carried through where orders depend on them.

==================  =============================================  ======================================
setting             values                                         meaning
==================  =============================================  ======================================
customer            company_or_contact, company, contact           whose order it is (CONTRACT 2.2)
order_sources       ["deals"], ["orders"], ["deals", "import"]     what counts as an order
zero_amount         refund, absent                                 what an amount of 0 means
order_lines         true, false                                    whether products are read
time_zone           Europe/Moscow, UTC+03:00                       instead of the CRM's own
language            ru, en                                         labels, hints, tasks
method, window      sales5, 365                                    for the first publication
max_share           0 to 1                                         see `connector.writeback.apply`
keep_changes_days   1 and more                                     how long a run can be undone
keep_history_days   31 and more (1100)                             how long past scores can be shown
four_eyes           true, false                                    a version is approved by another than its author
task_minutes        1 to 480 (15)                                  what a task costs, for what-if reports
schedule            see `connector.jobs.schedule`                  when runs are due
stale_days          1 and more                                     older scores and cards are told as not refreshed
alarm_limits        see `connector.jobs.run_alarms`                what is no longer usual
daily_budget        0 and more                                     cadence tasks per manager and day
default_manager     a manager's id                                 takes what nobody else can
team_leads          {"team": "manager"}                            where the CRM knows no lead
clocks              see `connector.sla.targets`                    other clocks, and what counts as a contact
head_of_sales       a manager's id                                 gets the digest of missed deadlines
digest_hour         0 to 23 (17)                                   when, on working days
expire_days         1 and more (30)                                a task untouched so long after its term expires
sequences           true, false                                    whether steps follow a first task that met nobody
steps_a_day         0 and more (10)                                such steps per manager and day
notices             see `connector.sla.voices`                     the budget of notices
quiet_months        [1, 8]                                         months in which silence is no news
sla_notes           true, false                                    whether the end of work is noted on the card
sla, cadence        see `connector.sla.policy`, `.playbook`        terms and rhythms
work_days … lunch   see `connector.sla.calendars`                  the working calendar
==================  =============================================  ======================================
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from adapters.errors import Malformed
from adapters.fields import zone
from adapters.records import OrderSource
from connector.errors import WrongUse
from connector.jobs import run_alarms, schedule
from connector.scores.run import check_method
from connector.sla import portal_rules
from connector.sla.people import people_from
from connector.store import mirror, portals
from connector.store.locks import portal_lock
from connector.store.models import Portal
from connector.wiring import Service

_CALENDAR = (
    "work_days",
    "work_hours",
    "day_hours",
    "lunch",
    "country",
    "extra_holidays",
    "moved_days",
    "short_days",
)
_TASKS = ("daily_budget", "default_manager", "team_leads", "sla", "cadence")
_DERIVED = frozenset({"customer", "order_sources", "zero_amount", "time_zone"})


def _one_of(*allowed: str) -> Callable[[Any], bool]:
    return lambda value: value in allowed


_CHECKS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "customer": (_one_of("company_or_contact", "company", "contact"), "company_or_contact, company or contact"),
    "order_sources": (
        lambda value: isinstance(value, list) and value != [] and all(one in [*OrderSource] for one in value),
        'a list such as ["deals"] of deals, orders, import',
    ),
    "zero_amount": (_one_of("refund", "absent"), "refund or absent"),
    "order_lines": (lambda value: isinstance(value, bool), "true or false"),
    "language": (_one_of("ru", "en"), "ru or en"),
    "window": (lambda value: type(value) is int and 1 <= value <= 36500, "a number of days"),
    "max_share": (lambda value: type(value) in {int, float} and 0 <= value <= 1, "a share from 0 to 1"),
    "four_eyes": (lambda value: isinstance(value, bool), "true or false"),
    "keep_history_days": (lambda value: type(value) is int and 31 <= value <= 36500, "a number of days, 31 or more"),
    "task_minutes": (lambda value: type(value) is int and 1 <= value <= 480, "a number of minutes from 1 to 480"),
    "keep_changes_days": (lambda value: type(value) is int and 1 <= value <= 3650, "a number of days"),
    "stale_days": (lambda value: type(value) is int and 1 <= value <= 3650, "a number of days"),
}
KNOWN = frozenset(
    {*_CHECKS, *_CALENDAR, *_TASKS, *portal_rules.WORDS, "time_zone", "method", "schedule", "alarm_limits"}
)


def show(service: Service, name: str) -> dict[str, Any]:
    """A portal's settings; what is not there has its default."""
    with service.database.session() as session:
        portal = portals.portal_named(session, name)
        return {"portal": name, "settings": {"language": portal.language, **portal.settings}}


def change(service: Service, name: str, words: list[str]) -> dict[str, Any]:
    """Set `key=value` (JSON or plain text), take back `key=`; all of them or none. Raises `WrongUse`."""
    return put(service, name, dict(_pair(word) for word in words))


def put(service: Service, name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Set values, take back those that are None; all of them or none. Raises `WrongUse`."""
    with service.database.session() as session:
        portal = portals.working_portal(session, name)
    with portal_lock(service.database, portal.portal_id), service.database.session() as session:
        portal = session.get_one(Portal, portal.portal_id)
        before = dict(portal.settings)
        after = {key: value for key, value in {**before, **given}.items() if value is not None}
        _check(portal, after)
        portal.language = str(after.pop("language", portal.language))
        portal.settings = after
        if given.get("time_zone"):
            portal.time_zone = str(given["time_zone"])
        elif "time_zone" in given:
            portal.info_at = None
        session.flush()
        if _DERIVED & given.keys():
            mirror.derive_all(session, portal)
            mirror.untie(session, portal)
    return show(service, name)


def _pair(word: str) -> tuple[str, Any]:
    key, equals, text = word.partition("=")
    if not equals or key not in KNOWN:
        known = ", ".join(sorted(KNOWN))
        raise WrongUse(f"{key!r} is no setting: write key=value with one of {known}")
    if not text:
        return key, None
    try:
        return key, json.loads(text)
    except ValueError:
        return key, text


def _check(portal: Portal, settings: Mapping[str, Any]) -> None:
    for key, value in settings.items():
        check, wanted = _CHECKS.get(key, (None, ""))
        if check is not None and not check(value):
            raise WrongUse(f"{key} takes {wanted}")
    try:
        here = zone(str(settings.get("time_zone", portal.time_zone)))
        people = people_from(settings, [], [])
        portal_rules.read_rules(portal, {"language": portal.language, **settings}, people, here)
        check_method(settings.get("method"))
        schedule.checked(settings.get("schedule", {}))
        run_alarms.checked(settings.get("alarm_limits", {}))
    except Malformed as error:
        raise WrongUse(f"time_zone: {error}") from None
    except (ValueError, TypeError, AttributeError) as error:
        raise WrongUse(f"the setting is not understood: {error}") from None
