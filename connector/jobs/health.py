"""One figure for how well a portal is kept up to date, 0–100, with its parts. Pure: runs and a moment in.

==========  ======  =============================================================================================
part        weight  100 when
==========  ======  =============================================================================================
success     40      every card that the last runs wanted to write was written
errors      20      the last run refused no larger share of the cards than the runs before it
latency     20      the last run took no longer than one and a half times the mean; 0 at five times
freshness   20      the last run ended within its rhythm; 0 at three times that
==========  ======  =============================================================================================

Bands: 80 and more good, 60 fair, 40 poor, below that bad.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import fmean
from typing import Any

from connector.jobs.run_alarms import History, number
from connector.jobs.schedule import WEEKLY, settings_of
from connector.store.models import Portal, RunRow

WEIGHTS = {"success": 40, "errors": 20, "latency": 20, "freshness": 20}
_BANDS = ((80, "good"), (60, "fair"), (40, "poor"), (0, "bad"))
_LONG, _LONGEST = 1.5, 5.0
_LATE, _LATEST = 1.0, 3.0
_ERRORS_FULL = 0.1
"""A share of refused cards that much above the usual takes all points of the trend."""
_DAY = timedelta(days=1, hours=6)
_WEEK = timedelta(days=7, hours=6)


@dataclass(frozen=True, slots=True)
class Health:
    """`score` 0–100 and its parts, each 0–100 before its weight."""

    score: int
    parts: dict[str, int]

    @property
    def band(self) -> str:
        """`good`, `fair`, `poor` or `bad`."""
        return next(name for least, name in _BANDS if self.score >= least)


def of_runs(portal: Portal, history: History, now: datetime) -> Health:
    """The health of a portal that has had a run."""
    parts = {
        "success": _success([history.last, *history.past]),
        "errors": _errors(history),
        "latency": _latency(history),
        "freshness": _freshness(portal, history, now),
    }
    score = sum(WEIGHTS[name] * share for name, share in parts.items())
    return Health(round(score), {name: round(100 * share) for name, share in parts.items()})


def view(portal: Portal, history: History | None, now: datetime) -> dict[str, Any] | None:
    """The health for people and scripts, None before the first run."""
    if history is None:
        return None
    found = of_runs(portal, history, now)
    return {"score": found.score, "band": found.band, "parts": found.parts}


def _success(runs: list[RunRow]) -> float:
    written = sum(number(run, "written") for run in runs)
    failed = sum(_failed(run) for run in runs)
    return written / (written + failed) if written + failed else 1.0


def _errors(history: History) -> float:
    now, before = _error_share(history.last), [_error_share(run) for run in history.past]
    worse = now - (fmean(before) if before else 0.0)
    return 1.0 - min(1.0, max(0.0, worse) / _ERRORS_FULL)


def _latency(history: History) -> float:
    past = [float(run.counts.get("seconds") or 0) for run in history.past]
    mean = fmean(past) if past else 0.0
    if mean <= 0:
        return 1.0
    return _falling(float(history.last.counts.get("seconds") or 0) / mean, _LONG, _LONGEST)


def _freshness(portal: Portal, history: History, now: datetime) -> float:
    rhythm = _WEEK if settings_of(portal)["cycle"] == WEEKLY else _DAY
    ended = history.last.finished_at or history.last.started_at
    return _falling((now - ended) / rhythm, _LATE, _LATEST)


def _falling(value: float, full: float, nothing: float) -> float:
    """1 up to `full`, 0 from `nothing` on."""
    return min(1.0, max(0.0, (nothing - value) / (nothing - full)))


def _failed(run: RunRow) -> int:
    return number(run, "refused") + number(run, "invalid")


def _error_share(run: RunRow) -> float:
    of = _failed(run) + number(run, "written")
    return _failed(run) / of if of else 0.0
