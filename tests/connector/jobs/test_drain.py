"""From a notice to the card: one customer's event costs work for one customer, and ends in what a run gives."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from adapters.errors import Interrupted, InvalidValue, Malformed, Unavailable
from adapters.records import CRM, CustomerRef, OrderStatus
from connector.deadline import NEVER
from connector.jobs import definitions, leaving, loop, schedule, watch
from connector.jobs.drain import drain_portal
from connector.jobs.metrics import metrics_text
from connector.store import inbox
from connector.store.intake import StoredInbox
from tests.connector.factories import CONTACT, DEALS, connected, execute, order, rows, stock
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
    crm.add_order(order("9001", contact_id="1", at=NOW - timedelta(seconds=5), amount=Decimal(500)))
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
    crm.add_order(order("9002", contact_id="2", at=NOW - timedelta(seconds=5), amount=Decimal(70)))
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


# --- records that cannot be read -------------------------------------------------------------------------------------


class Strange:
    """Breaks the reading of some deals, as a record does that nobody has foreseen."""

    def __init__(self, monkeypatch, *deals, error=None):
        self.deals, self.error = {str(deal) for deal in deals}, error or Malformed("no id", path="result.7.id")
        read = MemoryCRM.orders_by_id

        def orders_by_id(crm, source, ids, *, lines=True):
            if self.deals & set(ids):
                raise self.error
            return read(crm, source, ids, lines=lines)

        monkeypatch.setattr(MemoryCRM, "orders_by_id", orders_by_id)


def sold(crm, *numbers):
    for number in numbers:
        crm.add_order(order(str(9200 + number), contact_id=str(number), at=NOW, amount=Decimal(number)))
    return [deal(9200 + number, Kind.CREATED) for number in numbers]


ASIDE = "SELECT external_id, reason FROM inbox WHERE not_before > now() ORDER BY 1"


@pytest.mark.parametrize("error", [Malformed("no id", path="result.7.id"), KeyError("ID"), InvalidValue("bad id")])
def test_a_record_that_cannot_be_read_is_set_aside_and_the_others_reach_their_cards(
    monkeypatch, database, service, crm, portal_id, accept, error
):
    accept(*sold(crm, *range(1, 10)))
    Strange(monkeypatch, 9205, error=error)
    done = drain_portal(service, portal_id)
    assert (done.records, done.aside, done.finished) == (8, 1, True)
    assert [crm.card(ref(number))["r"] for number in (1, 2, 3, 4, 6, 7, 8, 9)] == [0] * 8
    ((bad, reason),) = rows(database, ASIDE)
    assert bad == "9205"
    assert "'ID'" not in reason
    assert drain_portal(service, portal_id).records == 0


def test_what_was_set_aside_is_told_counted_tried_a_day_later_and_forgotten_once_it_can_be_read(
    monkeypatch, database, service, crm, portal_id, accept
):
    accept(*sold(crm, 1, 2))
    strange = Strange(monkeypatch, 9202)
    drain_portal(service, portal_id)
    with database.session() as session:
        told = [alarm for alarm in watch.alarms(session, datetime.now(UTC)) if alarm.kind == "aside"]
        assert [(alarm.portal_id, alarm.detail["records"]) for alarm in told] == [(portal_id, 1)]
        assert 'rfm_inbox_set_aside{portal="p"} 1' in metrics_text(session, datetime.now(UTC))
        assert inbox.portals_waiting(session) == []
    execute(database, "UPDATE inbox SET not_before = now() - interval '1 second'")
    assert drain_portal(service, portal_id).aside == 1
    assert [one for one, _ in rows(database, ASIDE)] == ["9202"]
    strange.deals.clear()
    execute(database, "UPDATE inbox SET not_before = now() - interval '1 second'")
    assert drain_portal(service, portal_id).aside == 0
    assert crm.card(ref(2))["r"] == 0
    with database.session() as session:
        assert inbox.aside(session) == []


def test_news_of_a_record_that_is_set_aside_bring_its_next_try_forward(
    monkeypatch, database, portal_id, crm, service, accept
):
    accept(*sold(crm, 1))
    Strange(monkeypatch, 9201)
    drain_portal(service, portal_id)
    soon = "SELECT not_before < now() + interval '16 minutes' FROM inbox"
    assert rows(database, soon) == [False]
    accept(deal(9201))
    assert rows(database, soon) == [True]


def test_where_no_record_can_be_read_the_fault_is_not_theirs_and_none_is_set_aside(
    monkeypatch, database, service, crm, portal_id, accept
):
    accept(*sold(crm, *range(1, 12)))
    Strange(monkeypatch, *range(9201, 9212))
    with pytest.raises(Malformed):
        drain_portal(service, portal_id)
    assert rows(database, ASIDE) == []
    assert rows(database, "SELECT count(*) FROM inbox") == [11]


def test_a_crm_that_is_away_is_nobodys_fault(monkeypatch, database, service, crm, portal_id, accept):
    accept(*sold(crm, 1, 2))
    Strange(monkeypatch, 9201, error=Unavailable("away"))
    with pytest.raises(Unavailable):
        drain_portal(service, portal_id)
    assert rows(database, ASIDE) == []


def test_orders_of_a_card_that_was_merged_away_reach_the_one_that_stays(service, crm, portal_id, accept):
    before, lost = crm.card(ref(1))["f"], crm.card(ref(12))["f"]
    crm.merge(ref(1), ref(12))
    accept((Resource.CONTACT, 12, Kind.DELETED, {}))
    drain_portal(service, portal_id)
    assert crm.card(ref(1))["f"] == before + lost
    assert loop.run_portal(service, "p").written == 0


def test_a_card_whose_writing_makes_no_sense_is_refused_with_the_reason_and_the_others_are_written(
    monkeypatch, database, service, crm, portal_id, accept
):
    write = MemoryCRM.write_scores

    def write_scores(crm, batch, fields):
        if any(change.customer == ref(5) for change in batch):
            raise Malformed("no id", path="result.id")
        return write(crm, batch, fields)

    accept(*sold(crm, *range(1, 10)))
    monkeypatch.setattr(MemoryCRM, "write_scores", write_scores)
    done = drain_portal(service, portal_id)
    assert (done.written, done.refused) == (8, 1)
    assert [crm.card(ref(number))["r"] for number in (1, 2, 3, 4, 6, 7, 8, 9)] == [0] * 8
    assert rows(database, "SELECT count(*) FROM changes WHERE state = 'planned'") == [0]
    monkeypatch.setattr(MemoryCRM, "write_scores", write)
    loop.run_portal(service, "p")
    assert crm.card(ref(5))["r"] == 0


# --- forgetting ------------------------------------------------------------------------------------------------------

TRACES = """
SELECT count(*) FROM customers WHERE external_id = '12' AND kind = 'contact'
UNION ALL SELECT count(*) FROM orders WHERE contact_id = '12'
UNION ALL SELECT count(*) FROM scores s JOIN customers c USING (portal_id) WHERE s.customer = c.number AND c.gone
UNION ALL SELECT count(*) FROM changes s JOIN customers c USING (portal_id) WHERE s.customer = c.number AND c.gone
UNION ALL SELECT count(*) FROM tasks s JOIN customers c USING (portal_id) WHERE s.customer = c.number AND c.gone
"""


def test_a_person_whom_the_crm_asks_to_forget_leaves_no_trace(database, service, crm, portal_id, accept):
    crm.delete_customer(ref(12))
    accept((Resource.CONTACT, 12, Kind.DELETED, {}), (Resource.CONTACT, 12, Kind.DELETED, {"erase": True}))
    drain_portal(service, portal_id)
    assert rows(database, TRACES) == [0] * 5
    assert rows(database, "SELECT count(*) FROM audit WHERE action = 'customer.erased'") == [1]
    assert rows(database, "SELECT count(*) FROM inbox") == [0]
    assert loop.run_portal(service, "p").written == 0


def test_a_person_is_forgotten_in_a_portal_that_nobody_works_on_too(database, portal_id, accept):
    accept((Resource.CONTACT, 12, Kind.DELETED, {"erase": True}), deal(1))
    assert leaving.forget_people(database) == 0
    execute(database, "UPDATE portals SET state = 'paused'")
    assert leaving.forget_people(database) == 1
    assert rows(database, TRACES)[:2] == [0, 0]
    assert rows(database, "SELECT external_id FROM inbox") == ["1"]


# --- what a pull finds -----------------------------------------------------------------------------------------------


def test_what_no_webhook_told_is_found_by_the_pull_and_reaches_the_cards(database, service, crm, portal_id):
    mine = next(held.record for held in crm.sold[DEALS].values() if held.record.contact_id == "12")
    frequency, others = crm.card(ref(12))["f"], crm.calls["write_scores"]
    crm.delete_order(DEALS, mine.external_id)
    sold(crm, 3)
    definitions.perform(service, schedule.PULL, portal_id, NEVER)
    assert crm.card(ref(12))["f"] == frequency - 1
    assert crm.card(ref(3))["r"] == 0
    assert crm.calls["write_scores"] == others + 1
    assert loop.run_portal(service, "p").written == 0


def test_a_pull_that_finds_nothing_writes_nothing(database, service, crm, portal_id):
    writes = crm.calls["write_scores"]
    definitions.perform(service, schedule.PULL, portal_id, NEVER)
    assert crm.calls["write_scores"] == writes
    assert rows(database, "SELECT count(*) FROM runs WHERE kind = 'event'") == [0]


def test_a_pull_that_finds_very_much_asks_for_a_run(monkeypatch, database, service, crm, portal_id):
    monkeypatch.setattr(definitions, "MOST_TOUCHED", 1)
    sold(crm, 1, 2, 3)
    definitions.perform(service, schedule.PULL, portal_id, NEVER)
    assert schedule.RUN in rows(database, "SELECT job FROM work WHERE asked_at IS NOT NULL")
