"""One customer explained: what it is counted from, and what it says in both languages."""

from __future__ import annotations

import json
from datetime import date, timedelta
from decimal import Decimal

import pytest

from adapters.records import CustomerRef, Manager
from connector.errors import WrongUse
from connector.scores import run as scoring
from connector.scores.explanation import explain_customer
from connector.scores.telling import tell
from connector.store import mirror, scores
from connector.store.models import MethodRow, Portal
from scoring.methods import MethodVersion, load_method
from scoring.scales import Thresholds
from tests.connector.factories import at, contact, keep_portal, order, put_customers, put_orders, rows

NOW = at("2026-03-01 13:00")
BY_HAND = MethodVersion(
    "sales5", 1, load_method("sales5"), Thresholds((10, 20, 30, 60), (1, 2, 3, 4), (1000, 5000, 10_000, 50_000))
)


def ago(days):
    return NOW - timedelta(days=days)


def score(database, portal, now=NOW, run_id="r1"):
    with database.session() as session:
        stored = session.get_one(Portal, portal.portal_id)
        moment = scoring.as_of_moment(stored.time_zone, None, now)
        run = scores.start_run(session, portal.portal_id, run_id, "run", moment.day, now)
        return scoring.score_portal(session, stored, run, moment, None)


def explained(database, portal, words="contact:1", **more):
    with database.session() as session:
        stored = session.get_one(Portal, portal.portal_id)
        return explain_customer(session, stored, CustomerRef.parse(words), **{"now": NOW, **more})


def plain(sentences):
    return "\n".join(sentences).replace("\u00a0", " ")


@pytest.fixture
def portal(database):
    kept = keep_portal(database)
    with database.session() as session:
        mirror.store_staff(session, kept.portal_id, [Manager("1", "A")], [])
        stored = session.get_one(Portal, kept.portal_id)
        stored.method = BY_HAND.label
        session.add(
            MethodRow(
                portal_id=kept.portal_id, name="sales5", version=1, body=BY_HAND.to_json(), digest=BY_HAND.digest(),
                weak=[], published_at=ago(90),
            )
        )  # fmt: skip
    put_customers(database, kept, contact("1", manager_id="1"), contact("2", manager_id="1"))
    return kept


@pytest.fixture
def regular(database, portal):
    """Four orders in the window, one before it, a refund: F 4, M 90."""
    put_orders(
        database,
        portal,
        order("1", at=ago(25), amount=Decimal(20)),
        order("2", at=ago(40), amount=Decimal(50)),
        order("3", at=ago(55), amount=Decimal(10)),
        order("4", at=ago(300), amount=Decimal(20)),
        order("5", at=ago(400), amount=Decimal(999)),
        order("6", at=ago(30), amount=Decimal(-10)),
    )
    score(database, portal)
    return portal


def test_the_explanation_is_of_the_orders_and_the_version_that_made_the_card(database, regular):
    found = explained(database, regular)
    assert (found.code, found.segment, found.method, found.as_of) == ("343", "loyal", "sales5@1", date(2026, 3, 1))
    assert [(axis.value, axis.score, axis.low, axis.high) for axis in found.axes] == [
        (25, 3, 21, 30), (4, 4, 4, 4), (Decimal("90.00"), 3, Decimal("50.01"), Decimal("100.00")),
    ]  # fmt: skip
    assert [one.external_id for one in found.in_window] == ["4", "3", "2", "6", "1"]
    assert sum(one.counted for one in found.in_window) == Decimal(90)
    r, f, m = found.axes
    assert (r.better.distance, r.better.score, r.worse.distance, r.worse.score) == (5, 4, 6, 2)
    assert (f.better.distance, f.better.score, f.worse.distance, f.worse.score) == (1, 5, 1, 3)
    assert (m.better.distance, m.better.score, m.worse.distance) == (Decimal("10.01"), 4, Decimal("40.00"))
    assert [(step.amount, step.segment) for step in found.order_today] == [
        (Decimal("0.01"), "loyal"), (Decimal("10.01"), "vip"),
    ]  # fmt: skip
    assert (found.by_itself.in_days, found.by_itself.on, found.by_itself.segment) == (6, date(2026, 3, 7), "at_risk")
    assert rows(database, "SELECT code FROM scores WHERE customer = 0") == ["343"]


def test_it_is_said_in_plain_english(database, regular):
    assert plain(tell(explained(database, regular), "en").sentences()) == (
        "Code 343: R 3, F 4, M 3, each out of 5. That is the segment “Loyal”.\n"
        "The last order was on 4 February 2026, 25 days ago.\n"
        "In the 365 days from 2 March 2025 on: 4 orders for ₽90.00.\n"
        "The largest of them, on 20 January 2026, brought ₽50.00: 56% of the sum.\n"
        "Refunds in that time take ₽10.00 off the sum.\n"
        "Without an order this becomes “At risk” in 6 days, on 7 March 2026: the last order will be 31 days old then.\n"
        "The usual pause between orders is 57.5 days;"
        " after another 91 days of silence the churn flag turns on by that alone.\n"
        "An order today of less than ₽10.01 keeps it in “Loyal”.\n"
        "From ₽10.01 on, an order today makes it “VIP”.\n"
        "With 2 orders fewer in the window it would be “Promising”.\n"
        "With ₽80.00 less in the window it would be “Promising”.\n"
        "Data quality 100 of 100: nothing in the history is doubtful."
    )


def test_it_is_said_in_plain_russian(database, regular):
    told = plain(tell(explained(database, regular), "ru").sentences())
    assert "Код 343: R 3, F 4, M 3, каждая оценка из 5. Это сегмент «Лояльные»." in told
    assert "Последний заказ был 4 февраля 2026, 25 дней назад." in told
    assert "В окне (365 дней, с 2 марта 2025): 4 заказа на 90,00 ₽." in told
    assert "через 6 дней, 7 марта 2026, сегмент станет «В зоне риска»: последнему заказу исполнится 31 день." in told
    assert "Обычный перерыв между заказами — 57,5 дня; ещё 91 день без заказа" in told
    assert "Заказ сегодня от 10,01 ₽ сделает сегмент «VIP»." in told


def test_an_order_that_leaves_the_window_is_named_by_its_day(database, portal):
    put_orders(
        database, portal,
        order("1", at=ago(1), amount=Decimal(5)), order("2", at=ago(363), amount=Decimal(900)),
    )  # fmt: skip
    score(database, portal)
    found = explained(database, portal)
    assert (found.code, found.by_itself.in_days, found.by_itself.code) == ("525", 2, "511")
    assert "in 2 days, on 3 March 2026: what was ordered on 3 March 2025 leaves the window then." in plain(
        tell(found, "en").by_itself
    )


def test_whoever_sleeps_is_told_that_only_an_order_changes_it(database, portal):
    put_orders(database, portal, order("1", at=ago(400), amount=Decimal(5)))
    score(database, portal)
    told = plain(tell(explained(database, portal), "en").sentences())
    assert "In the 365 days from 2 March 2025 on there was no order, so F is 0." in told
    assert "Time alone changes this segment no more; only an order does." in told
    assert "An order today of less than ₽500.01 makes it “Promising”." in told


def test_what_came_after_the_last_scoring_is_told_apart(database, portal):
    put_orders(database, portal, order("1", at=ago(25), amount=Decimal(5)))
    score(database, portal)
    put_orders(database, portal, order("2", at=ago(2), amount=Decimal(5)))
    found = explained(database, portal)
    assert (found.code, found.stored_code) == ("521", "311")
    assert "The stored segment is “Promising” (311)." in plain(tell(found, "en").doubts)


def test_a_day_before_is_explained_as_it_was(database, regular):
    found = explained(database, regular, as_of=date(2026, 2, 3))
    assert (found.axes[0].value, found.axes[1].value, found.axes[2].value) == (14, 3, Decimal("70.00"))
    assert all(one.on <= date(2026, 2, 3) for one in found.orders)


def test_an_order_without_a_rate_and_one_without_an_amount_are_named(database, portal):
    put_orders(
        database, portal,
        order("1", at=ago(3), amount=Decimal(5), currency="XXX"), order("2", at=ago(4), amount=None),
    )  # fmt: skip
    score(database, portal)
    found = explained(database, portal)
    assert [(one.kind, one.counted) for one in found.orders] == [("no_amount", Decimal("0.00")), ("no_rate", None)]
    told = plain(tell(found, "en").sentences())
    assert "Without an amount in M, for want of a rate: 1 order." in told
    assert "set the rate in the CRM" in told


@pytest.mark.parametrize(
    ("words", "reason"), [("contact:77", "knows no contact:77"), ("contact:2", "contact:2 has no order up to")]
)
def test_whoever_cannot_be_explained_is_named_with_the_reason(database, regular, words, reason):
    with pytest.raises(WrongUse, match=reason):
        explained(database, regular, words)


def test_before_the_first_scoring_there_is_nothing_to_explain(database):
    kept = keep_portal(database)
    put_customers(database, kept, contact("1"))
    put_orders(database, kept, order("1", at=ago(3)))
    with pytest.raises(WrongUse, match="run `score p` first"):
        explained(database, kept)


def test_the_explanation_is_plain_json(database, regular):
    found = json.loads(json.dumps(explained(database, regular).as_json()))
    assert found["by_itself"]["on"] == "2026-03-07"
    assert found["axes"][2] == {
        "name": "m", "value": "90.00", "score": 3, "low": "50.01", "high": "100.00",
        "better": {"distance": "10.01", "score": 4}, "worse": {"distance": "40.00", "score": 2},
    }  # fmt: skip
