from __future__ import annotations

from datetime import date

import pytest

from adapters.records import Priority
from connector.sla.events import Channel
from connector.sla.playbook import load_playbook, read_playbook
from connector.sla.plays import ALWAYS, Signal, Stop
from connector.sla.policy import Term, Unit, WorkClass

PLAYBOOK = load_playbook()
OWN = """
name = "own"
version = 3
[[event]]
rule = "left"
from = ["vip"]
to = ["at_risk"]
priority = "high"
[[cadence]]
rule = "touch"
classes = ["sleeping"]
every_days = 7
priority = "low"
[[signal]]
rule = "fewer"
signal = "frequency_fell"
classes = ["vip"]
rest_days = 30
priority = "normal"
[[sequence]]
name = "all"
rules = ["left", "touch", "fewer"]
classes = ["vip", "at_risk", "sleeping"]
stops = ["contact"]
[[sequence.step]]
id = "call"
channel = "call"
[[sequence.step]]
id = "letter"
channel = "letter"
after = { working_days = 2 }
"""


SECOND = """[[sequence]]
name = "more"
rules = ["left"]
classes = ["at_risk"]
big = true
stops = []
[[sequence.step]]
id = "a"
channel = "call"
[[sequence]]"""


def test_the_rules_of_the_contract_are_the_same_as_ever():
    """Ids, order, priorities and numbers of version 1."""
    assert [(event.rule, event.priority) for event in PLAYBOOK.events] == [
        ("left_loyal", Priority.HIGH), ("came_back", Priority.HIGH), ("upsell_window", Priority.HIGH),
    ]  # fmt: skip
    assert [(rule.rule, rule.every_days, rule.per_month, rule.priority) for rule in PLAYBOOK.cadences] == [
        ("supportive_contact", 30, None, Priority.HIGH), ("promising_contact", 14, None, Priority.NORMAL),
        ("return_plan", 30, None, Priority.NORMAL), ("soft_touch", 7, 4, Priority.LOW),
    ]  # fmt: skip


def test_signals_are_silent_and_cover_what_history_can_tell():
    assert {rule.signal for rule in PLAYBOOK.plays.signals} == set(Signal)
    assert [rule.rule for rule in PLAYBOOK.plays.signals if PLAYBOOK.notifies(rule.rule)] == []
    assert [event.rule for event in PLAYBOOK.events if PLAYBOOK.notifies(event.rule)] == [
        "left_loyal", "came_back", "upsell_window",
    ]  # fmt: skip
    assert not PLAYBOOK.notifies("soft_touch")


@pytest.mark.parametrize("big", [True, False])
def test_every_rule_and_class_has_one_sequence(big):
    for rule, work_class in PLAYBOOK.occasions():
        assert PLAYBOOK.plays.sequence(rule, work_class, big=big) is not None, (rule, work_class)


@pytest.mark.parametrize("work_class", [WorkClass.AT_RISK, WorkClass.SLEEPING])
def test_large_passive_customers_are_followed_up_five_times_and_small_ones_twice(work_class):
    counts = {}
    for big in (True, False):
        sequence = PLAYBOOK.plays.sequence("last_call", work_class, big=big)
        counts[big] = len(sequence.steps) - 1
        assert {Stop.CONTACT, Stop.BOUGHT} <= sequence.stops
    assert counts == {True: 5, False: 2}


def test_whoever_sleeps_is_written_to_and_small_ones_are_never_called():
    small = PLAYBOOK.plays.sequence("last_call", WorkClass.SLEEPING, big=False)
    assert {step.channel for step in small.steps} == {Channel.LETTER}


def test_every_stop_has_a_result_and_most_stop_everything():
    words = [PLAYBOOK.plays.result(stop) for stop in Stop]
    assert len(set(words)) == len(words)
    assert all(sequence.stops >= ALWAYS for sequence in PLAYBOOK.plays.sequences)
    assert {Stop.REFUSAL, Stop.EXHAUSTED, Stop.GONE, Stop.OPTED_OUT, Stop.SEGMENT_LEFT} <= ALWAYS


def test_an_edition_changes_with_any_rule_and_with_a_portals_numbers():
    assert str(PLAYBOOK) == "default@2"
    assert PLAYBOOK.edition == f"default@2#{PLAYBOOK.digest}"
    assert PLAYBOOK.digest == load_playbook().with_settings({}).digest
    other = PLAYBOOK.with_settings({"cadence": {"soft_touch": {"per_month": 2}}})
    assert other.digest != PLAYBOOK.digest
    assert read_playbook(OWN).digest != read_playbook(OWN.replace("working_days = 2", "working_days = 3")).digest


def test_the_shipped_playbook_does_not_change_without_a_new_version():
    """Whoever changes a rule raises the version and puts the new digest here."""
    assert PLAYBOOK.edition == "default@2#ff17acce8244"


def test_a_sequence_is_read_with_its_steps():
    sequence = read_playbook(OWN).plays.sequence("fewer", WorkClass.VIP, big=False)
    assert [(step.id, step.channel, step.after) for step in sequence.steps] == [
        ("call", Channel.CALL, Term(0, Unit.MINUTES)), ("letter", Channel.LETTER, Term(2, Unit.WORKING_DAYS)),
    ]  # fmt: skip
    assert sequence.patience == Term(5, Unit.WORKING_DAYS)


def test_a_playbook_without_sequences_is_left_alone():
    assert read_playbook(OWN[: OWN.index("[[sequence]]")]).plays.sequences == ()


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('rule = "fewer"', 'rule = "touch"', "share a name"),
        ('signal = "frequency_fell"', 'signal = "weather"', "weather"),
        ("rest_days = 30", "rest_days = 0", "rest_days is at least 1"),
        ('"touch", "fewer"]', '"touch"]', "fewer: vip customers have no sequence"),
        ('"touch", "fewer"]', '"touch", "fewer", "more"]', "all: no rule is called more"),
        ('id = "letter"', 'id = "call"', "an id of its own"),
        ('channel = "letter"', 'channel = "pigeon"', "pigeon"),
        ("working_days = 2", "weeks = 2", "all: after needs one of"),
        ('stops = ["contact"]', 'stops = ["rain"]', "rain"),
        ('stops = ["contact"]\n', "", "misses 'stops'"),
        ('channel = "letter"\n', 'channel = "letter"\nscript = "song"\n', "song is no part of a script"),
        (
            "[[sequence]]",
            SECOND,
            "left: at_risk customers have two sequences, more and all",
        ),
    ],
)
def test_sequences_that_contradict_each_other_are_refused(old, new, sentence):
    assert old in OWN
    with pytest.raises(ValueError, match=sentence):
        read_playbook(OWN.replace(old, new, 1))


def test_a_days_cadence_key_is_the_same_as_ever():
    assert PLAYBOOK.cadences[3].event_key(date(2025, 11, 26)) == "soft_touch:2025-11-24"
