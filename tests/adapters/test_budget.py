"""Request budgets by a table of moments: never over a limit, never waiting longer than needed."""

from __future__ import annotations

import random

import pytest

from adapters.budget import (
    Budget,
    Leaky,
    LocalStates,
    Operating,
    Rolling,
    answered,
    operating_wait,
    paused,
    probed,
    take,
)
from sandbox.limits import LeakyBucket

GUARD = 0.03


class Clock:
    def __init__(self, now=1000.0):
        self.now = now

    def __call__(self):
        return self.now


# --- a rolling window ----------------------------------------------------------------------------------------------


def test_a_window_takes_its_limit_and_then_waits_until_the_oldest_call_leaves_it():
    rule, state, waits = Rolling(3, 10.0), {}, []
    for now in (0.0, 1.0, 2.0, 5.0, 9.9, 10.04, 10.05):
        state, grant = take(rule, state, now)
        waits.append(round(grant.wait, 3))
    assert waits == [0, 0, 0, pytest.approx(5.03), pytest.approx(0.13), 0, pytest.approx(0.98)]


def test_a_call_keeps_its_place_from_the_answer_on_but_no_longer_than_the_slack():
    rule = Rolling(1, 10.0, slack=0.5)
    state, grant = take(rule, {}, 0.0)
    quick = answered(rule, state, grant.stamp, 0.2)
    slow = answered(rule, state, grant.stamp, 7.0)
    assert take(rule, quick, 0.2)[1].wait == pytest.approx(10.0 + GUARD)
    assert take(rule, slow, 7.0)[1].wait == pytest.approx(3.5 + GUARD)


def test_an_answer_to_a_call_long_forgotten_changes_nothing():
    rule = Rolling(1, 10.0)
    state, _ = take(rule, {}, 0.0)
    assert answered(rule, state, 99.0, 100.0)["stamps"] == state["stamps"]


def test_calls_of_one_instant_have_places_of_their_own():
    rule, state, stamps = Rolling(5, 1.0), {}, set()
    for _ in range(5):
        state, grant = take(rule, state, 7.0)
        stamps.add(grant.stamp)
    assert len(stamps) == 5
    assert take(rule, state, 7.0)[1].wait > 0


def test_a_limit_that_the_vendor_told_replaces_the_rule():
    states = LocalStates(Clock())
    budget = Budget({"core": Rolling(5, 10.0)}, states)
    budget.resize("core", 2)
    assert [budget.ask("core").wait > 0 for _ in range(3)] == [False, False, True]


@pytest.mark.parametrize("seed", range(5))
def test_whatever_the_latencies_no_vendor_window_is_ever_over(seed):
    """The vendor counts a call somewhere between its sending and its answer; any second there must be within limits."""
    dice, rule, clock = random.Random(seed), Rolling(7, 1.0), Clock(0.0)
    budget, counted = Budget({"core": rule}, LocalStates(clock)), []
    for _ in range(300):
        grant = budget.ask("core")
        while grant.wait > 0:
            clock.now += grant.wait
            grant = budget.ask("core")
        latency = dice.random() * 0.14
        counted.append(clock.now + dice.random() * latency)
        clock.now += latency
        budget.answer("core", grant)
    counted.sort()
    assert all(later - first > 1.0 for first, later in zip(counted, counted[7:], strict=False))
    assert len(counted) / (counted[-1] - counted[0]) > 0.75 * 7, "and the limit is used"


# --- a leaky bucket ------------------------------------------------------------------------------------------------


def test_a_bucket_takes_its_burst_then_one_call_per_drop():
    rule, state = Leaky(3.0, 2.0), {}
    for _ in range(3):
        state, grant = take(rule, state, 0.0)
        assert grant.wait == 0
    state, grant = take(rule, state, 0.0)
    assert grant.wait == pytest.approx(0.5)
    state, grant = take(rule, state, 0.5)
    assert grant.wait == 0
    assert take(rule, state, 100.0)[0]["level"] == 1.0


def test_a_bucket_never_overflows_that_of_the_vendor():
    rule, vendor, clock = Leaky(50.0, 2.0), LeakyBucket(50, 2.0), Clock(0.0)
    budget = Budget({"core": rule}, LocalStates(clock))
    for _ in range(200):
        grant = budget.ask("core")
        while grant.wait > 0:
            clock.now += grant.wait
            grant = budget.ask("core")
        assert vendor.take(clock.now)
    assert clock.now == pytest.approx(75.0, abs=0.1)


def test_a_clock_that_goes_back_drains_nothing():
    rule = Leaky(2.0, 1.0)
    state, _ = take(rule, {}, 10.0)
    assert take(rule, state, 5.0)[0]["level"] == 2.0


# --- pauses --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", [Rolling(9, 1.0), Leaky(9.0, 1.0)])
def test_a_pause_holds_the_lane_and_is_never_shortened(rule):
    state = paused(paused({}, 30.0), 10.0)
    assert take(rule, state, 12.0)[1].wait == pytest.approx(18.0)
    assert take(rule, state, 30.0)[1].wait == 0


def test_a_pause_of_one_method_leaves_the_others_alone():
    clock = Clock()
    budget = Budget({"core": Rolling(9, 1.0)}, LocalStates(clock), Operating(480.0))
    budget.pause("core", 5.0, operation="crm.item.list")
    assert budget.ask("core", ("crm.item.list",)).wait == pytest.approx(5.0)
    assert budget.ask("core", ("crm.deal.list", "crm.item.list")).wait == pytest.approx(5.0)
    assert budget.ask("core", ("crm.deal.list",)).wait == 0
    clock.now += 5.0
    assert budget.ask("core", ("crm.item.list",)).wait == 0


# --- operating time ------------------------------------------------------------------------------------------------

RULE = Operating(100.0, ease=0.7, stop=0.88)


@pytest.mark.parametrize(
    ("used", "wait"),
    [(0.0, 0.0), (69.9, 0.0), (75.0, 3.0), (80.0, 6.0), (88.0, 600.0), (100.0, 600.0)],
)
def test_a_method_slows_down_near_its_budget_and_stops_before_it(used, wait):
    state = {"used": used, "reset_at": 1600.0, "last_at": 1000.0}
    assert operating_wait(RULE, state, 1000.0) == pytest.approx(wait)


def test_after_the_reset_one_call_goes_first_and_the_others_wait_for_what_it_tells():
    state = {"used": 90.0, "reset_at": 1000.0, "last_at": 900.0, "cost": 1.0}
    state, wait = probed(RULE, state, 1000.0)
    assert wait == 0
    assert probed(RULE, state, 1000.0)[1] == pytest.approx(60.0)


def test_nothing_goes_before_the_second_reset_where_the_next_call_might_not_fit():
    state = {"used": 96.0, "reset_at": 1000.0, "last_at": 900.0, "cost": 5.0}
    assert probed(RULE, state, 1000.0)[1] == pytest.approx(60.0)
    assert probed(RULE, state, 1060.0)[1] == 0


def test_the_cost_of_a_call_is_learned_and_forgotten_slowly():
    clock, states = Clock(), LocalStates(Clock())
    budget = Budget({"core": Rolling(9, 1.0)}, states, RULE)
    for seconds in (10.0, 30.0, 31.0):
        budget.used("m", seconds, clock.now + 600)
    assert states.change("op:m", lambda state, now: (state, state["cost"])) == pytest.approx(18.0)


def test_a_budget_without_operating_time_does_not_look_at_methods():
    budget = Budget({"core": Rolling(9, 1.0)}, LocalStates(Clock()))
    budget.used("m", 9999.0, 9999.0)
    assert budget.ask("core", ("m",)).wait == 0
