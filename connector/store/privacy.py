"""Forgetting one person: what the CRM asks for when somebody has used the right to be forgotten.

The customer's row stays without its id, as numbers of customers are places in arrays; orders stay as sales of nobody,
imported ones go.
"""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.orm import Session

from adapters.records import CustomerKind
from connector.store.portals import note


def erase_customer(session: Session, portal_id: int, kind: CustomerKind, external_id: str) -> bool:
    """Erase all that is kept of a customer; returns whether there was anything. Safe to repeat."""
    keys = {"portal": portal_id, "kind": kind.value, "id": external_id}
    number = session.scalar(text(_NUMBER), keys)
    column = f"{kind.value}_id"
    found = number is not None
    for statement in (_LINES, _IMPORTED, _ORDERS):
        rows = session.execute(text(statement.format(column=column)), {**keys, "number": number}).rowcount  # type: ignore[attr-defined]
        found = found or bool(rows)
    if number is not None:
        for table in _OF_CUSTOMER:
            session.execute(
                text(f"DELETE FROM {table} WHERE portal_id = :portal AND customer = :number"),
                {**keys, "number": number},
            )
        session.execute(text(_CUSTOMER), {**keys, "number": number})
    if found:
        note(session, portal_id, "system", "customer.erased", {"kind": kind.value})
    return found


_OF_CUSTOMER = (
    "scores",
    "moves",
    "changes",
    "card_events",
    "tasks",
    "occasions",
    "occasion_events",
    "sla_notices",
    "task_changes",
)

_NUMBER = "SELECT number FROM customers WHERE portal_id = :portal AND kind = :kind AND external_id = :id"

_LINES = """
DELETE FROM order_lines l USING orders o
WHERE o.portal_id = :portal AND o.source = 'import' AND o.{column} = :id
  AND l.portal_id = :portal AND l.source = o.source AND l.external_id = o.external_id
"""

_IMPORTED = "DELETE FROM orders WHERE portal_id = :portal AND source = 'import' AND {column} = :id"

_ORDERS = """
UPDATE orders SET {column} = NULL, customer = nullif(customer, CAST(:number AS integer))
WHERE portal_id = :portal AND {column} = :id
"""

_CUSTOMER = """
UPDATE customers
SET external_id = 'erased:' || number, manager_id = NULL, crm_updated_at = NULL, card = '{}'::jsonb,
    gone = true, seen = false, recheck = false
WHERE portal_id = :portal AND number = :number
"""
