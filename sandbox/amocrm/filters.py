"""`filter[...]` of leads, contacts, companies and customers: honoured only where the account bought the option.

Names as in `LeadsFilter`, `ContactsFilter`, `CompaniesFilter`, `CustomersFilter` of the official PHP client;
unknown names are ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from sandbox.amocrm.account import Account
from sandbox.amocrm.query import Tree, numbers, span, whole, words
from sandbox.amocrm.rows import Card, Kind, Lead
from sandbox.amocrm.values import view_stored

Test = Callable[[Card], bool]


def matching(account: Account, kind: Kind, asked: Tree) -> Iterable[Card]:
    """The cards that satisfy every known condition."""
    tests = [test for name, node in asked.items() for test in _tests(account, kind, name, node)]
    return (card for card in _candidates(account, kind, asked) if all(test(card) for test in tests))


def _candidates(account: Account, kind: Kind, asked: Tree) -> Iterable[Card]:
    """As few cards as an index can tell."""
    table = account.table(kind)
    if "id" in asked:
        found = (table.listed(card_id) for card_id in sorted(set(numbers(asked["id"]))))
        return (card for card in found if card is not None)
    if "updated_at" in asked:
        when = span(asked["updated_at"])
        return table.between("updated_at", when.low, when.high)
    return table


def _tests(account: Account, kind: Kind, name: str, node: object) -> Iterable[Test]:
    if name in {"created_by", "updated_by", "responsible_user_id"}:
        users = frozenset(numbers(node))
        yield lambda card: getattr(card, name) in users
    elif name == "name":
        names = frozenset(node.values() if isinstance(node, Mapping) else [node])
        yield lambda card: card.name in names
    elif name in {"created_at", "updated_at"}:
        when = span(node)
        yield lambda card: when.holds(getattr(card, name))
    elif name == "closest_task_at":
        due = span(node)
        yield lambda card: due.holds(account.closest_task_at(kind, card.id))
    elif name == "custom_fields_values" and isinstance(node, Mapping):
        for field_id, wanted in node.items():
            yield _value_test(account, kind, whole(field_id), wanted)
    elif kind == "leads":
        yield from _lead_tests(name, node)


def _lead_tests(name: str, node: object) -> Iterable[Test]:
    if name == "price":
        sums = span(node)
        yield lambda card: isinstance(card, Lead) and sums.holds(None if card.price is None else float(card.price))
    elif name == "closed_at":
        when = span(node)
        yield lambda card: isinstance(card, Lead) and when.holds(card.closed_at)
    elif name == "pipeline_id":
        pipelines = frozenset(numbers(node))
        yield lambda card: isinstance(card, Lead) and card.pipeline_id in pipelines
    elif name == "statuses" and isinstance(node, Mapping):
        pairs = {_stage(stage) for stage in node.values() if isinstance(stage, Mapping)}
        yield lambda card: isinstance(card, Lead) and (card.pipeline_id, card.status_id) in pairs


def _stage(stage: Mapping[str, Any]) -> tuple[int, int]:
    pipeline, status = numbers(stage.get("pipeline_id", "")), numbers(stage.get("status_id", ""))
    return (pipeline or [-1])[0], (status or [-1])[0]


def _value_test(account: Account, kind: Kind, field_id: int | None, wanted: object) -> Test:
    book = account.books[kind]
    if field_id is None:
        return lambda _card: True
    if isinstance(wanted, Mapping) and ({"from", "to"} & set(wanted)):
        numbers_asked = span(wanted)
        return lambda card: any(
            isinstance(one.value, int | str) and numbers_asked.holds(_number(one.value))
            for one in card.values.get(field_id, ())
        )
    texts = frozenset(words(wanted))
    return lambda card: any(
        str(part) in texts
        for view in view_stored(card.values.get(field_id, ()), book)
        for part in (view["value"], view.get("enum_id"))
    )


def _number(value: int | str) -> float | None:
    try:
        return float(value)
    except ValueError:
        return None
