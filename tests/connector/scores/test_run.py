"""One score run: which orders and customers count, up to which moment, with which method version."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from adapters.records import Manager, OrderStatus
from connector.errors import WrongUse
from connector.scores import run as scoring
from connector.store import mirror, scores
from connector.store.models import Portal
from scoring.quality import Cause
from tests.connector.factories import (
    at,
    company,
    contact,
    execute,
    keep_portal,
    order,
    put_customers,
    put_orders,
    rows,
)

NOW = at("2026-03-01 13:00")
FOUND = (
    "SELECT c.external_id, s.r, s.f, s.m, s.quality FROM scores s JOIN customers c ON c.portal_id = s.portal_id"
    " AND c.number = s.customer ORDER BY length(c.external_id), c.external_id"
)


def score(database, portal, *, as_of=None, method=None, now=NOW, run_id="r1"):
    with database.session() as session:
        stored = session.get_one(Portal, portal.portal_id)
        moment = scoring.as_of_moment(stored.time_zone, as_of, now)
        run = scores.start_run(session, portal.portal_id, run_id, "run", moment.day, now)
        return scoring.score_portal(session, stored, run, moment, method)


def ago(days):
    return NOW - timedelta(days=days)


@pytest.fixture
def portal(database):
    kept = keep_portal(database)
    with database.session() as session:
        mirror.store_staff(session, kept.portal_id, [Manager("1", "A")], [])
    put_customers(database, kept, *(contact(str(n), manager_id="1") for n in range(1, 6)))
    return kept


# --- as of ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Europe/Moscow", "UTC+03:00"])
def test_as_of_is_now_or_the_end_of_the_named_day_in_the_portals_zone(name):
    late = at("2026-03-01 21:30")
    assert scoring.as_of_moment(name, None, late) == scoring.Moment(date(2026, 3, 2), late)
    ends = at("2026-02-28 20:59:59.999999")
    assert scoring.as_of_moment(name, date(2026, 2, 28), late) == scoring.Moment(date(2026, 2, 28), ends)
    today = scoring.as_of_moment(name, date(2026, 3, 2), late)
    assert today == scoring.Moment(date(2026, 3, 2), at("2026-03-02 20:59:59.999999"))
    assert today.number == 20_514


def test_a_day_on_which_the_clock_changes_ends_where_it_ends():
    assert scoring.as_of_moment("Europe/Berlin", date(2026, 3, 29), NOW + timedelta(days=99)).until == at(
        "2026-03-29 21:59:59.999999"
    )


def test_a_day_to_come_is_refused_by_the_portals_own_calendar():
    late = at("2026-03-01 21:30")
    scoring.as_of_moment("Europe/Moscow", date(2026, 3, 2), late)
    with pytest.raises(WrongUse, match="future"):
        scoring.as_of_moment("UTC", date(2026, 3, 2), late)


# --- who and what counts -------------------------------------------------------------------------------------------


def test_the_scores_are_those_of_the_contract_for_a_shop_one_can_count_by_hand(database, portal):
    put_orders(
        database,
        portal,
        order("1", contact_id="1", at=ago(3), amount=Decimal("10.004")),
        order("2", contact_id="1", at=ago(364), amount=Decimal("0.001")),
        order("3", contact_id="1", at=ago(365), amount=Decimal(1000)),
        order("4", contact_id="2", at=ago(400), amount=Decimal(7)),
        order("5", contact_id="3", at=ago(1), amount=Decimal(-7)),
        order("6", contact_id="4", at=ago(2), amount=None),
        order("7", contact_id="4", at=ago(1), amount=Decimal("-2.50")),
        order("8", contact_id="5", at=ago(2), amount=Decimal(5), currency="USD"),
        order("9", contact_id="5", at=ago(2), amount=Decimal(5), status=OrderStatus.LOST),
    )
    found = score(database, portal)
    assert [row[:4] for row in rows(database, FOUND)] == [
        ("1", 3, 2, Decimal("10.01")),
        ("2", 400, 0, 0),
        ("4", 2, 1, Decimal("-2.50")),
        ("5", 2, 1, 0),
    ]
    assert (found.scored, found.moved, found.published, found.version.label) == (4, 0, True, "sales5@1")
    assert sum(found.segments.values()) == 4
    assert "only 4 customers" in found.weak[0]


def test_gone_unread_and_foreign_cards_are_not_scored(database, portal):
    put_customers(database, portal, company("1", is_buyer=False))
    put_orders(
        database,
        portal,
        order("1", contact_id="1"),
        order("2", contact_id="2"),
        order("3", contact_id="unread"),
        order("4", company_id="1"),
    )
    with database.session() as session:
        mirror.mark_customers_gone(session, portal.portal_id, contact("2").ref.kind, ["2"])
    assert score(database, portal).scored == 1
    assert [row[0] for row in rows(database, FOUND)] == ["1"]


def test_orders_after_as_of_do_not_count_and_the_day_itself_does(database, portal):
    put_orders(
        database,
        portal,
        order("1", contact_id="1", at=at("2026-02-27 20:59:59")),
        order("2", contact_id="1", at=at("2026-02-28 20:59:59.999999")),
        order("3", contact_id="1", at=at("2026-02-28 21:00")),
        order("4", contact_id="2", at=at("2026-02-28 21:00")),
    )
    score(database, portal, as_of=date(2026, 2, 28))
    assert [row[:3] for row in rows(database, FOUND)] == [("1", 0, 2)]


def test_an_order_of_later_today_does_not_count_now(database, portal):
    put_orders(
        database,
        portal,
        order("1", contact_id="1", at=ago(0)),
        order("2", contact_id="1", at=NOW + timedelta(seconds=1)),
    )
    score(database, portal)
    assert [row[:3] for row in rows(database, FOUND)] == [("1", 0, 1)]
    score(database, portal, as_of=date(2026, 3, 1), run_id="r2")
    assert [row[:3] for row in rows(database, FOUND)] == [("1", 0, 2)]


def test_a_deleted_order_and_a_merged_customer_leave_the_scores(database, portal):
    put_orders(database, portal, order("1", contact_id="1"), order("2", contact_id="1"), order("3", contact_id="2"))
    score(database, portal)
    with database.session() as session:
        mirror.mark_orders_gone(session, portal.portal_id, order("1").source, ["1"])
        mirror.mark_customers_gone(session, portal.portal_id, contact("2").ref.kind, ["2"])
    score(database, portal, run_id="r2")
    assert [row[:3] for row in rows(database, FOUND)] == [("1", 0, 1)]


def test_quality_counts_what_is_wrong_with_the_history_and_the_card(database, portal):
    put_customers(database, portal, contact("6"), contact("7", manager_id="left"))
    put_orders(
        database,
        portal,
        order("1", contact_id="1", at=ago(200)),
        order("2", contact_id="2", at=ago(200), amount=None),
        order("3", contact_id="3", at=ago(200), currency="USD"),
        order("4", contact_id="4", at=ago(1)),
        order("5", contact_id="5", at=ago(200)),
        order("6", contact_id="5", at=ago(200), amount=Decimal(0)),
        order("7", contact_id="6", at=ago(200)),
        order("8", contact_id="7", at=ago(200)),
    )
    score(database, portal)
    causes = rows(database, "SELECT causes FROM scores ORDER BY customer")
    assert causes == [
        0,
        Cause.AMOUNT_ABSENT,
        Cause.NO_RATE,
        Cause.SHORT_HISTORY,
        Cause.AMOUNT_ZERO,
        Cause.MANAGER_MISSING,
        Cause.MANAGER_INACTIVE,
    ]
    quality = [row[4] for row in rows(database, FOUND)]
    assert quality[0] == 100
    assert all(points < 100 for points in quality[1:])


def test_sums_beyond_64_bits_are_exact(database, portal):
    huge = Decimal("3999999999999.99")
    put_orders(database, portal, *(order(str(n), contact_id="1", amount=huge) for n in range(5)))
    score(database, portal)
    assert rows(database, FOUND)[0][3] == huge * 5


# --- methods -------------------------------------------------------------------------------------------------------


def test_the_first_scoring_publishes_the_fit_and_later_ones_use_it_frozen(database, portal):
    put_orders(database, portal, *(order(str(n), contact_id=str(n), at=ago(n)) for n in range(1, 6)))
    assert score(database, portal).published
    body = rows(database, "SELECT body FROM methods")
    put_orders(database, portal, *(order(f"x{n}", contact_id="1", amount=Decimal(900)) for n in range(9)))
    again = score(database, portal, run_id="r2")
    assert (again.published, again.weak) == (False, ())
    assert rows(database, "SELECT body FROM methods") == body
    assert rows(database, "SELECT method FROM portals") == ["sales5@1"]
    assert rows(database, "SELECT action FROM audit") == ["method.published"]


def test_another_method_is_fitted_published_and_stays_in_force(database, portal):
    put_orders(database, portal, *(order(str(n), contact_id=str(n), at=ago(n)) for n in range(1, 6)))
    score(database, portal)
    other = score(database, portal, method="customer360", run_id="r2")
    assert (other.version.label, other.published, other.moved) == ("customer360@1", True, 0)
    assert score(database, portal, run_id="r3").version.label == "customer360@1"
    back = score(database, portal, method="sales5", run_id="r4")
    assert (back.version.label, back.published) == ("sales5@1", False)
    assert rows(database, "SELECT count(*) FROM moves") == [0]


def test_the_window_of_the_settings_is_frozen_into_the_version(database, portal):
    execute(database, """UPDATE portals SET settings = '{"window": 30}'""")
    put_orders(database, portal, order("1", contact_id="1", at=ago(29)), order("2", contact_id="1", at=ago(30)))
    assert score(database, portal).version.method.window == 30
    execute(database, "UPDATE portals SET settings = '{}'")
    score(database, portal, run_id="r2")
    assert [row[:3] for row in rows(database, FOUND)] == [("1", 29, 1)]


def test_a_portal_without_orders_has_nobody_to_score_and_publishes_nothing(database, portal):
    scored = score(database, portal)
    assert (scored.scored, scored.published, scored.version.name) == (0, False, "sales5")
    assert rows(database, "SELECT count(*) FROM methods") == [0]
    assert rows(database, "SELECT method FROM portals") == [None]


def test_a_portal_that_lost_all_its_orders_has_no_scores_and_no_error(database, portal):
    put_orders(database, portal, order("1", contact_id="1"))
    score(database, portal)
    with database.session() as session:
        mirror.mark_orders_gone(session, portal.portal_id, order("1").source, ["1"])
    assert score(database, portal, run_id="r2").scored == 0
    assert rows(database, FOUND) == []


def test_an_unknown_method_is_refused_with_those_there_are():
    scoring.check_method(None)
    scoring.check_method("octolis6")
    with pytest.raises(WrongUse, match="sales5, customer360, octolis6"):
        scoring.check_method("best")


def test_a_fit_for_show_stores_nothing(database, portal):
    put_orders(database, portal, *(order(str(n), contact_id=str(n), at=ago(n)) for n in range(1, 6)))
    with database.session() as session:
        stored = session.get_one(Portal, portal.portal_id)
        method, fitted, customers = scoring.fit_portal(session, stored, scoring.as_of_moment("UTC", None, NOW), None)
    assert (method.name, customers, len(fitted.thresholds.r)) == ("sales5", 5, 4)
    assert rows(database, "SELECT count(*) FROM methods") == [0]


@pytest.mark.parametrize("language", ["ru", "en"])
def test_there_is_a_hint_for_every_segment_in_the_portals_language(database, portal, language):
    put_orders(database, portal, order("1", contact_id="1"))
    version = score(database, portal).version
    hints = scoring.hints_of(version, language)
    assert set(hints) == {segment.value for segment in version.method.segments}
    assert all(("а" in text) is (language == "ru") for text in hints.values())


def test_epoch_days_agree_between_python_and_the_database(database, portal):
    put_orders(database, portal, order("1", at=datetime(2026, 3, 1, 12, tzinfo=UTC)))
    assert rows(database, "SELECT day FROM orders") == [(date(2026, 3, 1) - scoring.EPOCH).days]
