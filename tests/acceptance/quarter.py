"""A quarter of a portal in memory under a moved clock: customers who order, managers who work, and the product's rules.

Everything random comes from one seed. The product decides; this module moves the clock, plays people, and keeps a
record of all that was decided, for tests to judge.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from random import Random
from zoneinfo import ZoneInfo

import numpy as np

from adapters.records import CustomerKind, CustomerRef, Manager, Priority, Team
from connector.sla.calendars import calendar_from
from connector.sla.clock import ClockState
from connector.sla.escalation import Digest, EscalationRules, Notice, Watched, digest, expired, notices
from connector.sla.events import Channel, Contact, Event, Kind
from connector.sla.followups import CustomerState, FollowUp, FollowUpSettings, PastTasks, Touch, plan_followups
from connector.sla.load import Planned, within_budget
from connector.sla.people import People
from connector.sla.playbook import load_playbook
from connector.sla.policy import WorkClass
from connector.sla.queue import Work, queues
from connector.sla.rounds import (
    Live,
    Look,
    Opening,
    look,
    opened_by_signal,
    opened_by_task,
    step_task,
    superseded,
)
from connector.sla.sequences import End, NextStep
from connector.sla.signalling import Quiet, Signalled, signalled
from connector.sla.targets import ClockRules
from connector.sla.texts import Facts
from scoring.features import summarise
from scoring.frames import Orders
from scoring.methods import MethodVersion, apply, fit, load_method
from scoring.signals import large_from, order_days, second_order_late

ZONE = ZoneInfo("Europe/Moscow")
EPOCH = date(1970, 1, 1)
FIRST, LAST = date(2026, 4, 1), date(2026, 6, 30)
ROUNDS = (time(9, 5), time(11, 0), time(14, 30), time(16, 30), time(17, 45))
STEPS_A_DAY = 16
CADENCE_A_DAY = 16
TAKEN_A_ROUND = 9
ILL, ILL_FROM, ILL_DAYS = "m9", date(2026, 4, 13), 50
FIRED, FIRED_ON = "m4", date(2026, 5, 18)
LEADS = {**{f"m{n}": "la" for n in range(5)}, **{f"m{n}": "lb" for n in range(5, 10)}, "la": "boss", "lb": "boss"}
ON_WORDS = "the firm is closed"


def number_of(day: date) -> int:
    return (day - EPOCH).days


def moment(day: date, at: time) -> datetime:
    return datetime.combine(day, at, ZONE).astimezone(UTC)


@dataclass
class Shop:
    """Orders of every customer as (day, roubles), days ascending, past and to come."""

    orders: list[list[tuple[int, int]]]

    @classmethod
    def seeded(cls, seed: int, customers: int) -> Shop:
        chance, end = Random(seed), number_of(LAST)
        found = []
        for _ in range(customers):
            gap, amount = chance.lognormvariate(3.8, 0.7), chance.lognormvariate(8, 1)
            fading, shrinking = chance.random() < 0.3, chance.random() < 0.15
            last = chance.randint(number_of(FIRST) - 900, end)
            day, own = last, []
            only = chance.random() < 0.2
            quits = chance.random() < 0.25 and chance.randint(day, end)
            while day <= end and not (quits and day > quits):
                own.append((day, max(int(amount * chance.uniform(0.7, 1.3)), 1)))
                if only:
                    break
                day += max(1, int(gap * chance.uniform(0.5, 1.5)))
                gap *= 1.15 if fading else 1
                amount *= 0.9 if shrinking and len(own) > 5 else 1
            found.append(own)
        return cls(found)

    def arrays(self) -> Orders:
        rows = [(who, day, 100 * amount) for who, own in enumerate(self.orders) for day, amount in own]
        who, day, amount = (np.array(column) for column in zip(*rows, strict=True))
        return Orders(who.astype(np.int64), day.astype(np.int32), amount.astype(np.int64))


@dataclass(frozen=True)
class Task:
    """A task that the product made."""

    key: str
    number: int
    rule: str
    event_key: str
    manager_id: str | None
    at: datetime
    kind: str
    work_class: WorkClass


@dataclass
class Record:
    """All that was decided."""

    tasks: list[Task] = field(default_factory=list)
    classes: dict[date, dict[int, WorkClass]] = field(default_factory=dict)
    upsells: dict[date, set[int]] = field(default_factory=dict)
    asked: dict[date, tuple[Quiet, dict[int, WorkClass], list[Signalled]]] = field(default_factory=dict)
    cadence_left_out: dict[date, set[int]] = field(default_factory=dict)
    notices: list[tuple[datetime, Notice, str | None]] = field(default_factory=list)
    digests: list[Digest] = field(default_factory=list)
    ends: list[tuple[Live, End]] = field(default_factory=list)
    gone: dict[int, datetime] = field(default_factory=dict)
    looks: int = 0
    second_worker_differs: int = 0
    dull_rounds: int = 0


@dataclass
class Desk:
    """An occasion under way, as the store will keep it."""

    live: Live
    manager_id: str | None
    priority: Priority
    look: Look | None = None
    stale: bool = True
    hidden_until: datetime | None = None
    since: datetime | None = None
    attempts: int = 0


class Quarter:
    """The portal, moved through its quarter by `run`."""

    def __init__(self, seed: int = 7, customers: int = 5000) -> None:
        self.chance = Random(seed)
        self.shop = Shop.seeded(seed, customers)
        self.orders = self.shop.arrays()
        self.calendar = calendar_from({"country": "RU", "lunch": "13:00-14:00"}, ZONE)
        self.playbook = load_playbook()
        self.rules = ClockRules()
        self.opening = Opening(self.playbook, self.rules, "amocrm:1")
        self.settings = FollowUpSettings(portal_key="amocrm:1", currency="RUB", daily_budget=CADENCE_A_DAY)
        self.escalation = EscalationRules(head_of_sales="boss")
        self.people = self._people()
        method = load_method("sales5")
        before = summarise(self.orders, as_of=number_of(FIRST) - 1, window=method.window)
        self.version = MethodVersion("sales5", 1, method, fit(method, before).thresholds)
        self.big_from = large_from(before.monetary.astype(float))
        self.border = second_order_late(order_days(self.orders, as_of=number_of(FIRST) - 1)).border
        self.record = Record()
        self.desks: dict[int, Desk] = {}
        self.classes: dict[int, WorkClass] = {}
        self.upsells: set[int] = set()
        self.states: dict[int, CustomerState] = {}
        self.last_on: dict[tuple[int, str], date] = {}
        self.in_month: Counter[tuple[int, str, int]] = Counter()
        self.touched: dict[int, list[date]] = defaultdict(list)
        self.replies: list[tuple[datetime, int, int, Event]] = []
        self.sent: set[str] = set()
        self.last_looks: list[Look] = []
        self.untold: set[int] = set()
        self.made_today: Counter[str] = Counter()
        self.bought: dict[int, list[int]] = defaultdict(list)
        for who, own in enumerate(self.shop.orders):
            for day, _ in own:
                self.bought[day].append(who)

    def _people(self) -> People:
        names = [f"m{n}" for n in range(10)]
        managers = {name: Manager(name, name, team_ids=("a" if int(name[1]) < 5 else "b",)) for name in names}
        managers |= {"la": Manager("la", "la", team_ids=("a",)), "lb": Manager("lb", "lb", team_ids=("b",))}
        managers["boss"] = Manager("boss", "boss")
        teams = {"a": Team("a", "A", lead_id="la"), "b": Team("b", "B", lead_id="lb")}
        return People(managers, teams, default_manager_id="boss")

    def run(self) -> Record:
        """Every working day from the first to the last."""
        day = FIRST
        while day <= LAST:
            if self.calendar.hours_on(day):
                self._day(day)
            else:
                self._orders_of(day)
            day += timedelta(days=1)
        return self.record

    def _day(self, day: date) -> None:
        self.made_today.clear()
        if day == FIRED_ON:
            fired = self.people.managers[FIRED]
            managers = {
                **self.people.managers,
                FIRED: Manager(FIRED, fired.name, active=False, team_ids=fired.team_ids),
            }
            self.people = People(managers, self.people.teams, default_manager_id="boss")
        now = moment(day, time(9))
        self._lose_records(now)
        self._score(day, now)
        self._expire(now)
        self._raise_steps(now)
        self._signals(day, now)
        for at in ROUNDS:
            now = moment(day, at)
            if at > time(12):
                self._orders_of(day)
            self._deliver_replies(now)
            self._look(now)
            self._raise_steps(now)
            self._tell(now)
            self._work(now, day)

    def _lose_records(self, now: datetime) -> None:
        for _ in range(2):
            who = self.chance.randrange(len(self.shop.orders))
            self.record.gone.setdefault(who, now)
            self._note(who, Kind.GONE, now)

    def _orders_of(self, day: date) -> None:
        for who in self.bought.pop(number_of(day), []):
            self._note(who, Kind.BOUGHT, moment(day, time(12)))

    def _note(self, who: int, kind: Kind, at: datetime, **more) -> None:
        desk = self.desks.get(who)
        if desk is not None:
            desk.live = desk.live.with_event(Event(at, kind, len(desk.live.log), **more))
            desk.stale = True

    def _score(self, day: date, now: datetime) -> None:
        first_run = day == FIRST
        summary = summarise(self.orders, as_of=number_of(day) - 1, window=365)
        scored = apply(self.version, summary)
        segments = [WorkClass(name) for name in scored.segments]
        classes, upsells, states = {}, set(), {}
        for at, number in enumerate(scored.number.tolist()):
            if number in self.record.gone:
                continue
            work_class = segments[scored.segment[at]]
            classes[number] = work_class
            upsell = bool(scored.upsell[at])
            if upsell:
                upsells.add(number)
            was = self.classes.get(number)
            moved = was is not None and was is not work_class and not first_run
            opened = upsell and number not in self.upsells and not first_run and was is not None
            if moved:
                self._note(number, Kind.MOVED, now, work_class=work_class)
            states[number] = CustomerState(
                number=number,
                ref=CustomerRef(CustomerKind.COMPANY, str(number)),
                manager_id=f"m{number % 10}",
                segment=work_class.value,
                work_class=work_class,
                previous_work_class=was if moved else None,
                move_key=f"run:{day}" if moved else None,
                upsell=upsell,
                upsell_turned_on_key=f"run:{day}" if opened else None,
                recency=int(scored.recency[at]),
                frequency=int(scored.frequency[at]),
                monetary=Decimal(int(scored.monetary[at])) / 100,
                quality=100 if number % 50 else 30,
                churn_risk=bool(scored.churn_risk[at]),
            )
        self.classes, self.upsells, self.states = classes, upsells, states
        self.record.classes[day], self.record.upsells[day] = classes, upsells
        self._look(now)
        self._followups(day, now, first_run=first_run)

    def _followups(self, day: date, now: datetime, *, first_run: bool) -> None:
        """News for everybody; cadences for those whom nobody works on."""
        wanted = [
            state
            for number, state in self.states.items()
            if number not in self.desks or state.move_key or state.upsell_turned_on_key
        ]
        past = PastTasks(
            touches={key: Touch(on, self.in_month[(*key, day.month)]) for key, on in self.last_on.items()},
        )
        self.record.cadence_left_out[day] = set(self.desks)

        def plan(states: list[CustomerState]) -> list[FollowUp]:
            return plan_followups(
                states, past, self.people, self.calendar, self.settings, now=now, on=day, first_run=first_run
            )

        cadences = {rule.rule for rule in self.playbook.cadences}
        found = plan(wanted)
        if day.weekday() == 0:
            self.record.second_worker_differs += found != plan(wanted[::-1])
        for followup in found:
            kind = "cadence" if followup.rule in cadences else "news"
            if kind == "cadence" and followup.number in self.desks:
                continue
            state = self.states[followup.number]
            live = opened_by_task(self.opening, followup, now, big=self._is_big(state), quality=state.quality)
            self._open(live, followup.manager_id, followup.priority, kind, now, day)

    def _is_big(self, state: CustomerState) -> bool:
        return float(state.monetary) * 100 > self.big_from

    def _open(
        self, live: Live, manager_id: str | None, priority: Priority, kind: str, now: datetime, day: date
    ) -> None:
        occasion = live.occasion
        older = self.desks.pop(occasion.number, None)
        if older is not None:
            older.live = older.live.with_event(superseded(now, len(older.live.log)))
            found = look(self.playbook, older.live, self.rules, self.calendar, now)
            assert isinstance(found.answer, End)
            self._ended(older.live, found.answer, found)
        key = occasion.step_key(0, "first")
        task = Task(key, occasion.number, occasion.rule, occasion.event_key, manager_id, now, kind, occasion.work_class)
        self.record.tasks.append(task)
        self.last_on[(occasion.number, occasion.rule)] = day
        self.in_month[(occasion.number, occasion.rule, day.month)] += 1
        self.desks[occasion.number] = Desk(live, manager_id, priority, since=now)

    def _signals(self, day: date, now: datetime) -> None:
        orders = order_days(self.orders, as_of=number_of(day) - 1)
        quiet = Quiet(frozenset(self.desks), dict(self.last_on))
        found = signalled(self.playbook, orders, self.classes, quiet, second_order_border=self.border)
        self.record.asked[day] = (quiet, self.classes, found)
        by_number = {signal.number: signal for signal in found}
        planned = [
            Planned(
                str(signal.number),
                self.people.route(f"m{signal.number % 10}").manager_id or "",
                work_class,
                15,
                now,
                now,
            )
            for signal in found
            for work_class in [self.classes[signal.number]]
        ]
        rank = {work_class: at for at, work_class in enumerate(WorkClass)}
        planned.sort(key=lambda one: (rank[one.work_class], -self.states[int(one.key)].monetary))
        for one in within_budget(planned, STEPS_A_DAY, self.made_today).kept:
            signal, state = by_number[int(one.key)], self.states[int(one.key)]
            live = opened_by_signal(
                self.opening, signal, state.ref, state.work_class, one.manager_id, now,
                big=self._is_big(state), quality=state.quality,
            )  # fmt: skip
            self.made_today[one.manager_id] += 1
            self._open(live, one.manager_id, Priority.NORMAL, "signal", now, day)

    def _expire(self, now: datetime) -> None:
        touched = {
            str(number): max((line.at for line in desk.live.log if line.kind in _TOUCHING), default=desk.live.log[0].at)
            for number, desk in self.desks.items()
        }
        for found in expired(self._watched(self.desks), touched, self.escalation, now):
            self._note(int(found.occasion), Kind.STOPPED, found.at, reason=found.event().reason)

    def _watched(self, numbers: Iterable[int]) -> list[Watched]:
        return [
            Watched(
                str(number), desk.live.occasion.customer, desk.live.occasion.rule, desk.live.occasion.work_class,
                desk.manager_id, tuple(desk.look.clocks.values()),
            )
            for number in sorted(numbers)
            if (desk := self.desks[number]).look is not None
        ]  # fmt: skip

    def _look(self, now: datetime) -> None:
        """Look where the log grew or the time has come, and nowhere else."""
        for number, desk in list(self.desks.items()):
            seen = desk.look
            if seen is not None and not desk.stale and (seen.again_at is None or seen.again_at > now):
                continue
            others = [on for on in self.touched[number] if on < desk.live.log[0].at.astimezone(ZONE).date()]
            desk.look = look(self.playbook, desk.live, self.rules, self.calendar, now, touched_on=others)
            desk.stale = False
            self.untold.add(number)
            self.record.looks += 1
            answer = desk.look.answer
            if isinstance(answer, End):
                if not answer.recorded:
                    desk.live = desk.live.with_event(answer.event(len(desk.live.log)))
                self._ended(desk.live, answer, desk.look)
                del self.desks[number]

    def _ended(self, live: Live, end: End, seen: Look) -> None:
        self.record.ends.append((live, end))
        self.last_looks.append(seen)

    def _raise_steps(self, now: datetime) -> None:
        """Make the tasks of steps whose time has come, as far as the manager's day holds them."""
        due = []
        for number, desk in self.desks.items():
            answer = desk.look.answer if desk.look else None
            if isinstance(answer, NextStep) and answer.begin_at <= now:
                who = self.people.route(desk.manager_id).manager_id or ""
                due.append((answer.begin_at, number, who, answer))
        due.sort(key=lambda one: one[:2])
        planned = [Planned(str(number), who, answer.work_class, 15, now, now) for _, number, who, answer in due]
        kept = {int(one.key) for one in within_budget(planned, STEPS_A_DAY, self.made_today).kept}
        for _, number, who, answer in due:
            if number not in kept or number not in self.states:
                continue
            desk, state = self.desks[number], self.states[number]
            steps = len(
                self.playbook.plays.sequence(
                    desk.live.occasion.rule, answer.work_class, big=desk.live.occasion.big
                ).steps
            )
            facts = Facts(
                now.astimezone(ZONE).date(), state.recency, state.frequency, state.monetary, "RUB", 365, state.quality,
                before=30.0, now=60.0,
            )  # fmt: skip
            task = step_task(
                desk.live.occasion, answer, facts, self.rules.policy, self.calendar, now,
                manager_id=who, priority=desk.priority, language="ru", steps=steps,
            )  # fmt: skip
            self.made_today[who] += 1
            kind = "step"
            self.record.tasks.append(
                Task(task.draft.key, number, task.rule, task.event_key, who, now, kind, answer.work_class)
            )
            self._note(number, Kind.RAISED, now, step=answer.step.id)
            desk.manager_id, desk.since = who, now

    def _tell(self, now: datetime) -> None:
        fresh = {one.key: one for one in self._watched(self.untold & self.desks.keys())}
        self.untold.clear()
        for notice in notices(fresh.values(), self.people, self.escalation, self.calendar, now, self.sent):
            self.sent.add(notice.key)
            self.record.notices.append((now, notice, fresh[notice.occasion].manager_id))
        if now.astimezone(ZONE).hour < self.escalation.digest_hour:
            return
        last = self.record.digests[-1].until if self.record.digests else None
        ended = [
            Watched(
                f"{live.occasion.number}:{live.occasion.event_key}", live.occasion.customer, live.occasion.rule,
                live.occasion.work_class, None, tuple(seen.clocks.values()),
            )
            for (live, end), seen in zip(self.record.ends[-400:], self.last_looks[-400:], strict=True)
            if end.at > now - timedelta(days=5)
        ]  # fmt: skip
        found = digest([*self._watched(self.desks), *ended], self.people, self.escalation, self.calendar, now, last)
        if found is not None:
            self.record.digests.append(found)

    def _work(self, now: datetime, day: date) -> None:
        """Everybody takes the first of his list."""
        works = []
        for number, desk in self.desks.items():
            state = self.states.get(number)
            is_open = desk.look is not None and getattr(desk.look.answer, "why", "") == "raised"
            if state is None or not is_open or (desk.hidden_until is not None and desk.hidden_until > now):
                continue
            works.append(
                Work(
                    key=str(number), number=number, manager_id=self._worker(desk, day), rule=desk.live.occasion.rule,
                    work_class=state.work_class, monetary=state.monetary, frequency=state.frequency,
                    since=desk.since or now, clocks=_clocks(desk), churn_risk=state.churn_risk, attempts=desk.attempts,
                )
            )  # fmt: skip
        for manager_id, own in queues(works, top=TAKEN_A_ROUND).items():
            if manager_id is None or self.chance.random() < 0.15:
                self.record.dull_rounds += 1
                continue
            for at, place in enumerate(own):
                self._act(place.work.number, manager_id, now + timedelta(minutes=4 * (at + 1)))

    def _worker(self, desk: Desk, day: date) -> str | None:
        who = self.people.route(desk.manager_id).manager_id
        return None if who == ILL and ILL_FROM <= day < ILL_FROM + timedelta(days=ILL_DAYS) else who

    def _act(self, number: int, manager_id: str, at: datetime) -> None:
        desk, chance = self.desks[number], self.chance.random()
        desk.attempts += 1
        step = desk.live.log[-1].step
        channel = self._channel(desk)
        note = self._note
        if chance < 0.02:
            colleague = f"m{self.chance.randrange(9)}"
            note(number, Kind.REASSIGNED, at, by=colleague, reason="knows the customer")
            desk.manager_id = colleague
        elif chance < 0.05:
            note(number, Kind.POSTPONED, at, reason="asked to call later", until=at + timedelta(days=3))
            desk.hidden_until = at + timedelta(days=3)
        elif chance < 0.08:
            note(number, Kind.PAUSED, at, by=manager_id, reason="customer")
            desk.hidden_until = at + timedelta(days=2)
            self._later(number, at + timedelta(days=2), Event(at + timedelta(days=2), Kind.RESUMED, reason="customer"))
        elif chance < 0.10:
            note(number, Kind.STOPPED, at, by=manager_id, reason=ON_WORDS)
        elif chance < 0.16:
            note(number, Kind.DONE, at, by=manager_id)
        elif channel in (Channel.LETTER, Channel.MESSAGE):
            self._touch(number, at, Contact(channel))
            if chance < 0.30:
                answer = Event(at + timedelta(hours=20), Kind.CONTACT, contact=Contact(channel, inbound=True))
                self._later(number, answer.at, answer)
        elif chance < 0.20:
            self._touch(number, at, Contact(Channel.CALL, completed=True, seconds=20))
            note(number, Kind.OPTED_OUT if chance < 0.17 else Kind.REFUSED, at + timedelta(minutes=1))
        else:
            talk = Contact(Channel.CALL, completed=True, seconds=self.chance.randint(20, 400))
            self._touch(number, at, talk if chance < 0.55 else Contact(Channel.CALL))
        assert step is not None

    def _channel(self, desk: Desk) -> Channel:
        """By what way the step that was raised is made."""
        occasion, state = desk.live.occasion, self.states[desk.live.occasion.number]
        sequence = self.playbook.plays.sequence(occasion.rule, state.work_class, big=occasion.big)
        raised = sum(line.kind is Kind.RAISED for line in desk.live.log)
        return Channel.CALL if sequence is None else sequence.steps[min(raised, len(sequence.steps)) - 1].channel

    def _touch(self, number: int, at: datetime, contact: Contact) -> None:
        self.touched[number].append(at.astimezone(ZONE).date())
        self._note(number, Kind.CONTACT, at, contact=contact)

    def _later(self, number: int, at: datetime, event: Event) -> None:
        started = self.desks[number].live.log[0].at
        self.replies.append((at, number, int(started.timestamp()), event))

    def _deliver_replies(self, now: datetime) -> None:
        waiting = []
        for at, number, started, event in self.replies:
            if at > now:
                waiting.append((at, number, started, event))
                continue
            desk = self.desks.get(number)
            if desk is not None and int(desk.live.log[0].at.timestamp()) == started:
                self._note(number, event.kind, at, reason=event.reason, contact=event.contact)
        self.replies = waiting


_TOUCHING = frozenset({Kind.CONTACT, Kind.POSTPONED, Kind.REASSIGNED, Kind.DONE})


def _clocks(desk: Desk) -> tuple[ClockState, ...]:
    return tuple(desk.look.clocks.values()) if desk.look else ()
