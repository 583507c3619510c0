from __future__ import annotations

from datetime import date, timedelta

import numpy as np

from connector.sla.playbook import load_playbook
from connector.sla.policy import WorkClass
from connector.sla.signalling import Quiet, signalled
from scoring.frames import Orders
from scoring.signals import OrderDays, order_days, season

PLAYBOOK = load_playbook()
ON = date(2026, 6, 30)
AS_OF = (ON - date(1970, 1, 1)).days


def days_of(*customers: list[int]) -> OrderDays:
    rows = [(who, AS_OF - before) for who, days in enumerate(customers) for before in days]
    who, day = (np.array(column) for column in zip(*rows, strict=True))
    orders = Orders(who.astype(np.int64), day.astype(np.int32), np.full(len(who), 1000, np.int64))
    return order_days(orders, as_of=AS_OF)


LATE = [80, 140, 200]
CALL = [190, 250, 310]
FEWER = [10, *range(91, 107, 2)]


def rules(found) -> dict[int, str]:
    return {one.number: one.rule for one in found}


def test_each_customer_gets_the_first_signal_of_the_playbook_that_fits_his_class():
    orders = days_of(LATE, CALL, FEWER, LATE, CALL)
    classes = {
        0: WorkClass.LOYAL, 1: WorkClass.AT_RISK, 2: WorkClass.VIP, 3: WorkClass.AT_RISK, 4: WorkClass.VIP,
    }  # fmt: skip
    assert rules(signalled(PLAYBOOK, orders, classes, Quiet())) == {
        0: "rhythm_late", 1: "last_call", 2: "frequency_fell",
    }  # fmt: skip


def test_a_signal_carries_its_figures_and_the_day_of_the_last_order():
    found = signalled(PLAYBOOK, days_of(LATE), {0: WorkClass.LOYAL}, Quiet())[0]
    assert found.event_key == f"rhythm_late:{(ON - timedelta(80)).isoformat()}"
    assert (found.before, found.now) == (60, 80)


def test_customers_under_work_and_those_signalled_lately_are_left_in_peace():
    orders, classes = days_of(LATE), {0: WorkClass.LOYAL}
    assert not signalled(PLAYBOOK, orders, classes, Quiet(at_work={0}))
    lately = Quiet(last_on={(0, "rhythm_late"): ON - timedelta(29)})
    assert not signalled(PLAYBOOK, orders, classes, lately)
    ordered_since = days_of([39, 69, 99])
    before = Quiet(last_on={(0, "rhythm_late"): ON - timedelta(39)})
    assert signalled(PLAYBOOK, ordered_since, classes, before)
    assert not signalled(PLAYBOOK, days_of([40, 70, 100]), classes, before)
    assert not signalled(PLAYBOOK, orders, {}, Quiet())


def test_off_season_no_silence_is_a_signal_and_a_fall_still_is():
    months = np.ones(12)
    months[5] = 0.3
    june = season(AS_OF - 400, AS_OF, months)
    orders = days_of(LATE, CALL, FEWER)
    classes = dict.fromkeys(range(3), WorkClass.LOYAL)
    assert rules(signalled(PLAYBOOK, orders, classes, Quiet(), when=june)) == {2: "frequency_fell"}


def test_a_late_second_order_is_judged_by_a_frozen_border():
    orders, classes = days_of([61]), {0: WorkClass.PROMISING}
    assert rules(signalled(PLAYBOOK, orders, classes, Quiet(), second_order_border=60)) == {0: "second_order_late"}
    assert not signalled(PLAYBOOK, orders, classes, Quiet(), second_order_border=61)
    assert not signalled(PLAYBOOK, orders, classes, Quiet())
