"""Lists: whole in pieces, filtered, cheap however far; views: what they say."""

from __future__ import annotations

from contextlib import contextmanager
from decimal import Decimal

import pytest
import sqlalchemy as sa
from sqlalchemy import text

from connector.store import listing
from connector.store.listing import CustomerFilter
from connector.store.models import ManagerRow
from tests.connector.api.v1.conftest import Caller, add_shop
from tests.connector.factories import execute, rows
from tests.connector.web import shop


def walked(caller, path, limit):
    """Every row of a list, piece by piece, and how many pieces it took."""
    found, cursor, pieces = [], None, 0
    while True:
        query = {"limit": limit} | ({"cursor": cursor} if cursor else {})
        answer = caller.get(path, query)
        assert answer.status_code == 200, answer.text
        found += answer.json["items"]
        cursor, pieces = answer.json["next"], pieces + 1
        if cursor is None:
            return found, pieces


@pytest.mark.parametrize(
    ("path", "key", "count"),
    [
        ("customers", "customer", 12),
        ("runs", "run_id", 4),
        ("runs/r1/records", "customer", 2),
        ("tasks", "key", 3),
        ("refused", "customer", 3),
        ("audit", "id", 5),
        ("requests", "operation", 2),
        ("managers", "id", 3),
        ("teams", "id", 1),
    ],
)
def test_pieces_together_are_the_list_once(north, database, shops, path, key, count):
    _more_of_everything(database, shops[0])
    whole, _ = walked(north, f"/portals/north/{path}", 500)
    found, pieces = walked(north, f"/portals/north/{path}", 1)
    keys = [row[key] for row in found]
    assert (found, len(set(keys)), pieces) == (whole, len(keys), len(keys))
    assert len(keys) >= count


def _more_of_everything(database, portal_id):
    for number in (4, 5, 6):
        execute(
            database,
            "INSERT INTO runs (portal_id, run_id, kind, as_of, state, started_at)"
            " VALUES (:p, :r, 'run', '2026-11-23', 'done', now())",
            p=portal_id,
            r=f"r{number}",
        )
        execute(
            database,
            "INSERT INTO tasks SELECT portal_id, :k, customer, rule, :k, run_id, manager_id, title, body, priority,"
            " due_at, raised_on, state, external_id, reason, settled_at FROM tasks WHERE portal_id = :p AND key = 'k4'",
            p=portal_id,
            k=f"more-{number}",
        )
        execute(
            database,
            "INSERT INTO dead_letters SELECT portal_id, :n, state, field, reason, run_id, first_at, last_at, times"
            " FROM dead_letters WHERE portal_id = :p AND customer = 2",
            p=portal_id,
            n=number,
        )
        execute(
            database, "INSERT INTO audit (portal_id, actor, action, detail) VALUES (:p, 'x', 'y', '{}')", p=portal_id
        )
        execute(database, "INSERT INTO managers VALUES (:p, :id, 'Boris', true, '{3}')", p=portal_id, id=f"1{number}")


def test_a_row_that_comes_meanwhile_hides_no_other(north, database, shops):
    first = north.get("/portals/north/customers", {"limit": 5}).json
    execute(database, "DELETE FROM scores WHERE portal_id = :p AND customer < 3", p=shops[0])
    rest = north.get("/portals/north/customers", {"limit": 500, "cursor": first["next"]}).json["items"]
    assert [row["customer"] for row in rest] == [f"contact:{n}" for n in range(5, 12)]


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("segment=vip", [0, 5, 10]),
        ("code=344", [1, 6, 11]),
        ("r_min=3&r_max=5", [3, 4, 5]),
        ("f_min=5", [5, 6]),
        ("m_min=1000.00", [10, 11]),
        ("m_max=99.99", [0]),
        ("quality_max=99", []),
        ("manager=8&r_max=4", [0, 2, 4]),
        ("team=3", []),
        ("team=9", [1, 3, 5, 7, 9, 11]),
        ("churn_risk=true", [3, 8]),
        ("kind=company", []),
        ("segment=loyal&manager=7&m_min=200", [11]),
    ],
)
def test_filters_choose(north, database, shops, query, numbers):
    with database.session() as session:
        session.get(ManagerRow, (shops[0], "7")).team_ids = ["9"]
    found = north.get(f"/portals/north/customers?{query}").json["items"]
    assert [row["customer"] for row in found] == [f"contact:{number}" for number in numbers]


def test_money_is_text_with_its_currency_and_moments_are_utc(north):
    row = north.get("/portals/north/customers/contact:3").json["score"]
    assert row["m"] == {"amount": "300.00", "currency": "USD"}
    assert row["changed_at"] == "2026-11-24T12:00:00Z"
    run = north.get("/portals/north/runs/r1").json
    assert (run["as_of"], run["started_at"]) == ("2026-11-24", "2026-11-24T09:00:00Z")


def test_segments_add_up(north):
    found = north.get("/portals/north/segments").json
    assert found["customers"] == sum(one["customers"] for one in found["segments"]) == 12
    assert Decimal(found["revenue"]["amount"]) == sum(Decimal(one["revenue"]["amount"]) for one in found["segments"])
    assert sum(one["customers_share"] for one in found["segments"]) == pytest.approx(1, abs=0.001)
    assert found["segments"][0]["label_ru"]


def test_segments_of_a_past_day_are_from_the_history(north):
    found = north.get("/portals/north/segments?as_of=2026-10-01").json
    assert [(one["segment"], one["customers"], one["revenue"]["amount"]) for one in found["segments"]] == [
        ("sleeping", 12, "600.00")
    ]
    assert north.get("/portals/north/segments?as_of=2027-01-01").status_code == 422


def test_moves_between_two_days_name_both_ends(north):
    found = north.get("/portals/north/moves?from=2026-08-01&to=2026-11-24").json
    assert found["flows"] == [{"from": None, "to": "sleeping", "customers": 12}]
    assert north.get("/portals/north/moves?from=2026-11-24&to=2026-08-01").status_code == 422


def test_an_explanation_is_in_the_language_asked_for(north):
    told = {
        lang: north.get(f"/portals/north/customers/contact:3/explanation?language={lang}").json for lang in ("ru", "en")
    }
    assert told["ru"]["sentences"] != told["en"]["sentences"]
    assert [axis["name"] for axis in told["en"]["axes"]] == ["r", "f", "m"]


def test_a_card_says_whose_each_value_is(north):
    values = {one["field"]: one for one in north.get("/portals/north/customers/contact:1/card").json["values"]}
    assert (values["segment"]["by"], values["segment"]["previous"]) == ("us", "loyal")
    assert values["m"]["by"] == "unknown"


def test_what_has_not_changed_is_answered_without_a_body(north):
    first = north.get("/portals/north/customers")
    again = north.get("/portals/north/customers", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    other = north.get("/portals/north/customers?limit=3", headers={"If-None-Match": first.headers["ETag"]})
    assert other.status_code == 200


@contextmanager
def counted(app):
    sent: list[str] = []
    engine = app.extensions["api_v1"].service().database.engine

    def note(*words):
        sent.append(words[2])

    sa.event.listen(engine, "before_cursor_execute", note)
    yield sent
    sa.event.remove(engine, "before_cursor_execute", note)


@pytest.mark.parametrize(
    "path", ["customers", "runs", "runs/r1/records", "tasks", "refused", "audit", "requests", "managers", "segments"]
)
def test_many_rows_cost_as_many_queries_as_one(app, north, path):
    north.get("/portals")  # notes the use of the token
    costs = []
    for limit in (1, 500):
        with counted(app) as sent:
            north.get(f"/portals/north/{path}", None if path == "segments" else {"limit": limit})
        costs.append(len(sent))
    assert costs[0] == costs[1] <= 6


def test_more_portals_cost_no_more_queries(app, database, everything):
    everything.get("/portals")  # notes the use of the token
    with counted(app) as before:
        assert len(everything.get("/portals").json["items"]) == 2
    with database.session() as session:
        for name in ("east", "west"):
            add_shop(session, name, customers=1)
    with counted(app) as after:
        assert len(everything.get("/portals").json["items"]) == 4
    assert len(after) == len(before)


def test_lists_of_customers_are_read_by_an_index(database, shops):
    execute(
        database,
        "INSERT INTO customers (portal_id, number, kind, external_id, manager_id, seen)"
        " SELECT :p, n, 'company', n, n % 500, true FROM generate_series(100, 30000) n",
        p=shops[0],
    )
    execute(
        database,
        "INSERT INTO scores (portal_id, customer, r, f, m, code, segment, method, quality, causes, churn_risk, upsell,"
        " changed_at, run_id, orders_total, last_day)"
        " SELECT :p, n, 1, 1, 1, '555', CASE WHEN n % 1000 = 0 THEN 'rare' ELSE 'vip' END, 'sales5@1', 100, 0, false,"
        " false, now(), 'r1', 1, 1 FROM generate_series(100, 30000) n",
        p=shops[0],
    )
    for table in ("scores", "customers"):
        execute(database, f"ANALYZE {table}")
    for wanted, index in (
        (CustomerFilter(), "pk_scores"),
        (CustomerFilter(segment="rare"), "ix_scores_segment"),
        (CustomerFilter(manager="7"), "ix_customers_manager"),
    ):
        plan = _plan(database, shops[0], wanted)
        assert index in plan, plan
        assert "Seq Scan" not in plan, plan


def _plan(database, portal_id, wanted):
    with database.session() as session:
        asked = []
        sa.event.listen(session, "do_orm_execute", asked.append)
        listing.customers_after(session, portal_id, wanted, 10_000, 500)
        sql = asked[-1].statement.compile(session.get_bind(), compile_kwargs={"literal_binds": True})
        return "\n".join(session.execute(text(f"EXPLAIN {sql}")).scalars())


def test_an_empty_portal_answers_too(app, database, token_for, unhurried):
    with database.session() as session:
        portal_id = shop.add_portal(session, "empty").portal_id
    caller = Caller(app, token_for(portal_id))
    for path in ("", "/customers", "/segments", "/runs", "/report", "/work", "/alerts", "/methods", "/quality"):
        answer = caller.get(f"/portals/empty{path}")
        assert answer.status_code == 200, (path, answer.text)
    assert caller.get("/portals/empty/report").json["day"] is None
    assert rows(database, "SELECT count(*) FROM scores") == [0]
