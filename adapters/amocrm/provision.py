"""Our fields on amoCRM's cards: what is there, what is missing, and the bodies that add it. Sends nothing itself.

https://www.amocrm.ru/developers/content/crm_platform/custom-fields, read 2026-11.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adapters.amocrm.schemas import CODES, TYPES, Field, Group, Option
from adapters.contract import FieldMap, FieldRef, FieldSpec, FieldStep
from adapters.errors import BatchRefused, Conflict, InvalidValue
from adapters.records import CustomerKind

GROUP = "RFM"
GROUP_KEY = "group"
_CODE, _OPTIONS = "code", "enums"
_SORT = 500
_Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Layout:
    """The fields and tabs that cards of one kind have now."""

    kind: CustomerKind
    fields: Sequence[Field]
    groups: Sequence[Group]

    def group(self) -> Group | None:
        """Our tab."""
        return next((group for group in self.groups if group.name == GROUP), None)


@dataclass(frozen=True, slots=True)
class Wanted:
    """One spec beside the field that stands for it, None when there is none yet."""

    spec: FieldSpec
    field: Field | None

    def options(self, known: FieldRef | None) -> dict[str, Option]:
        """Our value → the option that stands for it: by stored id, then by code, then by its text."""
        options = self.field.options if self.field else ()
        found: dict[str, Option] = {}
        by_id = {str(option.id): option for option in options}
        by_code = {option.code: option for option in options if option.code}
        by_text = {option.value: option for option in reversed(options)}
        for choice in self.spec.choices:
            stored = known.choices.get(choice.value, "") if known else ""
            option = by_id.get(stored) or by_code.get(choice.value) or by_text.get(choice.label)
            if option is not None:
                found[choice.value] = option
        return found


def match(layout: Layout, specs: Sequence[FieldSpec], known: FieldMap | None) -> list[Wanted]:
    """Each spec with its field: by stored id, then by code, then by name.

    A name alone is enough only inside our tab or on a field that people cannot write: somebody's own field may be
    called the same. Raises `Conflict` for a field of another type in our place.
    """
    stored = known.of(layout.kind) if known else {}
    group = layout.group()
    taken: set[int] = set()
    pairs = []
    for spec in specs:
        field = _find(layout, group, spec, stored.get(spec.key), taken)
        if field is not None:
            taken.add(field.id)
            _check_type(layout.kind, spec, field)
        pairs.append(Wanted(spec, field))
    return pairs


def _find(
    layout: Layout, group: Group | None, spec: FieldSpec, stored: FieldRef | None, taken: set[int]
) -> Field | None:
    free = [field for field in layout.fields if field.id not in taken]
    by_id = (field for field in free if stored is not None and str(field.id) == stored.external_id)
    by_code = (field for field in free if (field.code or "").upper() == CODES[spec.key])
    by_name = (field for field in free if field.name == spec.label and _may_be_ours(field, group))
    return next(by_id, None) or next(by_code, None) or next(by_name, None)


def _may_be_ours(field: Field, group: Group | None) -> bool:
    return not field.code and (field.is_api_only or (group is not None and field.group_id == group.id))


def _check_type(kind: CustomerKind, spec: FieldSpec, field: Field) -> None:
    if field.type != TYPES[spec.type]:
        raise Conflict(
            f"the {kind.value} field {field.name!r} ({field.code or field.id}) is of type {field.type}, "
            f"but {TYPES[spec.type]} is needed: delete or recode that field in amoCRM and repeat",
            field=spec.key,
        )


def steps(layout: Layout, wanted: Sequence[Wanted], known: FieldMap | None) -> list[FieldStep]:
    """What has to be done on one kind of card."""
    kind = layout.kind
    found = []
    if layout.group() is None and any(one.field is None for one in wanted):
        found.append(FieldStep(kind, GROUP_KEY, "create", f"tab {GROUP}"))
    for one in wanted:
        if one.field is None:
            detail = f"{one.spec.label} ({CODES[one.spec.key]}, {TYPES[one.spec.type]})"
            found.append(FieldStep(kind, one.spec.key, "create", detail))
        elif missing := missing_options(one, kind, known):
            found.append(FieldStep(kind, one.spec.key, "extend", ", ".join(option.value for option in missing)))
    return found


def missing_options(one: Wanted, kind: CustomerKind, known: FieldMap | None) -> list[Option]:
    """Options that an existing field lacks, ready to be added behind the others."""
    if one.field is None:
        return []
    present = one.options(known.of(kind).get(one.spec.key) if known else None)
    after = max((option.sort for option in one.field.options), default=0)
    lacking = [choice for choice in one.spec.choices if choice.value not in present]
    return [Option(0, choice.label, after + at, choice.value) for at, choice in enumerate(lacking, 1)]


def new_field(spec: FieldSpec, position: int, group_id: str, refused: Container[str] = ()) -> _Json:
    """The body that creates a field. `group_id` is a string, unlike that of a user or a card.

    `refused`: see `note_code`.
    """
    body: _Json = {
        "name": spec.label,
        "type": TYPES[spec.type],
        "sort": _SORT + position,
        "group_id": group_id,
        "is_api_only": True,
        "request_id": spec.key,
    }
    if _CODE not in refused:
        body["code"] = CODES[spec.key]
    if spec.choices:
        options = (Option(0, choice.label, at, choice.value) for at, choice in enumerate(spec.choices, 1))
        body["enums"] = [_option_body(option, refused) for option in options]
    return body


def extended(field: Field, missing: Iterable[Option], refused: Container[str] = ()) -> _Json:
    """The body that adds options.

    All present ones go with their ids: those left out would be dropped, and with them the values on cards.
    """
    return {"enums": [_option_body(option, refused) for option in (*field.options, *missing)]}


def _option_body(option: Option, refused: Container[str]) -> _Json:
    body: _Json = {"value": option.value, "sort": option.sort}
    if option.id:
        body["id"] = option.id
    if option.code and (option.id or _OPTIONS not in refused):
        body["code"] = option.code
    return body


def note_refused(refusal: BatchRefused, keys: Sequence[str], refused: Mapping[str, set[str]]) -> None:
    """Note which fields of a refused batch have to go without a code; `keys` are ours, in the batch's order."""
    if not refusal.bad:
        raise InvalidValue(f"amoCRM refused to make our fields: {refusal}", status=refusal.status) from refusal
    for at, (path, reason) in refusal.bad.items():
        note_code(keys[at], path, reason, refused)


def note_code(key: str, path: str | None, reason: str, refused: Mapping[str, set[str]]) -> None:
    """Note that a field, or its options, cannot carry our code. Raises `InvalidValue` for any other refusal.

    Creation of contact fields has been seen to fail on the code alone
    (https://github.com/amocrm/amocrm-api-php/issues/604, read 2026-11).
    """
    parts = (path or "").split(".")
    part = _OPTIONS if _OPTIONS in parts else _CODE
    if parts[-1] != _CODE or part in refused[key]:
        raise InvalidValue(f"amoCRM refused our field {CODES[key]}: {reason}", field=key)
    refused[key].add(part)


def refs(kind: CustomerKind, wanted: Sequence[Wanted], known: FieldMap | None) -> Mapping[str, FieldRef]:
    """Where our fields of one kind are. Only for specs whose field and options all exist."""
    stored = known.of(kind) if known else {}
    return {
        one.spec.key: FieldRef(
            str(one.field.id),
            one.field.name,
            {value: str(option.id) for value, option in one.options(stored.get(one.spec.key)).items()},
        )
        for one in wanted
        if one.field is not None
    }
