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
    FAILED = "failed"
    NEVER = "never"
    STALE = "stale"
    REFUSALS = "refusals"
    FINE = "fine"


_TONES = {
    State.DISCONNECTED: "calm",
    State.PAUSED: "bad",
    State.WORKING: "info",
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


def state_of(portal: Portal, activity: Activity, now: datetime) -> State:
    """The first state that applies, by importance."""
    run = activity.last_run.get(portal.portal_id)
    if portal.state == "disconnected":
        return State.DISCONNECTED
    if portal.state == "paused":
        return State.PAUSED
    if portal.portal_id in activity.working:
        return State.WORKING
    if _access_lost(portal, activity) is not None or (run is not None and was_cut_off(run, activity)):
        return State.FAILED
    if portal.last_sync_at is None:
        return State.NEVER
    if now - portal.last_sync_at > STALE_AFTER:
        return State.STALE
    return State.REFUSALS if run is not None and run.state == "done_with_refusals" else State.FINE


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
    if state is State.FAILED:
        lost = _access_lost(portal, activity)
        if lost is not None:
            return texts("state_text.failed_access", at=texts.moment(lost[0], here), reason=lost[1])
        return texts("state_text.failed_cut", at=texts.moment(run.started_at, here) if run else "")
    if state is State.REFUSALS:
        count = int(run.counts.get("refused", 0)) if run else 0
        return texts(key, records=texts.counted("records", count))
    if state in {State.STALE, State.FINE} and portal.last_sync_at is not None:
        age = texts.counted("days", (now - portal.last_sync_at).days)
        return texts(key, at=texts.moment(portal.last_sync_at, here), days=age)
    return texts(key)


def _access_lost(portal: Portal, activity: Activity) -> tuple[datetime, str] | None:
    """When and why the CRM shut us out, unless we have been in since: by a connect, or by a sync."""
    lost = activity.access_lost.get(portal.portal_id)
    if lost is None:
        return None
    been_in = [moment for moment in (portal.info_at, portal.last_sync_at) if moment is not None]
    return lost if all(moment < lost[0] for moment in been_in) else None
