"""A newcomer's story with methods in the sandbox: fit, look, change, publish, see the cards change, go back."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from sandbox.random_shop import random_shop
from tests.acceptance.stage import Stage, stage

SHARP = """
name = "sales5"
bins = 5
window = 180
direction = "high_is_best"
upsell = ["r >= 4", "f >= 4", "m <= 3"]
dwell = 7

[notes]
ru = "VIP теперь только самые лучшие."
en = "Only the very best are VIP now."

[[segments]]
value = "vip"
work = "vip"
label = { ru = "VIP", en = "VIP" }
where = ["r >= 5", "f >= 5", "m >= 5"]

[[segments]]
value = "loyal"
work = "loyal"
label = { ru = "Лояльные", en = "Loyal" }
where = ["r >= 3", "f + m >= 6"]
unless = ["vip"]

[[segments]]
value = "promising"
work = "promising"
label = { ru = "Перспективные", en = "Promising" }
where = ["r >= 3", "f + m <= 5"]

[[segments]]
value = "at_risk"
work = "at_risk"
at_risk = true
label = { ru = "В зоне риска", en = "At risk" }
where = ["r <= 2", "f + m >= 6"]

[[segments]]
value = "sleeping"
work = "sleeping"
label = { ru = "Спящие", en = "Sleeping" }
where = ["r <= 2", "f + m <= 5"]
"""


def cards(staged: Stage, shop) -> dict[tuple[str, int], tuple[str, str]]:
    """Segment and version on every scored card."""
    found = {}
    for kind, records in (("company", shop.companies), ("contact", shop.contacts)):
        for record in records:
            card = staged.card(kind, record.id)
            if card.get("segment"):
                found[kind, record.id] = (card["segment"], card["method"])
    return found


@pytest.mark.parametrize("crm", ["bitrix24"])
def test_the_newcomers_story(crm, database_url, tmp_path):
    shop = random_shop(21, 150, 900, datetime.now(UTC).date())
    path = tmp_path / "sharp.toml"
    path.write_text(SHARP, encoding="utf-8")
    with stage(crm, shop, database_url, tmp_path) as staged:
        staged.run()
        before = cards(staged, shop)
        assert {label for _, label in before.values()} == {"sales5@1"}

        assert staged.cli("method", "prove", str(path))["sound"] is True
        fitted = staged.cli("method", "fit", "p")
        assert len(fitted["thresholds"]["r"]) == 4
        drafted = staged.cli("method", "draft", "p", str(path), "--reason", "too many VIPs")
        assert drafted["notes"]["en"] == "Only the very best are VIP now."
        label = drafted["method"]
        looked = staged.cli("method", "simulate", "p", label, "--html", str(tmp_path / "whatif.html"))
        assert looked["moved"] > 0
        assert looked["cards"]["cards"] == len(before)
        assert looked["cards"]["requests"] >= 1
        assert "Plotly" in (tmp_path / "whatif.html").read_text(encoding="utf-8")
        assert cards(staged, shop) == before

        staged.cli("method", "publish", "p", label)
        assert cards(staged, shop) == before
        staged.killed(1.5, "run", "p")
        run = staged.run()
        after = cards(staged, shop)
        assert run["method"] == label
        assert {version for _, version in after.values()} == {label}
        vips = [sum(segment == "vip" for segment, _ in found.values()) for found in (before, after)]
        assert vips[1] < vips[0]
        moved = sum(after[who][0] != before[who][0] for who in before)
        assert moved == looked["moved"]
        who = next(f"{kind}:{number}" for kind, number in before)
        assert staged.cli("history", "p", who)["scores"][-1]["method"] == label

        staged.cli("method", "rollback", "p")
        staged.run("--force")
        assert cards(staged, shop) == before
        assert len(staged.markers()) == len(set(staged.markers()))
