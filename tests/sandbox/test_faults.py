from __future__ import annotations

import pytest

from sandbox.faults import Fault, Faults


def test_none_never_strikes():
    faults = Faults.none()
    assert {faults.draw(str(n)) for n in range(500)} == {None}
    assert faults.picks(Fault.PARTIAL, 10) == frozenset()
    assert not faults.counts


def test_the_same_seed_gives_the_same_faults():
    one, other = Faults.all(7, 0.2), Faults.all(7, 0.2)
    assert [one.draw(str(n)) for n in range(200)] == [other.draw(str(n)) for n in range(200)]


def test_all_strikes_with_every_kind_about_as_often_as_asked():
    faults = Faults.all(1, 0.05)
    for n in range(4000):
        faults.draw(str(n))
        faults.picks(Fault.PARTIAL, 5, str(n))
        faults.picks(Fault.DROP_BATCH_KEYS, 5, str(n))
    assert set(faults.counts) == set(Fault)
    assert all(100 < count < 320 for count in faults.counts.values())


def test_the_same_call_fails_at_most_so_often_in_a_row():
    faults = Faults({Fault.SERVER_ERROR: 1.0}, max_consecutive=3)
    drawn = [faults.draw("GET /deals") for _ in range(8)]
    failed = Fault.SERVER_ERROR
    assert drawn == [failed, failed, failed, None, failed, failed, failed, None]
    assert faults.counts[failed] == 6


def test_slow_is_no_failure_and_breaks_no_row():
    slept: list[float] = []
    faults = Faults({Fault.SLOW: 1.0}, max_consecutive=1, slow_s=3, sleep=slept.append)
    assert [faults.draw("a") for _ in range(3)] == [Fault.SLOW] * 3
    faults.delay()
    assert slept == [3]


def test_a_forced_fault_strikes_exactly_as_often_as_told():
    faults = Faults.none()
    faults.max_consecutive = 1
    faults.force(Fault.LOST_ANSWER, 2)
    assert [faults.draw("a"), faults.draw("a"), faults.draw("a")] == [Fault.LOST_ANSWER, Fault.LOST_ANSWER, None]
    assert faults.counts[Fault.LOST_ANSWER] == 2


def test_a_struck_batch_loses_some_but_not_all():
    faults = Faults.none()
    faults.force(Fault.PARTIAL)
    lost = faults.picks(Fault.PARTIAL, 9)
    assert len(lost) == 3
    assert lost <= set(range(9))


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_a_kind_can_be_switched_while_it_runs(rate):
    faults = Faults({Fault.THROTTLE: 1.0 - rate})
    faults.switch(Fault.THROTTLE, rate)
    assert (faults.draw() is Fault.THROTTLE) == bool(rate)
