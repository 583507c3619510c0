"""Changes of cards: read and checked as a whole first, applied after, with their events.

What may be written is what the pages of leads, contacts and companies list; everything else that a read shows
(computed and read-only keys) is refused with `FieldNotExpected`, as issues 252 and 366 of the official client
tell. https://www.amocrm.ru/developers/content/crm_platform/leads-api
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from sandbox.amocrm.account import Account
from sandbox.amocrm.links import Linked, read_embedded
from sandbox.amocrm.problems import Flaw, Invalid, choice, missing, too_low, unexpected, unsupported, wrong_type
from sandbox.amocrm.rows import CLOSED, LOST, SINGULAR, Card, Company, Contact, Kind, Lead, Stored
from sandbox.amocrm.values import Values, read_values, whole_number

_COMMON = frozenset(
    {
        "id", "name", "responsible_user_id", "created_by", "updated_by", "created_at", "updated_at",
        "custom_fields_values", "tags_to_add", "tags_to_delete", "_embedded", "request_id",
    }
)  # fmt: skip
_WRITABLE: dict[Kind, frozenset[str]] = {
    "leads": _COMMON | {"price", "status_id", "pipeline_id", "closed_at", "loss_reason_id"},
    "contacts": _COMMON | {"first_name", "last_name"},
    "companies": _COMMON,
}
_STAMPS = ("created_at", "updated_at", "closed_at")


@dataclass(slots=True)
class CardChange:
    """What one item of a batch asks for, checked. `attributes` has only the keys that were sent."""

    attributes: dict[str, Any] = field(default_factory=dict)
    values: Values = field(default_factory=dict)
    tags: frozenset[str] | None = None
    tags_added: frozenset[str] = frozenset()
    tags_deleted: frozenset[str | int] = frozenset()
    linked: Linked = field(default_factory=Linked)


def read_change(account: Account, kind: Kind, item: object, now: Card | None) -> CardChange:
    """Check one item against the card as it stands, or as a new card when `now` is None.

    Raises `Invalid` with every flaw found.
    """
    if not isinstance(item, Mapping):
        raise wrong_type("", "object")
    flaws = [flaw for key in item if key not in _WRITABLE[kind] for flaw in unexpected(key).flaws]
    change = CardChange()
    for check in (_read_plain, _read_stage, _read_values, _read_tags, _read_links):
        try:
            check(account, kind, item, now, change)
        except Invalid as refusal:
            flaws.extend(refusal.flaws)
    if flaws:
        raise Invalid.together(_once(flaws))
    return change


def _once(flaws: Iterable[Flaw]) -> list[Flaw]:
    return list(dict.fromkeys(flaws))


def _read_plain(account: Account, kind: Kind, item: Mapping[str, Any], now: Card | None, change: CardChange) -> None:
    for key in ("name", "first_name", "last_name"):
        if key in item and not isinstance(item[key], str):
            raise wrong_type(key, "string")
    if kind == "companies" and now is None and not item.get("name"):
        raise missing("name")
    if item.get("responsible_user_id") is not None and not account.can_own(item["responsible_user_id"]):
        raise unsupported("responsible_user_id")
    for key in ("created_by", "updated_by"):
        if key in item and item[key] != 0:
            choice(account.users, item[key], key)
    stamps = {key: _read_stamp(item[key], key) for key in _STAMPS if item.get(key) is not None}
    if item.get("price") is not None:
        _check_price(item["price"])
    plain = _WRITABLE[kind] - {"id", "request_id", "custom_fields_values", "_embedded"}
    taken = plain - {"tags_to_add", "tags_to_delete", "status_id", "pipeline_id", "loss_reason_id"}
    change.attributes.update({key: item[key] for key in item if key in taken} | stamps)


def _read_stamp(given: object, path: str) -> int:
    stamp = whole_number(given, path)
    if stamp < 0:
        raise too_low(path)
    return stamp


def _check_price(price: object) -> None:
    if isinstance(price, bool) or not isinstance(price, int):
        raise wrong_type("price", "int")


def _read_stage(account: Account, kind: Kind, item: Mapping[str, Any], now: Card | None, change: CardChange) -> None:
    """A stage must be of the lead's pipeline; 142 and 143 are of every one."""
    if kind != "leads":
        return
    lead = now if isinstance(now, Lead) else None
    main = next(pipeline for pipeline in account.pipelines.values() if pipeline.is_main)
    pipeline_id = item.get("pipeline_id", lead.pipeline_id if lead else main.id)
    pipeline = choice(account.pipelines, pipeline_id, "pipeline_id")
    first = next(stage.id for stage in pipeline.stages if stage.type == 0)
    moved = lead is None or pipeline.id != lead.pipeline_id
    status_id = item.get("status_id", first if moved or lead is None else lead.status_id)
    choice({stage.id: stage for stage in pipeline.stages}, status_id, "status_id")
    reason = item.get("loss_reason_id")
    if reason is not None:
        choice(account.loss_reasons if status_id == LOST else {}, reason, "loss_reason_id")
    change.attributes["pipeline_id"] = pipeline.id
    change.attributes["status_id"] = status_id
    if "loss_reason_id" in item:
        change.attributes["loss_reason_id"] = reason


def _read_values(account: Account, kind: Kind, item: Mapping[str, Any], _now: Card | None, change: CardChange) -> None:
    change.values = read_values(item.get("custom_fields_values"), account.books[kind], account.settings.zone)


def _read_tags(account: Account, kind: Kind, item: Mapping[str, Any], _now: Card | None, change: CardChange) -> None:
    known = account.tags[kind]
    change.tags_added = frozenset(_tag_names(item.get("tags_to_add"), known, "tags_to_add"))
    change.tags_deleted = frozenset(_tag_names(item.get("tags_to_delete"), known, "tags_to_delete"))
    embedded = item.get("_embedded")
    if isinstance(embedded, Mapping) and "tags" in embedded:
        change.tags = frozenset(_tag_names(embedded["tags"], known, "_embedded.tags"))


def _tag_names(given: object, known: Mapping[int, Any], path: str) -> list[str]:
    if given is None:
        return []
    if not isinstance(given, list):
        raise wrong_type(path, "array")
    names = []
    for at, tag in enumerate(given):
        if isinstance(tag, Mapping) and isinstance(tag.get("name"), str):
            names.append(tag["name"])
        else:
            names.append(choice(known, tag.get("id") if isinstance(tag, Mapping) else None, f"{path}.{at}").name)
    return names


def _read_links(account: Account, kind: Kind, item: Mapping[str, Any], now: Card | None, change: CardChange) -> None:
    embedded = item.get("_embedded")
    if embedded is None:
        return
    if not isinstance(embedded, Mapping):
        raise wrong_type("_embedded", "object")
    others = {key: value for key, value in embedded.items() if key != "tags"}
    if now is not None and others:
        raise unexpected(f"_embedded.{next(iter(others))}")
    change.linked = read_embedded(account, kind, others)


def create_card(account: Account, kind: Kind, change: CardChange, *, by: int) -> Card:
    """Make a card, link it, and tell."""
    now = account.now()
    given = change.attributes
    base: dict[str, Any] = {
        "id": next(account.ids[kind]),
        "name": "",
        "responsible_user_id": given.get("responsible_user_id") or account.token_user_id,
        "created_at": given.get("created_at") or now,
        "updated_at": given.get("updated_at") or now,
        "created_by": given.get("created_by", by),
        "updated_by": given.get("updated_by", by),
    }
    card = _new_row(kind, base, given, now)
    account.table(kind).add(card)
    account.tell(f"{SINGULAR[kind]}_added", kind, card.id, by)
    _apply_values(account, kind, card, change.values, by)
    _apply_tags(account, kind, card, change)
    change.linked.attach(account, kind, card)
    return card


def _new_row(kind: Kind, base: dict[str, Any], given: Mapping[str, Any], now: int) -> Card:
    name = given.get("name", "")
    if kind == "contacts":
        first, last = given.get("first_name", ""), given.get("last_name", "")
        base["name"] = name or f"{first} {last}".strip()
        return Contact(**base, first_name=first, last_name=last)
    if kind == "companies":
        base["name"] = name
        return Company(**base)
    base["name"] = name or f"Сделка #{base['id']}"
    price, status_id = given.get("price"), given["status_id"]
    closed_at = given.get("closed_at") or (now if status_id in CLOSED else None)
    return Lead(
        **base,
        price=None if price is None else Decimal(price),
        status_id=status_id,
        pipeline_id=given["pipeline_id"],
        loss_reason_id=given.get("loss_reason_id"),
        closed_at=closed_at,
    )


def apply_change(account: Account, kind: Kind, card: Card, change: CardChange, *, by: int) -> None:
    """Put a checked change on a card. `updated_at` moves even when every value stays the same."""
    given = change.attributes
    if isinstance(card, Lead):
        _apply_stage(account, card, given, by)
        _apply_price(account, card, given, by)
    _apply_names(account, kind, card, given, by)
    owner = given.get("responsible_user_id")
    if owner is not None and owner != card.responsible_user_id:
        before, after = ({"responsible_user": {"id": user}} for user in (card.responsible_user_id, owner))
        card.responsible_user_id = owner
        account.tell("entity_responsible_changed", kind, card.id, by, before, after)
    _apply_values(account, kind, card, change.values, by)
    _apply_tags(account, kind, card, change)
    card.created_by = given.get("created_by", card.created_by)
    if given.get("created_at") is not None:
        account.table(kind).move(card, "created_at", given["created_at"])
    account.touch(kind, card, by=given.get("updated_by", by), at=given.get("updated_at"))


def _apply_stage(account: Account, lead: Lead, given: Mapping[str, Any], by: int) -> None:
    """Closing sets `closed_at`, reopening clears it (the vendor's words are unclear; believed so)."""
    before, after = (lead.pipeline_id, lead.status_id), (given["pipeline_id"], given["status_id"])
    if before != after:
        lead.pipeline_id, lead.status_id = after
        if before[1] != after[1]:
            lead.closed_at = account.now() if lead.status_id in CLOSED else None
        if lead.status_id != LOST:
            lead.loss_reason_id = None
        sides = ({"lead_status": {"id": status, "pipeline_id": pipe}} for pipe, status in (before, after))
        account.tell("lead_status_changed", "leads", lead.id, by, *sides)
    if "loss_reason_id" in given:
        lead.loss_reason_id = given["loss_reason_id"]
    if given.get("closed_at") is not None:
        lead.closed_at = given["closed_at"]


def _apply_price(account: Account, lead: Lead, given: Mapping[str, Any], by: int) -> None:
    if "price" not in given:
        return
    price = None if given["price"] is None else Decimal(given["price"])
    if price != lead.price:
        sides = [{"sale_field_value": {"sale": int(one or 0)}} for one in (lead.price, price)]
        lead.price = price
        account.tell("sale_field_changed", "leads", lead.id, by, *sides)


def _apply_names(account: Account, kind: Kind, card: Card, given: Mapping[str, Any], by: int) -> None:
    name = given.get("name", card.name)
    if isinstance(card, Contact) and ("first_name" in given or "last_name" in given):
        card.first_name = given.get("first_name", card.first_name)
        card.last_name = given.get("last_name", card.last_name)
        name = given.get("name") or f"{card.first_name} {card.last_name}".strip()
    if name != card.name:
        sides = [{"name_field_value": {"name": one}} for one in (card.name, name)]
        card.name = name
        account.tell("name_field_changed", kind, card.id, by, *sides)


def _apply_values(account: Account, kind: Kind, card: Card, values: Values, by: int) -> None:
    entity, now = (SINGULAR[kind], card.id), account.now()
    for field_id, after in values.items():
        before: tuple[Stored, ...] = card.values.get(field_id, ())
        if before == after:
            continue
        if after:
            card.values[field_id] = after
        else:
            del card.values[field_id]
        account.history.add_field_change(field_id, entity, before, after, by=by, at=now)


def _apply_tags(account: Account, kind: Kind, card: Card, change: CardChange) -> None:
    names = [account.tags[kind][tag_id].name for tag_id in card.tag_ids]
    wanted = sorted(change.tags) if change.tags is not None else names
    wanted = [name for name in wanted if name not in change.tags_deleted]
    wanted += sorted(change.tags_added - set(wanted))
    card.tag_ids = [account.tag(kind, name).id for name in wanted]
