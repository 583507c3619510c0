"""The main job against each sandbox at documented limits: right values on every card, and nothing done twice."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from sandbox.faults import Faults
from sandbox.random_shop import random_shop
from tests.acceptance.brute import expected_cards
from tests.acceptance.stage import CRMS, Stage, stage


def check_cards(staged: Stage, shop, now: datetime) -> int:
    """Every customer's card equals the brute force; the others are empty. Returns how many are scored."""
    wanted = expected_cards(staged.crm, shop, now)
    for kind, records in (("company", shop.companies), ("contact", shop.contacts)):
        for record in records:
            card = staged.card(kind, record.id)
            one = wanted.get((kind, record.id))
            if one is None:
                assert not card.get("segment"), f"{kind}:{record.id} must have no score"
                continue
            found = {key: card.get(key) for key in ("r", "f", "m", "code", "segment")}
            assert found == {
                "r": one.r,
                "f": one.f,
                "m": one.m,
                "code": one.code,
                "segment": one.segment,
            }, f"{kind}:{record.id}"
            assert bool(card.get("churn_risk")) is one.churn_risk
            assert bool(card.get("upsell")) is one.upsell
            assert card["method"] == "sales5@1"
            assert 0 <= card["quality"] <= 100
            assert card["hint"]
    return len(wanted)


@pytest.mark.parametrize("crm", CRMS)
def test_cards_equal_the_brute_force_and_a_second_run_finds_nothing_to_do(crm, database_url, tmp_path):
    now = datetime.now(UTC)
    shop = random_shop(11, 400, 2500, now.date(), lines=True)
    with stage(crm, shop, database_url, tmp_path) as staged:
        first = staged.run()
        scored = check_cards(staged, shop, now)
        assert first["scored"] == scored == first["written"] + first["unchanged"]
        assert sum(first["segments"].values()) == scored
        assert first["refused"] == []
        assert 0 < first["tasks_created"] <= 10 * len(shop.managers)
        assert len(staged.markers()) == first["tasks_created"] == len(set(staged.markers()))
        second = staged.run()
        assert (second["written"], second["tasks_created"]) == (0, 0)
        assert second["unchanged"] == scored
        assert second["requests"] <= 20
        assert staged.portal.exceeded == 0


@pytest.mark.parametrize("crm", CRMS)
def test_with_every_fault_switched_on_the_cards_are_the_same_and_no_task_is_doubled(crm, database_url, tmp_path):
    now = datetime.now(UTC)
    shop = random_shop(12, 300, 1500, now.date())
    with stage(crm, shop, database_url, tmp_path, faults=Faults.none()) as staged:
        for fault, rate in Faults.all(5, 0.06).rates.items():
            staged.portal.faults.switch(fault, rate)
        exits = [staged.run(check=None)["exit"] for _ in range(3)]
        for fault in Faults.all(5, 0.06).rates:
            staged.portal.faults.switch(fault, 0)
        last = staged.run()
        assert exits[-1] in {0, 1, 3}
        check_cards(staged, shop, now)
        assert len(staged.markers()) == len(set(staged.markers()))
        assert staged.run()["written"] == 0
        assert last["refused"] == []
        assert staged.portal.exceeded == 0


@pytest.mark.parametrize("crm", CRMS)
def test_what_people_change_in_the_crm_reaches_the_cards_at_the_next_run(crm, database_url, tmp_path):
    now = datetime.now(UTC)
    shop = random_shop(13, 120, 700, now.date(), company_share=0.5)
    with stage(crm, shop, database_url, tmp_path) as staged:
        staged.run()
        wanted = expected_cards(crm, shop, now)
        (kind, number), one = next(
            (who, card) for who, card in sorted(wanted.items()) if card.segment == "sleeping" and card.f >= 1
        )
        staged.edit(kind, number, "r", 777)
        again = staged.run()
        assert again["written"] == 1
        assert staged.card(kind, number)["r"] == one.r

        deals = [
            deal
            for deal in shop.deals
            if deal.status == "won" and deal.company_id is not None and deal.closed_at < now - timedelta(days=2)
        ]
        staged.reopen(deals[0].id)
        staged.delete_deal(deals[1].id)
        left = staged.run()
        gone = {deals[0].id, deals[1].id}
        kept = replace(shop, deals=tuple(deal for deal in shop.deals if deal.id not in gone))
        after = expected_cards(crm, kept, now)
        assert left["orders"] == again["orders"] - 2
        for deal in deals[:2]:
            key = ("company", deal.company_id)
            if key in after:
                card = staged.card(*key)
                assert (card["r"], card["f"], card["m"]) == (after[key].r, after[key].f, after[key].m)


@pytest.mark.parametrize("crm", CRMS)
def test_an_undone_run_leaves_the_cards_as_they_were(crm, database_url, tmp_path):
    now = datetime.now(UTC)
    shop = random_shop(14, 60, 300, now.date())
    with stage(crm, shop, database_url, tmp_path) as staged:
        first = staged.run()
        undone = staged.cli("undo", "p", "--run", first["run_id"])
        assert undone["written"] == first["written"]
        for kind, records in (("company", shop.companies), ("contact", shop.contacts)):
            for record in records:
                card = staged.card(kind, record.id)
                assert {key: value for key, value in card.items() if value not in (None, False, "")} == {}


@pytest.mark.parametrize("crm", CRMS)
def test_a_dry_run_changes_nothing_in_the_crm(crm, database_url, tmp_path):
    now = datetime.now(UTC)
    shop = random_shop(15, 60, 300, now.date())
    with stage(crm, shop, database_url, tmp_path) as staged:
        shown = staged.run("--dry-run")
        assert shown["plan"]["cards"] == shown["scored"] > 0
        assert shown["written"] == shown["tasks_created"] == 0
        assert staged.tasks() == []
        assert staged.card("company", 1) == {}
        real = staged.run()
        assert real["written"] == shown["plan"]["cards"]
        assert real["method"] == "sales5@1"
