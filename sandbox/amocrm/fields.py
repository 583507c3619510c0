"""The custom fields of one entity type: definitions, options and tabs. Not the values on cards."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

from sandbox.amocrm.problems import Invalid, choice, missing, unexpected, unsupported, wrong_type
from sandbox.amocrm.rows import Field, FieldGroup, Option

CATALOG = "catalogs"

_EVERYWHERE = frozenset(
    {
        "text", "numeric", "checkbox", "select", "multiselect", "date", "url", "textarea", "radiobutton",
        "streetaddress", "smart_address", "birthday", "legal_entity", "date_time", "file",
    }
)  # fmt: skip
_ALSO = {
    "leads": frozenset({"monetary", "chained_list", "tracking_data"}),
    "contacts": frozenset({"monetary"}),
    "companies": frozenset({"monetary"}),
    "customers": frozenset({"monetary", "chained_list"}),
    CATALOG: frozenset({"price", "category", "items", "payer", "supplier"}),
}
_WITH_OPTIONS = frozenset({"select", "multiselect", "radiobutton", "category"})
_OTHER_KEYS = frozenset(
    {
        "required_statuses", "hidden_statuses", "remind", "nested", "tracking_callback", "search_in",
        "chained_lists", "request_id", "is_deletable", "is_visible", "is_required",
    }
)  # fmt: skip
_KEYS = _OTHER_KEYS | {"name", "type", "code", "sort", "group_id", "is_api_only", "enums", "currency"}
DEFAULT_GROUP = "default"


@dataclass(frozen=True, slots=True)
class FieldPlan:
    """A checked definition, not yet applied. `options` None leaves them as they are."""

    name: str
    type: str
    code: str | None
    sort: int
    group_id: str | None
    is_api_only: bool
    currency: str | None
    options: list[Option] | None


class FieldBook:
    """Fields, options and groups of one entity type; ids are unique over the whole account."""

    def __init__(self, entity: str, ids: Iterator[int] | None = None) -> None:
        self.entity = entity
        self.fields: dict[int, Field] = {}
        self.options: dict[int, Option] = {}
        self.groups: dict[str, FieldGroup] = {
            DEFAULT_GROUP: FieldGroup(DEFAULT_GROUP, "Основное", 1, is_predefined=True)
        }
        self._ids = ids or count(1)
        self._codes: dict[str, int] = {}

    def next_id(self) -> int:
        """A number for a field, an option or a group."""
        return next(self._ids)

    def by_code(self, code: str) -> Field | None:
        """The field that carries this code."""
        field_id = self._codes.get(code)
        return None if field_id is None else self.fields[field_id]

    def define(self, name: str, kind: str, code: str | None = None, options: Iterable[str] = ()) -> Field:
        """A field that the account came with."""
        made = [Option(self.next_id(), word, sort, word) for sort, word in enumerate(options, 1)]
        field = Field(
            self.next_id(), name, kind, 500 + len(self.fields), code, is_predefined=True, options=made or None
        )
        self._keep(field)
        return field

    def plan_new(self, item: Mapping[str, Any]) -> FieldPlan:
        """Check a POST item; an `id` in it is ignored, as issue 392 of the official client tells."""
        self._check_keys(item, _KEYS | {"id"})
        for key in ("name", "type"):
            if not item.get(key):
                raise missing(key)
        if str(item["type"]) not in _EVERYWHERE | _ALSO.get(self.entity, frozenset()):
            raise unsupported("type")
        if item.get("is_api_only") and self.entity == CATALOG:
            raise unexpected("is_api_only")
        blank = Field(0, str(item["name"]), str(item["type"]), 500 + len(self.fields))
        return self._plan(item, blank)

    def plan_edit(self, field: Field, item: Mapping[str, Any]) -> FieldPlan:
        """Check a PATCH of one field. Its type cannot change."""
        self._check_keys(item, (_KEYS - {"type"}) | {"id"})
        return self._plan(item, field)

    def create(self, plan: FieldPlan) -> Field:
        """Apply a plan of `plan_new`."""
        field = Field(self.next_id(), plan.name, plan.type, plan.sort)
        self.edit(field, plan)
        self._keep(field)
        return field

    def edit(self, field: Field, plan: FieldPlan) -> frozenset[int]:
        """Apply a plan; the ids of options that are gone come back, for their values on cards are lost."""
        if field.code is not None:
            self._codes.pop(field.code, None)
        field.name, field.code, field.sort = plan.name, plan.code, plan.sort
        field.group_id, field.is_api_only, field.currency = plan.group_id, plan.is_api_only, plan.currency
        if field.code is not None:
            self._codes[field.code] = field.id
        if plan.options is None:
            return frozenset()
        return self._replace_options(field, plan.options)

    def forget(self, field: Field) -> None:
        """Remove a definition."""
        del self.fields[field.id]
        if field.code is not None:
            self._codes.pop(field.code, None)
        for option in field.options or []:
            del self.options[option.id]

    def _keep(self, field: Field) -> None:
        self.fields[field.id] = field
        if field.code is not None:
            self._codes[field.code] = field.id
        self.options.update({option.id: option for option in field.options or []})

    def _replace_options(self, field: Field, wanted: list[Option]) -> frozenset[int]:
        for option in wanted:
            option.id = option.id or self.next_id()
        old = {option.id for option in field.options or []}
        gone = old - {option.id for option in wanted}
        for option_id in gone:
            del self.options[option_id]
        field.options = wanted
        self.options.update({option.id: option for option in wanted})
        return frozenset(gone)

    def _plan(self, item: Mapping[str, Any], now: Field) -> FieldPlan:
        code = item.get("code", now.code)
        if code is not None and self._codes.get(str(code), now.id) != now.id:
            raise Invalid("NotUnique", "code", "The code is used by another field of this entity.")
        group_id = item.get("group_id", now.group_id)
        if group_id is not None and not isinstance(group_id, str):
            raise wrong_type("group_id", "string")
        if group_id is not None and group_id not in self.groups:
            raise unsupported("group_id")
        sort = item.get("sort", now.sort)
        if isinstance(sort, bool) or not isinstance(sort, int):
            raise wrong_type("sort", "int")
        is_api_only = item.get("is_api_only", now.is_api_only)
        if not isinstance(is_api_only, bool):
            raise wrong_type("is_api_only", "bool")
        return FieldPlan(
            name=str(item.get("name", now.name)),
            type=now.type,
            code=None if code is None else str(code),
            sort=sort,
            group_id=group_id,
            is_api_only=is_api_only,
            currency=item.get("currency", now.currency),
            options=self._plan_options(item, now),
        )

    def _plan_options(self, item: Mapping[str, Any], now: Field) -> list[Option] | None:
        given = item.get("enums")
        if given is None:
            if now.id == 0 and now.type in _WITH_OPTIONS:
                raise missing("enums")
            return None
        if now.type not in _WITH_OPTIONS:
            raise unexpected("enums")
        if not isinstance(given, list) or not given:
            raise wrong_type("enums", "non-empty array")
        known = {option.id: option for option in now.options or []}
        options = [_read_option(one, known, f"enums.{at}", at + 1) for at, one in enumerate(given)]
        codes = [option.code for option in options if option.code is not None]
        if len(set(codes)) != len(codes):
            raise Invalid("NotUnique", "enums", "Codes of options must differ.")
        return options

    @staticmethod
    def _check_keys(item: object, allowed: frozenset[str]) -> None:
        if not isinstance(item, Mapping):
            raise wrong_type("", "object")
        for key in item:
            if key not in allowed:
                raise unexpected(key)


def _read_option(given: object, known: Mapping[int, Option], path: str, sort: int) -> Option:
    """An option with the id of a known one stays it; without, it is a new one even under an old name."""
    if not isinstance(given, Mapping):
        raise wrong_type(path, "object")
    option_id = given.get("id")
    now = Option(0, "", sort) if option_id is None else choice(known, option_id, f"{path}.id")
    if not isinstance(given.get("value"), str) or not given["value"]:
        raise missing(f"{path}.value")
    code = given.get("code", now.code)
    return replace(now, value=given["value"], sort=given.get("sort", sort), code=None if code is None else str(code))
