"""What each kind of background work does, one bounded chunk at a time, and what becomes of it when it fails.

A chunk ends in one transaction: how far it came, and the job that goes on. Jobs have a portal's id and nothing else.

==========================  ==========================================================================
the chunk ends with         what follows
==========================  ==========================================================================
all done                    nothing; the next due moment asks again
some done                   its successor, at the end of the portal's line
`PortalBusy`                the same again in a moment: a command works on the portal
`Transient`                 later: when the CRM said, else ever more seldom, up to every quarter of an hour;
                            what got something done before it failed is tried soon
`AccessLost`                the portal is paused, with the reason, in the audit trail; nothing is tried again
`UnsafePlan`                the run is stopped until a person has looked
other refusals              given up until asked for anew: trying again would end the same
anything else               a few more tries, then given up, and its job stays in the queue as failed
==========================  ==========================================================================

Drains and answers are never given up: what is in the inbox was promised, and a workflow waits. They are only tried
more seldom.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from adapters.errors import AccessLost, CRMError, Transient
from adapters.hosts import HostRefused
from adapters.oauth import KeptTokens
from connector import logs
from connector.deadline import Deadline
from connector.errors import ConnectorError, DatabaseAway, Interruption, PortalBusy, PortalPaused, WrongUse
from connector.jobs import installing, leaving, refit, running, subscribing, telling, tending, watch
from connector.jobs.answering import answer_portal
from connector.jobs.drain import drain_portal, follow
from connector.jobs.loop import working_on
from connector.jobs.retention import forget
from connector.jobs.schedule import (
    ANSWERS,
    CLOCKS,
    DRAIN,
    FULL,
    INSTALLS,
    KINDS,
    PULL,
    READ_BACK,
    REFIT,
    RETENTION,
    RUN,
    SETUP,
    TOKENS,
    WATCH,
    ask,
)
from connector.jobs.steps import silent
from connector.store import audit, jobs, portals, work
from connector.store.jobs import SERVICE
from connector.store.models import Portal, WorkRow
from connector.store.poison import in_words
from connector.sync.pull import MOST_TOUCHED, Pull
from connector.wiring import OpenPortal, Service

log = logging.getLogger("rfm.jobs")
Work = Callable[[Service, int, Deadline], str | None]
"""One chunk of a portal's work; returns the stage to go on with, None when all is done."""

_BUSY_S = 2.0
_LONG_WAIT_S = 5.0
_FIRST_WAIT_S = 5.0
_LONGEST_S, _SHORT_S = 900.0, 30.0
_TRIES = 5
_IDLE = timedelta(days=30)
_OPEN = "open"


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do after a failure. `wait_s` None: it is not tried again by itself."""

    wait_s: float | None
    counts: bool = True
    pauses: bool = False
    is_poison: bool = False


def perform(service: Service, name: str, portal_id: int, deadline: Deadline) -> None:
    """One chunk of a kind of work, with everything that follows from how it ends.

    Raises only what shall be seen as a failed job.
    """
    if not _is_workable(service, portal_id):
        with service.database.session() as session:
            work.put_away(session, portal_id, name)
        return
    started = datetime.now(UTC)
    try:
        with logs.about(job=name), audit.acting(f"job:{name}"):
            left = WORKS[name](service, portal_id, deadline)
    except Exception as error:
        if _after(service, name, portal_id, error, started):
            raise
        return
    with service.database.session() as session:
        if left is None:
            work.done(session, portal_id, name, datetime.now(UTC))
        else:
            work.progressed(session, portal_id, name, left, datetime.now(UTC))
            jobs.defer(session, name, portal_id, queue=KINDS[name].queue)


def decide(name: str, error: Exception, failures: int) -> Decision:
    """What follows from an error after so many failures in a row (this one included)."""
    for kind, rule in _RULES:
        if isinstance(error, kind):
            return rule(error, failures)
    if name in {DRAIN, ANSWERS}:
        return Decision(_backoff(failures + 3), is_poison=failures == _TRIES)
    if isinstance(error, _REFUSALS):
        return Decision(None)
    return Decision(_backoff(failures)) if failures < _TRIES else Decision(None, is_poison=True)


def _backoff(failures: int, longest: float = _LONGEST_S) -> float:
    """Doubling from five seconds to a quarter of an hour, up to a quarter less, so that portals spread."""
    wait = min(longest, _FIRST_WAIT_S * 2.0 ** max(0, min(failures, 20) - 1))
    return wait * (1 - random.random() / 4)  # noqa: S311 - spreads load, guards nothing


def _later(error: Exception, failures: int) -> Decision:
    """When the CRM said; only where it did not, or says too soon again and again, ever more seldom."""
    told = error.retry_after if isinstance(error, Transient) else None
    return Decision(_backoff(failures) if told is None else max(told, _backoff(failures, _SHORT_S)))


_REFUSALS = (WrongUse, CRMError, HostRefused)
_RULES: tuple[tuple[type[Exception], Callable[[Exception, int], Decision]], ...] = (
    (PortalBusy, lambda _, __: Decision(_BUSY_S, counts=False)),
    (PortalPaused, lambda _, __: Decision(None, counts=False)),
    (DatabaseAway, _later),
    (Interruption, lambda _, __: Decision(0.0, counts=False)),  # the process ends: the work is handed back
    (AccessLost, lambda _, __: Decision(None, pauses=True)),
    (Transient, _later),
)
"""In this order: the first that fits."""


def _after(service: Service, name: str, portal_id: int, error: Exception, started: datetime) -> bool:
    """Note a failure and ask for what follows; returns whether the job shall be seen as failed."""
    now, told = datetime.now(UTC), in_words(error)
    with service.database.session() as session:
        row = session.get(WorkRow, (portal_id, name))
        got_on = isinstance(error, Transient) and work.got_on(session, portal_id, started)
        decision = decide(name, error, 1 if row is None or got_on else row.failures + 1)
        level = logging.WARNING if decision.counts else logging.INFO
        log.log(level, "job failed job=%s portal=%d wait_s=%s reason=%s", name, portal_id, decision.wait_s, told)
        if decision.pauses:
            _pause(session, portal_id, told)
        if decision.wait_s is None:
            _give_up(session, name, portal_id, error, now, counts=decision.counts)
            return decision.is_poison
        if decision.counts:
            work.failed(session, portal_id, name, told, now, got_on=got_on)
        in_line = decision.wait_s <= _LONG_WAIT_S
        jobs.defer(session, name, portal_id, queue=KINDS[name].queue, wait_s=decision.wait_s, in_line=in_line)
    return decision.is_poison


def _pause(session: Session, portal_id: int, reason: str) -> None:
    """Pause a portal that whoever lost the grant has not paused already."""
    portal = session.get(Portal, portal_id)
    if portal is not None and portal.state == "active":
        portals.pause(session, portal_id, reason)


def _give_up(session: Session, name: str, portal_id: int, error: Exception, now: datetime, *, counts: bool) -> None:
    if counts:
        work.given_up(session, portal_id, name, in_words(error), now)
    else:
        work.put_away(session, portal_id, name)
    if name == RUN:
        running.give_up(session, portal_id, error)


def _is_workable(service: Service, portal_id: int) -> bool:
    if portal_id == SERVICE:
        return True
    with service.database.session() as session:
        portal = session.get(Portal, portal_id)
        return portal is not None and portal.state == "active"


def _name(service: Service, portal_id: int) -> str:
    with service.database.session() as session:
        return session.get_one(Portal, portal_id).name


def _run(service: Service, portal_id: int, deadline: Deadline) -> str | None:
    with working_on(service, _name(service, portal_id)) as (portal, opened):
        return None if running.go_on(service, portal, opened, deadline) else _OPEN


def _pull(name: str) -> Work:
    def work_on(service: Service, portal_id: int, deadline: Deadline) -> str | None:
        with working_on(service, _name(service, portal_id)) as (_, opened):
            with service.database.session() as session:
                stage = work.row_of(session, portal_id, name).stage
            pull = Pull(service.database, portal_id, opened.adapter, silent)
            pull.touched = set() if name == PULL else None
            left = pull.go_on(stage, full=name == FULL, deadline=deadline)
            _follow(service, portal_id, opened, pull.touched or set())
            return left

    return work_on


def _follow(service: Service, portal_id: int, opened: OpenPortal, touched: set[int]) -> None:
    """What webhooks have missed reaches the cards at once, and where it is much, with a run."""
    if len(touched) > MOST_TOUCHED:
        with service.database.session() as session:
            ask(session, RUN, portal_id, datetime.now(UTC))
    elif touched:
        follow(service.database, portal_id, opened.adapter, touched)


def _drain(service: Service, portal_id: int, deadline: Deadline) -> str | None:
    return None if drain_portal(service, portal_id, deadline).finished else _OPEN


def _answers(service: Service, portal_id: int, deadline: Deadline) -> str | None:
    return None if answer_portal(service, portal_id, deadline) else _OPEN


def _clocks(service: Service, portal_id: int, deadline: Deadline) -> str | None:
    """Deadlines that near or passed, steps that are due, work that ended."""
    return None if tending.tend_portal(service, portal_id, deadline).finished else _OPEN


def _read_back(service: Service, portal_id: int, deadline: Deadline) -> str | None:
    """What people did to our tasks, and whom they reached."""
    return None if tending.read_back(service, portal_id, deadline).finished else _OPEN


def _tokens(service: Service, _: int, deadline: Deadline) -> str | None:
    """Renew the grants of portals that nobody works on, so that they do not run out; one that is lost is paused."""
    with service.database.session() as session:
        waiting = session.scalars(select(Portal).where(Portal.state == "active", Portal.access.is_not(None))).all()
    for portal in waiting:
        if deadline.over():
            return _OPEN
        try:
            tokens = service.access_of(portal).tokens
            if isinstance(tokens, KeptTokens):
                tokens.renew_idle(_IDLE)
        except AccessLost as error:
            with service.database.session() as session:
                _pause(session, portal.portal_id, str(error))
        except (Transient, ConnectorError) as error:
            log.warning("token not renewed portal=%d reason=%s", portal.portal_id, in_words(error))
    return None


def _refit(service: Service, portal_id: int, _: Deadline) -> str | None:
    """Fresh thresholds as a proposal, when the method's term is over."""
    refit.propose(service.database, portal_id, datetime.now(UTC))
    return None


def _setup(service: Service, portal_id: int, _: Deadline) -> str | None:
    """Fields, webhooks, robots and tabs, which people and vendors take away again."""
    subscribing.set_up(service, portal_id)
    return None


def _installs(service: Service, _: int, __: Deadline) -> str | None:
    """Installations whose code was kept by a web process that could not go on with it."""
    installing.install_waiting(service)
    return None


def _retention(service: Service, _: int, deadline: Deadline) -> str | None:
    """Forget what is old, portals that left, and people whom a portal that nobody works on asked us to forget."""
    now = datetime.now(UTC)
    leaving.forget_people(service.database)
    done = leaving.erase_due(service.database, now, deadline) and forget(service.database, now, deadline)
    return None if done else _OPEN


def _watch(service: Service, _: int, __: Deadline) -> str | None:
    now = datetime.now(UTC)
    watch.look(service.database, now, telling.channels(service.config))
    telling.tell(service.database, service.config, now)
    return None


WORKS: Mapping[str, Work] = {
    RUN: _run,
    PULL: _pull(PULL),
    FULL: _pull(FULL),
    DRAIN: _drain,
    ANSWERS: _answers,
    CLOCKS: _clocks,
    READ_BACK: _read_back,
    SETUP: _setup,
    REFIT: _refit,
    INSTALLS: _installs,
    TOKENS: _tokens,
    RETENTION: _retention,
    WATCH: _watch,
}
