"""An order history from a file: counted once, the same file again changes nothing."""

from __future__ import annotations

from decimal import Decimal

import pytest

from connector.errors import UnknownPortal
from connector.sync.imports import import_history, read_history
from tests.connector.factories import (
    at,
    company,
    contact,
    keep_portal,
    order,
    put_customers,
    put_orders,
    rows,
)

HEAD = "client;date;sum;order;deal;product;quantity;currency"
OWNERS = (
    "SELECT o.external_id, c.kind || ':' || c.external_id FROM orders o JOIN customers c"
    " ON c.portal_id = o.portal_id AND c.number = o.customer ORDER BY 1"
)


@pytest.fixture
def portal(database):
    kept = keep_portal(database)
    put_customers(database, kept, contact("1"), contact("2"), contact("9"))
    put_customers(database, kept, company("7"), company("9"))
    return kept


def load(database, tmp_path, *lines, **more):
    path = tmp_path / "orders.csv"
    path.write_text("\n".join([HEAD, *lines]))
    return import_history(database, "p", read_history(str(path)), **more)


def test_rows_become_orders_of_the_customer_they_name(database, portal, tmp_path):
    found = load(
        database,
        tmp_path,
        "contact:1;2026-03-01;10;a",
        "company:7;2026-03-01;20;b",
        "2;2026-03-02;5;c",
        "7;2026-03-02;5;d",
    )
    assert (found["orders"], found["customers"], found["changed"], found["refused"]) == (4, 3, 4, [])
    assert rows(database, OWNERS) == [("a", "contact:1"), ("b", "company:7"), ("c", "contact:2"), ("d", "company:7")]


def test_a_company_and_a_contact_with_one_id_are_two_customers(database, portal, tmp_path):
    found = load(database, tmp_path, "contact:9;2026-03-01;10;a", "company:9;2026-03-01;20;b")
    assert found["customers"] == 2


def test_an_id_that_two_cards_have_must_say_which_and_a_strange_name_is_not_repeated(database, portal, tmp_path):
    found = load(database, tmp_path, "9;2026-03-01;10;a", "Ivan Petrov: shop;2026-03-01;10;b", "1;2026-03-01;1;c")
    assert [problem["row"] for problem in found["refused"]] == [2, 3]
    assert "company:ID" in found["refused"][0]["reason"]
    assert "Ivan" not in found["refused"][1]["reason"]
    assert found["orders"] == 1


def test_the_same_file_again_changes_nothing(database, portal, tmp_path):
    lines = ["1;2026-03-01;10;;;tea;2", "1;2026-03-01;10;;;tea;2", "2;2026-03-01;3;z;;x;1", "1;2026-03-02;7"]
    assert load(database, tmp_path, *lines)["changed"] == 4
    before = rows(database, "SELECT external_id, xmin::text FROM orders ORDER BY 1")
    assert load(database, tmp_path, *lines)["changed"] == 0
    assert rows(database, "SELECT external_id, xmin::text FROM orders ORDER BY 1") == before


def test_two_equal_rows_without_a_number_are_two_orders(database, portal, tmp_path):
    assert load(database, tmp_path, "1;2026-03-01;10", "1;2026-03-01;10")["orders"] == 2


def test_rows_that_share_a_number_are_the_lines_of_one_order(database, portal, tmp_path):
    load(database, tmp_path, "1;2026-03-01;10;a;;tea;4", "1;2026-03-01;5.50;a;;milk;1")
    assert rows(database, "SELECT amount FROM orders") == [Decimal("15.50")]
    lines = rows(database, "SELECT product_id, quantity, price FROM order_lines ORDER BY position")
    assert lines == [("tea", 4, Decimal("2.5")), ("milk", 1, Decimal("5.5"))]


def test_a_number_that_belongs_to_another_customer_is_refused(database, portal, tmp_path):
    found = load(database, tmp_path, "1;2026-03-01;10;a", "2;2026-03-01;5;a")
    assert (found["orders"], [problem["row"] for problem in found["refused"]]) == (1, [3])


def test_a_local_time_is_the_portals(database, portal, tmp_path):
    load(database, tmp_path, "1;2026-03-01 00:30;10;a", "1;2026-03-01T00:30:00+00:00;10;b")
    assert rows(database, "SELECT at FROM orders ORDER BY external_id") == [
        at("2026-02-28 21:30"),
        at("2026-03-01 00:30"),
    ]
    assert rows(database, "SELECT day - 20513 FROM orders ORDER BY external_id") == [0, 0]


def test_imported_orders_count_beside_the_deals_and_a_named_deal_only_once(database, portal, tmp_path):
    put_orders(database, portal, order("500"), order("501"))
    load(database, tmp_path, "1;2026-03-01;10;a;500", "1;2026-03-01;10;b;777", "1;2026-03-01;10;c")
    assert [row[0] for row in rows(database, OWNERS)] == ["500", "501", "b", "c"]
    assert rows(database, "SELECT settings FROM portals") == [{"order_sources": ["deals", "import"]}]
    assert load(database, tmp_path, "1;2026-03-01;10;a;500", "1;2026-03-01;10;c")["changed"] == 0


def test_only_imported_orders_count_when_that_is_asked_for(database, portal, tmp_path):
    put_orders(database, portal, order("500"))
    load(database, tmp_path, "1;2026-03-01;10;a;500", only=True)
    assert rows(database, OWNERS) == [("a", "contact:1")]
    assert rows(database, "SELECT action, detail -> 'order_sources' FROM audit WHERE action LIKE 'settings.%'") == [
        ("settings.changed", [None, ["import"]])
    ]
    assert rows(database, "SELECT detail FROM audit WHERE action = 'orders.imported'") == [{"orders": 1, "changed": 1}]


def test_a_dry_run_tells_and_stores_nothing(database, portal, tmp_path):
    found = load(database, tmp_path, "1;2026-03-01;10;a", "1;never;10;b", dry_run=True)
    assert (found["orders"], found["changed"], len(found["refused"])) == (1, 0, 1)
    assert rows(database, "SELECT count(*) FROM orders") == [0]
    assert rows(database, "SELECT settings FROM portals") == [{}]


def test_a_file_of_bad_rows_changes_no_setting(database, portal, tmp_path):
    found = load(database, tmp_path, "1;never;10;a")
    assert (found["orders"], len(found["refused"])) == (0, 1)
    assert rows(database, "SELECT settings FROM portals") == [{}]


def test_a_history_longer_than_a_chunk_is_stored_whole(database, portal, tmp_path, monkeypatch):
    monkeypatch.setattr("connector.sync.imports._CHUNK", 10)
    lines = [f"{1 + n % 2};2026-03-01;{n + 1};n{n};;tea;1" for n in range(35)]
    assert load(database, tmp_path, *lines)["changed"] == 35
    assert rows(database, "SELECT count(*), sum(amount) FROM orders") == [(35, 35 * 36 // 2)]
    assert rows(database, "SELECT count(*) FROM order_lines") == [35]


def test_an_unknown_portal_is_named(database, tmp_path):
    with pytest.raises(UnknownPortal):
        load(database, tmp_path, "1;2026-03-01;10;a")
