"""How a portal stands: one word, its colour, and what a person should know or do. Pure: rows and a moment in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from adapters.fields import zone
from connector.store.models import Portal, RunRow
from connector.store.overview import Activity
from connector.web.texts import Texts

STALE_AFTER = timedelta(days=2)


class State(StrEnum):
    """From what matters most to what matters least."""

    DISCONNECTED = "disconnected"
    PAUSED = "paused"
    WORKING = "working"
    SHUT_OUT = "shut_out"
    FAILED = "failed"
    NEVER = "never"
    STALE = "stale"
    REFUSALS = "refusals"
    FINE = "fine"


_TONES = {
    State.DISCONNECTED: "calm",
    State.PAUSED: "bad",
    State.WORKING: "info",
    State.SHUT_OUT: "bad",
    State.FAILED: "bad",
    State.NEVER: "calm",
    State.STALE: "warn",
    State.REFUSALS: "warn",
    State.FINE: "good",
}


@dataclass(frozen=True, slots=True)
class Standing:
    """`label` is the word, `text` the sentence, `tone` the colour's name in the style sheet."""

    state: State
    label: str
    text: str

    @property
    def tone(self) -> str:
        """`good`, `info`, `warn`, `bad` or `calm`."""
        return _TONES[self.state]

    @property
    def command(self) -> bool:
        """Whether running the portal now is what helps."""
        return self.state in {State.FAILED, State.NEVER, State.STALE}


_BAD_ENDS = frozenset({"failed", "stopped"})


def state_of(portal: Portal, activity: Activity, now: datetime) -> State:
    """The first state that applies, by importance."""
    run = activity.last_run.get(portal.portal_id)
    synced = portal.last_sync_at
    conditions = (
        (State.DISCONNECTED, portal.state == "disconnected"),
        (State.PAUSED, portal.state == "paused"),
        (State.WORKING, portal.portal_id in activity.working),
        (State.SHUT_OUT, _access_lost(portal, activity) is not None),
        (State.FAILED, run is not None and (run.state in _BAD_ENDS or was_cut_off(run, activity))),
        (State.NEVER, synced is None),
        (State.STALE, synced is not None and now - synced > STALE_AFTER),
        (State.REFUSALS, run is not None and run.state == "done_with_refusals"),
    )
    return next((state for state, applies in conditions if applies), State.FINE)


def was_cut_off(run: RunRow, activity: Activity) -> bool:
    """Whether a run ended without its end: marked so, or marked running while nobody works on the portal."""
    return run.state == "interrupted" or (run.state == "running" and run.portal_id not in activity.working)


def standing(portal: Portal, activity: Activity, now: datetime, texts: Texts) -> Standing:
    """The state with its words; times are on the portal's clocks."""
    state = state_of(portal, activity, now)
    return Standing(state, texts(f"state.{state}"), _text(state, portal, activity, now, texts))


def _text(state: State, portal: Portal, activity: Activity, now: datetime, texts: Texts) -> str:
    here = zone(portal.time_zone)
    key = f"state_text.{state}"
    run = activity.last_run.get(portal.portal_id)
    if state is State.PAUSED:
        return texts(key, reason=portal.state_reason or texts("site.none"))
    if state is State.SHUT_OUT and (lost := _access_lost(portal, activity)) is not None:
        return texts(key, at=texts.moment(lost[0], here, named=True), reason=lost[1])
    if state is State.FAILED and run is not None:
        return texts(key, at=texts.moment(run.started_at, here, named=True))
    if state is State.REFUSALS and run is not None:
        return texts(key, records=texts.counted("records", int(run.counts.get("refused", 0))))
    if state in {State.STALE, State.FINE} and portal.last_sync_at is not None:
        age = texts.counted("days", (now - portal.last_sync_at).days)
        return texts(key, at=texts.moment(portal.last_sync_at, here, named=True), days=age)
    return texts(key)


def _access_lost(portal: Portal, activity: Activity) -> tuple[datetime, str] | None:
    """When and why the CRM shut us out, unless we have been in since: by a connect, or by a sync."""
    lost = activity.access_lost.get(portal.portal_id)
    if lost is None:
        return None
    been_in = [moment for moment in (portal.info_at, portal.last_sync_at) if moment is not None]
    return lost if all(moment < lost[0] for moment in been_in) else None
