"""What people do between commands: undo after an edit by hand, another method and back, the steps one by one."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from sandbox.random_shop import random_shop
from tests.acceptance.brute import expected_cards
from tests.acceptance.stage import CRMS, Stage, stage

CARD = ("r", "f", "m", "code", "segment", "method")


def cards(staged: Stage, customers) -> dict:
    """The values of scored cards, without what every write changes."""
    return {who: {key: staged.card(*who).get(key) for key in CARD} for who in customers}


@pytest.mark.parametrize("crm", CRMS)
def test_undo_leaves_a_value_that_somebody_typed_after_the_run(crm, database_url, tmp_path):
    now = datetime.now(UTC)
    shop = random_shop(21, 40, 200, now.date())
    with stage(crm, shop, database_url, tmp_path) as staged:
        run = staged.run()
        who = min(expected_cards(crm, shop, now))
        staged.edit(*who, "f", 99)
        staged.cli("undo", "p", "--run", run["run_id"])
        left = staged.card(*who)
        assert left.get("f") == 99
        assert not left.get("segment")


@pytest.mark.parametrize("crm", CRMS)
def test_another_method_can_be_undone_to_the_options_of_the_first(crm, database_url, tmp_path):
    now = datetime.now(UTC)
    shop = random_shop(22, 60, 300, now.date())
    with stage(crm, shop, database_url, tmp_path) as staged:
        staged.run()
        before = cards(staged, expected_cards(crm, shop, now))
        other = staged.run("--method", "customer360", "--force")
        assert other["method"] == "customer360@1"
        assert cards(staged, before) != before
        undone = staged.cli("undo", "p", "--run", other["run_id"])
        assert undone["refused"] == []
        assert cards(staged, before) == before


def test_steps_taken_one_by_one_raise_the_same_news_as_a_run(database_url, tmp_path):
    now = datetime.now(UTC)
    shop = random_shop(23, 60, 300, now.date(), company_share=0.6)
    with stage("hubspot", shop, database_url, tmp_path) as staged:
        for step in ("sync", "score", "writeback", "tasks"):
            staged.cli(step, "p")
        wanted = expected_cards("hubspot", shop, now)
        sleeping = {who for who, card in wanted.items() if card.segment == "sleeping"}
        deal = next(deal for deal in shop.deals if deal.status == "open" and ("company", deal.company_id) in sleeping)
        staged.portal.win(deal.id)
        for step in ("sync", "score", "writeback"):
            staged.cli(step, "p")
        assert staged.cli("tasks", "p")["tasks_created"] == 1
        assert staged.cli("tasks", "p")["tasks_created"] == 0
