"""Bulk writes with an outcome for each item: a batch that fails as a whole is halved until the bad one stands alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from adapters.contract import Outcome
from adapters.errors import BatchRefused, Rejected, Unavailable

Item = TypeVar("Item")
_TOO_LARGE = frozenset({413, 504})


def settle_each(items: Sequence[Item], send: Callable[[Sequence[Item]], list[Outcome]]) -> list[Outcome]:
    """Send `items` and return one outcome for each, in order.

    `send` must be harmless to repeat. Items that `BatchRefused` names are settled as refused and the others
    are sent again; where it names none, the batch is halved. A batch the vendor finds too large (413, 504)
    is halved as well. Other errors pass through.
    """
    if not items:
        return []
    try:
        return send(items)
    except BatchRefused as refusal:
        if len(items) == 1:
            field, reason = refusal.bad.get(0, (None, str(refusal)))
            return [Outcome(ok=False, field=field, reason=reason)]
        if refusal.bad:
            return _without_bad(items, refusal.bad, send)
    except Rejected as refusal:
        if len(items) == 1:
            return [Outcome(ok=False, field=refusal.field, reason=str(refusal))]
    except Unavailable as trouble:
        if len(items) == 1 or trouble.status not in _TOO_LARGE:
            raise
    middle = len(items) // 2
    return [*settle_each(items[:middle], send), *settle_each(items[middle:], send)]


def _without_bad(
    items: Sequence[Item],
    bad: dict[int, tuple[str | None, str]],
    send: Callable[[Sequence[Item]], list[Outcome]],
) -> list[Outcome]:
    rest = iter(settle_each([item for at, item in enumerate(items) if at not in bad], send))
    return [
        Outcome(ok=False, field=bad[at][0], reason=bad[at][1]) if at in bad else next(rest) for at in range(len(items))
    ]


def chunks(items: Sequence[Item], size: int) -> list[Sequence[Item]]:
    """Consecutive pieces of at most `size` items."""
    return [items[start : start + size] for start in range(0, len(items), size)]
