from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from werkzeug.test import Client

from sandbox.amocrm import create_portal as amocrm
from sandbox.bitrix24 import create_portal as bitrix24
from sandbox.cards import texts
from sandbox.cards.views import Refusal
from sandbox.clock import ManualClock
from sandbox.faults import Faults
from sandbox.hubspot import create_portal as hubspot
from sandbox.random_shop import random_shop
from sandbox.shop import Company, Contact, Deal, Manager, Shop, Team
from tests.sandbox import amocrm_caller, bitrix24_caller, hubspot_caller

NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)
OPENED = datetime(2025, 3, 3, 9, tzinfo=UTC)
NASTY = """<script>alert("x")</script> & 'Söhne'"""
CREATORS = {"amocrm": amocrm, "bitrix24": bitrix24, "hubspot": hubspot}


def _deal(number, status, amount, closed_at, **owner):
    usual = {"company_id": 1, "contact_ids": (12,), "main_contact_id": 12}
    return Deal(
        id=number,
        name=f"Deal {number}",
        status=status,
        amount=amount,
        currency="USD",
        manager_id=2,
        created_at=OPENED,
        closed_at=closed_at,
        **(usual | owner),
    )


SHOP = Shop(
    timezone="Asia/Vladivostok",
    currency="USD",
    teams=(Team(1, "North", 1),),
    managers=(
        Manager(1, "Anna", "Adler", "anna@shop.example", 1),
        Manager(2, "Boris", "Berg", "boris@shop.example", 1),
        Manager(3, "Chen", "Castro", "chen@shop.example", 1, active=False),
    ),
    companies=(Company(1, "Firm", 1, OPENED, "+1 202 555 0101"), Company(2, NASTY, 3, OPENED)),
    contacts=(
        Contact(12, "Dana", "Dvorak", "dana@mail.example", 2, OPENED, company_id=1),
        Contact(14, "Emil", NASTY, None, 3, OPENED),
    ),
    deals=(
        _deal(101, "won", Decimal("1234.5"), datetime(2026, 11, 1, 20, 30, tzinfo=UTC)),
        _deal(102, "open", Decimal(70), None),
        _deal(103, "lost", None, datetime(2026, 11, 2, 20, 30, tzinfo=UTC)),
        _deal(104, "won", Decimal(5), datetime(2026, 11, 3, 20, 30, tzinfo=UTC), company_id=None),
    ),
)


class Visitor:
    """A browser without a browser: what it was shown, with tags or without."""

    def __init__(self, portal):
        self.portal = portal
        self.client = Client(portal.app)

    def get(self, path, status=200, **query):
        answer = self.client.get(path, query_string=query)
        assert answer.status_code == status, answer.text
        return answer.text

    def card(self, kind="company", number=1, status=200, **query):
        return self.get(f"/sandbox/cards/{kind}/{number}", status, **query)

    def words(self, *place, **query):
        page = re.sub(r"<style>.*?</style>", "", self.card(*place, **query))
        return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))

    def post(self, form, kind="company", number=1, headers=None):
        return self.client.post(f"/sandbox/cards/{kind}/{number}", data=form, headers=headers)

    def do(self, kind="company", number=1, **form):
        answer = self.post(form, kind, number)
        assert answer.status_code == 303, answer.text
        assert answer.headers["Location"] == f"/sandbox/cards/{kind}/{number}"

    def events(self, **query):
        return self.client.get("/sandbox/events", query_string=query).json["events"]


def visit(crm, shop=SHOP, **options):
    given = {"clock": ManualClock(NOW), "limits": True, "faults": Faults.none(), "token": "secret", **options}
    return Visitor(CREATORS[crm](shop, **given))


@pytest.fixture(params=sorted(CREATORS))
def crm(request):
    return request.param


@pytest.fixture
def visitor(crm):
    return visit(crm)


# --- every CRM -----------------------------------------------------------------------------------------------


def test_a_card_shows_who_it_is_who_is_responsible_its_deals_and_its_people(visitor):
    words = visitor.words("company", 1)
    assert "Firm" in words
    assert "Anna Adler" in words
    assert "Dana Dvorak" in words
    assert "+1 202 555 0101" in words
    assert re.search(r"Deal 101.*Boris Berg", words)
    assert "Deal 104" not in words


def test_amounts_and_moments_are_written_as_in_the_portals_language_and_zone(visitor, crm):
    words = visitor.words("company", 1)
    if crm == "hubspot":
        assert "1,234.50 USD" in words
        assert "02 Nov 2026, 06:30" in words  # 20:30 UTC on the day before
    else:
        assert "1 234,50 USD" in words
        assert "02.11.2026 06:30" in words


def test_a_contact_shows_its_own_deals_and_its_employer(visitor):
    page = visitor.card("contact", 12)
    assert 'href="/sandbox/cards/company/1"' in page
    assert "Deal 104" in page


def test_deals_are_newest_first(crm):
    page = visit(crm, replace(SHOP, deals=SHOP.deals[:1] + SHOP.deals[2:])).words("contact", 12)
    assert page.index("Deal 104") < page.index("Deal 103") < page.index("Deal 101")


def test_somebody_who_left_is_marked(visitor, crm):
    words = visitor.words("company", 2)
    assert f"Chen Castro ({ {'amocrm': 'отключён', 'bitrix24': 'уволен', 'hubspot': 'deactivated'}[crm] })" in words


def test_what_people_typed_never_becomes_markup(visitor):
    for page in (
        visitor.card("company", 2),
        visitor.card("contact", 14),
        visitor.get("/sandbox/cards/", kind="company"),
        visitor.get("/sandbox/cards/", kind="company", q='"><script>'),
        visitor.card("company", 1, edit='"><script>'),
    ):
        assert "<script" not in page
    assert "&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;" in visitor.card("company", 2)


def test_a_page_asks_for_nothing_outside_and_is_light(visitor):
    answer = visitor.client.get("/sandbox/cards/company/1")
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert not re.search(r"https?://|<script|<img|<link|@import|url\(", answer.text)
    assert len(answer.data) < 20_000


def test_pages_cost_no_call_no_limit_and_meet_no_fault(crm):
    visitor = visit(crm, faults=Faults.all(1, 1.0))
    for _ in range(200):
        visitor.card("company", 1)
    visitor.get("/sandbox/cards/")
    visitor.events()
    assert (visitor.portal.requests, visitor.portal.exceeded) == (0, 0)


def test_the_api_behind_the_pages_still_wants_its_token(crm):
    visitor = visit(crm)
    assert visitor.client.get("/sandboxes").status_code in {401, 403, 404}
    assert visitor.portal.requests == 1


@pytest.mark.parametrize(
    "path",
    [
        "/sandbox/nothing",
        "/sandbox/cards/deal/101",
        "/sandbox/cards/company/999",
        "/sandbox/cards/company/0",
        "/sandbox/cards/company/-1",
        "/sandbox/cards/company/1/2",
        "/sandbox/cards/company/x",
        "/sandbox/cards/company/" + "9" * 30,
        "/sandbox/cards/contact/1",
    ],
)
def test_what_is_not_there_is_a_page_with_404(visitor, path):
    assert 'role="alert"' in visitor.get(path, 404)
    assert visitor.client.post(path, data={"do": "win", "id": "101"}).status_code == 404


def test_head_has_no_body_and_other_verbs_are_refused(visitor):
    assert visitor.client.head("/sandbox/cards/company/1").data == b""
    assert visitor.client.put("/sandbox/cards/company/1").status_code == 405


def test_the_name_and_the_responsible_person_are_edited(visitor, crm):
    names = {
        "amocrm": ("name", "responsible_user_id", "2"),
        "bitrix24": ("TITLE", "ASSIGNED_BY_ID", "2"),
        "hubspot": ("name", "hubspot_owner_id", "4002"),
    }
    name, owner, number = names[crm]
    visitor.do(do="edit", name=name, value="  Renamed & Co ")
    visitor.do(do="edit", name=owner, value=number)
    page = visitor.card()
    assert "<h1>Renamed &amp; Co</h1>" in page
    assert "<b>Boris Berg</b>" in page


def test_only_staff_who_work_here_can_be_chosen_and_others_are_refused(visitor, crm):
    owner = {"amocrm": "responsible_user_id", "bitrix24": "ASSIGNED_BY_ID", "hubspot": "hubspot_owner_id"}[crm]
    editor = visitor.card(edit=owner).partition('<select id="value"')[2].partition("</select>")[0]
    assert re.findall(r"<option[^>]*>([^<]+)", editor)[1:] == ["Anna Adler", "Boris Berg"]
    assert editor.count("selected") == 1
    answer = visitor.post({"do": "edit", "name": owner, "value": "4003" if crm == "hubspot" else "3"})
    assert answer.status_code == 400
    assert 'role="alert"' in answer.text
    assert "<b>Anna Adler</b>" in answer.text


def _status(visitor, deal_id):
    """The status of a deal as its row on the contact's card shows it; None when it has none."""
    rows = visitor.card("contact", 12, deals="all").split("<tr>")
    return next((re.search(r'class="tag (\w+)"', row)[1] for row in rows if f" {deal_id} ·" in row), None)


def test_a_deal_is_won_reopened_and_deleted_by_hand(visitor):
    assert [_status(visitor, one) for one in (101, 102, 103)] == ["won", "open", "lost"]
    visitor.do("contact", 12, do="win", id="102")
    visitor.do("contact", 12, do="reopen", id="101")
    visitor.do("contact", 12, do="reopen", id="103")
    assert [_status(visitor, one) for one in (101, 102, 103)] == ["open", "won", "open"]
    visitor.do("contact", 12, do="delete", id="104")
    assert _status(visitor, 104) is None


def test_a_deal_that_is_gone_is_refused_with_a_sentence(visitor):
    visitor.do("contact", 12, do="delete", id="104")
    for deed in ("win", "reopen", "delete"):
        answer = visitor.post({"do": deed, "id": "104"}, "contact", 12)
        assert answer.status_code == 400
        assert "104" in re.search(r'role="alert">([^<]+)', answer.text)[1]


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"do": "edit"},
        {"do": "edit", "name": "name"},
        {"do": "win", "id": "x"},
        {"do": "win"},
        {"do": "explode", "id": "101"},
        {"do": "finish"},
    ],
)
def test_a_form_that_is_none_of_ours_changes_nothing(visitor, form):
    before = visitor.card()
    assert visitor.post(form).status_code == 400
    assert visitor.client.post("/sandbox/cards/company/1", data=b"\xff\xfe=%%").status_code == 400
    assert visitor.card() == before


@pytest.mark.parametrize("name", ["nothing_like_it", "hs_object_id", "CREATED_TIME", "", "'"])
def test_a_field_that_cannot_be_edited_is_refused(visitor, name):
    answer = visitor.post({"do": "edit", "name": name, "value": "1"})
    assert answer.status_code == 400
    assert 'role="alert"' in answer.text


@pytest.mark.parametrize("task", ["999", "t999", "k999", "x", "", "t", "²"])
def test_a_task_that_is_not_there_is_refused(visitor, task):
    assert visitor.post({"do": "finish", "id": task}).status_code == 400


def test_forms_of_other_sites_are_refused_and_own_ones_are_not(visitor):
    form = {"do": "win", "id": "102"}
    for origin in ("https://evil.example", "null", "http://localhost:1"):
        assert visitor.post(form, headers={"Origin": origin}).status_code == 403
    assert _status(visitor, 102) == "open"
    assert visitor.post(form, headers={"Origin": "http://localhost"}).status_code == 303


# --- the list ------------------------------------------------------------------------------------------------


def _listed(page):
    return [int(one) for one in re.findall(r'href="/sandbox/cards/(?:company|contact)/(\d+)"', page)]


def test_the_list_is_paged_without_losing_or_repeating_a_card(crm):
    shop = random_shop(3, 240, 10, date(2026, 11, 24))
    visitor = visit(crm, shop)
    pages = -(-len(shop.contacts) // 50)
    assert pages > 2
    seen = [_listed(visitor.get("/sandbox/cards/", kind="contact", page=one + 1)) for one in range(pages)]
    assert [one for page in seen for one in page] == sorted(contact.id for contact in shop.contacts)
    assert _listed(visitor.get("/sandbox/cards/", kind="contact", page=99)) == seen[-1]
    assert str(len(shop.contacts)) in visitor.get("/sandbox/cards/", kind="contact")


def test_a_card_is_found_by_its_number_and_by_a_part_of_its_name(visitor):
    assert _listed(visitor.get("/sandbox/cards/", kind="contact", q="12")) == [12]
    assert _listed(visitor.get("/sandbox/cards/", kind="contact", q=" dvoR ")) == [12]
    assert _listed(visitor.get("/sandbox/cards/", kind="contact", q="nobody here")) == []


@pytest.mark.parametrize("page", ["0", "-1", "x", "99999999999999999999"])
def test_an_odd_page_number_is_no_error(visitor, page):
    assert _listed(visitor.get("/sandbox/cards/", kind="contact", page=page))


def test_the_list_opens_with_contacts_where_there_are_no_companies(crm):
    page = visit(crm, replace(SHOP, companies=(), contacts=SHOP.contacts[1:], deals=())).get("/sandbox/cards")
    assert _listed(page) == [14]


def test_many_deals_are_shortened_until_all_are_asked_for(crm):
    deals = tuple(_deal(1000 + one, "won", Decimal(one), OPENED + timedelta(days=one)) for one in range(45))
    visitor = visit(crm, replace(SHOP, deals=deals))
    assert visitor.card().count("<tr>") == 1 + 20
    assert visitor.card(deals="all").count("<tr>") == 1 + 45


# --- events --------------------------------------------------------------------------------------------------


def test_what_a_person_does_stands_first_in_the_feed(visitor):
    visitor.do("contact", 12, do="win", id="102")
    (newest,) = visitor.events(limit=1)
    assert newest["id"] == 102
    assert newest["kind"] in {"deal", "lead"}
    assert newest["at"] == "2026-11-24T09:00:00Z"


def test_the_feed_can_begin_at_a_moment(visitor):
    assert visitor.events(since="2026-11-24T09:00:00Z") == []
    visitor.do("contact", 12, do="win", id="102")
    assert {event["id"] for event in visitor.events(since="2026-11-24T09:00:00Z")} == {102}


@pytest.mark.parametrize("query", [{"limit": "0"}, {"limit": "x"}, {"since": "yesterday"}, {"since": "2026-11-24"}])
def test_a_feed_that_is_asked_wrongly_says_so(visitor, query):
    assert visitor.client.get("/sandbox/events", query_string=query).status_code == 400


# --- the fields of a connector, in each CRM ------------------------------------------------------------------

MOMENT = datetime(2026, 11, 24, 22, 15, tzinfo=UTC)  # the next day in Vladivostok


def _hubspot():
    visitor = visit("hubspot", token=hubspot_caller.TOKEN)
    api = hubspot_caller.with_fields(visitor.portal)
    values = {
        "rfm_r": "12345",
        "rfm_segment": "vip",
        "rfm_churn_risk": "true",
        "rfm_code": "545",
        "rfm_updated_at": MOMENT.isoformat(),
    }
    assert api.patch("/crm/objects/2026-09/companies/1", {"properties": values}).status == 200
    return visitor, api


def test_hubspot_shows_a_group_with_labels_choices_and_moments():
    visitor, _ = _hubspot()
    words = visitor.words()
    assert re.search(r"RFM .*rfm_r Edit 12,345 rfm_segment Edit Vip .*rfm_updated_at Edit 25 Nov 2026, 08:15", words)
    assert "rfm_churn_risk Edit true" in words  # the label that the property's maker gave
    assert words.index(" RFM ") < words.index("Company information")
    assert "Vip" in visitor.get("/sandbox/cards/", kind="company")


@pytest.mark.parametrize(
    ("name", "typed", "kept"),
    [
        ("rfm_r", "7", "7"),
        ("rfm_r", "", None),
        ("rfm_segment", "loyal", "loyal"),
        ("rfm_churn_risk", "no", "false"),
        ("rfm_churn_risk", "", None),
        ("rfm_updated_at", "2026-11-25T08:30", "2026-11-24T22:30:00Z"),
        ("rfm_code", "<b>", "<b>"),
    ],
)
def test_hubspot_keeps_what_a_person_types(name, typed, kept):
    visitor, _ = _hubspot()
    visitor.do(do="edit", name=name, value=typed)
    assert visitor.portal.card("companies", 1).get(name) == kept


@pytest.mark.parametrize(
    ("name", "typed"), [("rfm_r", "many"), ("rfm_segment", "king"), ("rfm_updated_at", "soon"), ("rfm_churn_risk", "?")]
)
def test_hubspot_refuses_what_does_not_fit_and_keeps_the_form_open(name, typed):
    visitor, _ = _hubspot()
    before = visitor.portal.card("companies", 1)
    answer = visitor.post({"do": "edit", "name": name, "value": typed})
    assert answer.status_code == 400
    assert 'role="alert"' in answer.text
    assert f'name="name" value="{name}"' in answer.text
    assert visitor.portal.card("companies", 1) == before


def test_hubspot_tasks_are_shown_open_ones_first_and_ticked_off():
    visitor, api = _hubspot()
    for subject, due in (("Call soon", "2026-11-24T10:00:00Z"), ("Call late", "2026-11-24T08:00:00Z")):
        link = {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 192}
        body = {"hs_task_subject": subject, "hs_timestamp": due, "hs_task_body": "<p>One</p>two<br>three &amp; 4"}
        task = {
            "properties": body | {"hubspot_owner_id": "4002"},
            "associations": [{"to": {"id": "1"}, "types": [link]}],
        }
        assert api.post("/crm/objects/2026-09/tasks", task).status == 201
    words = visitor.words()
    assert re.search(
        r"Tasks · 2 Call late Due: 24 Nov 2026, 18:00 overdue · Boris Berg Done One two three &amp; 4", words
    )
    assert re.search(r"Call soon Due: 24 Nov 2026, 20:00 · Boris Berg", words)
    visitor.do(do="finish", id="2")
    assert re.search(r"Tasks · 1 Call soon .* Call late Due: [^·]* done", visitor.words())


def test_hubspot_shows_the_winner_of_a_merge():
    visitor = visit("hubspot")
    visitor.portal.merge("companies", 1, 2)
    assert "<h1>Firm</h1>" in visitor.card("company", 2)


def test_hubspot_feed_tells_of_the_recycling_bin():
    visitor = visit("hubspot")
    visitor.do("contact", 12, do="delete", id="104")
    assert visitor.events(limit=1) == [{"kind": "deal", "id": 104, "what": "deleted", "at": "2026-11-24T09:00:00Z"}]


def _bitrix24():
    visitor = visit("bitrix24")
    ask = lambda method, **params: bitrix24_caller.result(visitor.portal, method, **params)  # noqa: E731
    for name, kind in (
        ("RFM_R", "integer"),
        ("RFM_M", "double"),
        ("RFM_UPDATED", "datetime"),
        ("RFM_CHURN", "boolean"),
    ):
        labels = {"EDIT_FORM_LABEL": {"ru": f"Поле {name}"}}
        ask("crm.company.userfield.add", fields={"FIELD_NAME": name, "USER_TYPE_ID": kind, **labels})
    options = bitrix24_caller.add_enum(visitor.portal, "company", "vip", "loyal")
    fields = {
        "UF_CRM_RFM_R": 5,
        "UF_CRM_RFM_M": "1234.50",
        "UF_CRM_RFM_UPDATED": MOMENT.isoformat(),
        "UF_CRM_RFM_CHURN": "Y",
        "UF_CRM_RFM_SEGMENT": options["vip"],
    }
    ask("crm.item.update", entityTypeId=4, id=1, useOriginalUfNames="Y", fields=fields)
    return visitor, ask


def test_bitrix24_shows_labels_options_and_moments():
    visitor, _ = _bitrix24()
    words = visitor.words()
    assert re.search(r"Ещё .*Поле RFM_R Изменить 5 Поле RFM_M Изменить 1 234,50", words)
    assert "Поле RFM_UPDATED Изменить 25.11.2026 08:15" in words
    assert "Поле RFM_CHURN Изменить Да" in words
    assert "UF_CRM_RFM_SEGMENT Изменить Vip" in words
    assert "Vip" in visitor.get("/sandbox/cards/", kind="company")


def test_bitrix24_puts_fields_where_the_common_layout_has_them():
    visitor, ask = _bitrix24()
    elements = [{"name": "UF_CRM_RFM_R"}, {"name": "TITLE"}]
    layout = [{"type": "section", "name": "rfm", "title": "RFM", "elements": elements}]
    ask("crm.item.details.configuration.set", entityTypeId=4, scope="C", data=layout)
    assert re.search(r"RFM Поле RFM_R Изменить 5 Ещё Поле RFM_M", visitor.words())


@pytest.mark.parametrize(
    ("name", "typed", "kept"),
    [
        ("UF_CRM_RFM_R", "7", 7),
        ("UF_CRM_RFM_R", "", None),
        ("UF_CRM_RFM_M", "8.25", Decimal("8.25")),
        ("UF_CRM_RFM_SEGMENT", "loyal", "loyal"),
        ("UF_CRM_RFM_CHURN", "no", False),
        ("UF_CRM_RFM_UPDATED", "2026-11-25T08:30", datetime(2026, 11, 24, 22, 30, tzinfo=UTC)),
    ],
)
def test_bitrix24_keeps_what_a_person_types(name, typed, kept):
    visitor, _ = _bitrix24()
    visitor.do(do="edit", name=name, value=typed)
    assert visitor.portal.card("company", 1).get(name) == kept
    assert visitor.portal.state.companies.rows[1].updated_by == visitor.portal.BY_HAND


@pytest.mark.parametrize(
    ("name", "typed"),
    [("UF_CRM_RFM_R", "many"), ("UF_CRM_RFM_SEGMENT", "king"), ("UF_CRM_RFM_UPDATED", "x"), ("UF_CRM_RFM_CHURN", "?")],
)
def test_bitrix24_refuses_what_does_not_fit(name, typed):
    visitor, _ = _bitrix24()
    before = visitor.portal.card("company", 1)
    answer = visitor.post({"do": "edit", "name": name, "value": typed})
    assert answer.status_code == 400
    assert 'role="alert"' in answer.text
    assert visitor.portal.card("company", 1) == before


def test_bitrix24_shows_todos_and_tied_tasks_by_deadline_and_ticks_them_off():
    visitor, ask = _bitrix24()
    owner = {"ownerTypeId": 4, "ownerId": 1}
    ask("crm.activity.todo.add", **owner, title="Call", deadline="2026-11-24T10:00:00+00:00", responsibleId=2)
    task = {"TITLE": "Visit", "RESPONSIBLE_ID": 1, "DEADLINE": "2026-11-24T08:00:00+00:00", "UF_CRM_TASK": ["CO_1"]}
    ask("tasks.task.add", fields=task)
    words = visitor.words()
    assert re.search(
        r"Задачи · 2 Visit Срок: 24.11.2026 18:00 просрочена · Anna Adler .*Call Срок: 24.11.2026 20:00", words
    )
    assert "Call" not in visitor.words("contact", 12)
    visitor.do(do="finish", id="t1")
    visitor.do(do="finish", id="k1")
    assert "Задачи · 0" in visitor.words()


def _amocrm():
    visitor = visit("amocrm")
    call = amocrm_caller.Caller(visitor.portal, visitor.portal.account.clock)
    amocrm_caller.add_fields(call, "companies")
    value = amocrm_caller.value
    values = [
        value("RFM_R", 12345),
        value("RFM_CODE", "545"),
        value("RFM_UPDATED_AT", int(MOMENT.timestamp())),
        value("RFM_CHURN_RISK", True),
        value("RFM_SEGMENT", {"enum_code": "vip"}),
    ]
    call.write("PATCH", "companies", [{"id": 1, "custom_fields_values": values}])
    return visitor, call


def test_amocrm_shows_fields_options_and_moments_and_says_which_only_the_api_changes():
    visitor, _ = _amocrm()
    words = visitor.words()
    assert "R только через API 12 345" in words
    assert "Code Изменить 545" in words
    assert "Updated Изменить 25.11.2026 08:15" in words
    assert "Risk Изменить Да" in words
    assert "RFM segment только через API VIP" in words
    assert "VIP" in visitor.get("/sandbox/cards/", kind="company")


def test_amocrm_tabs_that_somebody_added_come_first():
    visitor, call = _amocrm()
    field_id = visitor.portal.account.books["companies"].by_code("RFM_R").id
    call.write("POST", "companies/custom_fields/groups", [{"name": "Вкладка RFM", "sort": 5, "fields": [field_id]}])
    assert re.search(r"Вкладка RFM R только через API 12 345 Основное Название", visitor.words())


@pytest.mark.parametrize(
    ("name", "typed", "kept"),
    [
        ("RFM_CODE", "111", "111"),
        ("RFM_CODE", "", None),
        ("RFM_CHURN_RISK", "no", False),
        ("RFM_UPDATED_AT", "2026-11-25T08:30", int(datetime(2026, 11, 24, 22, 30, tzinfo=UTC).timestamp())),
        ("RFM_HINT", "one\r\ntwo", "one\ntwo"),
        ("PHONE", "+1 202 555 0199", "+1 202 555 0199"),
    ],
)
def test_amocrm_keeps_what_a_person_types_under_that_persons_name(name, typed, kept):
    visitor, _ = _amocrm()
    visitor.do(do="edit", name=name, value=typed)
    assert visitor.portal.card_values("companies", 1).get(name) == kept
    assert visitor.portal.card("companies", 1)["updated_by"] == 1


@pytest.mark.parametrize(
    ("name", "typed"), [("RFM_R", "7"), ("RFM_SEGMENT", "Loyal"), ("RFM_CODE", "x" * 257), ("RFM_UPDATED_AT", "x")]
)
def test_amocrm_refuses_what_only_the_api_may_write_and_what_does_not_fit(name, typed):
    visitor, _ = _amocrm()
    before = visitor.portal.card_values("companies", 1)
    answer = visitor.post({"do": "edit", "name": name, "value": typed})
    assert answer.status_code == 400
    assert 'role="alert"' in answer.text
    assert visitor.portal.card_values("companies", 1) == before


def test_amocrm_tasks_are_shown_and_finished_with_a_result():
    visitor, call = _amocrm()
    due = int(datetime(2026, 11, 24, 8, tzinfo=UTC).timestamp())
    task = {"text": "Позвонить\nСпросить о заказе", "complete_till": due, "entity_id": 1, "entity_type": "companies"}
    call.write("POST", "tasks", [task | {"responsible_user_id": 2}])
    words = visitor.words()
    assert "Задачи · 1 Позвонить Срок: 24.11.2026 18:00 просрочена · Boris Berg Выполнить Спросить о заказе" in words
    visitor.do(do="finish", id="1")
    assert re.search(r"Задачи · 0 Позвонить .* выполнена .* → Сделано", visitor.words())


def test_amocrm_feed_has_the_accounts_own_words():
    visitor = visit("amocrm")
    visitor.do("contact", 12, do="win", id="102")
    assert visitor.events(limit=1)[0]["what"] == "lead_status_changed"


# --- texts ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "en", "ru"),
    [
        ("1234567.5", "1,234,567.5", "1 234 567,5"),
        ("-1000", "-1,000", "-1 000"),
        ("0", "0", "0"),
        ("abc", "abc", "abc"),
        ("NaN", "NaN", "NaN"),
        ("", "", ""),
    ],
)
def test_numbers_are_grouped_and_other_texts_stay(text, en, ru):
    assert texts.number_or_text(text, "en") == en
    assert texts.number_or_text(text, "ru") == ru


def test_money_has_two_decimals_and_none_is_no_zero():
    assert texts.money(Decimal("-0.5"), "USD", "en") == "-0.50 USD"
    assert texts.money(Decimal(0), None, "en") == "0.00"
    assert texts.money(None, "USD", "en") == ""


def test_a_moment_survives_the_form_and_other_texts_are_refused():
    zone = ZoneInfo("Asia/Vladivostok")
    assert texts.read_moment(texts.form_moment(MOMENT, zone), zone) == MOMENT
    with pytest.raises(Refusal):
        texts.read_moment("tomorrow", zone)
