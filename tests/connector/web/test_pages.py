from __future__ import annotations

import json
import re
from datetime import timedelta
from urllib.parse import quote

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connector.store import overview, portals
from connector.store.locks import portal_lock
from connector.web.pages import PORTALS_A_PAGE
from tests.connector.web import shop

ANY_TEXT = st.text(max_size=40)


def rows(page: str, caption: str) -> list[str]:
    """The first cells of the table with this caption."""
    table = page.partition(f">{caption}</caption>")[2].partition("</table>")[0].partition("<tbody>")[2]
    return [re.sub(r"<[^>]+>", "", cell).strip() for cell in re.findall(r'<th scope="row".*?</th>', table, re.DOTALL)]


def customers(client, query: str) -> list[str]:
    return [cell.split(" ")[1] for cell in rows(client.get(f"/portals/north?{query}").text, "Scored customers")]


@pytest.fixture
def north(database):
    with database.session() as session:
        return shop.whole_shop(session)


@pytest.fixture
def queries(app):
    """The statements a page sends; a fixture of lists so that a test can forget what came before."""
    sent: list[str] = []
    engine = app.extensions["pages"].database().engine
    sa.event.listen(engine, "before_cursor_execute", lambda *words: sent.append(words[2]))
    return sent


def test_without_a_portal_the_page_says_how_to_connect_each_crm(client):
    page = client.get("/").text
    assert "Connect the first portal" in page
    for crm in ("amocrm", "bitrix24", "hubspot"):
        assert f"rfm-connector connect {crm} --name my-crm" in page


def test_the_first_page_shows_portals_segments_runs_and_cards(client, north):
    page = client.get("/").text
    assert "VIP and Loyal are 24 of 60\u00a0customers (40%)" in page
    assert '<a href="https://app.hubspot.com/contacts/north/record/0-1/59"' in page
    assert rows(page, "Segments as a table") == ["VIP", "Loyal", "Promising", "At risk", "Sleeping"]
    assert "24\u00a0November\u00a02026,\u00a012:00\u00a0MSK" in page
    chart = json.loads(re.search(r'<script type="application/json">(.*?)</script>', page)[1])
    assert chart["shares"] == [0.2] * 5


def test_a_portal_has_its_figures_method_runs_and_tasks(client, north):
    page = client.get("/portals/north").text
    for words in (
        "sales5@1",
        "365\u00a0days",
        "0 – 10",
        "121 and more",
        "Anna Petrova",
        "Say hello",
        "12.3",
        "whole run",
    ):
        assert words in page
    assert "The CRM refused nothing" in page


def test_a_portal_without_any_run_is_no_empty_page(client, database):
    with database.session() as session:
        shop.add_portal(session, "fresh", last_sync_at=None)
    for address in ("/", "/portals/fresh"):
        page = client.get(address).text
        assert "Not run yet" in page
        assert "rfm-connector run fresh" in page


def test_a_stale_portal_says_so_and_what_to_do(client, database):
    with database.session() as session:
        shop.whole_shop(session, last_sync_at=shop.NOW - timedelta(days=5))
    page = client.get("/portals/north").text
    assert "Out of date" in page
    assert "5\u00a0days ago" in page
    assert "rfm-connector run north" in page


def test_a_run_that_was_cut_off_is_told_from_one_that_works(client, database, north):
    with database.session() as session:
        shop.add_run(session, north, "r2", state="running", counts={}, started_at=shop.NOW)
    page = client.get("/portals/north").text
    assert "Last run failed" in page
    assert "cut off</span>" in page
    with portal_lock(database, north.portal_id):
        page = client.get("/portals/north").text
    assert "Working now" in page
    assert "Last run failed" not in page


@pytest.mark.parametrize(
    ("expected", "words"),
    [
        (400, "A run is under way. Reading the CRM: 100 of 400, 25.0%, about 30 min left."),
        (None, "A run is under way. Reading the CRM: 100. This CRM does not tell how many there are."),
    ],
)
def test_an_open_run_shows_how_far_it_is(client, database, north, expected, words):
    began = shop.NOW - timedelta(minutes=10)
    counts = {"stage": "pull:read", "stage_at": began.isoformat(), "received": 100, "expected": expected}
    with database.session() as session:
        shop.add_run(session, north, "r2", state="open", started_at=began, counts=counts)
    assert words in client.get("/portals/north").text


def test_a_lost_grant_is_shown_with_its_reason(client, database, north):
    with database.session() as session:
        portals.note(session, north.portal_id, "system", "portal.access_lost", {"reason": "the token is dead"})
    page = client.get("/portals/north").text
    assert "No access" in page
    assert "the token is dead" in page


def test_refused_records_are_listed_with_field_and_reason(client, database, north):
    with database.session() as session:
        shop.add_run(session, north, "r2", state="done_with_refusals", started_at=shop.NOW, counts={"refused": 2})
        shop.add_refusal(session, north, 3, "not an option", "r2")
        shop.add_task(session, north, 9, "x", state="refused", reason="no such user", run_id="r2")
    page = client.get("/portals/north").text
    assert "Some records refused" in page
    for words in ("contact 3", "not an option", "contact 9", "no such user", "<code>segment</code>"):
        assert words in page


def test_a_weak_fit_is_told(client, database):
    with database.session() as session:
        portal = shop.add_portal(session)
        shop.add_method(session, portal, weak=("fewer than 50 customers",))
    assert "fewer than 50 customers" in client.get("/portals/north").text


def test_causes_of_low_quality_can_be_read(client, database):
    with database.session() as session:
        portal = shop.add_portal(session)
        shop.add_method(session, portal)
        shop.add_customers(session, portal, 1, quality=20, causes=1)
    assert "Won deals have no amount: fill it in." in client.get("/portals/north").text


def test_customers_are_paged_without_gap_or_repetition(client, north):
    seen = [number for page in (1, 2, 3) for number in customers(client, f"page={page}")]
    assert seen == [str(number) for number in range(59, -1, -1)]
    assert client.get("/portals/north?page=4").status_code == 404


@pytest.mark.parametrize("order", overview.ORDERS)
def test_pages_counted_from_the_end_join_those_from_the_start(database, north, order):
    with database.session() as session:
        pages = [
            overview.customers_page(session, north.portal_id, segment=None, order=order, page=page, size=7, total=60)
            for page in range(1, 10)
        ]
        whole = overview.customers_page(session, north.portal_id, segment=None, order=order, page=1, size=60, total=60)
    assert [row for page in pages for row in page] == whole
    assert [len(page) for page in pages] == [7] * 8 + [4]


def test_customers_can_be_sorted_and_narrowed_to_a_segment(client, north):
    assert customers(client, "order=r")[0] == "59"
    assert customers(client, "order=customer")[0] == "0"
    assert customers(client, "segment=loyal&order=customer")[:3] == ["1", "6", "11"]
    page = client.get("/portals/north?order=r&segment=").text
    assert 'href="/portals/north?order=r&amp;segment=&amp;page=2"' in page


@pytest.mark.parametrize("wish", ["41", "contact:41", " 41 "])
def test_a_customer_is_found_by_its_id(client, north, wish):
    assert customers(client, f"find={wish}") == ["41"]


def test_nobody_found_is_said_with_the_id_in_question(client, north):
    page = client.get("/portals/north?find=<b>no</b>")
    assert page.status_code == 200
    assert "has the id &lt;b&gt;no&lt;/b&gt;" in page.text


def test_names_from_outside_are_text_and_never_markup(client, database):
    name = "<script>alert(1)</script>"
    with database.session() as session:
        portal = shop.whole_shop(session, name.replace("/", "%"), host="<i>.bitrix24.ru", crm="bitrix24")
        shop.add_task(session, portal, 5, "<img src=x>")
        shop.add_manager(session, portal, "8", "</td><b>")
    for address in ("/", "/portals/%3Cscript%3Ealert(1)%3C%25script%3E"):
        page = client.get(address)
        assert page.status_code == 200
        for raw in ("<script>alert", "<img", "<i>.bitrix24", "</td><b>"):
            assert raw not in page.text


def test_chart_data_cannot_end_its_script_block(app, client):
    escape = app.jinja_env.filters["chart"]
    text = escape({"label": "</script><script>alert(1)</script>&<!--"})
    assert "<" not in text
    assert json.loads(text)["label"] == "</script><script>alert(1)</script>&<!--"


def test_the_first_page_asks_as_often_for_twelve_portals_as_for_one(client, database, north, queries):
    client.get("/")
    queries.clear()
    client.get("/")
    one = len(queries)
    with database.session() as session:
        for number in range(PORTALS_A_PAGE - 1):
            shop.whole_shop(session, f"shop{number}", 5)
    queries.clear()
    client.get("/")
    assert len(queries) == one <= 12


def test_a_portals_page_asks_as_often_for_many_customers_as_for_few(client, database, north, queries):
    with database.session() as session:
        shop.whole_shop(session, "small", 3)
    client.get("/portals/small")
    queries.clear()
    client.get("/portals/small")
    few = len(queries)
    queries.clear()
    client.get("/portals/north")
    assert len(queries) == few <= 14


def test_portals_are_paged(client, database):
    with database.session() as session:
        for number in range(PORTALS_A_PAGE + 1):
            shop.add_portal(session, f"shop{number:02}")
    assert "shop12" not in client.get("/").text
    assert "shop12" in client.get("/?page=2").text
    assert client.get("/?page=3").status_code == 404


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("page=0", 400), ("page=-1", 400), ("page=x", 400), ("page=1.5", 400), ("page=", 400), ("page=٣", 400),
        ("page=99999999999999999999", 400), ("page=99999", 404), ("order=drop", 400), ("segment=nobody", 404),
        ("find=" + "x" * 65, 400), ("find=%00", 400), ("segment=%00", 404), ("order=%00", 400), ("find=%ff%fe", 200),
        ("lang=%00", 200), ("lang=tlh", 200), ("page=1&page=x", 200), ("&&&=;", 200), ("find=", 200),
    ],
)  # fmt: skip
def test_a_wrong_query_is_answered_in_words(client, north, query, status):
    assert client.get(f"/portals/north?{query}").status_code == status


@pytest.mark.parametrize("name", ["nobody", "%00", "%ff", "north%2Fsouth", "..", "' OR 1=1", "x" * 5000])
def test_an_unknown_portal_is_not_found(client, north, name):
    page = client.get(f"/portals/{name}")
    assert page.status_code == 404
    assert "There is nothing here" in page.text


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    path=st.sampled_from(["/", "/portals/north"]) | ANY_TEXT.map(lambda text: f"/portals/{quote(text)}"),
    query=st.dictionaries(
        st.sampled_from(["page", "order", "segment", "find", "lang"]) | ANY_TEXT,
        ANY_TEXT | st.integers().map(str) | st.sampled_from(["vip", "m", "ru"]),
        max_size=5,
    ),
    headers=st.fixed_dictionaries(
        {},
        optional={
            "Accept-Language": st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=30),
            "Cookie": st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=30),
        },
    ),
)
def test_nothing_a_client_sends_breaks_a_page(client, north, path, query, headers):
    answer = client.get(path, query_string=query, headers=headers)
    assert answer.status_code in {200, 308, 400, 404}


def test_the_language_comes_from_the_address_then_the_cookie_then_the_browser(client, north):
    assert "Customers known" in client.get("/").text
    assert "Известно клиентов" in client.get("/", headers={"Accept-Language": "ru-RU,en;q=0.5"}).text
    chosen = client.get("/?lang=ru")
    assert '<html lang="ru">' in chosen.text
    assert "SameSite=Lax" in chosen.headers["Set-Cookie"]
    assert '<html lang="ru">' in client.get("/", headers={"Accept-Language": "en"}).text
    assert '<html lang="en">' in client.get("/?lang=en").text


def test_the_other_language_keeps_the_place(client, north):
    page = client.get("/portals/north?segment=vip&lang=en").text
    assert 'href="/portals/north?segment=vip&amp;lang=ru"' in page


@pytest.mark.parametrize("address", ["/", "/portals/north", "/nothing"])
def test_pages_have_one_heading_a_language_and_named_regions(client, north, address):
    page = client.get(address).text
    assert page.count("<h1") == 1
    assert '<html lang="en">' in page
    assert page.count('role="region"') == page.count('role="region" tabindex="0" aria-label="')
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'aria-labelledby="([^"]+)"', page)) <= set(ids)
