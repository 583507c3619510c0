"""The second half of a playbook: signals, and the sequences of steps that rules start, with what stops them.

Rules are data (`playbooks/*.toml`); this module reads and proves them: for every rule, class and size of customer
there is exactly one sequence. It knows no customer, no moment and no text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from adapters.records import Priority
from connector.sla.events import Channel
from connector.sla.policy import Term, WorkClass, term_from

_NOW = {"minutes": 0}


class Signal(StrEnum):
    """What a customer's history can tell; the arithmetic is in `scoring.signals`."""

    FREQUENCY_FELL = "frequency_fell"
    AMOUNT_FELL = "amount_fell"
    LATE = "late"
    VERY_LATE = "very_late"
    LAST_CALL = "last_call"
    SECOND_ORDER_LATE = "second_order_late"


class Stop(StrEnum):
    """What ends a sequence."""

    CONTACT = "contact"
    REFUSAL = "refusal"
    EXHAUSTED = "exhausted"
    BOUGHT = "bought"
    SEGMENT_LEFT = "segment_left"
    GONE = "gone"
    OPTED_OUT = "opted_out"
    EXPIRED = "expired"
    """The task lay untouched for too long."""
    SUPERSEDED = "superseded"
    """Other news of the same customer came; one occasion at a time is enough for anybody."""
    MANUAL = "manual"
    """A person ended it, with a reason of his own."""


ALWAYS = frozenset(Stop) - {Stop.CONTACT, Stop.BOUGHT}
"""What stops every sequence, whatever a playbook says. A class that was left does so where no sequence goes on."""


@dataclass(frozen=True, slots=True)
class SignalRule:
    """A signal worth work, for customers of some classes, at most every `rest_days` days.

    It fills queues and notifies nobody unless the portal's settings say so.
    """

    rule: str
    signal: Signal
    classes: frozenset[WorkClass]
    rest_days: int
    priority: Priority
    notify: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """One attempt. `after` is counted from the attempt before it; working days end at the opening of that day.

    `script` is the part of the class's script that leads: goal, opening, proof, offer or next_step.
    """

    id: str
    channel: Channel
    after: Term
    script: str


@dataclass(frozen=True, slots=True)
class Sequence:
    """The steps for customers of some classes whom one of the rules found; `big` None is for both sizes.

    With the last step made it waits for `patience` before the attempts count as exhausted.
    """

    name: str
    rules: frozenset[str]
    classes: frozenset[WorkClass]
    big: bool | None
    steps: tuple[Step, ...]
    stops: frozenset[Stop]
    patience: Term

    def fits(self, rule: str, work_class: WorkClass, *, big: bool) -> bool:
        """Whether it is the sequence for such a customer."""
        return rule in self.rules and work_class in self.classes and self.big in {None, big}


@dataclass(frozen=True, slots=True)
class Plays:
    """Signals in the order of precedence (a day brings a customer one at most), sequences, and results by stop."""

    signals: tuple[SignalRule, ...] = ()
    sequences: tuple[Sequence, ...] = ()
    results: tuple[tuple[Stop, str], ...] = ()

    def sequence(self, rule: str, work_class: WorkClass, *, big: bool) -> Sequence | None:
        """The sequence for such a customer; None where the playbook ends the work instead."""
        return next((found for found in self.sequences if found.fits(rule, work_class, big=big)), None)

    def result(self, stop: Stop) -> str:
        """The word that is written down when a sequence ends so."""
        return dict(self.results).get(stop, stop.value)


def read_plays(data: Mapping[str, Any]) -> Plays:
    """Signals and sequences out of a playbook. Raises `KeyError` for what is missing, `ValueError` for nonsense."""
    return Plays(
        signals=tuple(_signal(item) for item in data.get("signal", ())),
        sequences=tuple(_sequence(item) for item in data.get("sequence", ())),
        results=tuple((Stop(stop), str(word)) for stop, word in data.get("results", {}).items()),
    )


def check_plays(plays: Plays, occasions: Iterable[tuple[str, WorkClass]]) -> None:
    """Prove that every rule and class that can occur has one sequence, and none has two; `ValueError` names them.

    A playbook without any sequence gives each rule its single task and is left alone.
    """
    found = list(occasions)
    rules = {rule for rule, _ in found}
    for sequence in plays.sequences:
        ids = [step.id for step in sequence.steps]
        if not ids or len(set(ids)) < len(ids):
            raise ValueError(f"{sequence.name}: a sequence needs steps, each with an id of its own")
        if unknown := sorted(sequence.rules - rules):
            raise ValueError(f"{sequence.name}: no rule is called {', '.join(unknown)}")
    if not plays.sequences:
        return
    for rule in sorted(rules):
        for work_class in WorkClass:
            for big in (True, False):
                fitting = [one.name for one in plays.sequences if one.fits(rule, work_class, big=big)]
                if len(fitting) > 1:
                    raise ValueError(f"{rule}: {work_class} customers have two sequences, {' and '.join(fitting)}")
                if not fitting and (rule, work_class) in found:
                    raise ValueError(f"{rule}: {work_class} customers have no sequence")


def _signal(data: Mapping[str, Any]) -> SignalRule:
    rest_days = data["rest_days"]
    if rest_days < 1:
        raise ValueError(f"{data['rule']}: rest_days is at least 1")
    return SignalRule(
        rule=data["rule"],
        signal=Signal(data["signal"]),
        classes=frozenset(map(WorkClass, data["classes"])),
        rest_days=rest_days,
        priority=Priority(data["priority"]),
        notify=data.get("notify", False),
    )


def _sequence(data: Mapping[str, Any]) -> Sequence:
    name = data["name"]
    return Sequence(
        name=name,
        rules=frozenset(data["rules"]),
        classes=frozenset(map(WorkClass, data["classes"])),
        big=data.get("big"),
        steps=tuple(_step(name, item) for item in data.get("step", ())),
        stops=ALWAYS | frozenset(map(Stop, data["stops"])),
        patience=term_from(f"{name}: patience", data.get("patience", {"working_days": 5})),
    )


def _step(sequence: str, data: Mapping[str, Any]) -> Step:
    script = data.get("script", "opening")
    if script not in {"goal", "opening", "proof", "offer", "next_step"}:
        raise ValueError(f"{sequence}: {script} is no part of a script")
    after = data.get("after", _NOW)
    return Step(
        id=data["id"],
        channel=Channel(data["channel"]),
        after=term_from(f"{sequence}: after", after, least=0),
        script=script,
    )
