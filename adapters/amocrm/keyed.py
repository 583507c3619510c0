"""Records of ours that amoCRM lets be made twice: looked for by their mark before they are made again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar

from adapters.amocrm.client import Json
from adapters.batches import settle_each
from adapters.contract import Outcome
from adapters.errors import CRMError, Interrupted, Unavailable

_TRIES = 5


class Draft(Protocol):
    """What is to be made."""

    @property
    def key(self) -> str:
        """Ours; sent as `request_id`."""
        ...


D = TypeVar("D", bound=Draft)


def make_each(
    drafts: Sequence[D],
    make: Callable[[Sequence[D]], list[Json]],
    find: Callable[[Sequence[D]], Mapping[str, str]],
    unsaid: str,
) -> list[Outcome]:
    """One bulk call. After anything but a clean answer `find` is asked before anything is made again.

    `make` returns the rows of the answer, thin ones with `request_id`; `find` tells key → id; `unsaid` is the reason
    of a draft of which amoCRM said nothing.
    """
    look_first = False

    def send(items: Sequence[D]) -> list[Outcome]:
        nonlocal look_first
        found = dict(find(items)) if look_first else {}
        look_first = True
        trouble: CRMError | None = None
        for _ in range(_TRIES):
            lacking = {draft.key: draft for draft in items if draft.key not in found}
            if not lacking:
                break
            try:
                rows = make(list(lacking.values()))
                found |= {str(row["request_id"]): str(row["id"]) for row in rows if row.get("request_id")}
            except (Interrupted, Unavailable) as error:
                trouble = error
            if lacking.keys() - found.keys():
                found |= find(list(lacking.values()))
        if trouble is not None and not found:
            raise trouble
        return [_outcome(found.get(draft.key), unsaid) for draft in items]

    return settle_each(drafts, send)


def _outcome(made: str | None, unsaid: str) -> Outcome:
    return Outcome(ok=False, reason=unsaid) if made is None else Outcome(ok=True, external_id=made)
