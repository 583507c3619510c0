"""Methods replayed on a portal's past: which days, which orders, and the report."""

from __future__ import annotations

import json
import re
from datetime import date, timedelta
from decimal import Decimal

import pytest

from adapters.records import Manager
from connector.errors import WrongUse
from connector.scores import run as scoring
from connector.scores.moments import as_of_moment
from connector.scores.replays import Question, replay_methods
from connector.store import mirror, scores
from connector.store.models import Portal
from connector.web.backtest_file import backtest_html
from connector.web.texts import texts_in
from connector.wording import Language
from tests.connector.factories import at, contact, dump, keep_portal, order, put_customers, put_orders

NOW = at("2026-03-01 13:00")


def ago(days):
    return NOW - timedelta(days=days)


@pytest.fixture
def portal(database):
    """Contact n of 1 to 20 orders every 5 n days, for 10 n roubles, over 500 days."""
    kept = keep_portal(database)
    with database.session() as session:
        mirror.store_staff(session, kept.portal_id, [Manager("1", "A")], [])
    put_customers(database, kept, *(contact(str(n), manager_id="1") for n in range(1, 21)))
    orders = [
        order(f"{n}-{k}", contact_id=str(n), at=ago(k * 5 * n), amount=Decimal(10 * n))
        for n in range(1, 21)
        for k in range(500 // (5 * n) + 1)
    ]
    put_orders(database, kept, *orders)
    with database.session() as session:
        stored = session.get_one(Portal, kept.portal_id)
        moment = as_of_moment(stored.time_zone, None, NOW)
        run = scores.start_run(session, kept.portal_id, "r1", "run", moment.day, NOW)
        scoring.score_portal(session, stored, run, moment, None)
    return kept


def replayed(database, portal, **question):
    with database.session() as session:
        stored = session.get_one(Portal, portal.portal_id)
        return replay_methods(session, stored, Question(**question), as_of_moment(stored.time_zone, None, NOW))


def test_the_last_six_months_whose_horizon_is_over_are_replayed(database, portal):
    found = replayed(database, portal)
    assert found.dates == (
        date(2025, 6, 30), date(2025, 7, 31), date(2025, 8, 31), date(2025, 9, 30), date(2025, 10, 31),
        date(2025, 11, 30),
    )  # fmt: skip
    assert [replay.contender.label for replay in found.replays] == ["sales5"]
    assert replayed(database, portal, every="quarter", horizon=40).dates == (
        date(2025, 3, 31), date(2025, 6, 30), date(2025, 9, 30), date(2025, 12, 31),
    )  # fmt: skip


def test_replaying_stores_nothing(database, portal):
    before = dump(database)
    replayed(database, portal, methods=("sales5", "customer360", "sales5@1"))
    assert dump(database) == before


def test_a_version_that_was_fitted_later_is_named_because_it_has_seen_the_future(database, portal):
    found = replayed(database, portal, methods=("sales5", "sales5@1"))
    assert found.seen == ("sales5@1",)
    frozen = found.replays[1]
    assert len({snapshot.thresholds for snapshot in frozen.snapshots}) == 1
    assert len({snapshot.thresholds for snapshot in found.replays[0].snapshots}) > 1


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ({"dates": (date(2026, 2, 1),)}, "are not over: the last order is of 2026-03-01"),
        ({"dates": (date(2020, 1, 1),)}, "nobody had ordered yet"),
        ({"horizon": 400}, "too short: a replay needs 90 days before"),
        ({"methods": ("sales5@7",)}, "no version sales5@7"),
        ({"methods": ("rfm9",)}, "no method 'rfm9'"),
    ],
)
def test_what_cannot_be_replayed_is_refused_with_the_reason(database, portal, question, words):
    with pytest.raises(WrongUse, match=words):
        replayed(database, portal, **question)


def test_without_orders_there_is_nothing_to_replay(database):
    with pytest.raises(WrongUse, match="run `sync q` first"):
        replayed(database, keep_portal(database, "q"))


def test_the_figures_are_plain_json(database, portal):
    found = json.loads(json.dumps(replayed(database, portal, methods=("customer360",)).as_json()))
    (method,) = found["methods"]
    assert (method["method"], method["frozen"], len(method["days"])) == ("customer360", False, 6)
    rate = method["together"]["segments"][0]["purchase_rate"]
    assert 0 <= rate["low"] <= rate["value"] <= rate["high"] <= 1


@pytest.mark.parametrize("language", list(Language))
def test_the_report_is_one_file_with_a_table_and_a_sentence_for_every_chart(database, portal, language):
    page = backtest_html(replayed(database, portal, methods=("sales5", "sales5@1")), texts_in(language))
    texts = texts_in(language)
    assert not re.search(r"<(?:script|link|img)[^>]*(?:src|href)=", page)
    assert page.count('class="chart chart-plain"') == 10
    assert page.count("<table>") == 11
    assert page.count('class="sentence"') == 11
    assert texts("backtest.seen", method="sales5@1") in page
    for block in re.findall(r'<script type="application/json">(.*?)</script>', page):
        assert json.loads(block)["traces"]
