from __future__ import annotations

from datetime import UTC, datetime

import pytest

from sandbox.clock import ManualClock, RealClock
from sandbox.limits import LeakyBucket, Limits, OperatingTime, RollingWindow


def test_rolling_window_refuses_the_call_after_the_last_and_forgets_after_its_seconds():
    window = RollingWindow(3, 10)
    moments = [(0, True), (1, True), (9, True), (9.9, False), (10, True), (10.5, False), (11, True)]
    assert [window.take(at) for at, _ in moments] == [admitted for _, admitted in moments]
    assert window.exceeded == 2


def test_rolling_window_allows_no_double_burst_around_a_border():
    window = RollingWindow(100, 10)
    assert all(window.take(9.9) for _ in range(100))
    assert not window.take(10.1)
    assert window.wait_s(10.1) == pytest.approx(9.8)
    assert window.remaining(10.1) == 0
    assert window.remaining(20) == 100


def test_leaky_bucket_holds_its_capacity_and_then_lets_in_what_leaks():
    bucket = LeakyBucket(50, 2)
    assert sum(bucket.take(0) for _ in range(60)) == 50
    assert bucket.wait_s(0) == pytest.approx(0.5)
    assert [bucket.take(0.5), bucket.take(0.5), bucket.take(1)] == [True, False, True]
    assert bucket.exceeded == 11


def test_operating_time_blocks_one_method_until_enough_of_its_work_is_old():
    rule = OperatingTime(480, 600)
    rule.spend(0, "deal.list", 300)
    rule.spend(100, "deal.list", 180)
    assert not rule.take(101, "deal.list")
    assert rule.take(101, "user.get")
    assert rule.operating(101, "deal.list") == 480
    assert rule.wait_s(101, "deal.list") == 499
    assert rule.take(600, "deal.list")
    assert rule.exceeded == 1


def test_limits_add_up_what_each_rule_refused():
    limits = Limits(burst=RollingWindow(1, 10), search=RollingWindow(1, 1))
    for name in ("burst", "burst", "search", "search", "unknown"):
        limits.take(name, 0)
    assert limits.exceeded == 2
    assert limits.wait_s("search", 0.25) == 0.75


def test_limits_that_are_off_admit_everything_and_count_nothing():
    limits = Limits(enforced=False, burst=RollingWindow(1, 10))
    assert all(limits.take("burst", 0) for _ in range(5))
    assert limits.exceeded == 0
    assert Limits.off().take("burst", 0)


def test_manual_clock_moves_both_readings_and_never_back():
    clock = ManualClock(datetime(2026, 11, 24, tzinfo=UTC))
    clock.advance(90)
    assert clock.now() == datetime(2026, 11, 24, 0, 1, 30, tzinfo=UTC)
    assert clock.monotonic() == 90
    with pytest.raises(ValueError, match="backwards"):
        clock.advance(-1)
    with pytest.raises(ValueError, match="aware"):
        ManualClock(datetime(2026, 11, 24))  # noqa: DTZ001


def test_real_clock_is_aware():
    assert RealClock().now().tzinfo is UTC
    assert RealClock().monotonic() <= RealClock().monotonic()
