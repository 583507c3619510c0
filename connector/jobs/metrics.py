"""Figures for monitors, in Prometheus' text format: computed from rows, so any process can tell them for all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from connector.jobs import health, run_alarms, running, watch
from connector.store import alerts, inbox, jobs, letters, requests, work
from connector.store.jobs import SERVICE
from connector.store.models import Portal

_ALIVE = timedelta(seconds=15)
_OF_LAST_RUN = {
    "refused": "Records that the CRM refused in the last run.",
    "invalid": "Records that we did not send in the last run, because they could not be right.",
}
Sample = tuple[Mapping[str, str], float]


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric with its samples: labels and value."""

    name: str
    kind: str
    help: str
    samples: Sequence[Sample]


def metrics_text(session: Session, now: datetime) -> str:
    """All metrics as text. Labels name portals as their operator does, and no person."""
    lines: list[str] = []
    for metric in _metrics(session, now):
        lines += [f"# HELP {metric.name} {metric.help}", f"# TYPE {metric.name} {metric.kind}"]
        lines += [f"{metric.name}{_labels(labels)} {value:g}" for labels, value in metric.samples]
    return "\n".join([*lines, ""])


def _metrics(session: Session, now: datetime) -> Iterator[Metric]:
    portals = {portal.portal_id: portal for portal in session.scalars(select(Portal).order_by(Portal.name))}
    names = {SERVICE: "", **{portal_id: portal.name for portal_id, portal in portals.items()}}
    yield from _of_portals(session, list(portals.values()), now)
    yield from _of_work(session, names, now)
    yield from _of_queue(session, now)
    waiting = [(names[one[0]], one[1], one[2]) for one in inbox.depths(session) if one[0] in names]
    yield _gauge("rfm_inbox_records", "Changed records that wait to be read.", [(_of(n), c) for n, c, _ in waiting])
    oldest = [(_of(name), _age(since, now)) for name, _, since in waiting]
    yield _gauge("rfm_inbox_oldest_seconds", "How long the oldest event of the inbox waits.", oldest)
    aside = [(_of(names[one.portal_id]), float(one.count)) for one in inbox.aside(session) if one.portal_id in names]
    yield _gauge("rfm_inbox_set_aside", "Records that could not be read and are tried again once a day.", aside)
    sent = [
        ({**_of(names[one]), "status": status}, count)
        for one, status, count in requests.totals(session)
        if one in names
    ]
    yield Metric("rfm_requests_total", "counter", "Requests sent to the CRM, by kind of answer; 429: slow down.", sent)
    opened = [
        ({**_of(names.get(row.portal_id, "")), "kind": row.kind, "about": row.about}, 1.0)
        for row in alerts.open_alerts(session)
    ]
    yield _gauge("rfm_alert_open", "What is not as it should be at this moment.", opened)


def _of_portals(session: Session, portals: Sequence[Portal], now: datetime) -> Iterator[Metric]:
    active = [({**_of(portal.name), "crm": portal.crm}, float(portal.state == "active")) for portal in portals]
    yield _gauge("rfm_portal_active", "1 for a portal that is worked on, 0 for a paused or disconnected one.", active)
    synced = [(_of(portal.name), _age(portal.last_sync_at, now)) for portal in portals if portal.last_sync_at]
    yield _gauge("rfm_sync_age_seconds", "Lag: how old the mirror of the CRM is.", synced)
    known = run_alarms.histories(session)
    ended = [(portal, known[portal.portal_id]) for portal in portals if portal.portal_id in known]
    for name, text in _OF_LAST_RUN.items():
        yield _gauge(f"rfm_{name}_records", text, [(_of(portal.name), float(one.count(name))) for portal, one in ended])
    scores = [(_of(portal.name), float(health.of_runs(portal, one, now).score)) for portal, one in ended]
    yield _gauge("rfm_health_score", "How well a portal is kept up to date, 0 to 100.", scores)
    names = {portal.portal_id: portal.name for portal in portals}
    letters_waiting = [
        ({**_of(names[one]), "state": state}, float(count))
        for one, state, count in letters.depths(session)
        if one in names
    ]
    yield _gauge("rfm_dead_letters", "Cards that could not be written and wait for the next try.", letters_waiting)
    progress = [(portal, running.progress_of(session, portal.portal_id, now)) for portal in portals]
    share = [(_of(portal.name), one.percent / 100) for portal, one in progress if one and one.percent is not None]
    yield _gauge("rfm_run_written_share", "Share of the open run's cards that are written.", share)


def _of_work(session: Session, names: Mapping[int, str], now: datetime) -> Iterator[Metric]:
    rows = [row for row in work.all_rows(session) if row.portal_id in names]
    late = [({**_of(names[row.portal_id]), "job": row.job}, watch.late_by(row, now)) for row in rows]
    yield _gauge("rfm_schedule_late_seconds", "How long work is overdue, or asked for and not getting on.", late)
    failures = [({**_of(names[row.portal_id]), "job": row.job}, float(row.failures)) for row in rows]
    yield _gauge("rfm_work_failures", "How often work failed in a row.", failures)


def _of_queue(session: Session, now: datetime) -> Iterator[Metric]:
    depths = jobs.depths(session)
    counts: dict[tuple[str, str], int] = {}
    for depth in depths:
        counts[depth.job, depth.status] = counts.get((depth.job, depth.status), 0) + depth.count
    by_job = [({"job": job, "status": status}, float(count)) for (job, status), count in sorted(counts.items())]
    yield _gauge("rfm_jobs", "Jobs that wait (todo), run (doing) or failed.", by_job)
    due = [depth.due_since for depth in depths if depth.due_since is not None]
    yield _gauge(
        "rfm_jobs_oldest_due_seconds", "How long the oldest due job waits.", [({}, _age(min(due, default=now), now))]
    )
    alive = float(jobs.living_workers(session, _ALIVE) // len(jobs.QUEUES))
    yield _gauge("rfm_workers_alive", "Worker processes that gave a sign of life.", [({}, alive)])


def _gauge(name: str, text: str, samples: Sequence[Sample]) -> Metric:
    return Metric(name, "gauge", text, samples)


def _of(name: str) -> dict[str, str]:
    return {"portal": name}


def _age(since: datetime, now: datetime) -> float:
    return max(0.0, round((now - since).total_seconds(), 3))


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{key}="{_escaped(value)}"' for key, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
