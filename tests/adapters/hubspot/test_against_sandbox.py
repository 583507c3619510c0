"""The whole adapter over real sockets against the emulated account, with limits on; time is the test's own."""

from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from adapters.budget import LocalStates
from adapters.contract import Choice, FieldSpec, FieldType, OwnWrites
from adapters.errors import ScopeMissing, TokenExpired
from adapters.hosts import HostPolicy
from adapters.hubspot.adapter import HubSpot
from adapters.hubspot.auth import access_from_input
from adapters.records import CustomerKind, CustomerRef, OrderSource, OrderStatus, ScoreChange, TaskDraft
from adapters.transport import Transport
from sandbox.clock import ManualClock
from sandbox.faults import Faults
from sandbox.hubspot import create_portal
from sandbox.random_shop import random_shop
from sandbox.server import serve

START = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
TODAY = date(2026, 11, 22)
CONTACT, COMPANY, DEALS = CustomerKind.CONTACT, CustomerKind.COMPANY, OrderSource.DEALS
OBJECTS = {CONTACT: "contacts", COMPANY: "companies"}
SPECS = (
    FieldSpec("r", FieldType.INTEGER, "RFM: R"),
    FieldSpec("f", FieldType.INTEGER, "RFM: F"),
    FieldSpec("m", FieldType.DECIMAL, "RFM: M"),
    FieldSpec("code", FieldType.TEXT, "RFM: code"),
    FieldSpec("segment", FieldType.CHOICE, "RFM: segment", (Choice("vip", "VIP"), Choice("loyal", "Loyal"))),
    FieldSpec("segment_previous", FieldType.TEXT, "RFM: before"),
    FieldSpec("updated_at", FieldType.TIME, "RFM: changed"),
    FieldSpec("method", FieldType.TEXT, "RFM: method"),
    FieldSpec("quality", FieldType.INTEGER, "RFM: quality"),
    FieldSpec("churn_risk", FieldType.FLAG, "RFM: churn risk"),
    FieldSpec("upsell", FieldType.FLAG, "RFM: upsell"),
    FieldSpec("hint", FieldType.LONG_TEXT, "RFM: hint"),
)
STAMP = datetime(2026, 11, 22, 9, 1, 0, 123456, UTC)
VALUES = {
    "r": 3,
    "f": 2,
    "m": Decimal("10.50"),
    "code": "555",
    "segment": "vip",
    "updated_at": STAMP,
    "method": "sales5@1",
    "quality": 90,
    "churn_risk": False,
    "upsell": True,
    "hint": "what it means, первый шаг",
}
HELD = {**VALUES, "updated_at": STAMP.replace(microsecond=123000)}


class Run:
    """An adapter, its account, and the clock that both live by."""

    def __init__(self, portal, server, clock, token="T"):
        self.portal = portal
        self.clock = clock
        self.transport = Transport(HostPolicy(frozenset({"127.0.0.1"})), sleep=clock.advance, clock=clock.monotonic)
        access = access_from_input(token, server.url)
        self.crm = HubSpot(access, self.transport, LocalStates(clock.monotonic), now=clock.now)
        self.cursors = {}

    def customers(self, kind, fields=None, own_writes=None):
        found = []
        for page in self.crm.customers(kind, self.cursors.get(kind), fields=fields, own_writes=own_writes):
            found += page.records
            self.cursors[kind] = page.cursor
        return {one.ref.external_id: one for one in found}

    def orders(self, *, source=DEALS, lines=True):
        found = []
        for page in self.crm.orders(source, self.cursors.get(source), lines=lines):
            found += page.records
            self.cursors[source] = page.cursor
        return {one.external_id: one for one in found}

    def write_all(self, fields):
        outcomes = []
        for kind in CustomerKind:
            refs = [CustomerRef(kind, str(one)) for one in self.portal.ids(OBJECTS[kind])]
            for start in range(0, len(refs), 100):
                changes = [ScoreChange(ref, VALUES) for ref in refs[start : start + 100]]
                outcomes += self.crm.write_scores(changes, fields)
                self.clock.advance(0.1)
        return outcomes

    def requests(self):
        before, self.seen = getattr(self, "seen", 0), self.portal.requests
        return self.portal.requests - before


@contextmanager
def running(faults=None, *, customers=260, deals=540, lines=True, token="T", **behaviour):
    clock = ManualClock(START)
    shop = random_shop(7, customers, deals, TODAY, lines=lines)
    past = tuple(deal for deal in shop.deals if deal.status == "open" or deal.closed_at <= START)
    shop = replace(shop, deals=past[: deals - 20])
    portal = create_portal(shop, clock=clock, faults=faults or Faults.none(), token="T", orders=20)
    for name, value in behaviour.items():
        setattr(portal.behaviour, name, value)
    with serve(portal.app) as server:
        run = Run(portal, server, clock, token)
        try:
            yield run
        finally:
            run.transport.close()


@pytest.fixture
def run():
    with running() as started:
        yield started


def own_writes(outcomes):
    times = [one.written_at for one in outcomes]
    return OwnWrites(min(times), max(times), len(outcomes), (STAMP,))


def check_deals(run, deals):
    assert sorted(map(int, deals)) == run.portal.ids("deals")
    for deal_id, deal in deals.items():
        card = run.portal.card("deals", deal_id)
        people = run.portal.linked("deals", int(deal_id), "contacts")
        assert (deal.status is OrderStatus.WON) == (card["hs_is_closed_won"] == "true")
        assert deal.amount == (Decimal(card["amount"]) if "amount" in card else None)
        assert deal.company_id == card.get("hs_primary_associated_company")
        assert deal.contact_id == (str(min(people)) if people else None)
        assert deal.manager_id == card.get("hubspot_owner_id")
        items = run.portal.linked("deals", int(deal_id), "line_items")
        assert deal.status is not OrderStatus.WON or len(deal.lines) == len(items)


FAULTS = [None, lambda: Faults.all(1, 0.05), lambda: Faults.all(2, 0.08)]


@pytest.mark.parametrize("faults", FAULTS, ids=["calm", "faults", "more faults"])
@pytest.mark.parametrize(
    "behaviour", [{}, {"list_association_cap": 1, "association_page": 1, "no_links_is_error": True}]
)
def test_everything_is_read_as_it_stands_in_the_account(faults, behaviour):
    with running(faults and faults(), **behaviour) as run:
        for kind, objects in OBJECTS.items():
            assert sorted(map(int, run.customers(kind))) == run.portal.ids(objects)
        check_deals(run, run.orders())
        assert run.portal.exceeded == 0


@pytest.mark.parametrize("faults", FAULTS, ids=["calm", "faults", "more faults"])
def test_every_card_holds_what_was_written_and_is_read_back_equal(faults):
    with running(faults and faults()) as run:
        fields = run.crm.ensure_fields(SPECS, None)
        assert run.crm.ensure_fields(SPECS, fields) == fields
        assert all(outcome.ok for outcome in run.write_all(fields))
        for kind in CustomerKind:
            assert all(one.card == HELD for one in run.customers(kind, fields).values())
        assert run.portal.exceeded == 0


@pytest.mark.parametrize("faults", FAULTS, ids=["calm", "faults", "more faults"])
def test_each_task_is_there_once_whatever_goes_wrong(faults):
    with running(faults and faults()) as run:
        refs = [CustomerRef(kind, str(one)) for kind in CustomerKind for one in run.portal.ids(OBJECTS[kind])]
        drafts = [TaskDraft(f"k{n}", ref, None, "Call", "Why", START) for n, ref in enumerate(refs)]
        for start in range(0, len(drafts), 100):
            assert all(one.ok for one in run.crm.create_tasks(drafts[start : start + 100]))
        marks = [task["hs_task_body"].rsplit("\n", 1)[1] for task in run.portal.tasks()]
        assert sorted(marks) == sorted(draft.marker for draft in drafts)
        assert set(run.crm.find_tasks(drafts)) == {draft.key for draft in drafts}
        assert run.portal.exceeded == 0


def test_the_account_tells_how_much_there_is(run):
    before = run.portal.requests
    assert [run.crm.count(kind) for kind in (CONTACT, COMPANY, DEALS)] == [
        len(run.portal.ids(name)) for name in ("contacts", "companies", "deals")
    ]
    assert run.portal.requests == before + 3


def test_a_first_reading_costs_one_request_for_a_hundred_records(run):
    run.customers(CONTACT)
    run.customers(COMPANY)
    run.orders(lines=False)
    assert run.requests() == 2 + 2 + 6


def test_right_after_all_cards_were_written_nothing_new_costs_a_request_for_each_kind(run):
    fields = run.crm.ensure_fields(SPECS, None)
    for kind in CustomerKind:
        run.customers(kind, fields)
    run.orders()
    run.clock.advance(60)
    own = own_writes(run.write_all(fields))
    for pause_s in (1, 30, 120, 600):
        run.clock.advance(pause_s)
        run.requests()
        assert [run.customers(kind, fields, own) for kind in CustomerKind] == [{}, {}]
        assert run.orders() == {}
        assert run.requests() == 3
        own = None


def test_a_person_s_edit_after_our_write_is_found_even_by_a_late_index():
    with running(index_lag_s=20.0) as run:
        fields = run.crm.ensure_fields(SPECS, None)
        run.customers(CONTACT, fields)
        own = own_writes(run.write_all(fields))
        run.clock.advance(0.001)
        edited = str(run.portal.ids("contacts")[5])
        run.portal.edit("contacts", edited, rfm_segment="loyal")
        seen = run.customers(CONTACT, fields, own)
        run.clock.advance(30)
        seen.update(run.customers(CONTACT, fields))
        assert seen[edited].card["segment"] == "loyal"


def test_more_changes_in_one_millisecond_than_fit_a_page_are_all_read():
    with running(customers=900) as run:
        run.customers(CONTACT)
        run.clock.advance(600)
        for number in run.portal.ids("contacts"):
            run.portal.edit("contacts", number, firstname="New")
        run.clock.advance(1)
        run.portal.edit("contacts", run.portal.ids("contacts")[0], firstname="Newest")
        assert sorted(map(int, run.customers(CONTACT))) == run.portal.ids("contacts")
        assert run.portal.exceeded == 0


def test_won_reopened_and_new_deals_come_with_the_changes(run):
    deals = run.orders()
    run.clock.advance(600)
    reopened = next(key for key, deal in deals.items() if deal.status is OrderStatus.WON)
    won = next(key for key, deal in deals.items() if deal.status is OrderStatus.OPEN)
    run.portal.reopen(int(reopened))
    run.portal.win(int(won))
    changed = run.orders()
    assert {key: deal.status for key, deal in changed.items()} == {reopened: OrderStatus.OPEN, won: OrderStatus.WON}
    check_deals(run, {**deals, **changed})


def test_deleted_erased_and_merged_cards_are_told_and_nobody_else(run):
    known = run.portal.ids("contacts")
    run.customers(CONTACT)
    run.clock.advance(600)
    run.portal.delete("contacts", known[3])
    run.portal.erase("contacts", known[50])
    run.portal.merge("contacts", known[70], known[71])
    run.requests()
    drift = run.crm.customer_drift(CONTACT, known)
    assert drift.gone == {str(known[at]) for at in (3, 50, 71)}
    assert run.requests() < 8
    (winner,) = run.customers(CONTACT).values()
    assert (winner.ref.external_id, winner.merged_ids) == (str(known[70]), (str(known[71]),))
    assert run.crm.customer_drift(CONTACT, run.portal.ids("contacts")).gone == frozenset()


def test_a_batch_of_mixed_fates_is_settled_one_by_one(run):
    fields = run.crm.ensure_fields(SPECS, None)
    contacts, companies = run.portal.ids("contacts"), run.portal.ids("companies")
    run.portal.delete("contacts", contacts[1])
    run.portal.guard("contacts", contacts[2])
    changes = [ScoreChange(CustomerRef(CONTACT, str(one)), {"r": 1}) for one in contacts[:20]]
    changes.append(ScoreChange(CustomerRef(COMPANY, str(companies[0])), {"r": 1, "segment": "nonsense"}))
    changes.append(ScoreChange(CustomerRef(COMPANY, str(companies[1])), {"segment": "loyal"}))
    outcomes = run.crm.write_scores(changes, fields)
    assert [at for at, one in enumerate(outcomes) if not one.ok] == [1, 2, 20]
    assert outcomes[1].reason == "gone"
    assert outcomes[20].field == "segment"
    assert run.portal.card("companies", companies[1])["rfm_segment"] == "loyal"


def test_order_objects_are_tied_to_their_deals_and_read_like_them(run):
    assert run.crm.capabilities.sources == {DEALS, OrderSource.ORDERS}
    orders = run.orders(source=OrderSource.ORDERS)
    deals = run.orders()
    assert len(orders) == 20
    for order in orders.values():
        deal = deals[order.deal_id]
        assert (order.status, order.at, order.company_id) == (OrderStatus.WON, deal.at, deal.company_id)


def test_the_account_its_people_and_rates(run):
    info = run.crm.portal()
    assert (info.account_id, info.time_zone, info.currency) == ("101", "Europe/Moscow", "USD")
    assert run.crm.rates() == {"USD": Decimal(1), "EUR": Decimal("1.085")}
    managers, teams = run.crm.managers()
    assert [one.active for one in managers] == [True] * 11 + [False]
    assert {team.name for team in teams} == {"North", "South", "East"}


def test_a_wrong_token_is_one_clear_refusal():
    with running(token="wrong") as run, pytest.raises(TokenExpired, match="make a new one"):
        run.crm.portal()


def test_a_missing_scope_is_named(run):
    run.portal.scopes.discard("crm.schemas.contacts.write")
    with pytest.raises(ScopeMissing, match=r"crm\.schemas\.contacts\.write"):
        run.crm.ensure_fields(SPECS, None)


def test_the_limit_is_used_up_and_never_passed(run):
    for _ in range(400):
        run.crm.portal()
    assert run.portal.exceeded == 0
    assert run.clock.monotonic() <= 1.10 * 30.0
