"""The pages that explain a customer, and the data's quality."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from connector.scores import run as scoring
from connector.scores.moments import as_of_moment
from connector.store import scores
from connector.store.models import Portal
from tests.connector.factories import contact, execute, keep_portal, order, put_customers, put_orders
from tests.connector.web.shop import NOW


def ago(days):
    return NOW - timedelta(days=days)


@pytest.fixture
def portal(database):
    """Contact n orders n times, 4 n days apart; contact 3 has an order without an amount."""
    kept = keep_portal(database, "north")
    put_customers(database, kept, *(contact(str(n)) for n in range(1, 9)))
    put_orders(
        database,
        kept,
        *(
            order(f"{n}-{k}", contact_id=str(n), at=ago(1 + k * 4 * n), amount=Decimal(10 * n + k))
            for n in range(1, 9)
            for k in range(n)
        ),
        order("odd", contact_id="3", at=ago(2), amount=None),
    )
    with database.session() as session:
        stored = session.get_one(Portal, kept.portal_id)
        moment = as_of_moment(stored.time_zone, None, NOW)
        run = scores.start_run(session, kept.portal_id, "r1", "run", moment.day, NOW)
        scored = scoring.score_portal(session, stored, run, moment, None)
        run.counts = {"customers": 8, "orders": 37, "base": {
            name: getattr(scored.base, name) for name in scored.base.__slots__
        }}  # fmt: skip
    return kept


def body(client, address, status=200):
    answer = client.get(address)
    assert answer.status_code == status
    return answer.get_data(as_text=True).replace("\u00a0", " ")


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", ("Why this segment", "Without an order this becomes", "An order today", "8 orders for")),
        ("ru", ("Почему этот сегмент", "Если заказа не будет, через", "Заказ сегодня", "8 заказов на")),
    ],
)
def test_a_customer_is_explained_in_both_languages(client, portal, language, words):
    page = body(client, f"/portals/north/customers/contact/8?lang={language}")
    assert all(word in page for word in words)
    assert page.count('aria-current="true"') == 3  # one box for each of R, F and M


def test_causes_stand_beside_what_is_assumed(client, portal):
    page = body(client, "/portals/north/customers/contact/3?lang=en")
    assert "Won deals have no amount: fill it in." in page
    assert "the median of the known ones" in page


@pytest.mark.parametrize(
    "address",
    [
        "/portals/north/customers/contact/99",
        "/portals/north/customers/deal/1",
        "/portals/south/customers/contact/1",
        "/portals/north/customers/contact/" + "1" * 65,
        "/portals/south/quality",
        "/portals/north/quality?cause=bad_luck",
    ],
)
def test_what_is_not_there_is_not_found(client, portal, address):
    body(client, address, 404)


def test_the_list_of_repairs_names_the_customer_and_what_would_follow(client, portal):
    page = body(client, "/portals/north/quality?lang=en")
    assert "/portals/north/customers/contact/3" in page
    assert "Won deals have no amount" in page
    assert "8 customers with orders; 500 are needed" in page
    assert "Segments are computed and shown, but the data are thin" in page
    assert "contact 5" not in body(client, "/portals/north/quality?cause=amount_absent&lang=en")


def test_a_portal_says_that_its_data_are_thin_and_leads_to_the_explanation(client, portal):
    page = body(client, "/portals/north?lang=en")
    assert "the data are thin" in page
    assert "/portals/north/customers/contact/8" in page
    assert "/portals/north/quality" in page


def test_before_the_first_run_nothing_is_measured(client, database, portal):
    execute(database, "UPDATE runs SET counts = '{}'")
    assert "The next run measures it." in body(client, "/portals/north/quality?lang=en")


def test_a_customer_without_a_manager_keeps_the_segment_when_that_is_repaired(client, portal):
    page = body(client, "/portals/north/quality?cause=manager_missing&lang=en")
    assert "the same segment" in page
