"""Which clocks an occasion gets: per work class, from the portal's policy, frozen with the version it came from.

The first contact has the term of the contract (`policy`); the others are those of the sales article. A portal's
settings override them under the word ``clocks``::

    {"qualified": {"working_days": 1}, "demo": {"hours": 72}, "warn_left": 0.25, "least_call_seconds": 30,
     "pauses": ["customer", "absent"]}
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from connector.sla.events import Clock, Target
from connector.sla.playbook import Playbook
from connector.sla.policy import Policy, Term, Unit, WorkClass, policy_from, term_from, whole_number

_SAME_DAY = Term(1, Unit.WORKING_DAYS)
_THREE_DAYS = Term(72, Unit.HOURS)
_WORDS = {"qualified", "demo", "warn_left", "least_call_seconds", "pauses"}


@dataclass(frozen=True, slots=True)
class ClockRules:
    """A portal's rules for its clocks. "72 hours" are calendar hours unless the policy makes hours business hours."""

    policy: Policy = field(default_factory=Policy)
    qualified: Term = _SAME_DAY
    demo: Term = _THREE_DAYS
    warn_left: float = 0.25
    least_call_seconds: int = 30
    pauses: frozenset[str] = frozenset({"customer", "absent"})

    @property
    def version(self) -> str:
        """Ten digits that change with any of the rules; clocks keep the version that they started under."""
        words = [
            sorted((name.value, str(term)) for name, term in self.policy.terms.items()),
            self.policy.business_hours,
            self.policy.low_quality_below,
            (str(self.qualified), str(self.demo), self.warn_left, self.least_call_seconds, sorted(self.pauses)),
        ]
        return f"sla@{hashlib.sha256(repr(words).encode()).hexdigest()[:10]}"


def clock_rules(settings: Mapping[str, object]) -> ClockRules:
    """The rules in a portal's settings, under `sla` and `clocks`; defaults where they are silent.

    Raises `ValueError` with the word and what is wrong with its value.
    """
    given = settings.get("clocks") or {}
    if not isinstance(given, Mapping):
        raise ValueError("clocks: a mapping of clocks to terms is expected")  # noqa: TRY004  # wrong input
    if unknown := sorted(str(word) for word in given.keys() - _WORDS):
        raise ValueError(f"clocks: nothing is known of {', '.join(unknown)}")
    usual = ClockRules()
    pauses = given.get("pauses", sorted(usual.pauses))
    if not isinstance(pauses, list | tuple):
        raise ValueError("clocks: pauses is a list of reasons")  # noqa: TRY004  # wrong input
    return ClockRules(
        policy=policy_from(settings),
        qualified=term_from("clocks: qualified", given["qualified"]) if "qualified" in given else usual.qualified,
        demo=term_from("clocks: demo", given["demo"]) if "demo" in given else usual.demo,
        warn_left=_share("clocks: warn_left", given.get("warn_left", usual.warn_left)),
        least_call_seconds=whole_number(
            "clocks: least_call_seconds", given.get("least_call_seconds", usual.least_call_seconds), least=0
        ),
        pauses=frozenset(map(str, pauses)),
    )


def targets_for(
    work_class: WorkClass, rules: ClockRules, playbook: Playbook, *, quality: int = 100
) -> tuple[Target, ...]:
    """The clocks of an occasion of this class.

    Whoever sleeps has one soft touch, in the rhythm of the playbook; all others a first contact, key customers a
    known need and promising ones an appointed showing besides. A poor history doubles every term.
    """
    if work_class is WorkClass.SLEEPING:
        cadence = playbook.cadence_by_class().get(work_class)
        return (
            _target(
                Clock.SOFT_TOUCH,
                rules.policy.terms[work_class],
                rules,
                quality,
                every_days=cadence.every_days if cadence else None,
                per_month=cadence.per_month if cadence else None,
            ),
        )
    first = _target(Clock.FIRST_CONTACT, rules.policy.terms[work_class], rules, quality)
    if work_class in (WorkClass.VIP, WorkClass.LOYAL):
        return first, _target(Clock.QUALIFIED, rules.qualified, rules, quality)
    if work_class is WorkClass.PROMISING:
        return first, _target(Clock.DEMO, rules.demo, rules, quality)
    return (first,)


def _target(
    clock: Clock,
    term: Term,
    rules: ClockRules,
    quality: int,
    *,
    every_days: int | None = None,
    per_month: int | None = None,
) -> Target:
    return Target(
        clock=clock,
        term=term.doubled() if rules.policy.is_softened(quality) else term,
        policy=rules.version,
        business_hours=rules.policy.business_hours,
        warn_left=rules.warn_left,
        least_call_seconds=rules.least_call_seconds,
        pauses=rules.pauses,
        every_days=every_days,
        per_month=per_month,
    )


def _share(word: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
        raise ValueError(f"{word}: {value!r} is no share from 0 to below 1")
    return float(value)
