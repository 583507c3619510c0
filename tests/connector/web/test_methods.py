"""The pages of methods: what stands on them, and that looking changes nothing."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from connector.jobs import whatif
from connector.scores import run as scoring
from connector.scores import versions
from connector.secrets import Vault
from connector.store import methods, scores
from connector.store.models import Portal
from connector.web import whatif_file
from connector.wiring import Service
from connector.wording import Language
from scoring.methods import MethodVersion, load_method
from tests.connector.factories import KEY, contact, dump, keep_portal, order, put_customers, put_orders
from tests.connector.web.shop import NOW


@pytest.fixture
def portal(database):
    """Forty contacts scored by sales5@1, and a draft under which nobody is a VIP for less than all fives."""
    kept = keep_portal(database, "north")
    put_customers(database, kept, *(contact(str(n)) for n in range(1, 41)))
    put_orders(
        database,
        kept,
        *(
            order(f"{n}-{k}", contact_id=str(n), at=NOW.replace(month=1 + n % 10), amount=n)
            for n in range(1, 41)
            for k in range(1 + n % 7)
        ),
    )
    with database.session() as session:
        stored = session.get_one(Portal, kept.portal_id)
        moment = scoring.as_of_moment(stored.time_zone, None, NOW)
        run = scores.start_run(session, kept.portal_id, "r1", "run", moment.day, NOW)
        live = scoring.score_portal(session, stored, run, moment, None).version
        few = replace(live.thresholds, r=tuple(max(0, days - 40) for days in live.thresholds.r))
        made = versions.Drafted(live.method, few, "test", notes={"en": "Fewer <VIPs>", "ru": "Меньше VIP"})
        versions.draft(session, stored, made, versions.Act("anna", NOW))
    return kept


def diagram(page: str) -> dict:
    return json.loads(re.search(r'<script type="application/json">(.*?)</script>', page)[1])


def test_a_portals_versions_stand_with_their_state_and_notes(client, portal):
    page = client.get("/portals/north/methods").text
    for words in ("sales5@1", "in force", "sales5@2", "draft", "anna", "Fewer &lt;VIPs&gt;", "everybody"):
        assert words in page
    assert "Меньше VIP" in client.get("/portals/north/methods?lang=ru").text


def test_what_if_shows_the_flows_as_a_diagram_and_as_a_matrix_and_changes_nothing(client, portal, database):
    before = dump(database)
    page = client.get("/portals/north/methods/sales5@2").text
    chart = diagram(page)
    assert chart["kind"] == "sankey"
    assert sum(chart["values"]) == 40
    assert len(chart["labels"]) == 10
    assert all(
        source < chart["left"] <= target for source, target in zip(chart["sources"], chart["targets"], strict=True)
    )
    assert "sales5@2 instead of sales5@1" in page
    assert dump(database) == before


def test_what_if_on_a_past_day_names_that_day(client, portal):
    page = client.get("/portals/north/methods/sales5@2?as_of=2026-05-31&lang=ru").text
    assert "31\u00a0мая 2026" in page.replace("мая\u00a02026", "мая 2026")
    assert sum(diagram(page)["values"]) < 40


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("/portals/south/methods", 404),
        ("/portals/north/methods/sales5@9", 404),
        ("/portals/north/methods/sales5", 404),
        ("/portals/north/methods/" + "x" * 99 + "@1", 404),
        ("/portals/north/methods/sales5@2?as_of=yesterday", 400),
        ("/portals/north/methods/sales5@2?as_of=2999-01-01", 200),
        ("/portals/no%00rth/methods/sales5@2", 404),
    ],
)
def test_odd_addresses_are_answered_in_words(client, portal, address, status):
    answer = client.get(address)
    assert answer.status_code == status
    assert "Traceback" not in answer.text


@pytest.mark.parametrize("language", [*Language])
def test_the_report_as_a_file_needs_nothing_from_elsewhere(database, portal, tmp_path, language):
    service = Service(None, database, Vault((KEY,)), now=lambda: NOW)
    report = whatif.simulate(service, "north", "sales5@2", priced=False)
    page = whatif_file.page(report, language)
    assert "Plotly" in page
    elements = re.sub(r"(<(script|style)[^>]*>).*?</\2>", r"\1", page, flags=re.DOTALL)
    assert not re.search(r"<[^>]+ (src|href)=", elements)
    assert diagram(page.partition("<body>")[2])["kind"] == "sankey"


def test_a_version_of_the_same_rules_and_thresholds_moves_nobody(database, portal):
    service = Service(None, database, Vault((KEY,)), now=lambda: NOW)
    report = whatif.simulate(service, "north", "sales5@1", priced=False)
    assert (report["moved"], report["cards"]["cards"]) == (0, 0)


def test_a_version_is_the_same_text_when_it_is_read_back(database, portal):
    with database.session() as session:
        row = methods.row_of(session, portal.portal_id, "sales5@2")
        assert MethodVersion.from_json(row.body).to_json() == row.body
        assert methods.opened(row).method == load_method("sales5")
