"""The clock tick of a portal: occasions whose time has come are looked at, and what follows is decided at once.

What follows are rows only: lines of the log, tasks to be made, changes to be sent. Each has a name of its own, so a
tick that is repeated, after a kill or beside another worker, decides nothing twice. Sending is somebody else's work.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta

from sqlalchemy.orm import Session

from adapters.records import Priority
from connector.sla.clock import ClockState, State
from connector.sla.escalation import Notice, Tier, Watched, expired, notices, raised
from connector.sla.events import Event, Kind
from connector.sla.logbook import class_now, line_of, live_of
from connector.sla.opening import TASK_OPEN
from connector.sla.phrases import phrase
from connector.sla.plays import Stop
from connector.sla.policy import WorkClass
from connector.sla.portal_rules import PortalRules
from connector.sla.rounds import Live, Look, look, step_task
from connector.sla.sending import note_key
from connector.sla.sequences import End, NextStep
from connector.sla.texts import Facts
from connector.sla.voices import Sent, Voice, may_notify, voices
from connector.store import occasions, scores, sla_notices, task_changes, tasks
from connector.store.models import OccasionRow, Portal
from connector.store.occasions import Held
from connector.store.scores import LivingScore

RUN = "sla"
"""Stands for the run in tasks that no run has planned."""
LEFT_OPEN = frozenset({Stop.CONTACT, Stop.REFUSAL, Stop.MANUAL, Stop.GONE})
"""Ends after which the CRM's task is left to the manager: he is at it, or the card is gone."""
_TOUCHES = frozenset({Kind.CONTACT, Kind.POSTPONED, Kind.REASSIGNED, Kind.DONE})
_NO_PLAY = "the playbook has no such work any more"
_TO_LOOK_MIN = 60
TIME_TO_ACT = timedelta(days=2)
"""A notice on which nothing was done for so long was not acted on."""


@dataclass(slots=True)
class Tended:
    """What a tick decided."""

    looked: int = 0
    ended: int = 0
    steps: int = 0
    told: int = 0
    expired: int = 0


@dataclass(slots=True)
class _Desk:
    """An occasion on the table: as it is kept, as it is seen, and when it is to be seen again."""

    held: Held
    live: Live
    look: Look | None
    again: list[datetime] = field(default_factory=list)
    step: NextStep | None = None

    @property
    def row(self) -> OccasionRow:
        return self.held.row


def tend(session: Session, portal: Portal, rules: PortalRules, now: datetime, limit: int = 300) -> Tended:
    """Look at the occasions that are due, the longest due first; what is left is due at once again."""
    held = occasions.due(session, portal.portal_id, now, limit)
    return _Tick(session, portal, rules, now).go_through(held)


class _Tick:
    """One tick's transaction."""

    def __init__(self, session: Session, portal: Portal, rules: PortalRules, now: datetime) -> None:
        self._session = session
        self._portal = portal
        self._portal_id = portal.portal_id
        self._rules = rules
        self._now = now
        self._today = now.astimezone(rules.calendar.zone).date()
        self._done = Tended()

    def go_through(self, held: Sequence[Held]) -> Tended:
        if not held:
            return self._done
        self._scores = {
            score.customer: score
            for score in scores.living_scores(self._session, self._portal_id, [one.row.customer for one in held])
        }
        desks = self._looked_at(held)
        open_ones = [desk for desk in desks if not self._ended(desk)]
        open_ones = self._without_stale(open_ones)
        self._raise_steps([desk for desk in open_ones if desk.step is not None])
        self._tell(open_ones)
        for desk in open_ones:
            self._raise_priority(desk)
            desk.row.look_at = min((moment for moment in desk.again if moment > self._now), default=None)
        self._session.flush()
        return self._done

    def _looked_at(self, held: Sequence[Held]) -> list[_Desk]:
        attempts = occasions.touched_on(self._session, self._portal_id, {one.row.customer for one in held})
        desks = []
        for one in held:
            live = live_of(one, self._rules.portal_key)
            zone = self._rules.calendar.zone
            others = [
                at.astimezone(zone).date() for key, at in attempts.get(one.row.customer, ()) if key != one.row.key
            ]
            desks.append(_Desk(one, live, self._look(live, others)))
        self._done.looked = len(desks)
        return desks

    def _look(self, live: Live, touched_on: Sequence[date]) -> Look | None:
        """None where the playbook has no sequence for it any more."""
        rules = self._rules
        try:
            return look(rules.playbook, live, rules.clocks, rules.calendar, self._now, touched_on=touched_on)
        except ValueError:
            return None

    def _ended(self, desk: _Desk) -> bool:
        """Write down an end; else note what comes next and when to look again."""
        if desk.look is None:
            self._end(desk, Stop.MANUAL, self._now, _NO_PLAY, recorded=False)
            return True
        answer = desk.look.answer
        if isinstance(answer, End):
            self._end(desk, answer.stop, answer.at, answer.reason, recorded=answer.recorded)
            return True
        if isinstance(answer, NextStep) and not self._rules.sequences:
            self._end(desk, Stop.EXHAUSTED, self._now, "", recorded=False)
            return True
        if desk.look.again_at is not None:
            desk.again.append(desk.look.again_at)
        if isinstance(answer, NextStep) and answer.begin_at <= self._now:
            desk.step = answer
        return False

    def _end(self, desk: _Desk, stop: Stop, at: datetime, reason: str, *, recorded: bool) -> None:
        row = desk.row
        if not recorded:
            event = Event(at, Kind.STOPPED, reason=reason or stop.value)
            self._put_down(row, event, f"stopped:{stop.value}")
        row.ended_at, row.look_at = at, None
        row.stop, row.reason = stop.value, reason or None
        row.result = self._rules.playbook.plays.result(stop)
        self._done.ended += 1
        words = self._result_words(row.result)
        if stop not in LEFT_OPEN and row.task_state == TASK_OPEN:
            self._change(row, f"close:{row.task_key}", {"close": True, "result": words})
        if self._rules.notes and stop is not Stop.GONE:
            source = f"note:{row.key}"
            text = f"{words} ({reason})" if reason else words
            body = {"key": note_key(source), "text": f"RFM: {text}", "at": at.isoformat()}
            task_changes.plan(
                self._session,
                self._portal_id,
                task_changes.NOTE,
                source,
                task_key=row.task_key,
                customer=row.customer,
                body=body,
                now=self._now,
            )

    def _result_words(self, result: str) -> str:
        try:
            return phrase(f"result.{result}", self._rules.language)
        except ValueError:
            return result

    def _without_stale(self, desks: list[_Desk]) -> list[_Desk]:
        """End what lay untouched for too long; the others are looked at again when they would be."""
        touched = {desk.row.key: _last_touch(desk.live) for desk in desks}
        known = {key: at for key, at in touched.items() if at is not None}
        over = {one.occasion for one in expired(map(self._watched, desks), known, self._rules.escalation, self._now)}
        limit = timedelta(days=self._rules.escalation.stale_days)
        left = []
        for desk in desks:
            if desk.row.key in over:
                self._end(desk, Stop.EXPIRED, self._now, "", recorded=False)
                self._done.expired += 1
                continue
            late = [clock.due_at for clock in self._clocks(desk) if clock.state is State.BREACHED and clock.due_at]
            if late:
                desk.again.append(max([*late, touched[desk.row.key] or late[0]]) + limit)
            left.append(desk)
        return left

    def _clocks(self, desk: _Desk) -> list[ClockState]:
        return list(desk.look.clocks.values()) if desk.look is not None else []

    def _watched(self, desk: _Desk) -> Watched:
        row = desk.row
        in_crm = row.due_at if desk.held.task_id is not None and row.task_state == TASK_OPEN else None
        return Watched(
            key=row.key,
            customer=desk.held.ref,
            rule=row.rule,
            work_class=class_now(desk.live.log, WorkClass(row.work_class)),
            manager_id=row.manager_id,
            clocks=tuple(self._clocks(desk)),
            in_crm_until=in_crm,
        )

    def _put_down(self, row: OccasionRow, event: Event, source: str) -> None:
        occasions.put_down(self._session, self._portal_id, [line_of(row.key, row.customer, event, source)])

    def _change(self, row: OccasionRow, source: str, body: Mapping[str, object]) -> None:
        task_changes.plan(
            self._session,
            self._portal_id,
            task_changes.CHANGE,
            source,
            task_key=row.task_key,
            customer=row.customer,
            body=body,
            now=self._now,
        )

    # --- steps ----------------------------------------------------------------------------------------------------

    def _raise_steps(self, desks: list[_Desk]) -> None:
        """Make the tasks of steps whose time has come, as far as everybody's day holds them; the others wait a day."""
        if not desks:
            return
        made = occasions.steps_today(self._session, self._portal_id, RUN, self._today)
        desks.sort(key=lambda desk: (desk.step.begin_at if desk.step else self._now, desk.row.key))
        for desk in desks:
            to = self._rules.people.route(desk.row.manager_id)
            score = self._scores.get(desk.row.customer)
            full = made.get(to.manager_id, 0) >= self._rules.steps_a_day
            if desk.step is None or score is None or to.manager_id is None or full:
                desk.again.append(self._tomorrow())
                continue
            made[to.manager_id] = made.get(to.manager_id, 0) + 1
            if to.manager_id != desk.row.manager_id:
                event = Event(self._now, Kind.REASSIGNED, by=to.manager_id, reason=to.because)
                self._put_down(desk.row, event, f"routed:{desk.step.key}")
            self._raise_step(desk, desk.step, score, to.manager_id)

    def _raise_step(self, desk: _Desk, step: NextStep, score: LivingScore, manager_id: str) -> None:
        rules, row = self._rules, desk.row
        plan = rules.playbook.plays.sequence(row.rule, step.work_class, big=row.big)
        task = step_task(
            desk.live.occasion,
            step,
            self._facts(score),
            rules.clocks.policy,
            rules.calendar,
            self._now,
            manager_id=manager_id,
            priority=raised(Priority(row.priority), self._clocks(desk)),
            language=rules.language,
            steps=len(plan.steps) if plan is not None else step.attempt,
        )
        self._plan_task(task.row())
        self._put_down(row, task.raised, f"raised:{step.key}")
        row.task_key, row.manager_id, row.due_at, row.task_state = step.key, manager_id, task.draft.due_at, TASK_OPEN
        self._done.steps += 1

    def _facts(self, score: LivingScore) -> Facts:
        followups = self._rules.followups
        return Facts(
            on=self._today,
            recency=score.r,
            frequency=score.f,
            monetary=score.m,
            currency=self._rules.currency,
            window_days=followups.window_days,
            quality=score.quality,
            softened=followups.policy.is_softened(score.quality),
        )

    def _plan_task(self, row: Mapping[str, object]) -> None:
        whole = {"portal_id": self._portal_id, "run_id": RUN, "raised_on": self._today, "state": "planned"}
        tasks.add_planned(self._session, [{**whole, **row}])

    def _tomorrow(self) -> datetime:
        calendar = self._rules.calendar
        return calendar.next_open(datetime.combine(self._today + timedelta(days=1), time(), calendar.zone))

    # --- telling --------------------------------------------------------------------------------------------------

    def _tell(self, desks: list[_Desk]) -> None:
        """Tell whom it concerns, each once; what comes up in closed time is told at the opening."""
        rules, by_key = self._rules, {desk.row.key: desk for desk in desks}
        pressing = [desk for desk in desks if self._presses(desk)]
        if not pressing:
            return
        if not rules.calendar.is_open(self._now):
            for desk in pressing:
                desk.again.append(rules.calendar.next_open(self._now))
            return
        sent = sla_notices.told_about(self._session, self._portal_id, list(by_key))
        found = notices(map(self._watched, pressing), rules.people, rules.escalation, rules.calendar, self._now, sent)
        if not found:
            return
        heard, today = self._voices(), self._told_today()
        for notice in found:
            desk = by_key[notice.occasion]
            why = may_notify(
                desk.row.rule,
                notice.to,
                heard,
                today,
                rules.notices,
                off_season=self._today.month in rules.quiet_months,
            )
            if why is not None:
                if why.code == "notice.full":
                    desk.again.append(self._tomorrow())
                continue
            today[notice.to] = today.get(notice.to, 0) + 1
            self._send(desk, notice)

    def _presses(self, desk: _Desk) -> bool:
        return any(
            clock.state in (State.AT_RISK, State.BREACHED) and clock.ended_at is None for clock in self._clocks(desk)
        )

    def _voices(self) -> dict[str, Voice]:
        rules = self._rules.notices
        history = sla_notices.history(self._session, self._portal_id, self._now - timedelta(days=rules.span_days))
        sent = [Sent(one.rule, one.to, one.at, one.acted_at) for one in history]
        return voices(self._rules.playbook, sent, rules, self._now, time_to_act=TIME_TO_ACT)

    def _told_today(self) -> dict[str, int]:
        midnight = datetime.combine(self._today, time(), self._rules.calendar.zone)
        return sla_notices.told_since(self._session, self._portal_id, midnight)

    def _send(self, desk: _Desk, notice: Notice) -> None:
        row, language = desk.row, self._rules.language
        first = sla_notices.add(
            self._session,
            {
                "portal_id": self._portal_id,
                "key": notice.key,
                "tier": notice.tier.value,
                "recipient": notice.to,
                "rule": row.rule,
                "occasion": row.key,
                "customer": row.customer,
                "made_at": self._now,
            },
        )
        if not first:
            return
        self._done.told += 1
        due = row.due_at if notice.tier is Tier.WARNING else self._rules.calendar.add_minutes(self._now, _TO_LOOK_MIN)
        title = tasks.title_of(self._session, self._portal_id, row.task_key)
        self._plan_task(
            {
                "key": notice.key,
                "customer": row.customer,
                "rule": f"sla_{notice.tier}",
                "event_key": notice.key,
                "manager_id": notice.to,
                "title": phrase(f"tell.{notice.tier}", language, title=title),
                "body": f"{notice.said.words(language)}\n{phrase('tell.why', language, title=title)}",
                "priority": Priority.HIGH.value,
                "due_at": due,
            }
        )

    def _raise_priority(self, desk: _Desk) -> None:
        """The task's priority as the deadline nears; each height is sent once."""
        row = desk.row
        higher = raised(Priority(row.priority), self._clocks(desk))
        if higher.value != row.priority and row.task_state == TASK_OPEN:
            self._change(row, f"priority:{row.task_key}:{higher}", {"priority": higher.value})


def _last_touch(live: Live) -> datetime | None:
    return max((event.at for event in live.log if event.kind in _TOUCHES), default=None)
