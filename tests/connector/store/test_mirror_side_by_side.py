"""Two readers of one portal at once: cards and the orders that mention them arrive in any order."""

from __future__ import annotations

import threading

from connector.store import mirror, mirrored
from connector.store.models import Portal
from tests.connector.factories import CONTACT, DEALS, contact, keep_portal, order, put_customers, rows

WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


def test_a_card_that_an_order_mentions_while_it_is_stored_counts_as_read(database):
    portal = keep_portal(database)
    with database.session() as session:
        mirror.store_orders(session, session.get_one(Portal, portal.portal_id), DEALS, [order("1", contact_id="5")])
        reader = threading.Thread(target=put_customers, args=(database, portal, contact("5"), contact("6")))
        reader.start()
        while rows(database, WAITING) == [0]:
            pass
    reader.join()
    assert mirror_of(database, portal) == [5, 6]
    assert rows(database, "SELECT number FROM customers ORDER BY number") == [0, 1]


def mirror_of(database, portal):
    with database.session() as session:
        return list(mirrored.known_customers(session, portal.portal_id, CONTACT))
