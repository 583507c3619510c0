"""procrastinate as our engine: the application a worker runs, and its settings. Jobs are defined in `definitions`.

Jobs are asked for elsewhere (`connector.store.jobs`), over the caller's own connection: a worker's asynchronous
connector cannot be used from its synchronous jobs.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import procrastinate

from connector.deadline import Deadline
from connector.jobs.definitions import perform
from connector.jobs.schedule import KINDS
from connector.store import jobs, work
from connector.store.database import Database
from connector.store.jobs import QUICK, SLOW
from connector.wiring import Service

HEARTBEAT_S = 1.0
SILENT = timedelta(seconds=6)
"""After so long without a sign of life a worker's jobs are given to others."""
MOST_DEATHS = 20
_POLL_S = {QUICK: 0.2, SLOW: 0.4}
"""A successor is not announced once its portal's line is free: it is found at the next look."""
_CHUNK_S, _LEAST_S = 15.0, 3.0
_PRUNE_S = 60.0
_NEW_YEAR = "0 0 1 1 *"

Stopped = Callable[[], bool]


def application(service: Service, stopped: Stopped, *, chunk_s: float = _CHUNK_S) -> procrastinate.App:
    """The application of one worker process. `stopped` ends chunks early, because the process wants to end."""
    connector = procrastinate.PsycopgConnector(
        conninfo=service.database.conninfo, min_size=2, max_size=6, kwargs={"connect_timeout": 10}
    )
    app = procrastinate.App(connector=connector)
    for kind in KINDS.values():
        app.task(name=kind.name, queue=kind.queue)(_task(service, kind.name, stopped, chunk_s))
    app.periodic(cron=_NEW_YEAR)(app.task(name="pulse", queue=QUICK)(_pulse))
    return app


def options(queue: str, concurrency: int) -> dict[str, Any]:
    """How a worker works on one queue."""
    return {
        "queues": [queue],
        "name": queue,
        "concurrency": concurrency,
        "fetch_job_polling_interval": _POLL_S[queue],
        "update_heartbeat_interval": HEARTBEAT_S,
        "stalled_worker_timeout": _PRUNE_S,
        "install_signal_handlers": False,
    }


def heal(database: Database, now: datetime) -> int:
    """Give the jobs of silent workers to others, see `store.jobs.heal`; returns how many were found."""
    with database.session() as session:
        found = jobs.heal(session, SILENT, MOST_DEATHS)
        for one in found:
            if one.is_given_up:
                reason = f"{MOST_DEATHS} workers died while they worked on it"
                work.given_up(session, one.portal_id, one.job, reason, now)
    return len(found)


def _pulse(timestamp: int) -> None:
    """Does nothing, once a year.

    A worker stops when its heartbeat fails, so that it is started anew; but its watch over the heartbeat ends with the
    first of its side tasks, and without any periodic task that is at once (procrastinate 3.10, `worker.py`).
    """
    del timestamp


def _task(service: Service, name: str, stopped: Stopped, chunk_s: float) -> Callable[[int], None]:
    def do(portal_id: int) -> None:
        def wanted() -> bool:
            with service.database.session() as session:
                return jobs.somebody_waits(session, portal_id)

        perform(service, name, portal_id, Deadline(chunk_s, least=_LEAST_S, wanted=wanted, stopped=stopped))

    return do
