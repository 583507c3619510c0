"""Data quality of a portal: causes that single orders do not tell, the list of repairs, and what would follow."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from adapters.records import Manager, OrderStatus
from connector.scores import run as scoring
from connector.scores.repairs import repair_list
from connector.store import mirror, scores, uncounted
from connector.store.models import MethodRow, Portal
from scoring.methods import MethodVersion, load_method
from scoring.quality import Cause
from scoring.scales import Thresholds
from tests.connector.factories import at, company, contact, keep_portal, order, put_customers, put_orders, rows

NOW = at("2026-03-01 13:00")
BY_HAND = MethodVersion(
    "sales5", 1, load_method("sales5"), Thresholds((10, 20, 30, 60), (1, 2, 3, 4), (1000, 5000, 10_000, 50_000))
)


def ago(days):
    return NOW - timedelta(days=days)


def opened_score(database, portal, run_id="r1", only=None):
    with database.session() as session:
        stored = session.get_one(Portal, portal.portal_id)
        moment = scoring.as_of_moment(stored.time_zone, None, NOW)
        run = scores.start_run(session, portal.portal_id, run_id, "run", moment.day, NOW)
        if only is not None:
            return scoring.score_customers(session, stored, run, moment, BY_HAND, only)
        return scoring.score_portal(session, stored, run, moment, None)


def listed(database, portal, **more):
    with database.session() as session:
        return repair_list(session, session.get_one(Portal, portal.portal_id), now=NOW, **more)


def causes(database):
    found = rows(
        database,
        "SELECT c.external_id, s.causes FROM scores s JOIN customers c ON c.number = s.customer ORDER BY c.external_id",
    )
    return {external_id: Cause(mask) for external_id, mask in found}


@pytest.fixture
def portal(database):
    kept = keep_portal(database)
    with database.session() as session:
        mirror.store_staff(session, kept.portal_id, [Manager("1", "A")], [])
        session.get_one(Portal, kept.portal_id).method = BY_HAND.label
        session.add(
            MethodRow(
                portal_id=kept.portal_id, name="sales5", version=1, body=BY_HAND.to_json(), digest=BY_HAND.digest(),
                weak=[], published_at=ago(90), state="published",
            )
        )  # fmt: skip
    put_customers(database, kept, *(contact(str(n), manager_id="1") for n in range(1, 6)))
    return kept


@pytest.fixture
def doubtful(database, portal):
    """1 is sound; 2 has copies; 3 a won deal without a date; 4 one left open; 5 an order without an amount."""
    put_orders(
        database,
        portal,
        *(order(f"1{n}", contact_id="1", at=ago(100 + n)) for n in range(2)),
        *(order(f"2{n}", contact_id="2", at=ago(5), amount=Decimal(40)) for n in range(3)),
        order("30", contact_id="3", at=ago(200)),
        order("31", contact_id="3", at=ago(210)),
        order("32", contact_id="3", at=None, created_at=ago(8), amount=Decimal(70)),
        order("40", contact_id="4", at=ago(200)),
        order("41", contact_id="4", at=ago(201)),
        order("42", contact_id="4", at=None, created_at=ago(181), status=OrderStatus.OPEN),
        order("43", contact_id="4", at=None, created_at=ago(179), status=OrderStatus.OPEN),
        order("50", contact_id="5", at=ago(5), amount=None),
        order("51", contact_id="5", at=ago(6), amount=Decimal(60)),
        order("90", contact_id=None, at=ago(9)),
        order("91", contact_id=None, at=ago(3)),
    )
    opened_score(database, portal)
    return portal


def test_each_cause_is_found_with_the_customer_it_concerns(database, doubtful):
    assert causes(database) == {
        "1": Cause(0),
        "2": Cause.DUPLICATE,
        "3": Cause.DATE_MISSING,
        "4": Cause.LONG_OPEN,
        "5": Cause.AMOUNT_ABSENT,
    }
    found = listed(database, doubtful).totals
    assert (found.scored, found.perfect, dict(found.causes)) == (
        5, 1, {Cause.AMOUNT_ABSENT: 1, Cause.DATE_MISSING: 1, Cause.DUPLICATE: 1, Cause.LONG_OPEN: 1},
    )  # fmt: skip


def test_scoring_some_customers_gives_the_quality_of_scoring_all(database, doubtful):
    wanted = "SELECT customer, quality, causes FROM scores ORDER BY customer"
    whole = rows(database, wanted)
    opened_score(database, doubtful, "r2", only=[number for number, *_ in whole])
    assert rows(database, wanted) == whole


def test_the_segment_if_repaired_follows_from_the_assumptions(database, doubtful):
    found = {one.customer.external_id: one for one in listed(database, doubtful).worst}
    two, three, four, five = (found[external_id] for external_id in "2345")
    assert (two.customer.code, two.repaired_code) == ("534", "512")  # three times 40 is 120, once is 40
    assert (three.customer.code, three.repaired_code) == ("122", "533")  # dated 8 days ago, with its 70
    assert (five.customer.code, five.repaired_code) == ("523", "524")  # 60 and another usual 60
    assert (four.repaired_code, four.moves) == (None, False)  # how it ended only a person knows
    assert "1" not in found


def test_the_list_begins_with_the_worst_and_can_be_of_one_cause(database, doubtful):
    qualities = [one.customer.quality for one in listed(database, doubtful).worst]
    assert qualities == sorted(qualities)
    one = listed(database, doubtful, cause=Cause.LONG_OPEN)
    assert [repair.customer.external_id for repair in one.worst] == ["4"]
    assert len(listed(database, doubtful, worst=2).worst) == 2


def test_orders_without_a_customer_are_told_of_the_portal(database, doubtful):
    found = listed(database, doubtful)
    assert (found.orphans.count, found.orphans.ids) == (2, ("91", "90"))
    plain = found.as_json("ru")
    assert plain["orders_without_customer"] == {"count": 2, "newest": ["91", "90"]}
    assert plain["causes"][0]["cause"] == "amount_absent"


def test_what_counts_for_nobody_is_found_by_the_rule_of_the_portal(database, portal):
    put_customers(database, portal, company("7"))
    put_orders(
        database, portal,
        order("1", contact_id="1", company_id="7", at=None, created_at=ago(2)),
        order("2", contact_id="1", at=None, created_at=ago(2)),
    )  # fmt: skip
    with database.session() as session:
        stored = session.get_one(Portal, portal.portal_id)
        number = rows(database, "SELECT number FROM customers WHERE kind = 'company'")[0]
        found = uncounted.uncounted(session, stored, NOW)
        assert dict(zip(found.customer.tolist(), found.undated.tolist(), strict=True)) == {0: 1, number: 1}
        only = uncounted.uncounted(session, stored, NOW, only=[number])
        assert only.customer.tolist() == [number]


def test_a_run_says_what_there_is_to_score_on(database, doubtful):
    found = opened_score(database, doubtful, "r3").base
    assert (found.customers, found.orders, found.without_amount, found.recent, found.often) == (5, 11, 1, 2, 1)
    assert found.days == 211
