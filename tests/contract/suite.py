"""The eight promises of `adapters.contract` as tests. A CRM gets them by a fixture `crm` that gives its `Stand`."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields as attributes
from dataclasses import is_dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any

import pytest

from adapters.contract import Adapter, Choice, Drift, FieldMap, FieldSpec, FieldType, Page
from adapters.errors import AccessLost, Malformed
from adapters.records import CustomerKind, CustomerRef, Order, OrderSource, ScoreChange, TaskDraft
from tests.contract.stands import SECRET, START, Stand

CONTACT, COMPANY, DEALS = CustomerKind.CONTACT, CustomerKind.COMPANY, OrderSource.DEALS
STREAMS = ("contact", "company", "deals")
NOBODY = "987654321"
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
VALUES = {
    "r": 3,
    "f": 2,
    "m": Decimal("10.5"),
    "code": "555",
    "segment": "vip",
    "segment_previous": "loyal",
    "updated_at": datetime(2026, 11, 22, 9, 1, tzinfo=UTC),
    "method": "sales5@1",
    "quality": 90,
    "churn_risk": False,
    "upsell": True,
    "hint": "What it means. Первый шаг: позвонить.",
}


def pages(adapter: Adapter, stream: str, since: Any = None, fields: FieldMap | None = None) -> Iterator[Page[Any]]:
    """One of the streams that are read page by page."""
    if stream == "deals":
        return adapter.orders(DEALS, since)
    return adapter.customers(CustomerKind(stream), since, fields=fields)


def by_id(adapter: Adapter, stream: str, ids: Sequence[str]) -> Any:
    """The same records asked for by their ids."""
    if stream == "deals":
        return adapter.orders_by_id(DEALS, ids)
    return adapter.customers_by_id(CustomerKind(stream), ids)


def drift(adapter: Adapter, stream: str, known: Sequence[int]) -> Drift:
    """Where the portal and these ids disagree."""
    if stream == "deals":
        return adapter.order_drift(DEALS, known)
    return adapter.customer_drift(CustomerKind(stream), known)


def key(record: Any) -> str:
    """A record's id within its stream."""
    return record.external_id if isinstance(record, Order) else record.ref.external_id


def keyed(records: Iterable[Any]) -> dict[str, Any]:
    """Records by id; the last of several versions counts."""
    return {key(record): record for record in records}


def everything(found: Iterable[Page[Any]]) -> dict[str, Any]:
    """All records of all pages by id."""
    return keyed(record for page in found for record in page.records)


def expected(crm: Stand, stream: str) -> set[str]:
    """The ids that the portal started with."""
    return set(crm.deals() if stream == "deals" else crm.ids(CustomerKind(stream)))


def values_in(thing: Any) -> Iterator[Any]:
    """Every plain value inside records, however deep."""
    if is_dataclass(thing) and not isinstance(thing, type):
        for attribute in attributes(thing):
            yield from values_in(getattr(thing, attribute.name))
    elif isinstance(thing, dict):
        for value in thing.values():
            yield from values_in(value)
    elif isinstance(thing, list | tuple | frozenset):
        for value in thing:
            yield from values_in(value)
    else:
        yield thing


def with_strangers(content: Any) -> Any:
    """Answers of a newer CRM: every record has fields that nobody told us of."""
    if isinstance(content, list):
        return [with_strangers(one) for one in content]
    if not isinstance(content, dict):
        return content
    grown = {name: with_strangers(value) for name, value in content.items()}
    return {**grown, "x_new_field": {"x": [1, None]}} if grown.keys() & {"id", "ID"} else grown


def without_ids(content: Any) -> Any:
    """Answers that lack what the vendor promises: no record in a list has an id."""
    if isinstance(content, list):
        return [
            {name: without_ids(value) for name, value in one.items() if name not in {"id", "ID"}}
            if isinstance(one, dict)
            else one
            for one in content
        ]
    if isinstance(content, dict):
        return {name: without_ids(value) for name, value in content.items()}
    return content


def drafts(crm: Stand, *ids: str, day: int = 0) -> list[TaskDraft]:
    """A task on each contact."""
    manager = next(one.external_id for one in crm.adapter.managers()[0] if one.active)
    return [
        TaskDraft(
            key=f"{day:02d}{int(one):014d}",
            customer=CustomerRef(CONTACT, one),
            manager_id=manager,
            title="Call back",
            body="What happened. Что предложить.",
            due_at=START + timedelta(days=1, hours=day),
        )
        for one in ids
    ]


class ReadingSuite:
    """Promises about reading; these tests leave the portal as it is."""

    @pytest.mark.parametrize("stream", STREAMS)
    def test_1_going_on_from_any_stored_cursor_loses_nothing(self, crm, stream):
        found = list(pages(crm.adapter, stream))
        assert len(found) > 1, "the shop is too small to prove anything"
        wanted = expected(crm, stream)
        assert set(everything(found)) == wanted
        for cut in range(len(found)):
            later = everything(pages(crm.adapter, stream, found[cut].cursor))
            assert set(everything(found[: cut + 1])) | set(later) == wanted, f"lost after page {cut + 1}"

    @pytest.mark.parametrize("stream", STREAMS)
    def test_1_a_reading_of_what_is_new_ends_with_a_cursor_and_gives_nothing_but_what_is_known(self, crm, stream):
        whole = list(pages(crm.adapter, stream))
        known = everything(whole)
        news = list(pages(crm.adapter, stream, whole[-1].cursor))
        assert news, "without a page there is no cursor to store"
        assert all(known[one] == record for one, record in everything(news).items())

    @pytest.mark.parametrize("stream", STREAMS)
    def test_2_the_same_reading_twice_gives_the_same_records(self, crm, stream):
        assert everything(pages(crm.adapter, stream)) == everything(pages(crm.adapter, stream))

    @pytest.mark.parametrize("stream", STREAMS)
    def test_3_an_id_is_either_found_or_gone(self, crm, stream):
        some = sorted(expected(crm, stream), key=int)[::7]
        found = by_id(crm.adapter, stream, [NOBODY, *some])
        assert {key(record) for record in found.records} == set(some)
        assert found.gone == {NOBODY}

    @pytest.mark.parametrize("stream", STREAMS)
    def test_3_a_question_for_nobody_has_an_empty_answer(self, crm, stream):
        found = by_id(crm.adapter, stream, [])
        assert (list(found.records), found.gone) == ([], frozenset())

    @pytest.mark.parametrize("stream", STREAMS)
    def test_3_by_id_gives_the_same_record_as_a_reading(self, crm, stream):
        listed = everything(pages(crm.adapter, stream))
        some = sorted(listed, key=int)[:60]
        assert keyed(by_id(crm.adapter, stream, some).records) == {one: listed[one] for one in some}

    @pytest.mark.parametrize("stream", STREAMS)
    def test_3_drift_names_what_is_gone_and_calls_nothing_unseen_that_we_know(self, crm, stream):
        known = sorted(int(one) for one in expected(crm, stream))
        assert drift(crm.adapter, stream, known) == Drift()
        assert drift(crm.adapter, stream, [*known, int(NOBODY)]) == Drift(gone=frozenset({NOBODY}))
        unknown_to_us = drift(crm.adapter, stream, known[1:])
        assert unknown_to_us.gone == frozenset()
        assert unknown_to_us.unseen <= {str(known[0])}

    @pytest.mark.parametrize("stream", STREAMS)
    def test_6_times_are_aware_utc_and_money_is_decimal_with_a_currency(self, crm, stream):
        records = everything(pages(crm.adapter, stream)).values()
        for value in values_in(list(records)):
            if isinstance(value, datetime):
                assert value.utcoffset() == timedelta(0)
            assert isinstance(value, int | str | Decimal | datetime | Enum | None), type(value)
        for record in records:
            if isinstance(record, Order) and record.amount is not None:
                assert isinstance(record.amount, Decimal)
                assert record.currency

    def test_6_rates_are_decimal_and_the_base_currency_is_one(self, crm):
        rates = crm.adapter.rates()
        assert rates[crm.adapter.portal().currency] == 1
        assert all(isinstance(rate, Decimal) and rate > 0 for rate in rates.values())

    def test_6_staff_is_whole_and_says_who_has_left(self, crm):
        managers, _ = crm.adapter.managers()
        flags = [manager.active for manager in managers]
        assert sum(flags) >= sum(one.active for one in crm.shop.managers)
        assert not all(flags)
        assert len({manager.external_id for manager in managers}) == len(managers)


class WritingSuite:
    """Promises about writing; these tests change the portal."""

    def test_4_fields_are_planned_created_once_and_found_again(self, crm):
        planned = crm.adapter.plan_fields(SPECS, None)
        assert {(step.kind, step.key) for step in planned if step.action == "create"} >= {
            (kind, spec.key) for kind in CustomerKind for spec in SPECS
        }
        fields = crm.adapter.ensure_fields(SPECS, None)
        assert crm.adapter.plan_fields(SPECS, fields) == []
        assert crm.adapter.plan_fields(SPECS, None) == []
        assert crm.adapter.ensure_fields(SPECS, fields) == crm.adapter.ensure_fields(SPECS, None) == fields
        assert FieldMap.from_json(fields.to_json()) == fields

    def test_4_an_option_that_is_missing_is_added_and_none_is_taken_away(self, crm):
        before = crm.adapter.ensure_fields(SPECS, None)
        more = [
            FieldSpec(spec.key, spec.type, spec.label, (Choice("sleeping", "Sleeping"),)) if spec.choices else spec
            for spec in SPECS
        ]
        assert {step.action for step in crm.adapter.plan_fields(more, before)} == {"extend"}
        after = crm.adapter.ensure_fields(more, before)
        assert all("sleeping" in after.of(kind)["segment"].choices for kind in CustomerKind)
        assert crm.adapter.plan_fields(SPECS, after) == crm.adapter.plan_fields(more, after) == []
        kept = crm.adapter.ensure_fields(SPECS, after)
        for kind in CustomerKind:
            options = before.of(kind)["segment"].choices
            assert {value: kept.of(kind)["segment"].choices[value] for value in options} == options

    @pytest.mark.parametrize("kind", CustomerKind)
    def test_4_one_refused_card_does_not_fail_its_neighbours(self, crm, kind):
        fields = crm.adapter.ensure_fields(SPECS, None)
        size = crm.adapter.capabilities.write_batch
        ids = crm.ids(kind)[: size - 1]
        middle = len(ids) // 2
        asked = [*ids[:middle], NOBODY, *ids[middle:]]
        outcomes = crm.adapter.write_scores([ScoreChange(CustomerRef(kind, one), VALUES) for one in asked], fields)
        assert [outcome.ok for outcome in outcomes] == [one != NOBODY for one in asked]
        assert outcomes[middle].reason
        cards = keyed(crm.adapter.customers_by_id(kind, ids[:5], fields=fields).records)
        assert {one: dict(card.card) for one, card in cards.items()} == dict.fromkeys(ids[:5], VALUES)

    def test_4_a_batch_of_both_kinds_has_its_outcomes_in_order(self, crm):
        fields = crm.adapter.ensure_fields(SPECS, None)
        refs = [CustomerRef(COMPANY, crm.ids(COMPANY)[-1]), CustomerRef(CONTACT, NOBODY)]
        refs.append(CustomerRef(CONTACT, crm.ids(CONTACT)[-1]))
        outcomes = crm.adapter.write_scores(
            [ScoreChange(ref, {"r": at, "hint": "x"}) for at, ref in enumerate(refs)], fields
        )
        assert [outcome.ok for outcome in outcomes] == [True, False, True]
        for at in (0, 2):
            found = crm.adapter.customers_by_id(refs[at].kind, [refs[at].external_id], fields=fields)
            assert found.records[0].card["r"] == at

    def test_4_writing_is_absolute_and_none_empties_a_field(self, crm):
        fields = crm.adapter.ensure_fields(SPECS, None)
        ref = CustomerRef(CONTACT, crm.ids(CONTACT)[3])
        full, emptied = ScoreChange(ref, VALUES), ScoreChange(ref, {"segment_previous": None, "m": None, "r": 4})
        for change in (full, full, emptied, emptied):
            assert [outcome.ok for outcome in crm.adapter.write_scores([change], fields)] == [True]
        card = crm.adapter.customers_by_id(CONTACT, [ref.external_id], fields=fields).records[0].card
        wanted = {**VALUES, "r": 4, "m": None, "segment_previous": None}
        assert {name: card.get(name) for name in VALUES} == wanted

    def test_4_nothing_to_write_is_no_call(self, crm):
        assert crm.adapter.write_scores([], crm.adapter.ensure_fields(SPECS, None)) == []
        assert crm.adapter.create_tasks([]) == []
        assert crm.adapter.find_tasks([]) == {}

    def test_4_tasks_have_their_outcomes_in_order_and_are_found_by_their_marker(self, crm):
        size = crm.adapter.capabilities.task_batch
        ids = [NOBODY, *crm.ids(CONTACT)[: min(size, 20) - 1]]
        made = drafts(crm, *ids, day=1)
        outcomes = crm.adapter.create_tasks(made)
        assert [outcome.ok for outcome in outcomes] == [one != NOBODY for one in ids]
        others = drafts(crm, *ids[1:3], day=2)
        found = crm.adapter.find_tasks([*made, *others])
        assert found == {draft.key: one.external_id for draft, one in zip(made, outcomes, strict=True) if one.ok}

    def test_1_what_people_change_comes_with_the_next_reading(self, crm):
        for stream in ("contact", "company"):
            last = list(pages(crm.adapter, stream))[-1].cursor
            changed = sorted(expected(crm, stream), key=int)[10]
            crm.outside.touch(CustomerKind(stream), int(changed))
            assert changed in everything(pages(crm.adapter, stream, last))

    def test_3_what_people_delete_is_gone(self, crm):
        contact, deal = crm.ids(CONTACT)[20], crm.deals()[20]
        crm.outside.delete(CONTACT, int(contact))
        crm.outside.delete_deal(int(deal))
        assert crm.adapter.customers_by_id(CONTACT, [contact]).gone == {contact}
        assert crm.adapter.orders_by_id(DEALS, [deal]).gone == {deal}
        assert contact in crm.adapter.customer_drift(CONTACT, sorted(map(int, crm.ids(CONTACT)))).gone
        assert deal in crm.adapter.order_drift(DEALS, sorted(map(int, crm.deals()))).gone

    def test_5_no_request_carries_more_than_the_capabilities_allow(self, crm):
        can = crm.adapter.capabilities
        fields = crm.adapter.ensure_fields(SPECS, None)
        ids = crm.ids(CONTACT)
        changes = [ScoreChange(CustomerRef(CONTACT, one), {"r": 7}) for one in ids[: can.write_batch]]
        assert all(outcome.ok for outcome in crm.adapter.write_scores(changes, fields))
        assert all(outcome.ok for outcome in crm.adapter.create_tasks(drafts(crm, *ids[: can.task_batch], day=3)))
        by_id(crm.adapter, "contact", ids)
        by_id(crm.adapter, "deals", crm.deals())
        if crm.traffic is not None:
            assert 1 < crm.traffic.largest <= max(can.read_batch, can.write_batch, can.task_batch)


class WireSuite:
    """Promises about answers, for CRMs that are spoken to over HTTP."""

    @pytest.mark.parametrize("stream", STREAMS)
    def test_7_fields_that_nobody_told_us_of_are_ignored(self, crm, stream):
        before = everything(pages(crm.adapter, stream))
        crm.traffic.tamper = with_strangers
        try:
            assert everything(pages(crm.adapter, stream)) == before
        finally:
            crm.traffic.tamper = None

    @pytest.mark.parametrize("stream", STREAMS)
    def test_7_a_record_without_an_id_is_malformed_and_the_error_says_where(self, crm, stream):
        crm.traffic.tamper = without_ids
        try:
            with pytest.raises(Malformed) as caught:
                everything(pages(crm.adapter, stream))
        finally:
            crm.traffic.tamper = None
        assert caught.value.path

    def test_8_no_log_line_and_no_error_has_the_secret(self, crm, caplog):
        with caplog.at_level(logging.DEBUG):
            crm.adapter.portal()
            list(pages(crm.adapter, "company"))
            wrong = crm.wrong()
            with pytest.raises(AccessLost) as caught:
                wrong.portal()
        ours = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith("rfm"))
        assert ours, "calls are logged, or this proves nothing"
        for text in (ours, str(caught.value), repr(caught.value), repr(crm.adapter), repr(wrong)):
            assert SECRET[:-6] not in text
