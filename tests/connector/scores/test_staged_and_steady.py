"""One run or many events, whole portals or a few customers: filters, stages and rules of stability give the same."""

from __future__ import annotations

import random
import tomllib
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest

from adapters.records import OrderLine
from connector.errors import WrongUse
from connector.scores import run as scoring
from connector.scores import versions
from connector.scores.versions import Act, Drafted, Reach
from connector.store import mirror, score_history, scores
from connector.store.models import Portal
from scoring.methods import load_method, parse_method
from tests.connector.factories import (
    DEALS,
    IMPORT,
    at,
    contact,
    execute,
    keep_portal,
    order,
    put_customers,
    put_orders,
    rows,
)

NOW = at("2026-03-01 13:00")
ANNA = Act("anna", NOW)
EVERYBODY = Reach()
SCORED = (
    "SELECT customer, r, f, m, code, segment, held_segment, method, upsell, churn_risk FROM scores ORDER BY customer"
)
FILTERS = (
    'pipelines = ["1", "2"]',
    'stages = ["won"]',
    'products = ["p1", "p2"]',
    'without_products = ["p3"]',
    'sources = ["import"]',
    "min_amount = 40\nmax_amount = 900",
    'without_periods = [{ first = 2025-12-01, last = 2026-01-15, reason = "closed" }]',
    'without_seasons = [{ first = "12-20", last = "01-10" }]',
    'pipelines = ["1"]\nproducts = ["p1"]\nmin_amount = 10\nwithout_seasons = [{ first = "02-01", last = "02-05" }]',
)


def score(database, portal, run_id, *, now=NOW, only=None, as_of=None):
    with database.session() as session:
        stored = session.get_one(Portal, portal.portal_id)
        moment = scoring.as_of_moment(stored.time_zone, as_of, now)
        run = scores.start_run(session, portal.portal_id, run_id, "run", moment.day, now, beside=only)
        if only is None:
            return scoring.score_portal(session, stored, run, moment, None)
        live = scoring.current_version(session, stored)
        return scoring.score_customers(session, stored, run, moment, live, only)


def publish(database, portal, method, thresholds, reach=EVERYBODY, act=ANNA):
    with database.session() as session:
        stored = session.get_one(Portal, portal.portal_id)
        row = versions.draft(session, stored, Drafted(method, thresholds, "test"), act)
        versions.publish(session, stored, row.label, reach, act, date(2026, 3, 1))
        return row.label


def with_words(words: str, name: str = "sales5"):
    """sales5 with more in its file."""
    return parse_method({**load_method(name).spec(), **tomllib.loads(words, parse_float=Decimal)})


def random_shop(database, seed: int, customers: int = 30, orders: int = 160, **more):
    """Contacts of two managers and deals of every kind, pipeline, stage and product."""
    dice = random.Random(seed)
    portal = keep_portal(database, settings={"order_sources": ["deals", "import"]}, **more)
    put_customers(database, portal, *(contact(str(n), manager_id=str(1 + n % 2)) for n in range(1, customers + 1)))
    for source in (DEALS, IMPORT):
        put_orders(
            database,
            portal,
            *(some_order(dice, f"{source.value}-{n}", source, customers) for n in range(orders // 2)),
            source=source,
        )
    return portal


def some_order(dice, external_id, source, customers, *, moment=None, buyer=None):
    amount = dice.choice([None, Decimal(0), Decimal(-30), *(Decimal(dice.randint(1, 1000)) for _ in range(9))])
    products = dice.sample(["p1", "p2", "p3"], dice.randint(0, 2))
    return order(
        external_id,
        source=source,
        contact_id=buyer or str(dice.randint(1, customers)),
        at=moment or NOW - timedelta(days=dice.randint(0, 500), hours=dice.randint(0, 12)),
        amount=amount,
        pipeline_id=dice.choice(["1", "2", "3"]),
        stage_id=dice.choice(["won", "paid"]),
        lines=tuple(OrderLine(product, None, Decimal(1), Decimal(5)) for product in products),
    )


# --- filters -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", FILTERS)
def test_a_filter_counts_the_same_in_a_whole_run_and_customer_by_customer(database, words):
    portal = random_shop(database, 7)
    first = score(database, portal, "r1").version
    publish(database, portal, with_words(f"[filters]\n{words}"), first.thresholds)
    score(database, portal, "r2")
    whole = rows(database, SCORED)
    execute(database, "DELETE FROM scores")
    for number in range(30):
        score(database, portal, f"e{number}", only=[number])
    assert rows(database, SCORED) == whole
    assert whole


@pytest.mark.parametrize("words", FILTERS)
def test_a_filter_gives_what_a_portal_without_the_other_orders_has(database, words):
    portal = random_shop(database, 11)
    first = score(database, portal, "r1").version
    method = with_words(f"[filters]\n{words}")
    publish(database, portal, method, first.thresholds)
    score(database, portal, "r2")
    filtered = [row[:6] for row in rows(database, SCORED)]
    keep = method.filters
    lines = "SELECT 1 FROM order_lines l WHERE l.source = o.source AND l.external_id = o.external_id"
    conditions = {
        "sources": f"source <> ALL('{{{','.join(keep.sources)}}}')",
        "pipelines": f"pipeline_id <> ALL('{{{','.join(keep.pipelines)}}}')",
        "stages": f"stage_id <> ALL('{{{','.join(keep.stages)}}}')",
        "products": f"NOT EXISTS ({lines} AND l.product_id = ANY('{{{','.join(keep.products)}}}'))",
        "without_products": f"EXISTS ({lines}) AND NOT EXISTS ({lines} AND l.product_id <>"
        f" ALL('{{{','.join(keep.without_products)}}}'))",
    }
    for name, condition in conditions.items():
        if getattr(keep, name):
            execute(database, f"UPDATE orders o SET customer = NULL WHERE {condition}")
    for name, sign in (("min_amount", "<"), ("max_amount", ">")):
        if (bound := getattr(keep, name)) is not None:
            execute(
                database,
                f"UPDATE orders SET customer = NULL WHERE weight IN (0, 2) AND coalesce(amount, 0) {sign} {bound}",
            )
    for row in rows(database, "SELECT source || ' ' || external_id, day FROM orders WHERE customer IS NOT NULL"):
        day = date(1970, 1, 1) + timedelta(days=row[1])
        out = any(period.first <= day <= period.last for period in keep.without_periods)
        for season in keep.without_seasons:
            here = (day.month, day.day)
            inside = season.first <= here <= season.last
            out |= inside if season.first <= season.last else here >= season.first or here <= season.last
        if out:
            execute(database, "UPDATE orders SET customer = NULL WHERE source || ' ' || external_id = :id", id=row[0])
    publish(database, portal, load_method("sales5"), first.thresholds)
    score(database, portal, "r3")
    assert [row[:6] for row in rows(database, SCORED)] == filtered


# --- stages --------------------------------------------------------------------------------------------------------


def test_an_event_scores_a_customer_by_the_version_of_his_manager(database):
    portal = random_shop(database, 3)
    with database.session() as session:
        mirror.store_staff(session, portal.portal_id, [mirror.Manager("1", "A"), mirror.Manager("2", "B")], [])
    live = score(database, portal, "r1").version
    other = replace(live.thresholds, f=(0, 0, 1, 1))
    label = publish(database, portal, live.method, other, Reach("managers", ("2",)))
    score(database, portal, "r2")
    whole = rows(database, SCORED)
    assert {row[7] for row in whole} == {"sales5@1", label}
    managers = dict(rows(database, "SELECT number, manager_id FROM customers"))
    assert all((row[7] == label) is (managers[row[0]] == "2") for row in whole)
    execute(database, "DELETE FROM scores")
    for start in range(0, 30, 7):
        score(database, portal, f"e{start}", only=range(start, min(start + 7, 30)))
    assert rows(database, SCORED) == whole


def test_versions_of_different_methods_stand_side_by_side(database):
    portal = random_shop(database, 5)
    with database.session() as session:
        mirror.store_staff(session, portal.portal_id, [mirror.Manager("1", "A"), mirror.Manager("2", "B")], [])
    score(database, portal, "r1")
    limits = load_method("customer360")
    label = publish(database, portal, limits, limits.limits, Reach("managers", ("1",)))
    found = score(database, portal, "r2")
    assert [version.label for version in found.versions] == ["sales5@1", label]
    by_method = dict(rows(database, "SELECT method, count(DISTINCT length(code)) FROM scores GROUP BY method"))
    assert by_method == {"sales5@1": 1, label: 1}
    assert sum(found.segments.values()) == found.scored
    assert rows(database, "SELECT count(*) FROM moves WHERE run_id = 'r2'") == [0]
    score(database, portal, "r3")
    assert rows(
        database, "SELECT DISTINCT run_id FROM scores WHERE changed_at = (SELECT max(changed_at) FROM scores)"
    ) != ["r3"]


# --- stability -----------------------------------------------------------------------------------------------------

STEADY = "dwell = 14\nhold = true\n\n[hysteresis]\nr = 5\nf = 1\n"


def walk(database, portal, dice, days, *, each):
    """Days pass and orders come; `each` scores in its way."""
    for step in range(days):
        now = NOW + timedelta(days=3 * step)
        touched = []
        for k in range(dice.randint(0, 3)):
            buyer = str(dice.randint(1, 30))
            put_orders(database, portal, some_order(dice, f"new-{step}-{k}", DEALS, 30, moment=now, buyer=buyer))
            touched.append(int(buyer) - 1)
        each(step, now, sorted(set(touched)))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_steady_scores_are_the_same_with_events_between_the_runs_and_without(database, seed):
    seen = []
    for with_events in (False, True):
        execute(
            database,
            "DELETE FROM portals; DELETE FROM customers; DELETE FROM orders; DELETE FROM order_lines;"
            " DELETE FROM methods; DELETE FROM releases; DELETE FROM runs; DELETE FROM scores; DELETE FROM moves;"
            " DELETE FROM score_history; DELETE FROM delivery_facts",
        )
        portal = random_shop(database, seed)
        first = score(database, portal, "r0").version
        publish(database, portal, with_words(STEADY), first.thresholds)
        score(database, portal, "r1")
        found = []

        def each(step, now, touched, portal=portal, found=found, events=with_events):
            if events:
                for number in touched:
                    score(database, portal, f"e{step}-{number}", now=now, only=[number])
            score(database, portal, f"s{step}", now=now)
            found.append(rows(database, SCORED))

        walk(database, portal, random.Random(seed), 12, each=each)
        seen.append(found)
    assert seen[0] == seen[1]
    assert any(row[6] is not None for row in seen[0][-1])


def test_scoring_the_same_day_again_changes_nothing_of_what_is_held(database):
    portal = random_shop(database, 4)
    first = score(database, portal, "r0").version
    publish(database, portal, with_words(STEADY), first.thresholds)
    for step in range(6):
        now = NOW + timedelta(days=20 * step)
        score(database, portal, f"s{step}", now=now)
        once = rows(database, SCORED)
        score(database, portal, f"t{step}", now=now)
        assert rows(database, SCORED) == once


def test_a_customer_without_an_order_is_held_and_one_with_an_order_moves(database):
    portal = keep_portal(database)
    put_customers(database, portal, *(contact(str(n)) for n in range(1, 6)))
    put_orders(
        database,
        portal,
        *(order(f"{n}-{k}", contact_id=str(n), at=NOW - timedelta(days=n + k)) for n in range(1, 6) for k in range(n)),
    )
    first = score(database, portal, "r0").version
    plain = publish(database, portal, with_words("dwell = 60"), first.thresholds)
    score(database, portal, "r1")
    was = dict(rows(database, "SELECT customer, segment FROM scores"))
    later = NOW + timedelta(days=30)
    put_orders(database, portal, order("new", contact_id="1", at=later, amount=Decimal(9000)))
    score(database, portal, "r2", now=later)
    now = {row[0]: row[1:] for row in rows(database, "SELECT customer, segment, held_segment, method FROM scores")}
    assert all(now[customer][0] == was[customer] for customer in (1, 2, 3, 4))
    assert any(now[customer][1] is not None for customer in (1, 2, 3, 4))
    assert now[0][1] is None
    assert {row[2] for row in now.values()} == {plain}
    score(database, portal, "r3", now=NOW + timedelta(days=70))
    assert rows(database, "SELECT count(*) FROM scores WHERE held_segment IS NOT NULL AND customer > 0") == [0]


# --- history -------------------------------------------------------------------------------------------------------


def test_any_day_can_be_shown_as_it_was_scored_then(database):
    portal = random_shop(database, 9)
    seen = {}
    dice = random.Random(9)

    def each(step, now, touched):
        score(database, portal, f"s{step}", now=now)
        seen[now] = {row[0]: row[1:] for row in rows(database, "SELECT customer, r, f, m, code, segment FROM scores")}

    walk(database, portal, dice, 10, each=each)
    with database.session() as session:
        for now, found in seen.items():
            day = scoring.as_of_moment("Europe/Moscow", None, now).number
            past = {number: score_history.score_on(session, portal.portal_id, number, day) for number in range(30)}
            shown = {n: (p.r, p.f, p.m, p.code, p.segment) for n, p in past.items() if p is not None}
            assert shown == found
            sizes = score_history.segments_on(session, portal.portal_id, day)
            assert sum(sizes.values()) == len(found)
            between = score_history.flows(session, portal.portal_id, day, day + 1)
            assert sum(count for (was, now_), count in between.items() if was is not None) == len(found)
    kept = rows(database, "SELECT count(*) FROM score_history")[0]
    assert kept < 30 * 10


def test_a_customer_who_lost_his_orders_ends_and_forgetting_keeps_later_days(database):
    portal = keep_portal(database)
    put_customers(database, portal, contact("1"))
    put_orders(database, portal, order("1", contact_id="1", at=NOW))
    score(database, portal, "r1")
    with database.session() as session:
        mirror.mark_orders_gone(session, portal.portal_id, DEALS, ["1"])
    score(database, portal, "r2", now=NOW + timedelta(days=5))
    day = scoring.as_of_moment("Europe/Moscow", None, NOW).number
    with database.session() as session:
        shown = [score_history.score_on(session, portal.portal_id, 0, day + n) for n in (-1, 0, 4, 5, 99)]
        assert [one is not None for one in shown] == [False, True, True, False, False]
        assert score_history.forget_older(session, portal.portal_id, day + 3) == 0
        assert score_history.forget_older(session, portal.portal_id, day + 50) == 1
        assert score_history.score_on(session, portal.portal_id, 0, day + 60) is None


def test_who_changes_again_and_again_is_found_with_what_it_cost(database):
    portal = keep_portal(database)
    put_customers(database, portal, contact("1"), contact("2"))
    day = scoring.as_of_moment("Europe/Moscow", None, NOW).number
    path = ["loyal", "at_risk", "loyal", "at_risk"]
    for customer, segments in ((0, path), (1, ["vip", "loyal"])):
        for step, segment in enumerate(segments):
            execute(
                database,
                "INSERT INTO score_history VALUES (:p, :c, :d, :d, 1, 1, '111', :s, 'sales5@1', false, false)",
                p=portal.portal_id,
                c=customer,
                d=day - 20 + step,
                s=segment,
            )
    with database.session() as session:
        found = score_history.flapping(session, portal.portal_id, day - 29, day, least=3, limit=5)
        assert (found.customers, found.changes, found.tasks) == (1, 3, 0)
        assert [(one.external_id, one.changes, list(one.segments)) for one in found.worst] == [("1", 3, path[1:])]
        assert score_history.flapping(session, portal.portal_id, day - 29, day, least=4, limit=5).customers == 0


# --- two at once ---------------------------------------------------------------------------------------------------


def test_of_two_who_publish_at_once_one_does_and_the_other_is_told(database):
    portal = random_shop(database, 2)
    live = score(database, portal, "r1").version
    with database.session() as session:
        stored = session.get_one(Portal, portal.portal_id)
        for _ in range(2):
            versions.draft(session, stored, Drafted(live.method, live.thresholds, "test"), ANNA)
    with database.session() as one, database.session() as other:
        mine, theirs = (session.get_one(Portal, portal.portal_id) for session in (one, other))
        versions.publish(one, mine, "sales5@2", Reach(), ANNA, date(2026, 3, 1))
        with pytest.raises(WrongUse, match="somebody else is publishing"):
            versions.publish(other, theirs, "sales5@3", Reach(), ANNA, date(2026, 3, 1))
    assert rows(database, "SELECT method FROM portals") == ["sales5@2"]
    with database.session() as session, pytest.raises(WrongUse, match="in force already"):
        versions.publish(
            session, session.get_one(Portal, portal.portal_id), "sales5@2", Reach(), ANNA, date(2026, 3, 1)
        )
