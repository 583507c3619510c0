"""The adapter against the emulated account, with the vendor's limits in force and no real waiting."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from adapters.contract import Choice, Drift, FieldMap, FieldSpec, FieldType, OwnWrites
from adapters.errors import Blocked, Conflict, InvalidValue, ScopeMissing, TokenExpired, Unpaid, Unsupported
from adapters.records import CustomerKind, CustomerRef, OrderSource, OrderStatus, ScoreChange, TaskDraft
from sandbox.amocrm.account import Rules
from sandbox.amocrm.problems import Invalid
from sandbox.faults import Fault, Faults
from tests.adapters.amocrm.conftest import SPECS, START

COMPANY, CONTACT = CustomerKind.COMPANY, CustomerKind.CONTACT
DEALS, ORDERS = OrderSource.DEALS, OrderSource.ORDERS


def records(pages):
    return [record for page in pages for record in page.records]


def last_cursor(pages):
    return list(pages)[-1].cursor


def changes(kind, ids, **values):
    return [ScoreChange(CustomerRef(kind, str(one)), values) for one in ids]


# --- the account -----------------------------------------------------------------------------------------------


def test_the_account_is_told_and_costs_one_request(bench):
    info, cost = bench.cost(bench.adapter.portal)
    assert (info.currency, info.time_zone) == ("USD", "Europe/Moscow")
    assert cost == 1
    assert bench.cost(lambda: (bench.adapter.capabilities, bench.adapter.rates())) == (
        (bench.adapter.capabilities, {"USD": Decimal(1)}),
        0,
    )


def test_amocrm_tells_no_totals_and_is_not_asked(bench):
    assert bench.cost(lambda: bench.adapter.count(CustomerKind.CONTACT)) == (None, 0)


def test_capabilities_follow_the_options_of_the_account(open_bench):
    plain = open_bench().adapter.capabilities
    rich = open_bench(is_api_filter_enabled=True, customers_mode="segments").adapter.capabilities
    assert (plain.change_filter, plain.sources) == (False, {DEALS})
    assert (rich.change_filter, rich.sources) == (True, {DEALS, ORDERS})
    assert (plain.read_batch, plain.write_batch, plain.task_batch) == (250, 250, 50)


def test_staff_with_teams_and_the_inactive(bench):
    bench.portal.deactivate_user(5)
    managers, teams = bench.adapter.managers()
    assert {one.external_id for one in managers if not one.active} >= {"5"}
    assert {team for one in managers for team in one.team_ids} <= {team.external_id for team in teams}


def test_a_token_without_admin_rights_is_told_so(bench):
    managers, _ = bench.adapter.managers()
    bench.portal.give_token_to(int(managers[-1].external_id))
    with pytest.raises(ScopeMissing, match="administrator"):
        bench.adapter.managers()
    with pytest.raises(ScopeMissing, match="administrator"):
        bench.adapter.ensure_fields(SPECS, None)


def test_a_wrong_token_and_a_block_and_an_unpaid_account(bench):
    bench.adapter.portal()
    bench.portal.switch_paid(on=False)
    with pytest.raises(Unpaid):
        bench.adapter.ensure_fields(SPECS, None)
    bench.portal.block()
    with pytest.raises(Blocked):
        bench.adapter.portal()
    bench.portal.unblock()
    bench.portal.gate.token = "another"
    with pytest.raises(TokenExpired):
        bench.adapter.portal()


# --- orders ----------------------------------------------------------------------------------------------------


def test_leads_are_read_once_each_and_a_quiet_second_reading_costs_one_request(bench):
    bench.adapter.portal()
    pages, cost = bench.cost(lambda: list(bench.adapter.orders(DEALS, None, lines=False)))
    orders = records(pages)
    assert len({one.external_id for one in orders}) == len(orders) == len(bench.portal.account.leads)
    assert cost == -(-len(orders) // 250)
    bench.clock.advance(3600)
    again, cost = bench.cost(lambda: list(bench.adapter.orders(DEALS, pages[-1].cursor)))
    assert (records(again), cost) == ([], 1)


def test_a_won_lead_that_is_reopened_and_one_that_is_deleted(bench):
    pages = list(bench.adapter.orders(DEALS, None, lines=False))
    won = [one for one in records(pages) if one.status is OrderStatus.WON]
    bench.clock.advance(3600)
    bench.portal.reopen_lead(int(won[0].external_id))
    bench.portal.delete_leads([int(won[1].external_id)])
    changed = records(bench.adapter.orders(DEALS, pages[-1].cursor))
    assert [(one.external_id, one.status, one.at) for one in changed] == [(won[0].external_id, OrderStatus.OPEN, None)]
    known = sorted(int(one.external_id) for one in records(pages))
    assert bench.adapter.order_drift(DEALS, known) == Drift(gone=frozenset({won[1].external_id}))


def test_lines_carry_products_read_once(bench):
    orders = records(bench.adapter.orders(DEALS, None))
    lines = [line for one in orders for line in one.lines]
    assert lines
    assert all(line.name and line.price is not None and line.quantity > 0 for line in lines)
    ids = [one.external_id for one in orders if one.lines][:3]
    found = bench.adapter.orders_by_id(DEALS, ids)
    assert {one.external_id: one.lines for one in found.records} == {
        one.external_id: one.lines for one in orders if one.external_id in ids
    }


@pytest.mark.parametrize("has_filter", [False, True])
def test_leads_by_id_are_found_or_gone(open_bench, has_filter):
    bench = open_bench(is_api_filter_enabled=has_filter, limits=False)
    ids = [one.external_id for one in records(bench.adapter.orders(DEALS, None, lines=False))][:70]
    bench.portal.delete_leads([int(ids[7])])
    found, cost = bench.cost(lambda: bench.adapter.orders_by_id(DEALS, [*ids, "999999"], lines=False))
    assert found.gone == {ids[7], "999999"}
    assert {one.external_id for one in found.records} == set(ids) - {ids[7]}
    assert cost == (2 if has_filter else 71)


def test_an_option_that_ended_unnoticed_does_not_deceive(open_bench):
    bench = open_bench(is_api_filter_enabled=True)
    bench.adapter.portal()
    pages = list(bench.adapter.customers(COMPANY, None))
    bench.portal.switch_api_filter(on=False)
    bench.clock.advance(3600)
    ids = bench.ids(COMPANY)
    bench.portal.set_attributes("companies", ids[4], name="Renamed")
    assert [int(one.ref.external_id) for one in records(bench.adapter.customers(COMPANY, pages[-1].cursor))] == [ids[4]]
    found = bench.adapter.customers_by_id(COMPANY, [str(ids[0]), "999999"])
    assert ([one.ref.external_id for one in found.records], found.gone) == ([str(ids[0])], {"999999"})


def test_transactions_are_orders_where_customers_are_on(open_bench):
    bench = open_bench(customers_mode="periodicity")
    pages = list(bench.adapter.orders(ORDERS, None))
    orders = records(pages)
    assert len(orders) == len(bench.portal.account.transactions) > 0
    assert all(one.status is OrderStatus.WON and one.at and (one.company_id or one.contact_id) for one in orders)
    victim = orders[0].external_id
    bench.portal.account.transactions[int(victim)].is_deleted = True
    again = list(bench.adapter.orders(ORDERS, pages[-1].cursor))
    assert {one.external_id for one in records(again)} == {one.external_id for one in orders[1:]}
    known = sorted(int(one.external_id) for one in orders)
    drift, cost = bench.cost(lambda: bench.adapter.order_drift(ORDERS, known))
    assert (drift, cost) == (Drift(gone=frozenset({victim})), 0)
    assert bench.cost(lambda: bench.adapter.order_drift(ORDERS, known))[1] > 0
    found = bench.adapter.orders_by_id(ORDERS, [victim, orders[1].external_id])
    assert (found.gone, [one.external_id for one in found.records]) == ({victim}, [orders[1].external_id])


@pytest.mark.parametrize("mode", ["unavailable", "disabled"])
def test_transactions_are_unsupported_where_customers_are_off(open_bench, mode):
    bench = open_bench(customers_mode=mode)
    for action in (
        lambda: list(bench.adapter.orders(ORDERS, None)),
        lambda: bench.adapter.order_drift(ORDERS, []),
        lambda: bench.adapter.orders_by_id(ORDERS, ["1"]),
    ):
        with pytest.raises(Unsupported, match="switched off"):
            action()


# --- fields ----------------------------------------------------------------------------------------------------


def rfm_fields(bench, kind="contacts"):
    return {one.code: one for one in bench.portal.account.books[kind].fields.values() if (one.code or "")[:3] == "RFM"}


def test_fields_are_planned_made_once_and_found_again(bench):
    plan = bench.adapter.plan_fields(SPECS, None)
    assert {(step.kind, step.key) for step in plan} == {
        (kind, key) for kind in CustomerKind for key in ("group", *(spec.key for spec in SPECS))
    }
    assert rfm_fields(bench) == {}
    fields = bench.adapter.ensure_fields(SPECS, None)
    assert bench.adapter.plan_fields(SPECS, fields) == bench.adapter.plan_fields(SPECS, None) == []
    assert bench.adapter.ensure_fields(SPECS, None) == bench.adapter.ensure_fields(SPECS, fields) == fields
    made = rfm_fields(bench, "companies")
    assert {code: one.type for code, one in made.items()} == {
        "RFM_R": "numeric",
        "RFM_M": "numeric",
        "RFM_CODE": "text",
        "RFM_SEGMENT": "select",
        "RFM_UPDATED_AT": "date_time",
        "RFM_CHURN_RISK": "checkbox",
        "RFM_HINT": "textarea",
    }
    assert all(one.is_api_only for one in made.values())
    assert [option.code for option in made["RFM_SEGMENT"].options] == ["vip", "loyal"]
    groups = {one.id: one.name for one in bench.portal.account.books["companies"].groups.values()}
    assert {groups[one.group_id] for one in made.values()} == {"RFM"}


def wider():
    longer = (Choice("lost", "Lost"), Choice("vip", "VIP"), Choice("loyal", "Loyal"))
    return [dataclasses.replace(one, choices=longer) if one.key == "segment" else one for one in SPECS]


def test_options_are_added_without_touching_those_on_cards(bench):
    fields = bench.adapter.ensure_fields(SPECS, None)
    company = bench.ids(COMPANY)[0]
    bench.adapter.write_scores(changes(COMPANY, [company], segment="vip"), fields)
    bench.portal.rename_option("companies", "RFM_SEGMENT", "VIP", "Best")
    steps = bench.adapter.plan_fields(wider(), fields)
    assert [(step.key, step.action, step.detail) for step in steps] == [("segment", "extend", "Lost")] * 2
    extended = bench.adapter.ensure_fields(wider(), fields)
    before, after = fields.of(COMPANY)["segment"].choices, extended.of(COMPANY)["segment"].choices
    assert before.items() < after.items()
    assert bench.portal.card_values("companies", company)["RFM_SEGMENT"] == "vip"


def test_a_deleted_field_is_made_again(bench):
    fields = bench.adapter.ensure_fields(SPECS, None)
    bench.portal.delete_field("contacts", "RFM_R")
    assert [(step.kind, step.key) for step in bench.adapter.plan_fields(SPECS, fields)] == [(CONTACT, "r")]
    again = bench.adapter.ensure_fields(SPECS, fields)
    assert again.of(CONTACT)["r"] != fields.of(CONTACT)["r"]
    assert again.of(COMPANY) == fields.of(COMPANY)


def test_a_field_of_another_type_in_our_place_is_a_conflict(bench):
    bench.portal.account.books["companies"].define("Мой R", "text", "RFM_R")
    with pytest.raises(Conflict, match="Мой R") as caught:
        bench.adapter.ensure_fields(SPECS, None)
    assert caught.value.field == "r"


def test_somebody_elses_field_of_the_same_name_is_left_alone(bench):
    theirs = bench.portal.account.books["contacts"].define("RFM: R", "text")
    fields = bench.adapter.ensure_fields(SPECS, None)
    assert fields.of(CONTACT)["r"].external_id != str(theirs.id)


def test_more_fields_than_a_page_shows_are_looked_through(bench):
    for at in range(300):
        bench.portal.account.books["contacts"].define(f"Поле {at}", "text")
    fields = bench.adapter.ensure_fields(SPECS, None)
    assert bench.adapter.ensure_fields(SPECS, None) == fields
    assert len(rfm_fields(bench)) == len(SPECS)


def refuse_codes(bench, monkeypatch, *, of_options: bool):
    """As issue 604 of the official client tells: creation fails on the code alone."""
    book = bench.portal.account.books["contacts"]
    plan_new = book.plan_new

    def plan(item):
        coded = [at for at, one in enumerate(item.get("enums", ())) if "code" in one]
        if of_options and coded:
            raise Invalid("NotSupportedChoice", f"enums.{coded[0]}.code", "no")
        if not of_options and "code" in item:
            raise Invalid("NotSupportedChoice", "code", "no")
        return plan_new(item)

    monkeypatch.setattr(book, "plan_new", plan, raising=False)


def test_a_portal_that_refuses_codes_gets_fields_without_and_finds_them_by_name(bench, monkeypatch):
    refuse_codes(bench, monkeypatch, of_options=False)
    fields = bench.adapter.ensure_fields(SPECS, None)
    assert bench.adapter.ensure_fields(SPECS, None) == bench.adapter.ensure_fields(SPECS, fields) == fields
    assert rfm_fields(bench) == {}
    assert len(rfm_fields(bench, "companies")) == len(SPECS)


def test_a_portal_that_refuses_codes_of_options_gets_them_by_text(bench, monkeypatch):
    refuse_codes(bench, monkeypatch, of_options=True)
    fields = bench.adapter.ensure_fields(SPECS, None)
    assert set(fields.of(CONTACT)["segment"].choices) == {"vip", "loyal"}
    assert bench.adapter.ensure_fields(SPECS, None) == fields


def test_any_other_refusal_of_a_field_names_it(bench):
    with pytest.raises(InvalidValue, match="RFM_SEGMENT"):
        bench.adapter.ensure_fields([FieldSpec("segment", FieldType.CHOICE, "RFM: segment")], None)


# --- writing ---------------------------------------------------------------------------------------------------


def test_values_read_back_as_they_were_written(bench):
    fields = bench.adapter.ensure_fields(SPECS, None)
    values = {
        "r": 12,
        "m": Decimal("1500.50"),
        "code": "545",
        "segment": "loyal",
        "updated_at": START,
        "churn_risk": False,
        "hint": "Позвонить\nсегодня",
    }
    company = bench.ids(COMPANY)[0]
    (outcome,) = bench.adapter.write_scores(changes(COMPANY, [company], **values), fields)
    (card,) = bench.adapter.customers_by_id(COMPANY, [str(company)], fields=fields).records
    assert card.card == values
    assert (outcome.ok, outcome.external_id, outcome.written_at) == (True, str(company), card.updated_at)
    emptied = dict.fromkeys(values)
    bench.adapter.write_scores(changes(COMPANY, [company], **emptied), fields)
    assert bench.adapter.customers_by_id(COMPANY, [str(company)], fields=fields).records[0].card == {}


@pytest.mark.parametrize("bad_item", ["whole", "partial"])
@pytest.mark.parametrize("unknown_id", ["refuse", "absent"])
def test_refused_cards_do_not_fail_their_neighbours(open_bench, bad_item, unknown_id):
    bench = open_bench(rules=Rules(bad_item=bad_item, unknown_id=unknown_id))
    fields = bench.adapter.ensure_fields(SPECS, None)
    companies, contacts = bench.ids(COMPANY)[:6], bench.ids(CONTACT)[:6]
    mixed = [
        *changes(CONTACT, contacts[:3], r=1),
        *changes(COMPANY, [777_777], r=1),
        *changes(COMPANY, companies[:1], r="many", code="1"),
        *changes(COMPANY, companies[1:], r=1, segment="vip"),
        *changes(CONTACT, contacts[3:4], segment="nobody"),
        *changes(CONTACT, contacts[4:], r=2),
    ]
    outcomes = bench.adapter.write_scores(mixed, fields)
    refused = {str(one.customer): outcome for one, outcome in zip(mixed, outcomes, strict=True) if not outcome.ok}
    assert {customer: outcome.field for customer, outcome in refused.items()} == {
        "company:777777": None,
        f"company:{companies[0]}": "r",
        f"contact:{contacts[3]}": "segment",
    }
    assert refused["company:777777"].reason == "the card does not exist any more"
    for change, outcome in zip(mixed, outcomes, strict=True):
        if outcome.ok:
            kind = "companies" if change.customer.kind is COMPANY else "contacts"
            written = bench.portal.card_values(kind, int(change.customer.external_id))["RFM_R"]
            assert written == str(change.values["r"])


@pytest.mark.parametrize(
    "fault", [Fault.LOST_ANSWER, Fault.PARTIAL, Fault.SERVER_ERROR, Fault.THROTTLE, Fault.HTML_ERROR]
)
def test_a_lost_or_half_done_bulk_change_ends_well(open_bench, fault):
    bench = open_bench(faults=Faults({}))
    fields = bench.adapter.ensure_fields(SPECS, None)
    ids = bench.ids(CONTACT)
    bench.portal.faults.force(fault, 2)
    assert all(one.ok for one in bench.adapter.write_scores(changes(CONTACT, ids, r=7), fields))
    assert {bench.portal.card_values("contacts", one)["RFM_R"] for one in ids} == {"7"}
    assert bench.portal.faults.counts[fault] >= 1


# --- the echo of our own writes --------------------------------------------------------------------------------


def written(bench, kind, ids, stamp):
    fields = bench.adapter.ensure_fields(SPECS, None)
    outcomes = []
    for start in range(0, len(ids), 20):
        outcomes += bench.adapter.write_scores(changes(kind, ids[start : start + 20], r=1, updated_at=stamp), fields)
    times = [one.written_at for one in outcomes]
    return fields, OwnWrites(min(times), max(times), len(ids), (stamp,))


def test_our_own_writes_are_not_read_again_but_a_later_edit_is_found(bench, monkeypatch):
    monkeypatch.setattr("adapters.amocrm.client.PAGE", 10)
    monkeypatch.setattr("adapters.amocrm.pages.PAGE", 10)
    pages = list(bench.adapter.customers(CONTACT, None))
    ids = sorted(int(one.ref.external_id) for one in records(pages))
    bench.clock.advance(600)
    fields, echo = written(bench, CONTACT, ids, START)
    bench.clock.advance(5)

    def read(own_writes):
        return bench.cost(
            lambda: list(bench.adapter.customers(CONTACT, pages[-1].cursor, fields=fields, own_writes=own_writes))
        )

    quiet, cost = read(echo)
    assert cost <= 3
    assert read(None)[1] == -(-len(ids) // 10)
    bench.portal.set_attributes("contacts", ids[5], name="Renamed")
    edited, cost = read(echo)
    assert records(edited)[0].ref.external_id == str(ids[5])
    assert cost <= 3
    assert records(quiet)


def test_only_the_last_page_of_changes_moves_the_cursor(bench, monkeypatch):
    monkeypatch.setattr("adapters.amocrm.client.PAGE", 10)
    monkeypatch.setattr("adapters.amocrm.pages.PAGE", 10)
    since = last_cursor(bench.adapter.customers(CONTACT, None))
    bench.clock.advance(600)
    for one in bench.ids(CONTACT)[:25]:
        bench.portal.set_attributes("contacts", one, name="Renamed")
    pages = list(bench.adapter.customers(CONTACT, since))
    assert [page.cursor == since for page in pages] == [True, True, False]
    bench.clock.advance(600)
    again = list(bench.adapter.customers(CONTACT, pages[-1].cursor))
    assert len(records(again)) == 25, "the lag window is read twice"
    assert records(bench.adapter.customers(CONTACT, again[-1].cursor)) == []


def test_what_changed_while_everything_was_read_is_read_after(bench, monkeypatch):
    monkeypatch.setattr("adapters.amocrm.client.PAGE", 10)
    monkeypatch.setattr("adapters.amocrm.pages.PAGE", 10)
    reading = bench.adapter.customers(CONTACT, None)
    first = next(reading)
    bench.clock.advance(7200)
    bench.portal.set_attributes("contacts", int(first.records[0].ref.external_id), name="Renamed")
    cursor = last_cursor(reading)
    assert [one.ref for one in records(bench.adapter.customers(CONTACT, cursor))] == [first.records[0].ref]


def test_vanished_and_merged_cards_are_found_by_rank(bench):
    known = bench.ids(CONTACT)
    assert bench.cost(lambda: bench.adapter.customer_drift(CONTACT, known)) == (Drift(), 1)
    bench.portal.delete_contact(known[3])
    bench.portal.merge_contacts(known[10], known[20])
    new = bench.portal.add_card("contacts", name="New")
    assert bench.adapter.customer_drift(CONTACT, known) == Drift(
        gone=frozenset({str(known[3]), str(known[20])}), unseen=frozenset({str(new)})
    )


# --- tasks -----------------------------------------------------------------------------------------------------


def drafts(ids, kind=CONTACT, manager_id="1"):
    due = datetime(2026, 12, 1, 12, 0, tzinfo=UTC)
    return [
        TaskDraft(f"at_risk:{kind}:{one}", CustomerRef(kind, str(one)), manager_id, "Call", "Why", due) for one in ids
    ]


def texts(bench):
    return sorted(one["text"] for one in bench.portal.tasks())


def test_tasks_are_made_in_one_request_and_found_again(bench):
    bench.adapter.portal()
    wanted = [*drafts(bench.ids(CONTACT)[:20]), *drafts(bench.ids(COMPANY)[:20], COMPANY)]
    outcomes, cost = bench.cost(lambda: bench.adapter.create_tasks(wanted))
    assert cost == 1
    assert bench.adapter.find_tasks(wanted) == {
        draft.key: outcome.external_id for draft, outcome in zip(wanted, outcomes, strict=True)
    }
    assert bench.adapter.find_tasks(drafts(bench.ids(CONTACT)[30:40])) == {}
    task = bench.portal.tasks("contacts", bench.ids(CONTACT)[0])[0]
    assert (task["responsible_user_id"], task["complete_till"]) == (1, int(wanted[0].due_at.timestamp()))


@pytest.mark.parametrize("bad_item", ["whole", "partial"])
def test_refused_drafts_never_stop_or_double_their_neighbours(open_bench, bad_item):
    bench = open_bench(rules=Rules(bad_item=bad_item))
    ids = bench.ids(CONTACT)[:10]
    wanted = [*drafts(ids[:4]), *drafts([777_777]), *drafts(ids[4:5], manager_id="4242"), *drafts(ids[5:])]
    outcomes = bench.adapter.create_tasks(wanted)
    assert [at for at, one in enumerate(outcomes) if not one.ok] == [4, 5]
    assert len(texts(bench)) == len(set(texts(bench))) == 9


@pytest.mark.parametrize("fault", [Fault.LOST_ANSWER, Fault.PARTIAL, Fault.SERVER_ERROR, Fault.THROTTLE])
@pytest.mark.parametrize("times", [1, 2])
def test_a_lost_answer_never_doubles_a_task(open_bench, fault, times):
    bench = open_bench(faults=Faults({}))
    wanted = drafts(bench.ids(CONTACT)[:30])
    bench.adapter.portal()
    bench.portal.faults.force(fault, times)
    outcomes = bench.adapter.create_tasks(wanted)
    assert all(one.ok for one in outcomes)
    assert len(texts(bench)) == len(set(texts(bench))) == 30


def test_a_draft_twice_in_a_batch_is_one_task(bench):
    twice = drafts(bench.ids(CONTACT)[:1]) * 2
    first, second = bench.adapter.create_tasks(twice)
    assert first == second
    assert len(texts(bench)) == 1


# --- the vendor's limits ---------------------------------------------------------------------------------------


def test_no_call_is_ever_over_the_limit(bench):
    fields = bench.adapter.ensure_fields(SPECS, None)
    for kind in CustomerKind:
        bench.adapter.write_scores(changes(kind, bench.ids(kind), r=1), fields)
    records(bench.adapter.orders(DEALS, None))
    assert bench.portal.exceeded == 0
    assert bench.transport.counters.throttled == 0


def test_everything_survives_every_fault(open_bench):
    bench = open_bench(faults=Faults.all(5, 0.08))
    fields = bench.adapter.ensure_fields(SPECS, None)
    assert FieldMap.from_json(fields.to_json()) == fields
    known = bench.ids(CONTACT)
    assert len(records(bench.adapter.orders(DEALS, None))) == len(bench.portal.account.leads)
    assert all(one.ok for one in bench.adapter.write_scores(changes(CONTACT, known, r=1, updated_at=START), fields))
    assert all(one.ok for one in bench.adapter.create_tasks(drafts(known[:40])))
    bench.clock.advance(timedelta(hours=1).total_seconds())
    assert bench.adapter.customer_drift(CONTACT, known) == Drift()
    assert len(texts(bench)) == len(set(texts(bench))) == 40
