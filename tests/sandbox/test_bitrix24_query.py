"""The quick ways through the indexes find what a plain walk over all rows finds."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.bitrix24.query import find, parse_filter, parse_order
from sandbox.clock import ManualClock
from tests.sandbox.bitrix24_caller import NOW, big_portal, result

TARGET = big_portal(customers=120, deals=400)
TABLE = TARGET.state.deals
MOMENTS = st.integers(0, 900).map(lambda days: datetime.fromtimestamp(1_690_000_000 + days * 86_400, UTC).isoformat())
IDS = st.integers(-5, 420)
CONDITIONS = st.fixed_dictionaries(
    {},
    optional={
        ">id": IDS,
        "<=id": IDS,
        ">=id": IDS,
        "<id": IDS,
        "@id": st.lists(IDS, max_size=30),
        ">=updatedTime": MOMENTS,
        ">updatedTime": MOMENTS,
        "stageSemanticId": st.sampled_from(["S", "P", "F"]),
        "contactId": st.integers(1, 20),
        "@companyId": st.lists(st.integers(1, 20), min_size=1, max_size=5),
        "!companyId": st.just(0),
    },
)


@settings(max_examples=300, deadline=None)
@given(CONDITIONS, st.sampled_from([None, "ASC", "DESC"]), st.sampled_from([-1, 0, 50, 100]))
def test_every_plan_answers_like_a_walk_over_all_rows(conditions, direction, start):
    wanted = parse_filter(TABLE, conditions, TABLE.fields.by_camel, strict=True)
    order = parse_order({"id": direction} if direction else {}, TABLE.fields.by_camel, strict=True)
    plain = [row for row in sorted(TABLE.rows.values(), key=lambda row: row.id) if wanted.holds(row)]
    if direction == "DESC":
        plain.reverse()
    found = find(TABLE, wanted, order, start)
    if start < 0:
        assert (list(found.rows), found.total, found.next) == (plain[:50], 0, None)
    else:
        assert list(found.rows) == plain[start : start + 50]
        assert found.total == len(plain)
        assert found.next == (start + 50 if start + 50 < len(plain) else None)


def test_a_page_behind_an_id_looks_at_its_own_rows_only(monkeypatch):
    target = big_portal(customers=50, deals=2_000)
    table, looked = target.state.deals, []
    monkeypatch.setattr(table, "rows", _Counted(table.rows, looked))
    asked = {"entityTypeId": 2, "filter": {">id": 1000}, "order": {"id": "ASC"}, "start": -1}
    assert result(target, "crm.item.list", **asked)["items"][0]["id"] == 1001
    assert len(looked) <= 60


def test_few_recent_changes_are_found_without_a_walk(monkeypatch):
    clock = ManualClock(NOW)
    target = big_portal(customers=50, deals=2_000, clock=clock)
    clock.advance(60)
    for number in (3, 1999):
        target.edit_card("deal", number, {"TITLE": "changed"})
    table, looked = target.state.deals, []
    monkeypatch.setattr(table, "rows", _Counted(table.rows, looked))
    asked = {"entityTypeId": 2, "filter": {">=updatedTime": "2026-03-02T12:01:00+03:00", ">id": 0}, "start": -1}
    assert [one["id"] for one in result(target, "crm.item.list", **asked)["items"]] == [3, 1999]
    assert len(looked) < 10


class _Counted(dict):
    def __init__(self, rows, looked):
        super().__init__(rows)
        self._looked = looked

    def __getitem__(self, key):
        self._looked.append(key)
        return super().__getitem__(key)


@pytest.mark.parametrize("kind", ["contact", "company", "deal"])
def test_indexes_follow_every_change(kind):
    target = big_portal(customers=60, deals=150)
    table = {"contact": target.state.contacts, "company": target.state.companies, "deal": target.state.deals}[kind]
    for number in list(table.ids)[::3]:
        target.delete(kind, number)
    for number in list(table.ids)[::2]:
        target.edit_card(kind, number, {"COMMENTS": "seen"})
    assert table.ids == sorted(table.rows)
    assert table.stamps == sorted((row.updated, row.id) for row in table.rows.values())
    deals = target.state.deals
    for (name, linked), members in deals.by_link.items():
        for number in members:
            row = deals.rows[number]
            assert linked == row.company_id if name == "companyId" else linked in row.contact_ids
