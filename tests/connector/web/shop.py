"""Rows for the pages: a portal with scores, runs, refusals and tasks. Say only what matters to the test."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy.orm import Session

from connector.store.models import (
    ChangeRow,
    CustomerRow,
    ManagerRow,
    MethodRow,
    Portal,
    RunRow,
    ScoreRow,
    TaskRow,
)
from scoring.methods import MethodVersion, load_method
from scoring.scales import Thresholds

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
SEGMENTS = (("vip", "555"), ("loyal", "344"), ("promising", "411"), ("at_risk", "155"), ("sleeping", "111"))


def version(name: str = "sales5") -> MethodVersion:
    thresholds = Thresholds((10, 30, 60, 120), (1, 2, 4, 4), (10_000, 50_000, 100_000, 500_000))
    return MethodVersion(name, 1, load_method(name), thresholds)


def add_portal(session: Session, name: str = "north", **values: Any) -> Portal:
    defaults: dict[str, Any] = {
        "crm": "hubspot",
        "account_id": name,
        "host": "api.hubapi.com",
        "web_url": "https://app.hubspot.com",
        "time_zone": "Europe/Moscow",
        "currency": "USD",
        "language": "en",
        "last_sync_at": NOW - timedelta(hours=3),
    }
    portal = Portal(name=name, **{**defaults, **values})
    session.add(portal)
    session.flush()
    return portal


def add_method(session: Session, portal: Portal, *, weak: tuple[str, ...] = ()) -> MethodRow:
    made = version()
    row = MethodRow(
        portal_id=portal.portal_id,
        name=made.name,
        version=made.version,
        body=made.to_json(),
        digest=made.digest(),
        weak=list(weak),
        published_at=NOW - timedelta(days=9),
    )
    session.add(row)
    portal.method = made.label
    return row


def add_customers(session: Session, portal: Portal, count: int, **values: Any) -> None:
    """Customer n is contact n, in segment n modulo 5, with R = n, F = n modulo 7 and M = 100 n."""
    for number in range(count):
        segment, code = SEGMENTS[number % len(SEGMENTS)]
        session.add(
            CustomerRow(portal_id=portal.portal_id, number=number, kind="contact", external_id=str(number), seen=True)
        )
        score: dict[str, Any] = {
            "r": number,
            "f": number % 7,
            "m": Decimal(100 * number),
            "code": code,
            "segment": segment,
            "method": "sales5@1",
            "quality": 100,
            "causes": 0,
            "churn_risk": segment == "at_risk",
            "upsell": False,
            "changed_at": NOW,
            "run_id": "r1",
            "orders_total": 1 + number % 7,
            "last_day": 20_000 - number,
        }
        session.add(ScoreRow(portal_id=portal.portal_id, customer=number, **{**score, **values}))
    session.flush()


def add_run(session: Session, portal: Portal, run_id: str = "r1", **values: Any) -> RunRow:
    defaults: dict[str, Any] = {
        "kind": "run",
        "as_of": date(2026, 11, 24),
        "method": "sales5@1",
        "state": "done",
        "started_at": NOW - timedelta(hours=3),
        "finished_at": NOW - timedelta(hours=3),
        "counts": {
            "customers": 91,
            "orders": 830,
            "scored": 89,
            "written": 89,
            "unchanged": 0,
            "refused": 0,
            "tasks_created": 10,
            "requests": 120,
            "throttled": 2,
            "seconds": 12.3,
            "moved": 0,
        },
    }
    run = RunRow(portal_id=portal.portal_id, run_id=run_id, **{**defaults, **values})
    session.add(run)
    session.flush()
    return run


def add_refusal(session: Session, portal: Portal, customer: int, reason: str, run_id: str = "r1") -> None:
    session.add(
        ChangeRow(
            portal_id=portal.portal_id,
            run_id=run_id,
            customer=customer,
            values={},
            before={},
            state="refused",
            field="segment",
            reason=reason,
        )
    )


def add_task(session: Session, portal: Portal, customer: int, title: str, **values: Any) -> None:
    defaults: dict[str, Any] = {
        "key": f"k{customer}",
        "rule": "soft_touch",
        "event_key": "2026-11",
        "run_id": "r1",
        "manager_id": "7",
        "body": "",
        "priority": "low",
        "due_at": NOW + timedelta(days=1),
        "raised_on": date(2026, 11, 24),
        "state": "created",
    }
    session.add(TaskRow(portal_id=portal.portal_id, customer=customer, title=title, **{**defaults, **values}))


def add_manager(session: Session, portal: Portal, external_id: str, name: str) -> None:
    session.add(ManagerRow(portal_id=portal.portal_id, external_id=external_id, name=name, active=True, team_ids=[]))


def whole_shop(session: Session, name: str = "north", customers: int = 60, **values: Any) -> Portal:
    """Everything at once."""
    portal = add_portal(session, name, **values)
    add_method(session, portal)
    add_customers(session, portal, customers)
    add_run(session, portal)
    add_manager(session, portal, "7", "Anna Petrova")
    add_task(session, portal, 4, "Say hello")
    return portal
