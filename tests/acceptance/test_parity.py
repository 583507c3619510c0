"""One method file, three CRMs: the same history has the same scores on the cards, whichever CRM holds it.

Only what all three can say is in the history: whole positive amounts of one currency, and one contact a deal.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from sandbox.random_shop import random_shop
from sandbox.shop import Deal, Shop
from tests.acceptance.stage import CRMS, stage
from tests.acceptance.test_methods import SHARP

_SAME = ("r", "f", "m", "code", "segment")
_FLAGS = ("churn_risk", "upsell")


def sayable(shop: Shop) -> Shop:
    """The shop as every CRM can hold it."""
    return replace(shop, deals=tuple(_sayable(deal, shop.currency) for deal in shop.deals))


def _sayable(deal: Deal, currency: str) -> Deal:
    amount = max(Decimal(1), abs(deal.amount or Decimal(10)).to_integral_value())
    first = deal.contact_ids[:1]
    return replace(
        deal, amount=amount, currency=currency, contact_ids=first, main_contact_id=first[0] if first else None, lines=()
    )


def cards_of(crm: str, shop: Shop, database_url: str, tmp_path: Path, method: Path) -> tuple[dict, str]:
    """What the cards hold once the method of a file is published, and the version's digest."""
    with stage(crm, shop, database_url, tmp_path, limits=False, name=crm) as staged:
        staged.run()
        drafted = staged.cli("method", "draft", crm, str(method))
        staged.cli("method", "publish", crm, drafted["method"])
        staged.run("--force")
        found = {
            (kind, record.id): _comparable(staged.card(kind, record.id))
            for kind, records in (("company", shop.companies), ("contact", shop.contacts))
            for record in records
        }
        version = staged.cli("method", "show", drafted["method"], "--portal", crm)
        return found, version["row"]["digest"]


def _comparable(card: dict) -> dict:
    """A flag that was never on may be absent or off; the hint is in the portal's language."""
    if "segment" not in card:
        return {}
    return {key: card.get(key) or False for key in _FLAGS} | {key: card.get(key) for key in _SAME}


@pytest.mark.slow
def test_one_history_has_the_same_scores_in_every_crm(database_url, tmp_path):
    shop = sayable(random_shop(77, 90, 500, datetime.now(UTC).date()))
    method = tmp_path / "sharp.toml"
    method.write_text(SHARP, encoding="utf-8")
    cards, digests = {}, {}
    for crm in CRMS:
        cards[crm], digests[crm] = cards_of(crm, shop, database_url, tmp_path, method)
    scored = [card for card in cards["hubspot"].values() if card]
    assert len(scored) > 45
    assert len({card["segment"] for card in scored}) >= 4
    for crm in CRMS:
        differing = {
            ref: (card, cards["hubspot"][ref]) for ref, card in cards[crm].items() if card != cards["hubspot"][ref]
        }
        assert not differing, (crm, differing)
    assert len(set(digests.values())) == 1
