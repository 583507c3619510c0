"""What people do on the cards with tasks and customers, in each emulated portal, over HTTP."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import requests

from adapters.records import ContactChannel, CustomerKind
from sandbox.server import serve
from tests.contract.stands import stand
from tests.contract.suite import drafts
from tests.contract.work import keyed

CONTACT = CustomerKind.CONTACT


@pytest.fixture(params=("amocrm", "bitrix24", "hubspot"))
def crm(request):
    with stand(request.param, customers=12, deals=8) as opened:
        yield opened


@pytest.fixture
def card(crm):
    with serve(crm.portal.app) as server:
        yield f"{server.url}/sandbox/cards/contact/{crm.ids(CONTACT)[0]}"


@pytest.fixture
def task(crm):
    (made,) = crm.adapter.create_tasks(drafts(crm, crm.ids(CONTACT)[0]))
    return str(made.external_id)


def do(card, status=303, **form):
    answer = requests.post(card, form, allow_redirects=False, timeout=10)
    assert answer.status_code == status, answer.text[:400]
    return answer


def on_card(crm, task):
    return f"t{task}" if crm.name == "bitrix24" else task


def state(crm, task):
    return crm.adapter.tasks_by_id([task]).records[0]


def test_a_task_is_moved_given_away_and_closed_with_its_result(crm, card, task):
    number = on_card(crm, task)
    other = [one.external_id for one in crm.adapter.managers()[0] if one.active][-1]
    assert f'value="{number}"' in requests.get(card, timeout=10).text
    do(card, do="move", id=number, due="2026-12-01T10:30")
    do(card, do="give", id=number, to=other)
    found = state(crm, task)
    assert found.manager_id == other
    assert datetime(2026, 11, 30, 22, tzinfo=UTC) < found.due_at < datetime(2026, 12, 1, 23, tzinfo=UTC)
    do(card, do="close", id=number, result="Agreed to meet")
    assert state(crm, task).is_done


def test_a_task_is_deleted(crm, card, task):
    do(card, do="drop", id=on_card(crm, task))
    assert crm.adapter.tasks_by_id([task]).gone == {task}
    assert do(card, 400, do="drop", id=on_card(crm, task)).text


def test_calls_messages_letters_and_meetings_are_held_from_the_card(crm, card):
    do(card, do="call", seconds="75", way="in")
    do(card, do="message", way="out")
    do(card, do="letter", way="in")
    do(card, do="meet", held="yes")
    found = {one.channel: one for one in keyed(crm.adapter.contacts(None)).values()}
    assert (found[ContactChannel.CALL].seconds, found[ContactChannel.CALL].inbound) == (75, True)
    assert found[ContactChannel.LETTER].inbound
    assert ContactChannel.MESSAGE in found
    assert (ContactChannel.MEETING in found) is (crm.name != "amocrm")


@pytest.mark.parametrize(
    "form",
    [
        {"do": "call", "seconds": "-1", "way": "in"},
        {"do": "call", "seconds": "1", "way": "up"},
        {"do": "call", "seconds": "99999999", "way": "in"},
        {"do": "meet", "held": "maybe"},
        {"do": "move", "id": "1", "due": "tomorrow"},
        {"do": "give", "id": "1", "to": "nobody"},
        {"do": "close", "id": "x", "result": "r"},
    ],
)
def test_forms_that_mean_nothing_are_refused(card, form):
    do(card, 400, **form)
