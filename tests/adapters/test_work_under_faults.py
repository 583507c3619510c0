"""Notes, changes and contacts through each emulated CRM with answers lost or refused: nothing twice, none lost."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta

import pytest

from adapters.errors import Transient
from adapters.records import CustomerKind, CustomerRef, TaskChange, TimelineNote
from sandbox.faults import Fault
from tests.contract.stands import START, stand
from tests.contract.suite import CONTACT, drafts
from tests.contract.work import fill, keyed

CRMS = ("amocrm", "bitrix24", "hubspot")
FAULTS = (Fault.LOST_ANSWER, Fault.SERVER_ERROR, Fault.HTML_ERROR, Fault.THROTTLE)


@contextmanager
def struck(crm, *faults, rate=0.3):
    """Faults while inside, none after."""
    try:
        for fault in faults:
            crm.faults.switch(fault, rate)
        yield
    finally:
        for fault in faults:
            crm.faults.switch(fault, 0.0)


@pytest.fixture(params=CRMS)
def crm(request):
    with stand(request.param, customers=30, deals=20) as opened:
        yield opened


def until_told(call, tries=12):
    """What the engine does: come again later after trouble in passing."""
    for _ in range(tries - 1):
        try:
            return call()
        except Transient:
            continue
    return call()


@pytest.mark.parametrize("fault", FAULTS)
def test_no_note_is_made_twice(crm, fault):
    faults = (fault,) if crm.name != "amocrm" or fault is not Fault.HTML_ERROR else (Fault.SERVER_ERROR,)
    notes = [
        TimelineNote(f"k{at}", CustomerRef(CONTACT, card), "A few words.", START)
        for at, card in enumerate(crm.ids(CONTACT)[:8])
    ]

    def add():
        known = crm.adapter.find_notes(notes)
        missing = [one for one in notes if one.key not in known]
        return crm.adapter.add_notes(missing)

    with struck(crm, *faults):
        assert all(one.ok for one in until_told(add))
    assert crm.adapter.find_notes(notes).keys() == {one.key for one in notes}
    assert crm.count_notes() == len(notes)


def test_changes_under_faults_end_where_they_should(crm):
    work = drafts(crm, *crm.ids(CONTACT)[:6])
    made = [one.external_id for one in crm.adapter.create_tasks(work)]
    due = START + timedelta(days=9)
    changes = [
        TaskChange(one, draft.customer, due_at=due, close=at % 2 == 0, result="Said no" if at % 2 == 0 else "")
        for at, (one, draft) in enumerate(zip(made, work, strict=True))
    ]
    with struck(crm, Fault.LOST_ANSWER, Fault.SERVER_ERROR):
        until_told(lambda: crm.adapter.change_tasks(changes))
    found = {one.external_id: one for one in crm.adapter.tasks_by_id(made).records}
    assert [(found[one].due_at, found[one].is_done) for one in made] == [(due, at % 2 == 0) for at in range(len(made))]
    assert crm.count_notes() in {0, 3}


def test_a_reading_that_breaks_off_again_and_again_loses_no_contact(crm):
    fill(crm)
    wanted = keyed(crm.adapter.contacts(None))
    found, cursor = {}, None
    with struck(crm, Fault.LOST_ANSWER, Fault.SERVER_ERROR, rate=0.5):
        for _ in range(40):
            try:
                for page in crm.adapter.contacts(cursor):
                    found |= keyed([page])
                    cursor = page.cursor
            except Transient:
                continue
            break
    assert found == wanted


def test_a_merged_or_deleted_card_does_not_stop_the_reading(crm):
    card = crm.ids(CONTACT)[0]
    crm.staff.call("contact", int(card), 30)
    crm.staff.call("contact", int(crm.ids(CONTACT)[1]), 40)
    crm.outside.delete(CONTACT, int(card))
    found = keyed(crm.adapter.contacts(None)).values()
    assert {one.seconds for one in found} >= {40}
    assert CustomerRef(CustomerKind.CONTACT, crm.ids(CONTACT)[1]) in {ref for one in found for ref in one.customer}
