"""An installed app lives: from the install to the return, with real web and worker processes that nobody helps.

Cards are looked at in the CRM, events are posted by the CRM itself. Everything is waited for with a deadline.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from connector.jobs import schedule, subscribing
from connector.store.jobs import SERVICE
from tests.acceptance.life import Life, living, until
from tests.acceptance.stage import CRMS

pytestmark = pytest.mark.slow

ENDED = "SELECT count(*) FROM runs WHERE kind = 'run' AND state = 'done'"
SECONDS = 8.0
"""From a change in the CRM to the card, on a busy computer; on an idle one it is about two."""


@pytest.fixture(params=CRMS)
def life(request, database, database_url, tmp_path) -> Iterator[Life]:
    with living(request.param, database, database_url, tmp_path, worker=True) as alive:
        yield alive


class Watched:
    """A contact's card, as figures that are compared with those at the beginning."""

    def __init__(self, life: Life, contact: int) -> None:
        self.life, self.contact = life, contact
        self.before = self.card

    @property
    def card(self) -> dict[str, Any]:
        return self.life.stage.card("contact", self.contact)

    def has(self, orders: int, amount: int) -> bool:
        """So many orders and so much money more than in the beginning."""
        card = self.card
        return (card["f"], card["m"]) == (self.before["f"] + orders, self.before["m"] + Decimal(amount))


def buyers(life: Life, count: int) -> list[Watched]:
    """Contacts with orders of their own."""
    sql = "SELECT c.external_id FROM customers c JOIN scores s ON s.portal_id = c.portal_id AND s.customer = c.number"
    ids = life.rows(f"{sql} WHERE c.kind = 'contact' AND s.f > 0 AND NOT c.gone ORDER BY c.number")
    assert len(ids) >= count
    return [Watched(life, int(one)) for one in ids[:count]]


def manager_of(life: Life, contact: int) -> str:
    sql = "SELECT manager_id FROM customers WHERE kind = 'contact' AND external_id = :id"
    return str(life.rows(sql, id=str(contact))[0])


def runs_ended(life: Life) -> int:
    return int(life.rows(ENDED)[0])


def ended_after(life: Life, before: int) -> bool:
    return runs_ended(life) > before and life.is_idle()


def open_alerts(life: Life) -> list[str]:
    return life.rows("SELECT kind FROM alerts WHERE state = 'open'")


def test_an_installed_portal_lives_from_install_to_return(life):
    assert life.install().status == 200
    until(lambda: ended_after(life, 0), 40)
    portal = life.kept()
    assert portal.first_run_at is not None
    if life.crm != "hubspot":  # whose webhooks stand in the app's files
        assert portal.settings[subscribing.SETTING] == subscribing.ON

    changes_reach_the_cards(life)
    what_was_lost_is_found_by_the_pull(life, portal.portal_id)
    a_token_is_renewed_once(life)
    a_lost_grant_pauses_and_does_not_loop(life, portal.portal_id)
    the_app_is_removed_and_comes_back(life, portal.portal_id)


def changes_reach_the_cards(life: Life) -> None:
    shrunk, reopened, deleted, given, winner, loser = found = buyers(life, 6)
    deals = {one: life.win_deal(one.contact, 500) for one in found}
    until(lambda: all(one.has(1, 500) for one in found), SECONDS)
    assert shrunk.card["r"] == 0

    other = next(m for m in life.rows("SELECT external_id FROM managers WHERE active ORDER BY external_id")
                 if m != manager_of(life, given.contact))  # fmt: skip
    life.set_amount(deals[shrunk], 40)
    life.stage.reopen(deals[reopened])
    life.stage.delete_deal(deals[deleted])
    life.give_to(given.contact, other)
    until(lambda: shrunk.has(1, 40) and reopened.has(0, 0) and deleted.has(0, 0), SECONDS)
    until(lambda: manager_of(life, given.contact) == other, SECONDS)

    orders, amount = loser.card["f"], loser.card["m"]
    life.stage.merge_contacts(winner.contact, loser.contact)
    until(lambda: winner.card["f"] == winner.before["f"] + 1 + orders, SECONDS)
    assert winner.card["m"] == winner.before["m"] + 500 + amount


def what_was_lost_is_found_by_the_pull(life: Life, portal_id: int) -> None:
    one = buyers(life, 7)[-1]
    life.portal.postman.is_silent = True
    deal = life.win_deal(one.contact, 90)
    life.portal.postman.is_silent = False
    until(life.is_idle)
    life.ask(schedule.PULL, portal_id)
    until(lambda: life.rows("SELECT 1 FROM orders WHERE external_id = :id AND status = 'won'", id=str(deal)), SECONDS)
    until(lambda: one.has(1, 90), SECONDS)


def a_token_is_renewed_once(life: Life) -> None:
    until(life.is_idle)
    one, before = buyers(life, 5)[-1], life.portal.oauth.grants.refreshes
    life.portal.oauth.grants.expire()
    life.win_deal(one.contact, 10)
    until(lambda: one.has(1, 10), SECONDS)
    assert life.portal.oauth.grants.refreshes == before + 1
    assert life.portal.double_refreshes == 0


def a_lost_grant_pauses_and_does_not_loop(life: Life, portal_id: int) -> None:
    until(life.is_idle)
    life.portal.oauth.grants.revoke_all()
    life.win_deal(buyers(life, 1)[0].contact, 10)
    until(lambda: life.kept().state == "paused", SECONDS)
    until(life.is_idle)
    asked = life.portal.requests
    for job in (schedule.RUN, schedule.PULL, schedule.SETUP):
        life.ask(job, portal_id)
    until(life.is_idle)
    assert life.portal.requests == asked
    life.ask(schedule.WATCH, SERVICE)
    until(lambda: "paused" in open_alerts(life), SECONDS)


def the_app_is_removed_and_comes_back(life: Life, portal_id: int) -> None:
    before = runs_ended(life)
    assert life.install().status == 200
    until(lambda: ended_after(life, before), 30)
    one = buyers(life, 1)[0]
    life.uninstall()
    if life.crm == "hubspot":  # nobody is told: the next call finds out
        life.win_deal(one.contact, 10)
        until(lambda: life.kept().state == "paused", SECONDS)
    else:
        assert (life.kept().state, life.kept().access) == ("disconnected", None)
    before, cards = runs_ended(life), life.rows("SELECT count(*) FROM scores")
    assert life.install().status == 200
    until(lambda: ended_after(life, before), 30)
    portal = life.kept()
    assert (portal.portal_id, portal.state) == (portal_id, "active")
    assert life.rows("SELECT count(*) FROM scores") == cards
    orders = buyers(life, 1)[0]
    life.win_deal(orders.contact, 25)
    until(lambda: orders.has(1, 25), SECONDS)
    assert life.portal.double_refreshes == 0
