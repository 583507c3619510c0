"""The mirror: customers, orders and staff as the CRM holds them, upserted in bulk, unchanged rows untouched.

A page and its cursor are stored in one transaction by the caller. Derived columns of orders (whose they are, which
day, how much in base currency) are computed by one SQL expression, at every upsert and again when a setting, the
time zone or a rate changes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Text, any_, cast, delete, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.orm import Session

from adapters.records import Customer, CustomerKind, Manager, Order, OrderSource, Team
from connector.store.audit import SYSTEM, note
from connector.store.card_values import to_json
from connector.store.copying import copy_into_temp
from connector.store.models import (
    UNIT_PLACES,
    CursorRow,
    CustomerRow,
    ManagerRow,
    OrderLineRow,
    OrderRow,
    Portal,
    TeamRow,
)

_CUSTOMER_COLUMNS = (
    ("external_id", "text"),
    ("manager_id", "text"),
    ("is_buyer", "boolean"),
    ("crm_updated_at", "timestamptz"),
    ("card", "jsonb"),
)
_ORDER_COLUMNS = (
    ("external_id", "text"),
    ("status", "text"),
    ("at", "timestamptz"),
    ("amount", "numeric"),
    ("currency", "text"),
    ("company_id", "text"),
    ("contact_id", "text"),
    ("manager_id", "text"),
    ("pipeline_id", "text"),
    ("stage_id", "text"),
    ("deal_id", "text"),
    ("created_at", "timestamptz"),
    ("crm_updated_at", "timestamptz"),
)
_LINE_COLUMNS = (
    ("external_id", "text"),
    ("position", "integer"),
    ("product_id", "text"),
    ("name", "text"),
    ("quantity", "numeric"),
    ("price", "numeric"),
    ("discount", "numeric"),
)


_UNDATED = datetime.min.replace(tzinfo=UTC)


class Weight:
    """What an order row counts as (`orders.weight`)."""

    ORDER = 0
    NO_RATE = 1
    NO_AMOUNT = 2
    REFUND = 3
    REFUND_NO_RATE = 4


@dataclass(frozen=True, slots=True)
class Stored:
    """What storing a page changed."""

    received: int
    changed: int


def cursor_of(session: Session, portal_id: int, stream: str) -> str | None:
    """Where a stream was left."""
    return session.scalar(select(CursorRow.cursor).where(CursorRow.portal_id == portal_id, CursorRow.stream == stream))


def move_cursor(session: Session, portal_id: int, stream: str, cursor: str) -> None:
    """Store a cursor, in the transaction of the page that it follows."""
    row = {"portal_id": portal_id, "stream": stream, "cursor": cursor, "moved_at": datetime.now(UTC)}
    statement = insert(CursorRow).values(row)
    session.execute(
        statement.on_conflict_do_update(
            index_elements=["portal_id", "stream"],
            set_={"cursor": statement.excluded.cursor, "moved_at": statement.excluded.moved_at},
        )
    )


def forget_cursors(session: Session, portal_id: int, prefix: str = "") -> None:
    """Read everything again next time, or what the streams whose names begin so have."""
    session.execute(
        delete(CursorRow).where(CursorRow.portal_id == portal_id, CursorRow.stream.startswith(prefix, autoescape=True))
    )


def store_staff(session: Session, portal_id: int, managers: Sequence[Manager], teams: Sequence[Team]) -> None:
    """Replace staff and teams. Managers the CRM no longer lists stay, inactive: old orders still name them."""
    session.execute(
        update(ManagerRow)
        .where(ManagerRow.portal_id == portal_id, ManagerRow.external_id.not_in([m.external_id for m in managers]))
        .values(active=False)
    )
    for manager in managers:
        row = {"name": manager.name, "active": manager.active, "team_ids": list(manager.team_ids)}
        session.execute(
            insert(ManagerRow)
            .values(portal_id=portal_id, external_id=manager.external_id, **row)
            .on_conflict_do_update(index_elements=["portal_id", "external_id"], set_=row)
        )
    session.execute(delete(TeamRow).where(TeamRow.portal_id == portal_id))
    for team in teams:
        session.add(
            TeamRow(
                portal_id=portal_id,
                external_id=team.external_id,
                name=team.name,
                lead_id=team.lead_id,
                parent_id=team.parent_id,
            )
        )


def staff(session: Session, portal_id: int) -> tuple[list[Manager], list[Team]]:
    """Staff and teams as last read."""
    managers = [
        Manager(row.external_id, row.name, row.active, tuple(row.team_ids))
        for row in session.scalars(select(ManagerRow).where(ManagerRow.portal_id == portal_id))
    ]
    teams = [
        Team(row.external_id, row.name, row.lead_id, row.parent_id)
        for row in session.scalars(select(TeamRow).where(TeamRow.portal_id == portal_id))
    ]
    return managers, teams


def store_customers(session: Session, portal_id: int, kind: CustomerKind, customers: Sequence[Customer]) -> Stored:
    """Upsert cards of one kind.

    An older version of a card never overwrites a newer one (search indexes lag). A field of ours that holds another
    value than we last read or wrote is kept as a `card_events` row.
    """
    oldest_first = sorted(customers, key=lambda customer: customer.updated_at or _UNDATED)
    latest = {customer.ref.external_id: customer for customer in oldest_first}
    if not latest:
        return Stored(0, 0)
    copy_into_temp(session, "incoming_customers", _CUSTOMER_COLUMNS, map(_customer_row, latest.values()))
    keys = {"portal": portal_id, "kind": kind.value}
    session.execute(text(_KEEP_CARD_EVENTS), keys)
    # New cards first: one that an order mentions meanwhile waits for the same lock, and is then seen by the update.
    changed = _insert_numbered(
        session,
        portal_id,
        "SELECT :kind AS kind, i.external_id, i.manager_id, true AS seen, i.is_buyer, i.crm_updated_at, i.card"
        " FROM incoming_customers i WHERE NOT EXISTS (SELECT FROM customers c WHERE c.portal_id = :portal"
        " AND c.kind = :kind AND c.external_id = i.external_id)",
        keys,
    )
    changed += _rows(session, _UPDATE_CUSTOMERS, keys)
    merged = [loser for customer in latest.values() for loser in customer.merged_ids]
    if merged:
        changed += mark_customers_gone(session, portal_id, kind, merged)
    return Stored(len(latest), changed)


def store_orders(session: Session, portal: Portal, source: OrderSource, orders: Sequence[Order]) -> Stored:
    """Upsert orders of one source with their lines and derived columns; unchanged rows stay untouched."""
    latest = {order.external_id: order for order in orders}
    if not latest:
        return Stored(0, 0)
    copy_into_temp(session, "incoming_orders", _ORDER_COLUMNS, map(_order_row, latest.values()))
    keys = {"portal": portal.portal_id, "source": source.value}
    named = {kind for kind in CustomerKind if any(getattr(order, f"{kind.value}_id") for order in latest.values())}
    _mention_customers(session, portal.portal_id, named)
    changed = _rows(session, _upsert_orders_sql(portal), keys)
    with_lines = [order for order in latest.values() if order.lines is not None]
    if with_lines:
        _store_lines(session, portal.portal_id, source, with_lines)
    return Stored(len(latest), changed)


def refresh_statistics(session: Session) -> None:
    """Tell the planner how large the tables have grown; without, it reads all of them for each page."""
    session.execute(text("ANALYZE customers, orders"))


def mark_orders_gone(session: Session, portal_id: int, source: OrderSource, ids: Iterable[str]) -> int:
    """Deleted in the CRM: they leave the history."""
    gone = list(ids)
    statement = (
        update(OrderRow)
        .where(
            OrderRow.portal_id == portal_id,
            OrderRow.source == source.value,
            OrderRow.external_id == any_(cast(gone, ARRAY(Text))),
            OrderRow.gone.is_(False),
        )
        .values(gone=True, customer=None)
    )
    return int(session.execute(statement).rowcount) if gone else 0  # type: ignore[attr-defined]


def mark_customers_gone(session: Session, portal_id: int, kind: CustomerKind, ids: Iterable[str]) -> int:
    """Deleted or merged away in the CRM: they are scored and written no more."""
    gone = list(ids)
    statement = (
        update(CustomerRow)
        .where(
            CustomerRow.portal_id == portal_id,
            CustomerRow.kind == kind.value,
            CustomerRow.external_id == any_(cast(gone, ARRAY(Text))),
            CustomerRow.gone.is_(False),
        )
        .values(gone=True, recheck=True)
    )
    return int(session.execute(statement).rowcount) if gone else 0  # type: ignore[attr-defined]


def recheck_done(session: Session, portal_id: int, kind: CustomerKind) -> None:
    """The orders of all vanished cards of a kind have been read again."""
    session.execute(
        update(CustomerRow)
        .where(CustomerRow.portal_id == portal_id, CustomerRow.kind == kind.value, CustomerRow.recheck)
        .values(recheck=False)
    )


def derive_all(session: Session, portal: Portal) -> int:
    """Compute the derived columns of all orders again: after a change of zone, rates, sources or customer rule.

    What came of it is noted in the audit trail, so that moves which follow can be explained.
    """
    _mention_customers(session, portal.portal_id, tuple(CustomerKind), table="orders")
    changed = _derive(session, portal, "true") + untie(session, portal)
    if changed:
        note(session, portal.portal_id, SYSTEM, "orders.derived", {"orders": changed})
    return changed


def untie(session: Session, portal: Portal) -> int:
    """Look again which orders tied to a deal count: with several sources, those whose deal does not (CONTRACT 2.1).

    To be called when orders have come or changed, because a deal may come, leave or return after its order.
    """
    if len(order_sources(portal)) < 2:
        return 0
    return _derive(session, portal, "o.source <> 'deals' AND o.deal_id IS NOT NULL")


def order_sources(portal: Portal) -> list[str]:
    """The order sources that count in this portal."""
    return [str(source) for source in portal.settings.get("order_sources", [OrderSource.DEALS.value])]


def _derive(session: Session, portal: Portal, condition: str) -> int:
    """Compute the derived columns of some orders again; returns how many rows changed."""
    fresh = f"SELECT o.source, o.external_id, {_derived(portal, 'o', 'o.gone', 'o.source')} {_joined('orders o')}"
    return _rows(
        session,
        f"""
        UPDATE orders t SET customer = d.customer, day = d.day, units = d.units, weight = d.weight
        FROM ({fresh} WHERE o.portal_id = :portal AND {condition}) d
        WHERE t.portal_id = :portal AND t.source = d.source AND t.external_id = d.external_id
          AND (t.customer, t.day, t.units, t.weight) IS DISTINCT FROM (d.customer, d.day, d.units, d.weight)
        """,
        {"portal": portal.portal_id},
    )


def _customer_row(customer: Customer) -> tuple[object, ...]:
    stored = {key: value for key, value in to_json(customer.card).items() if value is not None}
    return (customer.ref.external_id, customer.manager_id, customer.is_buyer, customer.updated_at, stored)


def _order_row(order: Order) -> tuple[object, ...]:
    return (
        order.external_id,
        order.status.value,
        order.at,
        order.amount,
        order.currency,
        order.company_id,
        order.contact_id,
        order.manager_id,
        order.pipeline_id,
        order.stage_id,
        order.deal_id,
        order.created_at,
        order.updated_at,
    )


def _store_lines(session: Session, portal_id: int, source: OrderSource, orders: Sequence[Order]) -> None:
    rows = (
        (order.external_id, at, line.product_id, line.name, line.quantity, line.price, line.discount)
        for order in orders
        for at, line in enumerate(order.lines or ())
    )
    copy_into_temp(session, "incoming_lines", _LINE_COLUMNS, rows)
    keys = {"portal": portal_id, "source": source.value}
    session.execute(
        delete(OrderLineRow).where(
            OrderLineRow.portal_id == portal_id,
            OrderLineRow.source == source.value,
            OrderLineRow.external_id.in_([order.external_id for order in orders]),
            text(
                "NOT EXISTS (SELECT FROM incoming_lines i WHERE i.external_id = order_lines.external_id"
                " AND i.position = order_lines.position)"
            ),
        )
    )
    names = ", ".join(name for name, _ in _LINE_COLUMNS)
    values = ("product_id", "name", "quantity", "price", "discount")
    session.execute(
        text(
            f"INSERT INTO order_lines AS t (portal_id, source, {names}) SELECT :portal, :source, {names}"
            " FROM incoming_lines ON CONFLICT (portal_id, source, external_id, position) DO UPDATE SET "
            + ", ".join(f"{name} = excluded.{name}" for name in values)
            + f" WHERE ({', '.join(f't.{name}' for name in values)}) IS DISTINCT FROM"
            f" ({', '.join(f'excluded.{name}' for name in values)})"
        ),
        keys,
    )


def _mention_customers(
    session: Session, portal_id: int, kinds: Collection[CustomerKind], table: str = "incoming_orders"
) -> None:
    """Give numbers to cards of these kinds that orders name and we have not read yet."""
    here = "" if table == "incoming_orders" else "i.portal_id = :portal AND"
    for kind in sorted(kinds):
        column = f"{kind.value}_id"
        _insert_numbered(
            session,
            portal_id,
            f"SELECT DISTINCT :kind AS kind, i.{column} AS external_id, NULL::text AS manager_id, false AS seen,"
            " true AS is_buyer, NULL::timestamptz AS crm_updated_at, '{}'::jsonb AS card"
            f" FROM {table} i WHERE {here} i.{column} IS NOT NULL AND NOT EXISTS (SELECT FROM customers c"
            f" WHERE c.portal_id = :portal AND c.kind = :kind AND c.external_id = i.{column})",
            {"portal": portal_id, "kind": kind.value},
        )


def _insert_numbered(session: Session, portal_id: int, fresh: str, keys: Mapping[str, object]) -> int:
    """Insert the customers that `fresh` selects, with the next dense numbers.

    The portal's row is locked first: two readers that meet a new customer at once get one number.
    """
    if not session.scalar(text(f"SELECT count(*) FROM ({fresh}) f"), keys):  # EXISTS would be planned for one row
        return 0
    start = session.scalar(select(Portal.next_number).where(Portal.portal_id == portal_id).with_for_update())
    count = _rows(
        session,
        "INSERT INTO customers (portal_id, number, kind, external_id, manager_id, seen, is_buyer, crm_updated_at, card)"
        f" SELECT :portal, :start + row_number() OVER () - 1, f.* FROM ({fresh}) f",
        {**keys, "start": start},
    )
    session.execute(update(Portal).where(Portal.portal_id == portal_id).values(next_number=Portal.next_number + count))
    return count


def _rows(session: Session, sql: str, keys: Mapping[str, object]) -> int:
    return int(session.execute(text(sql), keys).rowcount)  # type: ignore[attr-defined]


_NEWER = "(c.crm_updated_at IS NULL OR i.crm_updated_at IS NULL OR i.crm_updated_at >= c.crm_updated_at)"
_SAME_CARD = "c.portal_id = :portal AND c.kind = :kind AND c.external_id = i.external_id"

_UPDATE_CUSTOMERS = f"""
UPDATE customers c
SET manager_id = i.manager_id, seen = true, gone = false, is_buyer = i.is_buyer,
    crm_updated_at = coalesce(i.crm_updated_at, c.crm_updated_at), card = i.card
FROM incoming_customers i
WHERE {_SAME_CARD} AND {_NEWER}
  AND (c.manager_id, c.seen, c.gone, c.is_buyer, c.crm_updated_at, c.card)
      IS DISTINCT FROM (i.manager_id, true, false, i.is_buyer, coalesce(i.crm_updated_at, c.crm_updated_at), i.card)
"""

_KEEP_CARD_EVENTS = f"""
INSERT INTO card_events (portal_id, customer, field, expected, found)
SELECT :portal, c.number, k.key, c.card -> k.key, i.card -> k.key
FROM incoming_customers i
JOIN customers c ON {_SAME_CARD} AND {_NEWER} AND c.seen AND c.card <> i.card
CROSS JOIN LATERAL (SELECT jsonb_object_keys(c.card || i.card) AS key) k
WHERE (c.card -> k.key) IS DISTINCT FROM (i.card -> k.key)
  AND EXISTS (SELECT FROM changes h WHERE h.portal_id = :portal AND h.customer = c.number AND h.state = 'written')
  AND NOT EXISTS (SELECT FROM changes h WHERE h.portal_id = :portal AND h.customer = c.number
                  AND h.state = 'planned' AND (h.values -> k.key) IS NOT DISTINCT FROM (i.card -> k.key))
"""


def _joined(table: str) -> str:
    alias = table.rsplit(" ", 1)[-1]
    return (
        f"FROM {table} JOIN portals p ON p.portal_id = :portal"
        f" LEFT JOIN customers cc ON cc.portal_id = :portal AND cc.kind = 'company'"
        f" AND cc.external_id = {alias}.company_id"
        f" LEFT JOIN customers ct ON ct.portal_id = :portal AND ct.kind = 'contact'"
        f" AND ct.external_id = {alias}.contact_id"
        f" CROSS JOIN LATERAL (SELECT CASE WHEN {alias}.currency IS NULL OR {alias}.currency = p.currency THEN 1"
        f" ELSE (p.rates ->> {alias}.currency)::numeric END AS rate) q"
        f" CROSS JOIN LATERAL (SELECT round({alias}.amount * q.rate, {UNIT_PLACES}) * {10**UNIT_PLACES} AS units) u"
    )


_CUSTOMER_RULES = {
    "company_or_contact": "coalesce(cc.number, ct.number)",
    "company": "cc.number",
    "contact": "ct.number",
}
_UNITS_LIMIT = 4 * 10**18


def _derived(portal: Portal, alias: str, gone: str, source: str) -> str:
    """The four derived columns of an order row, in the order customer, day, units, weight."""
    who = _CUSTOMER_RULES[str(portal.settings.get("customer", "company_or_contact"))]
    sources = ", ".join(f"'{OrderSource(name).value}'" for name in order_sources(portal))
    zero = f" OR {alias}.amount = 0" if portal.settings.get("zero_amount") == "absent" else ""
    known = f"u.units IS NOT NULL AND abs(u.units) < {_UNITS_LIMIT}"
    return (
        f"CASE WHEN {alias}.status = 'won' AND NOT {gone} AND {alias}.at IS NOT NULL AND {source} IN ({sources})"
        f"{_untied(portal, alias, source)} THEN {who} END AS customer,"
        f" ({alias}.at AT TIME ZONE {sql_zone(portal.time_zone)})::date - DATE '1970-01-01' AS day,"
        f" CASE WHEN {known} THEN u.units::bigint ELSE 0 END AS units,"
        f" (CASE WHEN {alias}.amount IS NULL{zero} THEN {Weight.NO_AMOUNT}"
        f" WHEN {alias}.amount <= 0 THEN CASE WHEN {known} THEN {Weight.REFUND} ELSE {Weight.REFUND_NO_RATE} END"
        f" WHEN {known} THEN {Weight.ORDER} ELSE {Weight.NO_RATE} END)::smallint AS weight"
    )


def _untied(portal: Portal, alias: str, source: str) -> str:
    """The condition that an order is tied to no deal that counts; empty where one source counts."""
    if len(order_sources(portal)) < 2:
        return ""
    return (
        f" AND ({source} = 'deals' OR NOT EXISTS (SELECT FROM orders x WHERE x.portal_id = :portal"
        f" AND x.source = 'deals' AND x.external_id = {alias}.deal_id AND x.customer IS NOT NULL))"
    )


def _upsert_orders_sql(portal: Portal) -> str:
    names = [name for name, _ in _ORDER_COLUMNS]
    derived = ["customer", "day", "units", "weight"]
    changing = [*names[1:], "gone", *derived]

    def differ(other: str) -> str:
        here, there = (", ".join(f"{alias}.{name}" for name in changing) for alias in ("t", other))
        return f"({here}) IS DISTINCT FROM ({there})"

    return (
        f"INSERT INTO orders AS t (portal_id, source, {', '.join(names)}, gone, {', '.join(derived)})"
        f" SELECT n.* FROM (SELECT CAST(:portal AS integer) AS portal_id, CAST(:source AS text) AS source,"
        f" {', '.join(f'i.{name}' for name in names)}, false AS gone,"
        f" {_derived(portal, 'i', 'false', 'CAST(:source AS text)')} {_joined('incoming_orders i')}) n"
        # Rows without a change are left out here: the conflict below would lock, and so write, each of them.
        " LEFT JOIN orders t ON t.portal_id = n.portal_id AND t.source = n.source AND t.external_id = n.external_id"
        f" WHERE t.external_id IS NULL OR {differ('n')}"
        " ON CONFLICT (portal_id, source, external_id) DO UPDATE SET "
        + ", ".join(f"{name} = excluded.{name}" for name in changing)
        + f" WHERE {differ('excluded')}"
    )


def sql_zone(time_zone: str) -> str:
    """A time zone for AT TIME ZONE: an IANA name, or `UTC+03:00` as an interval (POSIX signs are the other way)."""
    quoted = time_zone.replace("'", "")
    if quoted.startswith(("UTC+", "UTC-")):
        return f"INTERVAL '{quoted[3:]}'"
    return f"'{quoted}'"
