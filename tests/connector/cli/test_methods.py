"""An analyst's day on the command line: draft, look, publish, see the cards follow, go back."""

from __future__ import annotations

import pytest

from tests.connector.factories import CONTACT, execute, rows
from tests.fakes.memory import MemoryCRM

SHARP = """
name = "sales5"
bins = 5
window = 365
direction = "high_is_best"
upsell = ["r >= 4", "f >= 4", "m <= 3"]

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


@pytest.fixture
def sharp(tmp_path):
    """sales5 whose VIPs are the very best only."""
    path = tmp_path / "sharp.toml"
    path.write_text(SHARP, encoding="utf-8")
    return str(path)


@pytest.fixture
def scored(connected):
    """A portal with cards written by sales5@1."""
    assert connected("run", "p").status == 0
    return connected


def segments(crm: MemoryCRM) -> dict[str, tuple[str, str]]:
    """Contact → segment and version on its card."""
    cards = {number: held.record.card for number, held in crm.cards[CONTACT].items()}
    return {number: (str(card["segment"]), str(card["method"])) for number, card in cards.items() if "segment" in card}


# --- the newcomer's story ------------------------------------------------------------------------------------------


def test_a_change_is_drafted_looked_at_published_seen_on_cards_and_rolled_back(scored, crm, sharp):
    before = segments(crm)
    drafted = scored("method", "draft", "p", sharp, "--thresholds-of", "sales5@1", "--by", "anna", "--json").json
    assert (drafted["method"], drafted["state"], drafted["author"]) == ("sales5@2", "draft", "anna")
    looked = scored("method", "simulate", "p", "sales5@2", "--json").json
    assert looked["moved"] == sum(flow["customers"] for flow in looked["flows"] if flow["from"] != flow["to"]) > 0
    assert (looked["cards"]["cards"], looked["cards"]["requests"]) == (8, 3)
    assert {mover["was"] for mover in looked["movers"]} == {"vip"}
    assert segments(crm) == before
    published = scored("method", "publish", "p", "sales5@2", "--json").json
    assert (published["in_force"], published["replaced"]) == ("sales5@2", "sales5@1")
    assert segments(crm) == before
    run = scored("run", "p", "--json").json
    assert (run["method"], run["written"], run["moved"]) == ("sales5@2", 8, looked["moved"])
    after = segments(crm)
    assert {label for _, label in after.values()} == {"sales5@2"}
    assert sum(segment == "vip" for segment, _ in after.values()) < sum(
        segment == "vip" for segment, _ in before.values()
    )
    back = scored("method", "rollback", "p", "--json").json
    assert (back["called_back"], back["in_force"]) == ("sales5@2", "sales5@1")
    scored("run", "p")
    assert segments(crm) == before


def test_the_first_scoring_publishes_number_one_even_where_a_draft_came_before(connected):
    connected("sync", "p")
    assert connected("method", "draft", "p", "sales5", "--json").json["method"] == "sales5@2"
    assert connected("score", "p", "--json").json["method"] == "sales5@1"


def test_each_step_is_in_the_audit_trail_with_before_and_after(scored, sharp, database):
    scored("method", "draft", "p", sharp, "--by", "anna", "--reason", "too many VIPs")
    scored("method", "review", "p", "sales5@2", "--by", "boris")
    scored("method", "publish", "p", "sales5@2", "--by", "clara")
    scored("method", "rollback", "p", "--by", "clara")
    scored("method", "retire", "p", "sales5@2", "--by", "clara")
    found = rows(
        database,
        "SELECT actor, action, detail ->> 'before', detail ->> 'after' FROM audit"
        " WHERE action LIKE 'method.%' AND actor IN ('anna', 'boris', 'clara') ORDER BY entry_id",
    )
    assert found == [
        ("anna", "method.drafted", None, "draft"),
        ("boris", "method.reviewed", "draft", "reviewed"),
        ("clara", "method.published", "reviewed", "published"),
        ("clara", "method.released", "sales5@1", "sales5@2"),
        ("clara", "method.rolled_back", None, None),
        ("clara", "method.retired", "published", "retired"),
    ]


# --- approval ------------------------------------------------------------------------------------------------------


def test_with_four_eyes_the_author_cannot_approve_and_another_person_can(scored, sharp):
    scored("settings", "p", "four_eyes=true")
    scored("method", "draft", "p", sharp, "--by", "anna")
    for action in ("review", "publish"):
        scored("method", action, "p", "sales5@2", "--by", "anna").assert_wrong_use()
    assert scored("method", "publish", "p", "sales5@2", "--by", "boris").status == 0


def test_with_four_eyes_a_method_that_was_never_published_is_not_scored_with_by_name(scored):
    scored("settings", "p", "four_eyes=true")
    scored("score", "p", "--method", "customer360").assert_wrong_use()
    assert scored("score", "p", "--json").json["method"] == "sales5@1"


def test_a_shadow_needs_no_approval_and_changes_no_card(scored, crm, sharp):
    scored("settings", "p", "four_eyes=true")
    scored("method", "draft", "p", sharp, "--thresholds-of", "sales5@1", "--by", "anna")
    before = segments(crm)
    assert scored("method", "publish", "p", "sales5@2", "--shadow", "--by", "anna").status == 0
    run = scored("run", "p", "--json").json
    assert (run["method"], run["written"]) == ("sales5@1", 0)
    assert segments(crm) == before
    shadow = scored("method", "stability", "p", "--json").json["shadow"]
    assert sum(flow["customers"] for flow in shadow) == 8
    assert any(flow["from"] == "vip" != flow["to"] for flow in shadow)
    scored("method", "rollback", "p")
    assert scored("method", "stability", "p", "--json").json["shadow"] == []


# --- some first ----------------------------------------------------------------------------------------------------


def test_some_managers_customers_get_the_version_first_and_each_card_shows_its_own(scored, crm, sharp):
    scored("method", "draft", "p", sharp, "--thresholds-of", "sales5@1")
    before = segments(crm)
    scored("method", "publish", "p", "sales5@2", "--to-managers", "1")
    scored("run", "p")
    staged = segments(crm)
    mine = {number for number in staged if int(number) % 2}
    assert {label for number, (_, label) in staged.items() if number in mine} == {"sales5@2"}
    assert {number: card for number, card in staged.items() if number not in mine} == {
        number: card for number, card in before.items() if number not in mine
    }
    assert scored("run", "p", "--json").json["written"] == 0
    scored("method", "publish", "p", "sales5@2")
    scored("run", "p")
    assert {label for _, label in segments(crm).values()} == {"sales5@2"}
    scored("method", "rollback", "p")
    scored("run", "p")
    assert segments(crm) == before


def test_a_release_to_some_is_called_back_before_anything_else(scored, crm, sharp):
    before = segments(crm)
    scored("method", "draft", "p", sharp)
    scored("method", "publish", "p", "sales5@2", "--to-managers", "1,2")
    scored("run", "p")
    assert {label for _, label in segments(crm).values()} == {"sales5@2"}
    assert scored("method", "rollback", "p", "--json").json["scope"] == "managers"
    scored("run", "p")
    assert segments(crm) == before


def test_a_release_to_nobody_known_is_refused_with_those_there_are(scored, sharp):
    scored("method", "draft", "p", sharp)
    said = scored("method", "publish", "p", "sales5@2", "--to-managers", "1,99")
    said.assert_wrong_use()
    assert "99" in said.err
    assert "1, 2" in said.err


def test_a_version_that_is_effective_later_waits_for_its_day(scored, crm, database, sharp):
    scored("method", "draft", "p", sharp)
    said = scored("method", "publish", "p", "sales5@2", "--effective-from", "2999-01-01", "--json").json
    assert (said["begins"], said["in_force"]) == ("waiting", "sales5@1")
    assert scored("run", "p", "--json").json["method"] == "sales5@1"
    execute(database, "UPDATE releases SET effective_from = DATE '2020-01-01' WHERE state = 'waiting'")
    assert scored("run", "p", "--dry-run", "--json").json["method"] == "sales5@2"
    assert scored("run", "p", "--json").json["method"] == "sales5@2"
    assert scored("method", "rollback", "p", "--json").json["in_force"] == "sales5@1"


# --- refusals ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        ("publish", "p", "sales5@1"),
        ("publish", "p", "sales5@9"),
        ("publish", "p", "nonsense"),
        ("publish", "p", "sales5@2", "--effective-from", "2001-01-01"),
        ("publish", "p", "sales5@2", "--shadow", "--to-teams", "1"),
        ("publish", "p", "sales5@2", "--to-teams", "none"),
        ("publish", "q", "sales5@2"),
        ("rollback", "p"),
        ("review", "p", "sales5@1"),
        ("retire", "p", "sales5@1"),
        ("simulate", "p", "nothing"),
        ("simulate", "p", "sales5@2", "--as-of", "2999-01-01"),
        ("draft", "p", "missing.toml"),
        ("draft", "p", "octolis6", "--thresholds-of", "sales5@1"),
        ("diff", "p", "sales5@1", "sales5@7"),
        ("show", "sales5@1"),
        ("prove", "missing.toml"),
        ("flows", "p", "--from", "2026-02-01", "--to", "2026-01-01"),
    ],
    ids=" ".join,
)
def test_wrong_words_end_with_one_line_and_change_nothing(scored, database, sharp, words):
    scored("method", "draft", "p", sharp)
    before = rows(database, "SELECT name, version, state FROM methods ORDER BY name, version")
    scored("method", *words).assert_wrong_use()
    assert rows(database, "SELECT name, version, state FROM methods ORDER BY name, version") == before


@pytest.mark.parametrize(
    "command", [("run", "p"), ("score", "p"), ("method", "publish", "p", "sales5@2"), ("writeback", "p")]
)
def test_a_version_whose_row_was_tampered_with_is_refused_by_its_digest(scored, crm, database, sharp, command):
    scored("method", "draft", "p", sharp)
    execute(database, "UPDATE methods SET body = replace(body, '365', '30')")
    before = segments(crm)
    said = scored(*command)
    said.assert_wrong_use()
    assert "digest" in said.err
    assert segments(crm) == before


def test_a_table_with_a_gap_is_refused_with_the_codes(scored, tmp_path):
    path = tmp_path / "gap.toml"
    path.write_text(
        SHARP.replace('"f + m <= 5"]\n\n[[segments]]\nvalue = "at', '"f + m <= 4"]\n\n[[segments]]\nvalue = "at')
    )
    said = scored("method", "prove", str(path))
    said.assert_wrong_use()
    assert "532" in said.err
    scored("method", "draft", "p", str(path)).assert_wrong_use()


def test_a_sound_table_is_proven(scored, sharp):
    assert scored("method", "prove", sharp, "--json").json["sound"] is True


# --- looking -------------------------------------------------------------------------------------------------------


def test_two_versions_are_compared_place_by_place(scored, sharp):
    scored("method", "draft", "p", sharp, "--thresholds-of", "sales5@1")
    found = scored("method", "diff", "p", "sales5@1", "sales5@2", "--json").json["differences"]
    assert {row["where"] for row in found} == {"method.segments.vip.codes", "method.segments.loyal.codes"}


def test_a_what_if_on_a_past_day_scores_that_days_orders(scored):
    past = scored("method", "simulate", "p", "customer360", "--as-of", "2026-01-01", "--json").json
    today = scored("method", "simulate", "p", "customer360", "--json").json
    assert past["as_of"] == "2026-01-01"
    assert past["customers"] <= today["customers"] == 8
    assert today["work"]["by_rule"] == {}


def test_a_customers_history_names_the_version_of_each_change(scored, sharp):
    scored("method", "draft", "p", sharp, "--thresholds-of", "sales5@1")
    first = scored("history", "p", "contact:8", "--json").json["scores"]
    assert [score["method"] for score in first] == ["sales5@1"]
    scored("method", "publish", "p", "sales5@2")
    scored("run", "p")
    assert [score["method"] for score in scored("history", "p", "contact:8", "--json").json["scores"]] == ["sales5@2"]
    assert scored("history", "p", "contact:8", "--on", "2020-01-01", "--json").json["scores"] == []
    scored("history", "p", "contact:404").assert_wrong_use()
    scored("history", "p", "somebody").assert_wrong_use()


@pytest.mark.parametrize(
    "words",
    [
        ("method", "list", "p"),
        ("method", "draft", "p", "octolis6"),
        ("method", "simulate", "p", "octolis6"),
        ("method", "stability", "p"),
        ("method", "flows", "p", "--from", "2026-01-01", "--to", "2026-12-31"),
        ("history", "p", "contact:8"),
    ],
    ids=" ".join,
)
def test_every_action_has_one_json_object_and_words(scored, words):
    said = scored(*words, "--json")
    assert (said.status, len(said.out.splitlines())) == (0, 1), said
    assert isinstance(said.json, dict)
    assert scored(*words).out.strip()
