"""The list "do first", what people do to it, the figures of the work, the load ahead: for commands and pages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from connector.errors import WrongUse
from connector.jobs import telling, tending
from connector.jobs.loop import working_on
from connector.scores import run as scoring_run
from connector.sla import acting, desk, sending
from connector.sla.acting import Action
from connector.sla.cases import STAGES, cases
from connector.sla.desk import Item
from connector.sla.figures import Card, Figures, Period, cards, report
from connector.sla.portal_rules import PortalRules, portal_rules
from connector.sla.tending import TIME_TO_ACT
from connector.sla.voices import Sent, voices
from connector.store import portals, sla_notices
from connector.store.models import Portal
from connector.wiring import Service

FIGURES_DAYS = 92


def queue(service: Service, name: str, *, manager: str | None = None, top: int | None = None) -> dict[str, Any]:
    """Everybody's open work in the order in which to do it, with reasons in the portal's language."""
    now = service.now()
    with service.database.session() as session:
        portal = portals.portal_named(session, name)
        return queue_of(session, portal, now, portal.language, manager=manager, top=top)


def queue_of(
    session: Session,
    portal: Portal,
    now: datetime,
    language: str,
    *,
    manager: str | None = None,
    top: int | None = None,
) -> dict[str, Any]:
    """The same in a transaction, with reasons in a language."""
    rules = portal_rules(session, portal)
    found = desk.queue(session, portal, rules, now, top=top)
    if manager is not None:
        found = {manager: found.get(manager, [])}
    return {
        "portal": portal.name,
        "managers": [
            {
                "manager": manager_id,
                "name": _name(rules, manager_id),
                "tasks": [_item(item, now, language, portal.currency) for item in items],
            }
            for manager_id, items in sorted(found.items(), key=lambda pair: _name(rules, pair[0]))
        ],
    }


def act(service: Service, name: str, action: Action) -> dict[str, Any]:
    """Do something to a task of the queue: put down, written through to the CRM, and followed by what follows.

    Raises `WrongUse`; raises `CRMError` when the CRM was not reached: what was put down is then sent by the worker.
    """
    now = service.now()
    with service.database.session() as session:
        portal = portals.working_portal(session, name)
        acting.check(action, portal_rules(session, portal), now)
    with working_on(service, name) as (portal, opened):
        reads = opened.adapter.capabilities.contacts
        with service.database.session() as session:
            own = session.get_one(Portal, portal.portal_id)
            row = acting.act(session, own, action, portal_rules(session, own), now, reads_contacts=reads)
            key = row.key
        tending.decide(service.database, portal.portal_id, now, telling.channels(service.config))
        sending.send_changes(service.database, portal.portal_id, opened.adapter)
    return {"portal": name, "task": action.key, "occasion": key, "done": action.what}


def figures(service: Service, name: str, *, period: Period = Period.WEEK) -> dict[str, Any]:
    """Figures by class × manager × week or month of the last quarter, report cards of rules, and who is heard."""
    now = service.now()
    with service.database.session() as session:
        portal = portals.portal_named(session, name)
        return figures_of(session, portal, now, portal.language, period)


def figures_of(session: Session, portal: Portal, now: datetime, language: str, period: Period) -> dict[str, Any]:
    """The same in a transaction, with verdicts in a language."""
    rules = portal_rules(session, portal)
    own = cases(session, portal, rules, now - timedelta(days=FIGURES_DAYS), now)
    cells = report(own, rules.calendar.zone, period, stages=len(STAGES))
    return {
        "portal": portal.name,
        "period": period.value,
        "currency": portal.currency,
        "stages": list(STAGES),
        "cells": [
            {
                "start": cell.start.isoformat(),
                "class": cell.work_class or None,
                "manager": cell.manager_id or None,
                "name": _name(rules, cell.manager_id) if cell.manager_id else None,
                **_figures(seen),
            }
            for cell, seen in cells.items()
        ],
        "rules": [_card(card, language) for card in cards(own).values()],
        "notices": _voices(session, portal, rules, now, language),
    }


def load(service: Service, name: str) -> dict[str, Any]:
    """The load ahead: what open work will be late, and whether a month's touches fit, with ways to make them."""
    now = service.now()
    with service.database.session() as session:
        portal = portals.portal_named(session, name)
        version = scoring_run.current_version(session, portal)
        if version is None:
            raise WrongUse(f"{name} has no scores yet: run `run {name}` first")
        rules = portal_rules(session, portal)
        foreseen = desk.load_forecast(session, portal, rules, now)
        plan = desk.month_plan(session, portal, rules, version, now)
    return {
        "portal": name,
        "days": [{**asdict(one), "name": _name(rules, one.manager_id)} for one in foreseen.days],
        "late": [
            {
                "task": one.task.key,
                "manager": one.task.manager_id,
                "due_at": one.task.due_at.isoformat(timespec="minutes"),
                "done_at": one.done_at.isoformat(timespec="minutes") if one.done_at.year < _NEVER else None,
            }
            for one in foreseen.breaches
        ],
        "month": {
            "fits": plan.fits,
            "hours_needed": round(plan.needed / 60, 1),
            "hours_there": round(plan.there / 60, 1),
            "attempts_a_day": {name.value: round(count, 1) for name, count in plan.attempts_a_day.items()},
            "proposals": [one.said().words(rules.language) for one in plan.proposals],
        },
    }


_NEVER = 9999


def _item(item: Item, now: datetime, language: str, currency: str) -> dict[str, Any]:
    work, clock = item.place.work, item.place.clock
    left = None
    if clock is not None:
        length = clock.left if clock.left is not None else -clock.by if clock.by is not None else None
        left = None if length is None else int(length / timedelta(minutes=1))
    return {
        "position": item.place.position,
        "task": work.key,
        "customer": str(item.ref),
        "title": item.title,
        "rule": work.rule,
        "class": work.work_class.value,
        "due_at": item.due_at.isoformat(timespec="minutes"),
        "clock": None if clock is None else clock.clock.value,
        "state": None if clock is None else clock.state.value,
        "minutes_left": left,
        "attempts": work.attempts,
        "reasons": item.place.reasons(now, language, currency),
    }


def _figures(seen: Figures) -> dict[str, Any]:
    return {
        **{word: _plain(value) for word, value in asdict(seen).items()},
        "stages": [round(share, 4) for share in seen.stages],
        "is_enough": seen.is_enough,
    }


def _card(card: Card, language: str) -> dict[str, Any]:
    found = {word: _plain(value) for word, value in asdict(card).items() if word != "verdict"}
    return {**found, "verdict": card.verdict.words(language), "retire": card.retire}


def _voices(
    session: Session, portal: Portal, rules: PortalRules, now: datetime, language: str
) -> list[Mapping[str, Any]]:
    history = sla_notices.history(session, portal.portal_id, now - timedelta(days=rules.notices.span_days))
    sent = [Sent(one.rule, one.to, one.at, one.acted_at) for one in history]
    heard = voices(rules.playbook, sent, rules.notices, now, time_to_act=TIME_TO_ACT)
    return [
        {
            "rule": voice.rule,
            "sent": voice.sent,
            "acted": voice.acted,
            "muted": voice.is_muted,
            "said": voice.said.words(language),
        }
        for voice in heard.values()
    ]


def _plain(value: Any) -> Any:
    """Times as minutes, money as text, shares to four places."""
    if isinstance(value, timedelta):
        return round(value / timedelta(minutes=1), 1)
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, date):
        return value.isoformat()
    return value if value is None or isinstance(value, int | tuple) else str(value)


def _name(rules: PortalRules, manager_id: str | None) -> str:
    manager = rules.people.managers.get(manager_id or "")
    return manager.name if manager is not None else manager_id or "–"
