from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.records import Priority
from connector.sla.playbook import CadenceRule, load_playbook, read_playbook
from connector.sla.policy import WorkClass

VALID = """
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
after = ["left"]
"""


def test_only_the_three_news_of_the_contract_notify():
    playbook = load_playbook()
    moves = {
        (previous, current)
        for event in playbook.events
        for previous in WorkClass
        for current in WorkClass
        if event.is_move(previous, current)
    }
    better = {("sleeping", name) for name in WorkClass if name != "sleeping"}
    assert moves == {("vip", "at_risk"), ("loyal", "at_risk")} | better
    assert [event.rule for event in playbook.events if event.flag == "upsell"] == ["upsell_window"]


def test_having_had_no_class_is_no_move():
    assert not any(event.is_move(None, "at_risk") for event in load_playbook().events)


def test_every_class_has_a_cadence():
    by_class = load_playbook().cadence_by_class()
    assert {name: (rule.rule, rule.every_days, rule.per_month) for name, rule in by_class.items()} == {
        "vip": ("supportive_contact", 30, None),
        "loyal": ("supportive_contact", 30, None),
        "promising": ("promising_contact", 14, None),
        "at_risk": ("return_plan", 30, None),
        "sleeping": ("soft_touch", 7, 4),
    }


def test_a_week_of_soft_touches_is_an_iso_week():
    soft = load_playbook().cadence_by_class()[WorkClass.SLEEPING]
    monday = date(2025, 11, 24)
    week = {soft.event_key(monday + timedelta(days=n)) for n in range(7)}
    assert week == {"soft_touch:2025-11-24"}
    assert soft.event_key(monday - timedelta(days=1)) == "soft_touch:2025-11-17"


@given(st.dates(date(2000, 1, 1), date(2100, 1, 1)), st.integers(1, 400), st.integers(0, 400))
def test_two_tasks_a_period_apart_have_different_keys_and_one_day_has_one(on, every_days, later):
    rule = CadenceRule("rule", frozenset(), every_days, Priority.LOW)
    start = rule.period_start(on)
    assert start <= on < start + timedelta(days=every_days)
    assert rule.event_key(on) == rule.event_key(on)
    assert rule.event_key(on + timedelta(days=every_days + later)) != rule.event_key(on)


def test_a_portal_changes_the_numbers_and_nothing_else():
    playbook = load_playbook().with_settings(
        {"cadence": {"soft_touch": {"per_month": 2}, "return_plan": {"every_days": 10}}}
    )
    by_class = playbook.cadence_by_class()
    assert (by_class[WorkClass.SLEEPING].every_days, by_class[WorkClass.SLEEPING].per_month) == (7, 2)
    assert by_class[WorkClass.AT_RISK].every_days == 10
    assert by_class[WorkClass.VIP] == load_playbook().cadence_by_class()[WorkClass.VIP]
    assert load_playbook().with_settings({}) == load_playbook()


@pytest.mark.parametrize(
    ("cadence", "sentence"),
    [
        ([], None),
        ([1], "cadence: a mapping"),
        ({"hard_touch": {"every_days": 1}}, "cadence: no rule is called hard_touch"),
        ({"soft_touch": 7}, "cadence: soft_touch takes every_days and per_month"),
        ({"soft_touch": {"days": 7}}, "cadence: soft_touch takes every_days and per_month"),
        ({"soft_touch": {"every_days": 0}}, "cadence: soft_touch every_days: 0 is no whole number"),
        ({"soft_touch": {"per_month": "4"}}, "cadence: soft_touch per_month: '4' is no whole number"),
    ],
)
def test_numbers_that_make_no_sense_are_named_in_a_sentence(cadence, sentence):
    if sentence is None:
        assert load_playbook().with_settings({"cadence": cadence}) == load_playbook()
        return
    with pytest.raises(ValueError, match=sentence):
        load_playbook().with_settings({"cadence": cadence})


def test_a_playbook_of_ones_own_is_read_with_its_version():
    assert str(read_playbook(VALID)) == "own@3"


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('rule = "touch"', 'rule = "left"', "share a name"),
        ('classes = ["sleeping"]', 'classes = ["asleep"]', "asleep"),
        ('after = ["left"]', 'after = ["right"]', "touch: every_days is at least 1, and `after`"),
        ("every_days = 7", "every_days = 0", "touch: every_days is at least 1"),
        ('from = ["vip"]', 'flag = "upsell"\nfrom = ["vip"]', "left: name either"),
        ('from = ["vip"]', "", "left: name either"),
        ('priority = "low"', 'priority = "urgent"', "urgent"),
        ("version = 3", "", "misses 'version'"),
        (
            "[[cadence]]",
            '[[cadence]]\nrule="x"\nclasses=["sleeping"]\nevery_days=1\npriority="low"\n[[cadence]]',
            "two",
        ),
    ],
)
def test_rules_that_contradict_each_other_are_refused(old, new, sentence):
    assert old in VALID
    with pytest.raises(ValueError, match=sentence):
        read_playbook(VALID.replace(old, new))
