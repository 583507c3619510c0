"""From a notice to the card: one customer's event costs work for one customer, and ends in what a run gives."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from adapters.errors import Interrupted
from adapters.records import CRM, CustomerRef, OrderStatus
from connector.jobs import loop
from connector.jobs.drain import drain_portal
from connector.store import inbox
from connector.store.intake import StoredInbox
from tests.connector.factories import CONTACT, DEALS, connected, order, rows, stock
from tests.fakes.memory import MemoryCRM
from webhooks.deliveries import ChangeNotice, Delivery, Endpoint, Headers, Kind, Resource

NOW = datetime.now(UTC)


def ref(number):
    return CustomerRef(CONTACT, str(number))


@pytest.fixture
def crm():
    portal = MemoryCRM(page_size=30)
    stock(portal)
    return portal


@pytest.fixture
def service(monkeypatch, database, tmp_path, crm):
    with connected(monkeypatch, database, tmp_path, crm) as opened:
        yield opened


@pytest.fixture
def portal_id(database, service):
    loop.run_portal(service, "p")
    return rows(database, "SELECT portal_id FROM portals")[0]


def delivery(at=NOW):
    return Delivery(CRM.HUBSPOT, Endpoint.EVENTS, "POST", "", "", Headers(), b"", at)


@pytest.fixture
def accept(database, portal_id):
    account, vendor = rows(database, "SELECT account_id, crm FROM portals")[0]
    woken = []
    box = StoredInbox(database, woken.append)

    def keep(*notices, at=NOW):
        named = [
            ChangeNotice(account_id=account, resource=resource, external_id=str(number), kind=kind, **more)
            for resource, number, kind, more in notices
        ]
        box.store(replace(delivery(at), crm=CRM(vendor)), notices=named)
        with database.session() as session:
            inbox.gather(session, portal_id)
        return list(woken)

    yield keep
    box.close()


def deal(number, kind=Kind.CHANGED, **more):
    return (Resource.DEAL, number, kind, more)


def test_a_new_deal_reaches_its_customer_and_nobody_else(database, service, crm, portal_id, accept):
    before = {number: dict(crm.card(ref(number))) for number in range(1, 13)}
    crm.add_order(order("9001", contact_id="1", at=NOW - timedelta(minutes=5), amount=Decimal(500)))
    accept(deal(9001, Kind.CREATED))
    reads = crm.calls["orders_by_id"]
    done = drain_portal(service, portal_id)
    assert (done.records, done.customers, done.written, done.finished) == (1, 1, 1, True)
    assert crm.calls["orders_by_id"] == reads + 1
    card = crm.card(ref(1))
    assert card["f"] == before[1]["f"] + 1
    assert card["r"] == 0
    assert {number: dict(crm.card(ref(number))) for number in range(2, 13)} == {n: before[n] for n in range(2, 13)}
    again = loop.run_portal(service, "p")
    assert again.written == 0


def test_many_events_of_one_record_are_one_piece_of_work(database, portal_id, accept):
    for _ in range(5):
        accept(deal(1), deal(1), (Resource.CONTACT, 3, Kind.CHANGED, {}))
    assert sorted(rows(database, "SELECT resource, external_id, times FROM inbox")) == [
        ("contact", "3", 5),
        ("deal", "1", 5),
    ]


def test_an_echo_and_a_strangers_event_are_not_kept(database, portal_id, accept):
    accept(deal(1, is_echo=True))
    StoredInbox(database, lambda _: None).store(
        delivery(), notices=[ChangeNotice("nobody", Resource.DEAL, "1", Kind.CHANGED)]
    )
    assert rows(database, "SELECT count(*) FROM inbox UNION ALL SELECT count(*) FROM arrivals") == [0, 0]


def test_a_reopened_and_a_deleted_deal_leave_the_history(database, service, crm, portal_id, accept):
    mine = [held.record for held in crm.sold[DEALS].values() if held.record.contact_id == "12"][:2]
    frequency = crm.card(ref(12))["f"]
    crm.edit_order(DEALS, mine[0].external_id, status=OrderStatus.OPEN)
    crm.delete_order(DEALS, mine[1].external_id)
    accept(deal(mine[0].external_id), deal(mine[1].external_id, Kind.DELETED))
    drain_portal(service, portal_id)
    assert crm.card(ref(12))["f"] == frequency - 2
    assert loop.run_portal(service, "p").written == 0


def test_an_event_that_changes_nothing_ends_without_a_run(database, service, crm, portal_id, accept):
    runs = rows(database, "SELECT count(*) FROM runs")
    writes = crm.calls["write_scores"]
    accept((Resource.CONTACT, 5, Kind.CHANGED, {}))
    done = drain_portal(service, portal_id)
    assert (done.records, done.written) == (1, 0)
    assert rows(database, "SELECT count(*) FROM runs") == runs
    assert crm.calls["write_scores"] == writes
    assert rows(database, "SELECT count(*) FROM inbox") == [0]


def test_what_was_cut_off_before_the_answer_is_done_by_the_next_drain(database, service, crm, portal_id, accept):
    crm.add_order(order("9002", contact_id="2", at=NOW - timedelta(minutes=5), amount=Decimal(70)))
    accept(deal(9002, Kind.CREATED))
    crm.fail("write_scores", Interrupted("cut"), done=False)
    with pytest.raises(Interrupted):
        drain_portal(service, portal_id)
    assert rows(database, "SELECT count(*) FROM inbox") == [0]
    drain_portal(service, portal_id)
    assert crm.card(ref(2))["r"] == 0
    assert loop.run_portal(service, "p").written == 0


def test_an_event_that_arrives_while_its_record_is_read_stays(database, portal_id, accept):
    accept(deal(1))
    with database.session() as session:
        seen = inbox.waiting(session, portal_id, 10)
    accept(deal(1), at=NOW + timedelta(seconds=1))
    with database.session() as session:
        assert inbox.taken(session, portal_id, seen) == 0
    assert rows(database, "SELECT count(*) FROM inbox") == [1]


def test_scores_after_many_single_events_equal_those_of_a_whole_run(database, service, crm, portal_id, accept):
    for number in range(1, 13):
        crm.add_order(
            order(str(9100 + number), contact_id=str(number), at=NOW - timedelta(days=number), amount=Decimal(number))
        )
        accept(deal(9100 + number, Kind.CREATED))
        drain_portal(service, portal_id)
    columns = "customer, r, f, m, code, segment, quality, causes, churn_risk, upsell, orders_total, last_day"
    singly = rows(database, f"SELECT {columns} FROM scores ORDER BY customer")
    loop.run_portal(service, "p")
    assert rows(database, f"SELECT {columns} FROM scores ORDER BY customer") == singly
    assert rows(database, "SELECT count(*) FROM inbox") == [0]
