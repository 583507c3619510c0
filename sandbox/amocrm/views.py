"""Rows as the API shows them. `with` decides which parts are embedded."""

from __future__ import annotations

from typing import Any

from sandbox.amocrm.account import Account
from sandbox.amocrm.fields import FieldBook
from sandbox.amocrm.links import customer_ids, element_metadata, lead_ids
from sandbox.amocrm.rows import Card, Company, Contact, Customer, Element, Field, Kind, Lead, Note, Option, Task, User
from sandbox.amocrm.values import view_values

Wanted = frozenset[str]


def view_card(account: Account, kind: Kind, card: Card, wanted: Wanted, base: str) -> dict[str, Any]:
    """A lead, contact, company or customer. `base` is the address the API is reached at."""
    owner = account.users.get(card.responsible_user_id)
    view: dict[str, Any] = {
        "id": card.id,
        "name": card.name,
        "responsible_user_id": card.responsible_user_id,
        "group_id": owner.group_id if owner else 0,
        "created_by": card.created_by,
        "updated_by": card.updated_by,
        "created_at": card.created_at,
        "updated_at": card.updated_at,
        "closest_task_at": account.closest_task_at(kind, card.id),
        "is_deleted": card.is_deleted,
        "custom_fields_values": view_values(card.values, account.books[kind]),
        "account_id": account.settings.id,
        "_links": {"self": {"href": f"{base}/{kind}/{card.id}"}},
        "_embedded": {"tags": _view_tags(account, kind, card)},
    }
    if isinstance(card, Lead):
        _add_lead(account, card, wanted, view)
    elif isinstance(card, Contact):
        view |= {"first_name": card.first_name, "last_name": card.last_name, "is_unsorted": False}
        view["_embedded"]["companies"] = _bare(card.company_ids)
    elif isinstance(card, Customer):
        _add_customer(account, card, wanted, view)
    if isinstance(card, Contact | Company):
        _add_reverse(account, kind, card, wanted, view)
    return view


def _add_lead(account: Account, lead: Lead, wanted: Wanted, view: dict[str, Any]) -> None:
    view |= {
        "price": None if lead.price is None else int(lead.price),
        "status_id": lead.status_id,
        "pipeline_id": lead.pipeline_id,
        "loss_reason_id": lead.loss_reason_id,
        "closed_at": lead.closed_at,
        "source_id": None,
        "score": None,
        "labor_cost": None,
        "is_price_computed": False,
    }
    if account.settings.has_minor_units:
        view["price_with_minor_units"] = None if lead.price is None else float(lead.price)
    if "is_price_modified_by_robot" in wanted:
        view["is_price_modified_by_robot"] = False
    embedded = view["_embedded"]
    embedded["companies"] = _bare([] if lead.company_id is None else [lead.company_id])
    if "contacts" in wanted:
        embedded["contacts"] = [{"id": one, "is_main": one == lead.main_contact_id} for one in lead.contact_ids]
    if "loss_reason" in wanted:
        reason = account.loss_reasons.get(lead.loss_reason_id or 0)
        embedded["loss_reason"] = [{"id": reason.id, "name": reason.name, "sort": reason.sort}] if reason else []
    if "catalog_elements" in wanted:
        embedded["catalog_elements"] = [
            {"id": one.element_id, "metadata": element_metadata(one)} for one in lead.elements
        ]


def _add_reverse(account: Account, kind: Kind, card: Card, wanted: Wanted, view: dict[str, Any]) -> None:
    embedded = view["_embedded"]
    if "leads" in wanted:
        embedded["leads"] = _bare(lead_ids(account, kind, card.id))
    if "customers" in wanted:
        embedded["customers"] = _bare(customer_ids(account, kind, card.id))
    if "contacts" in wanted and kind == "companies":
        embedded["contacts"] = _bare(list(account.contact_ids_of.get(card.id, ())))
    if "catalog_elements" in wanted:
        embedded["catalog_elements"] = []


def _add_customer(account: Account, customer: Customer, wanted: Wanted, view: dict[str, Any]) -> None:
    paid = [one.price for one in account.transactions.values() if one.customer_id == customer.id and not one.is_deleted]
    view |= {
        "next_price": customer.next_price,
        "next_date": customer.next_date,
        "status_id": None,
        "periodicity": None,
        "ltv": int(sum(paid)),
        "purchases_count": len(paid),
        "average_check": int(sum(paid) / len(paid)) if paid else 0,
    }
    embedded = view["_embedded"]
    embedded["segments"] = []
    if "contacts" in wanted:
        embedded["contacts"] = [{"id": one, "is_main": at == 0} for at, one in enumerate(customer.contact_ids)]
    if "companies" in wanted:
        embedded["companies"] = _bare([] if customer.company_id is None else [customer.company_id])
    if "catalog_elements" in wanted:
        embedded["catalog_elements"] = []


def view_trash(account: Account, lead: Lead) -> dict[str, Any]:
    """A deleted lead: issue 254 of the official client tells that nearly everything is null."""
    empty = dict.fromkeys(view_card(account, "leads", lead, frozenset(), ""))
    return empty | {
        "id": lead.id,
        "updated_at": lead.updated_at,
        "updated_by": lead.updated_by,
        "is_deleted": True,
        "account_id": account.settings.id,
        "_embedded": {"tags": [], "companies": []},
    }


def _view_tags(account: Account, kind: Kind, card: Card) -> list[dict[str, Any]]:
    tags = account.tags[kind]
    return [{"id": one, "name": tags[one].name, "color": None} for one in card.tag_ids]


def _bare(ids: list[int]) -> list[dict[str, Any]]:
    return [{"id": one} for one in ids]


def view_user(account: Account, user: User, wanted: Wanted, base: str) -> dict[str, Any]:
    """A user; groups and roles when asked for."""
    right = "A" if user.is_admin else "M"
    letters = dict.fromkeys(("view", "edit", "add", "delete", "export"), right)
    view: dict[str, Any] = {
        "id": user.id,
        "name": user.name,
        "email": user.email,
        "lang": "ru",
        "rights": {
            **dict.fromkeys(("leads", "contacts", "companies"), letters),
            "tasks": {"edit": right, "delete": right},
            "mail_access": user.is_admin,
            "catalog_access": True,
            "files_access": True,
            "status_rights": [],
            "is_admin": user.is_admin,
            "is_free": False,
            "is_active": user.is_active,
            "group_id": user.group_id or None,
            "role_id": None,
        },
        "_links": {"self": {"href": f"{base}/users/{user.id}"}},
        "_embedded": {},
    }
    if "role" in wanted:
        view["_embedded"]["roles"] = []
    if "group" in wanted:
        group = account.groups.get(user.group_id)
        view["_embedded"]["groups"] = [{"id": group.id, "name": group.name}] if group else []
    return view


def view_task(account: Account, task: Task, base: str) -> dict[str, Any]:
    """A task; `result` is an array when empty and an object otherwise, as PHP has it."""
    owner = account.users.get(task.responsible_user_id)
    return {
        "id": task.id,
        "created_by": task.created_by,
        "updated_by": task.updated_by,
        "created_at": task.created_at,
        "updated_at": task.updated_at,
        "responsible_user_id": task.responsible_user_id,
        "group_id": owner.group_id if owner else 0,
        "entity_id": task.entity_id,
        "entity_type": task.entity_type,
        "duration": task.duration,
        "is_completed": task.is_completed,
        "task_type_id": task.task_type_id,
        "text": task.text,
        "result": [] if task.result is None else {"text": task.result},
        "complete_till": task.complete_till,
        "account_id": account.settings.id,
        "_links": {"self": {"href": f"{base}/tasks/{task.id}"}},
    }


def view_note(account: Account, note: Note, base: str) -> dict[str, Any]:
    """A note."""
    owner = account.users.get(note.responsible_user_id)
    return {
        "id": note.id,
        "entity_id": note.entity_id,
        "created_by": note.created_by,
        "updated_by": note.created_by,
        "created_at": note.created_at,
        "updated_at": note.updated_at,
        "responsible_user_id": note.responsible_user_id,
        "group_id": owner.group_id if owner else 0,
        "note_type": note.note_type,
        "params": note.params,
        "account_id": account.settings.id,
        "_links": {"self": {"href": f"{base}/{note.entity_type}/notes/{note.id}"}},
    }


def view_element(account: Account, element: Element, book: FieldBook) -> dict[str, Any]:
    """A row of a list; a product's PRICE is a string."""
    return {
        "id": element.id,
        "name": element.name,
        "catalog_id": element.catalog_id,
        "currency_id": None,
        "created_by": 0,
        "updated_by": 0,
        "created_at": element.created_at,
        "updated_at": element.updated_at,
        "is_deleted": element.is_deleted,
        "custom_fields_values": view_values(element.values, book),
        "account_id": account.settings.id,
    }


def view_field(account: Account, field: Field, entity: str, base: str) -> dict[str, Any]:
    """A custom field with its options."""
    options = field.options
    return {
        "id": field.id,
        "name": field.name,
        "type": field.type,
        "account_id": account.settings.id,
        "code": field.code,
        "sort": field.sort,
        "is_api_only": field.is_api_only,
        "enums": None if options is None else [view_option(one) for one in options],
        "group_id": field.group_id,
        "required_statuses": [],
        "is_deletable": not field.is_predefined,
        "is_predefined": field.is_predefined,
        "is_visible": True,
        "is_required": False,
        "entity_type": entity.partition("/")[0],
        "remind": None,
        "currency": field.currency,
        "_links": {"self": {"href": f"{base}/{entity}/custom_fields/{field.id}"}},
    }


def view_option(option: Option) -> dict[str, Any]:
    """A choice."""
    return {"id": option.id, "value": option.value, "sort": option.sort, "code": option.code}
