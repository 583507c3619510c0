"""Which rules may still notify: only the listed ones, only so many a day, and a rule nobody acts on falls silent.

Pure. Silence is judged over a moving span of days, so a rule that was muted is heard again when its old notices have
moved out of it, and has to prove itself anew. Whatever is muted still fills the queue.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from connector.sla.phrases import Said
from connector.sla.playbook import Playbook
from connector.sla.policy import whole_number

SILENCE_RULES = frozenset({"left_loyal", "rhythm_late", "rhythm_very_late", "last_call", "second_order_late"})
"""Rules whose news is that a customer is silent; off-season that is no news."""


@dataclass(frozen=True, slots=True)
class NoticeRules:
    """A notification budget: at least `least` notices before a rule is judged, `acted_share` of them acted on.

    `a_day` caps the notices one person gets a day.
    """

    least: int = 20
    acted_share: float = 0.2
    span_days: int = 60
    a_day: int = 10


def notice_rules(settings: Mapping[str, object]) -> NoticeRules:
    """The budget in a portal's settings, under `notices`: least, acted_percent, span_days, a_day.

    Raises `ValueError` with the word and what is wrong with its value.
    """
    given = settings.get("notices") or {}
    if not isinstance(given, Mapping) or given.keys() - {"least", "acted_percent", "span_days", "a_day"}:
        raise ValueError("notices: a mapping with least, acted_percent, span_days, a_day is expected")
    usual = NoticeRules()
    percent = whole_number("notices: acted_percent", given.get("acted_percent", 20), least=0)
    if percent > 100:
        raise ValueError(f"notices: acted_percent: {percent} is no percentage")
    return NoticeRules(
        least=whole_number("notices: least", given.get("least", usual.least), least=1),
        acted_share=percent / 100,
        span_days=whole_number("notices: span_days", given.get("span_days", usual.span_days), least=1),
        a_day=whole_number("notices: a_day", given.get("a_day", usual.a_day), least=0),
    )


@dataclass(frozen=True, slots=True)
class Sent:
    """A notice that was sent for a rule, and when it was acted on: the first attempt or result after it."""

    rule: str
    to: str
    at: datetime
    acted_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Voice:
    """Whether a rule is heard, with the figures it was judged by."""

    rule: str
    sent: int
    acted: int
    is_muted: bool
    said: Said

    @property
    def share(self) -> float:
        """Acted on, of those sent; 0 without any."""
        return self.acted / self.sent if self.sent else 0.0


def voices(
    playbook: Playbook, history: Iterable[Sent], rules: NoticeRules, now: datetime, *, time_to_act: timedelta
) -> dict[str, Voice]:
    """How every notifying rule stands as of `now`. Notices younger than `time_to_act` are not judged yet."""
    begin, ripe = now - timedelta(days=rules.span_days), now - time_to_act
    sent: Counter[str] = Counter()
    acted: Counter[str] = Counter()
    for one in history:
        if begin < one.at <= ripe:
            sent[one.rule] += 1
            acted[one.rule] += one.acted_at is not None and one.acted_at - one.at <= time_to_act
    names = [event.rule for event in playbook.events] + [signal.rule for signal in playbook.plays.signals]
    return {rule: _voice(rule, sent[rule], acted[rule], rules) for rule in names if playbook.notifies(rule)}


def _voice(rule: str, sent: int, acted: int, rules: NoticeRules) -> Voice:
    is_known = sent >= rules.least
    is_muted = is_known and acted < rules.acted_share * sent
    code = "notice.few" if not is_known else "notice.muted" if is_muted else "notice.heard"
    percent = round(100 * acted / sent) if sent else 0
    facts = {"rule": rule, "sent": sent, "acted": acted, "share": percent, "days": rules.span_days}
    return Voice(rule, sent, acted, is_muted, Said(code, facts))


def may_notify(
    rule: str,
    to: str,
    heard: Mapping[str, Voice],
    sent_today: Mapping[str, int],
    rules: NoticeRules,
    *,
    off_season: bool,
) -> Said | None:
    """None when the rule may notify this person now, else what keeps it silent. Rules that are not listed never may."""
    voice = heard.get(rule)
    if voice is None or voice.is_muted:
        return voice.said if voice else Said("notice.unlisted", {"rule": rule})
    if off_season and rule in SILENCE_RULES:
        return Said("notice.quiet")
    if sent_today.get(to, 0) >= rules.a_day:
        return Said("notice.full", {"count": rules.a_day})
    return None
