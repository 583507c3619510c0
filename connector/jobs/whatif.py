"""A what-if report: a draft against the version in force, with what it would cost in cards, quota, tasks and hours.

Reads only. The news it counts are what a run after the publication would raise; cadences are what a quiet week asks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date
from decimal import Decimal
from typing import Any

from sqlalchemy.orm import Session

from adapters.contract import Capabilities
from adapters.errors import CRMError
from adapters.hosts import HostRefused
from connector.errors import ConnectorError, WrongUse
from connector.jobs import methods as method_work
from connector.scores import run as scoring_run
from connector.scores import whatif
from connector.scores.moments import as_of_moment
from connector.scores.whatif import Comparison
from connector.sla.followups import followup_settings
from connector.sla.playbook import Playbook
from connector.sla.policy import WorkClass
from connector.store import mirror, portals
from connector.store.models import Portal
from connector.wiring import Service
from scoring.methods import Method

TASK_MINUTES = 15
_WEEK_DAYS, _MONTH_WEEKS, _WORKING_DAYS = 7, 365.25 / 12 / 7, 5
_DAILY_BUDGET = 10


def simulate(
    service: Service, name: str, words: str | Method, *, as_of: date | None = None, limit: int = 20, priced: bool = True
) -> dict[str, Any]:
    """The report. `words` name a version of the portal (sales5@2) or rules to be fitted: sales5, FILE.toml, a method.

    As of a past day both versions score that day's orders. To be `priced` in requests, some CRMs are asked what the
    account may do. Raises `WrongUse` where no version is in force.
    """
    now = service.now()
    with service.database.rehearsal() as session:
        portal = portals.portal_named(session, name)
        moment = as_of_moment(portal.time_zone, as_of, now)
        live = scoring_run.current_version(session, portal)
        if live is None:
            raise WrongUse(f"{name} has no version in force to compare with: run `score {name}` first")
        draft, weak = method_work.candidate(session, portal, words, moment)
        is_now = moment.day == as_of_moment(portal.time_zone, None, now).day
        found = whatif.compare(session, portal, moment, live, draft, is_now=is_now)
        shown = [
            {**asdict(one), "m": str(Decimal(one.m).scaleb(-2))} for one in whatif.movers(session, portal, found, limit)
        ]
        work = _work(session, portal, found)
    return {
        "portal": name,
        "as_of": moment.day.isoformat(),
        "live": live.label,
        "draft": draft.label if not isinstance(words, str) or "@" in words else words,
        "weak": list(weak),
        "customers": len(found.number),
        "moved": int(found.moved.sum()),
        "flows": [{"from": was, "to": now_, "customers": count} for was, now_, count in found.flows()],
        "segments": _segments(found),
        "flags": {
            "churn_risk": {"on": found.churn_on, "off": found.churn_off},
            "upsell": {"on": found.upsell_on, "off": found.upsell_off},
        },
        "cards": _cards(found, _capabilities(service, portal) if priced else None),
        "work": work,
        "movers": shown,
    }


def _segments(found: Comparison) -> dict[str, list[dict[str, Any]]]:
    """Segments by their rank, with their sizes under either version; labels for people."""
    flows = found.flows()
    sizes: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
    for was, now, count in flows:
        if was is not None:
            sizes[0][was] += count
        if now is not None:
            sizes[1][now] += count
    return {
        side: [
            {"segment": one.value, "label": dict(one.label), "work": one.work, "customers": size[one.value]}
            for one in sorted(version.method.segments, key=lambda segment: segment.rank)
        ]
        for side, version, size in (("live", found.live, sizes[0]), ("draft", found.draft, sizes[1]))
    }


def _cards(found: Comparison, can: Capabilities | None) -> dict[str, Any]:
    """Every scored card is written once: it shows the version. Priced as `writeback --dry-run` does."""
    same = found.live.label == found.draft.label and found.live.digest() == found.draft.digest()
    counts = {kind: 0 if same else count for kind, count in found.cards.items()}
    priced: dict[str, Any] = {"requests": None, "minutes_of_quota": None}
    if can is not None:
        requests = sum(-(-count // can.write_batch) for count in counts.values())
        priced = {"requests": requests, "minutes_of_quota": round(requests / can.requests_per_second / 60, 2)}
    return {
        "cards": sum(counts.values()),
        "contacts": counts["contact"],
        "companies": counts["company"],
        "only_version_changes": 0 if same else found.only_label,
        "segments_changing": int((found.moved & (found.was >= 0) & (found.now >= 0)).sum()),
        **priced,
    }


def _capabilities(service: Service, portal: Portal) -> Capabilities | None:
    """What the portal's limits allow; None where it cannot be opened now."""
    try:
        with service.open(service.access_of(portal), attempts=1, patient=False) as opened:
            return opened.adapter.capabilities
    except (CRMError, ConnectorError, HostRefused):
        return None


def _work(session: Session, portal: Portal, found: Comparison) -> dict[str, Any]:
    """Tasks at once, by rule, and contacts a week that the cadences ask for; hours at the portal's `task_minutes`."""
    settings = {"language": portal.language, **portal.settings, "window_days": found.draft.method.window}
    try:
        wanted = followup_settings(settings, portal_key="", currency=portal.currency)
    except ValueError as error:
        raise WrongUse(f"a setting of {portal.name} is not understood: {error}") from None
    minutes = int(portal.settings.get("task_minutes", TASK_MINUTES))
    news = {} if portal.first_run_at is None else _news(found, wanted.playbook)
    managers, _ = mirror.staff(session, portal.portal_id)
    active = sum(manager.active for manager in managers)
    flows = found.flows()
    before = _weekly(found.live.method, wanted.playbook, [(was, count) for was, _, count in flows])
    after = _weekly(found.draft.method, wanted.playbook, [(now, count) for _, now, count in flows])
    tasks = sum(news.values())
    return {
        "tasks_at_once": tasks,
        "by_rule": news,
        "hours_at_once": round(tasks * minutes / 60, 1),
        "contacts_a_week": {"live": round(before), "draft": round(after)},
        "hours_a_week": {"live": round(before * minutes / 60, 1), "draft": round(after * minutes / 60, 1)},
        "budget_a_week": active * int(portal.settings.get("daily_budget", _DAILY_BUDGET)) * _WORKING_DAYS,
        "task_minutes": minutes,
    }


def _news(found: Comparison, playbook: Playbook) -> dict[str, int]:
    """Event tasks of the moves; between methods of different names nobody moves."""
    if found.live.name != found.draft.name:
        return {}
    old, new = (_classes(version.method) for version in (found.live, found.draft))
    told: dict[str, int] = {}
    for event in playbook.events:
        if event.flag is not None:
            count = found.upsell_on
        else:
            count = sum(
                number
                for was, now, number in found.flows()
                if was is not None and now is not None and was != now and event.is_move(old[was], new[now])
            )
        if count:
            told[event.rule] = count
    return told


def _weekly(method: Method, playbook: Playbook, sizes: Sequence[tuple[str | None, int]]) -> float:
    """Contacts a week when every customer is contacted as often as his class's cadence says."""
    classes, cadences = _classes(method), playbook.cadence_by_class()
    total = 0.0
    for segment, count in sizes:
        cadence = cadences.get(classes[segment]) if segment is not None else None
        if cadence is None:
            continue
        each = _WEEK_DAYS / cadence.every_days
        if cadence.per_month is not None:
            each = min(each, cadence.per_month / _MONTH_WEEKS)
        total += count * each
    return total


def _classes(method: Method) -> Mapping[str, WorkClass]:
    return {segment.value: WorkClass(segment.work) for segment in method.segments}
