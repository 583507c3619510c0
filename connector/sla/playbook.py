"""The versioned rules that turn segments and signals into tasks: which news notify, and which cadences run.

Rules are data (`playbooks/*.toml`); this module reads and checks them and answers which apply. It knows no
manager, no deadline and no text. Signals and sequences of steps are read by `plays`.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Any

from adapters.records import Priority
from connector.sla.plays import Plays, check_plays, read_plays
from connector.sla.policy import WorkClass, whole_number


@dataclass(frozen=True, slots=True)
class EventRule:
    """News worth a task: a move between classes, or a flag that was turned on."""

    rule: str
    priority: Priority
    from_classes: frozenset[WorkClass] = frozenset()
    to_classes: frozenset[WorkClass] = frozenset()
    flag: str | None = None

    def is_move(self, previous: str | None, current: str) -> bool:
        """Whether leaving one class for another is this news; having had no class is not."""
        return previous in self.from_classes and current in self.to_classes


@dataclass(frozen=True, slots=True)
class CadenceRule:
    """A contact that is due again `every_days`, at most `per_month` times in a calendar month.

    Tasks of the rules in `after` count as a contact too.
    """

    rule: str
    classes: frozenset[WorkClass]
    every_days: int
    priority: Priority
    per_month: int | None = None
    after: tuple[str, ...] = ()

    def period_start(self, on: date) -> date:
        """The first day of the period that a day falls in. Periods of seven days are ISO weeks.

        Two tasks of the rule are at least a period apart, so they never share one.
        """
        return date.fromordinal(on.toordinal() - (on.toordinal() - 1) % self.every_days)

    def event_key(self, on: date) -> str:
        """Names the period, so that planning the same day again finds the same task."""
        return f"{self.rule}:{self.period_start(on).isoformat()}"


@dataclass(frozen=True, slots=True)
class Playbook:
    """One version of the rules. A class has at most one cadence."""

    name: str
    version: int
    events: tuple[EventRule, ...]
    cadences: tuple[CadenceRule, ...]
    plays: Plays = field(default_factory=Plays)

    def __str__(self) -> str:
        """`default@1`, as reports name it."""
        return f"{self.name}@{self.version}"

    @property
    def digest(self) -> str:
        """Twelve digits that change with any rule, a portal's own numbers included."""
        return hashlib.sha256(_canonical(self).encode()).hexdigest()[:12]

    @property
    def edition(self) -> str:
        """Version and digest, `default@2#0123456789ab`, as occasions keep it."""
        return f"{self}#{self.digest}"

    def occasions(self) -> Iterator[tuple[str, WorkClass]]:
        """Every rule with every class in which it can find a customer."""
        for event in self.events:
            yield from ((event.rule, name) for name in WorkClass if name in event.to_classes or event.flag)
        for cadence in self.cadences:
            yield from ((cadence.rule, name) for name in WorkClass if name in cadence.classes)
        for signal in self.plays.signals:
            yield from ((signal.rule, name) for name in WorkClass if name in signal.classes)

    def notifies(self, rule: str) -> bool:
        """Whether a rule may notify somebody; cadences and silent signals only fill queues."""
        return any(event.rule == rule for event in self.events) or any(
            signal.rule == rule and signal.notify for signal in self.plays.signals
        )

    def cadence_by_class(self) -> dict[WorkClass, CadenceRule]:
        """The cadence of every class that has one."""
        return {work_class: rule for rule in self.cadences for work_class in rule.classes}

    def with_settings(self, settings: Mapping[str, object]) -> Playbook:
        """The same rules with the portal's own numbers, given as `cadence = {rule: {every_days, per_month}}`.

        Raises `ValueError` for a rule that is not there and for numbers below one.
        """
        given = settings.get("cadence") or {}
        if not isinstance(given, Mapping):
            raise ValueError("cadence: a mapping of rules to numbers is expected")  # noqa: TRY004  # wrong input
        known = {rule.rule for rule in self.cadences}
        if unknown := sorted(str(rule) for rule in given.keys() - known):
            raise ValueError(f"cadence: no rule is called {', '.join(unknown)}")
        return replace(self, cadences=tuple(_adjusted(rule, given.get(rule.rule, {})) for rule in self.cadences))


@cache
def load_playbook(name: str = "default") -> Playbook:
    """A playbook that ships with the product. Raises `ValueError` when its rules contradict each other."""
    text = (files("connector.sla") / "playbooks" / f"{name}.toml").read_text(encoding="utf-8")
    return read_playbook(text)


def read_playbook(text: str) -> Playbook:
    """A playbook from TOML. Raises `ValueError` for rules that contradict each other or are incomplete."""
    data = tomllib.loads(text)
    try:
        playbook = Playbook(
            name=data["name"],
            version=data["version"],
            events=tuple(_event(item) for item in data["event"]),
            cadences=tuple(_cadence(item) for item in data["cadence"]),
            plays=read_plays(data),
        )
    except KeyError as missing:
        raise ValueError(f"the playbook misses {missing}") from None
    _check(playbook)
    return playbook


def _event(data: Mapping[str, Any]) -> EventRule:
    return EventRule(
        rule=data["rule"],
        priority=Priority(data["priority"]),
        from_classes=frozenset(map(WorkClass, data.get("from", ()))),
        to_classes=frozenset(map(WorkClass, data.get("to", ()))),
        flag=data.get("flag"),
    )


def _cadence(data: Mapping[str, Any]) -> CadenceRule:
    return CadenceRule(
        rule=data["rule"],
        classes=frozenset(map(WorkClass, data["classes"])),
        every_days=data["every_days"],
        priority=Priority(data["priority"]),
        per_month=data.get("per_month"),
        after=tuple(data.get("after", ())),
    )


def _check(playbook: Playbook) -> None:
    names = [
        *(event.rule for event in playbook.events),
        *(cadence.rule for cadence in playbook.cadences),
        *(signal.rule for signal in playbook.plays.signals),
    ]
    if len(set(names)) < len(names):
        raise ValueError("two rules of the playbook share a name")
    classes = [work_class for rule in playbook.cadences for work_class in rule.classes]
    if len(set(classes)) < len(classes):
        raise ValueError("a class has two cadences")
    for event in playbook.events:
        if event.flag not in (None, "upsell") or bool(event.flag) is bool(event.from_classes and event.to_classes):
            raise ValueError(f"{event.rule}: name either the classes of a move or the flag upsell")
    for cadence in playbook.cadences:
        if cadence.every_days < 1 or not set(cadence.after) <= set(names):
            raise ValueError(f"{cadence.rule}: every_days is at least 1, and `after` names rules of the playbook")
    check_plays(playbook.plays, playbook.occasions())


def _canonical(value: object) -> str:
    """Text that is the same for the same rules in any process; sets have no order of their own."""
    if isinstance(value, frozenset):
        return f"{{{','.join(sorted(map(_canonical, value)))}}}"
    if isinstance(value, tuple):
        return f"({','.join(map(_canonical, value))})"
    if is_dataclass(value):
        return f"{type(value).__name__}({','.join(_canonical(getattr(value, one.name)) for one in fields(value))})"
    return str(value)


def _adjusted(rule: CadenceRule, given: object) -> CadenceRule:
    if not isinstance(given, Mapping) or given.keys() - {"every_days", "per_month"}:
        raise ValueError(f"cadence: {rule.rule} takes every_days and per_month")
    word = f"cadence: {rule.rule}"
    every_days = whole_number(f"{word} every_days", given.get("every_days", rule.every_days), least=1)
    per_month = given.get("per_month", rule.per_month)
    if per_month is not None:
        per_month = whole_number(f"{word} per_month", per_month, least=1)
    return replace(rule, every_days=every_days, per_month=per_month)
