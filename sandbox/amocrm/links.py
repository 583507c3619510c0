"""Who is tied to whom: companies and contacts of leads, employers of contacts, products on leads.

Directions are those of https://www.amocrm.ru/developers/content/crm_platform/entity-links-api; contacts to leads
is not among them, so those links are written from the lead. The main contact is written as `is_main` and reads
back as `main_contact`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, cast

from sandbox.amocrm.account import Account
from sandbox.amocrm.problems import Invalid, choice, unexpected, unsupported, wrong_type
from sandbox.amocrm.rows import SINGULAR, Card, Contact, Customer, ElementLink, Kind, Lead

ELEMENTS = "catalog_elements"
DIRECTIONS: dict[Kind, frozenset[str]] = {
    "leads": frozenset({"contacts", "companies", ELEMENTS}),
    "contacts": frozenset({"companies", "customers"}),
    "companies": frozenset({"contacts", "leads", "customers"}),
    "customers": frozenset({"contacts", "companies"}),
}


@dataclass(frozen=True, slots=True)
class Target:
    """One checked end of a link."""

    kind: str
    id: int
    is_main: bool = False
    catalog_id: int = 0
    quantity: Decimal = Decimal(1)


@dataclass(frozen=True, slots=True)
class Linked:
    """What a new card asks to be tied to."""

    targets: tuple[Target, ...] = field(default=())

    def attach(self, account: Account, kind: Kind, card: Card) -> None:
        """Tie a new card."""
        for target in self.targets:
            tie(account, kind, card, target)


def read_embedded(account: Account, kind: Kind, embedded: Mapping[str, Any]) -> Linked:
    """Check `_embedded` of a new card; raises `Invalid`."""
    targets = []
    for name, rows in embedded.items():
        if name not in DIRECTIONS[kind] or name in {"customers", "leads"}:
            raise unexpected(f"_embedded.{name}")
        if not isinstance(rows, list):
            raise wrong_type(f"_embedded.{name}", "array")
        if kind == "leads" and name == "companies" and len(rows) > 1:
            raise Invalid("TooMany", "_embedded.companies", "A lead has at most one company.")
        for at, row in enumerate(rows):
            path = f"_embedded.{name}.{at}"
            if not isinstance(row, Mapping):
                raise wrong_type(path, "object")
            meta = row.get("metadata") or {key: row[key] for key in ("is_main",) if key in row}
            targets.append(_target(account, name, row.get("id"), meta, path))
    return Linked(tuple(targets))


def read_target(account: Account, kind: Kind, row: object) -> Target:
    """Check one row of a link or unlink call; raises `Invalid`."""
    if not isinstance(row, Mapping):
        raise wrong_type("", "object")
    name = str(row.get("to_entity_type"))
    if name not in DIRECTIONS[kind]:
        raise unsupported("to_entity_type")
    return _target(account, name, row.get("to_entity_id"), row.get("metadata") or {}, "to_entity_id")


def _target(account: Account, name: str, to_id: object, meta: object, path: str) -> Target:
    if not isinstance(meta, Mapping):
        raise wrong_type("metadata", "object")
    if isinstance(to_id, bool) or not isinstance(to_id, int):
        raise wrong_type(path, "int")
    if name != ELEMENTS:
        if account.card(cast("Kind", name), to_id) is None:
            raise unsupported(path)
        return Target(name, to_id, is_main=bool(meta.get("is_main")))
    elements = choice(account.elements, meta.get("catalog_id"), "metadata.catalog_id")
    if elements.listed(to_id) is None:
        raise unsupported(path)
    try:
        quantity = Decimal(str(meta.get("quantity", 1)))
    except InvalidOperation:
        raise wrong_type("metadata.quantity", "numeric") from None
    return Target(name, to_id, catalog_id=meta["catalog_id"], quantity=quantity)


def tie(account: Account, kind: Kind, card: Card, target: Target) -> None:
    """Make a link; an old company of a lead gives way."""
    if kind == "companies":
        other = cast("Card", account.card(cast("Kind", target.kind), target.id))
        tie(account, cast("Kind", target.kind), other, Target("companies", card.id))
    elif kind == "contacts" and target.kind == "customers":
        tie(account, "customers", account.customers.rows[target.id], Target("contacts", card.id))
    elif isinstance(card, Lead):
        _tie_lead(account, card, target)
    elif isinstance(card, Contact):
        if target.id not in card.company_ids:
            card.company_ids.append(target.id)
        account.contact_ids_of[target.id][card.id] = None
    elif isinstance(card, Customer):
        if target.kind == "companies":
            card.company_id = target.id
        elif target.id not in card.contact_ids:
            card.contact_ids.append(target.id)


def _tie_lead(account: Account, lead: Lead, target: Target) -> None:
    if target.kind == ELEMENTS:
        kept = [one for one in lead.elements if one.element_id != target.id]
        lead.elements = [*kept, ElementLink(target.catalog_id, target.id, target.quantity)]
        return
    if target.kind == "companies":
        if lead.company_id is not None:
            account.lead_ids_of["companies", lead.company_id].pop(lead.id, None)
        lead.company_id = target.id
        account.lead_ids_of["companies", target.id][lead.id] = None
        return
    if target.id not in lead.contact_ids:
        lead.contact_ids.append(target.id)
    if target.is_main or lead.main_contact_id is None:
        lead.main_contact_id = target.id
    account.lead_ids_of["contacts", target.id][lead.id] = None


def untie(account: Account, kind: Kind, card: Card, target: Target) -> None:
    """Undo a link; nothing happens when there is none."""
    if kind == "companies":
        other = cast("Card", account.card(cast("Kind", target.kind), target.id))
        untie(account, cast("Kind", target.kind), other, Target("companies", card.id))
    elif kind == "contacts" and target.kind == "customers":
        untie(account, "customers", account.customers.rows[target.id], Target("contacts", card.id))
    elif isinstance(card, Lead):
        _untie_lead(account, card, target)
    elif isinstance(card, Contact):
        card.company_ids = [one for one in card.company_ids if one != target.id]
        account.contact_ids_of[target.id].pop(card.id, None)
    elif isinstance(card, Customer):
        if target.kind == "companies" and card.company_id == target.id:
            card.company_id = None
        elif target.kind == "contacts":
            card.contact_ids = [one for one in card.contact_ids if one != target.id]


def _untie_lead(account: Account, lead: Lead, target: Target) -> None:
    if target.kind == ELEMENTS:
        lead.elements = [one for one in lead.elements if one.element_id != target.id]
        return
    if target.kind == "companies":
        if lead.company_id == target.id:
            lead.company_id = None
    else:
        lead.contact_ids = [one for one in lead.contact_ids if one != target.id]
        if lead.main_contact_id == target.id:
            lead.main_contact_id = lead.contact_ids[0] if lead.contact_ids else None
    account.lead_ids_of[cast("Kind", target.kind), target.id].pop(lead.id, None)


def tell_link(account: Account, event: str, kind: Kind, card: Card, target: Target, by: int) -> None:
    """Move `updated_at` of the card the call was about, and write the event."""
    account.touch(kind, card, by=by)
    entity = {"link": {"entity": {"type": SINGULAR.get(target.kind, "catalog_element"), "id": target.id}}}
    account.tell(event, kind, card.id, by, None, entity)


def link_rows(account: Account, kind: Kind, card: Card) -> list[dict[str, Any]]:
    """Every link of a card in a documented direction."""
    ends: list[tuple[str, int, dict[str, Any] | None]] = []
    if isinstance(card, Lead):
        ends += [("contacts", one, {"main_contact": one == card.main_contact_id}) for one in card.contact_ids]
        ends += [("companies", card.company_id, None)] if card.company_id is not None else []
        ends += [(ELEMENTS, one.element_id, element_metadata(one)) for one in card.elements]
    elif isinstance(card, Customer):
        ends += [("contacts", one, {"main_contact": at == 0}) for at, one in enumerate(card.contact_ids)]
        ends += [("companies", card.company_id, None)] if card.company_id is not None else []
    elif isinstance(card, Contact):
        ends += [("companies", one, None) for one in card.company_ids]
        ends += [("customers", one, None) for one in customer_ids(account, kind, card.id)]
    else:
        ends += [("contacts", one, None) for one in account.contact_ids_of.get(card.id, ())]
        ends += [("leads", one, None) for one in lead_ids(account, kind, card.id)]
        ends += [("customers", one, None) for one in customer_ids(account, kind, card.id)]
    return [
        {
            "entity_id": card.id,
            "entity_type": kind,
            "to_entity_id": to_id,
            "to_entity_type": to_kind,
            "metadata": metadata,
        }
        for to_kind, to_id, metadata in ends
    ]


def element_metadata(link: ElementLink) -> dict[str, Any]:
    """How a product stands on a lead; the quantity may be fractional."""
    whole = link.quantity == link.quantity.to_integral_value()
    quantity = int(link.quantity) if whole else float(link.quantity)
    return {"quantity": quantity, "catalog_id": link.catalog_id, "price_id": None}


def lead_ids(account: Account, kind: Kind, card_id: int) -> list[int]:
    """Leads of a contact or company that are not in the trash."""
    return [one for one in account.lead_ids_of.get((kind, card_id), ()) if account.leads.listed(one)]


def customer_ids(account: Account, kind: Kind, card_id: int) -> list[int]:
    """The customers of amoCRM's own kind that name this contact or company."""
    return [
        one.id
        for one in account.customers
        if (card_id in one.contact_ids if kind == "contacts" else one.company_id == card_id)
    ]
