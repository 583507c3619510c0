"""What the staff of an emulated Bitrix24 portal do: with to-dos, and with customers. See `sandbox.staff`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any

from sandbox.bitrix24.rows import Activity, Deal
from sandbox.bitrix24.state import COMPANY, CONTACT, DEAL, State
from sandbox.staff import Place

_TYPES: Mapping[Place, int] = {"contact": CONTACT, "company": COMPANY, "deal": DEAL}
_IN, _OUT = 1, 2
_HOUR_S = 3600


class Bitrix24Staff:
    """See `sandbox.staff.Staff`. Tasks are to-dos; what is said on closing one is a comment in the card's timeline."""

    def __init__(self, state: State, lock: AbstractContextManager[object], now: Callable[[], datetime]) -> None:
        self._state = state
        self._lock = lock
        self._now = now

    # --- to-dos ----------------------------------------------------------------------------------------------

    def close_task(self, task_id: int, result: str = "") -> None:
        """See `Staff.close_task`."""
        with self._lock:
            self._write(task_id, COMPLETED=True)
            if result:
                row = self._state.activities.rows[task_id]
                word = next(word for word, number in _TYPES.items() if number == row.owner_type_id)
                comment = {"entityType": word, "entityId": row.owner_id, "comment": result}
                self._state.comments.append({"id": len(self._state.comments) + 1, **comment})

    def move_task(self, task_id: int, due: datetime) -> None:
        """See `Staff.move_task`."""
        with self._lock:
            self._write(task_id, DEADLINE=int(due.timestamp()))

    def give_task(self, task_id: int, manager_id: int) -> None:
        """See `Staff.give_task`."""
        with self._lock:
            self._write(task_id, RESPONSIBLE_ID=self._state.users[manager_id].id)

    def delete_task(self, task_id: int) -> None:
        """See `Staff.delete_task`."""
        with self._lock:
            self._state.activities.remove(self._state.activities.rows[task_id])

    def _write(self, task_id: int, **values: Any) -> None:
        table = self._state.activities
        stored = {table.fields.by_old[name]: value for name, value in values.items()}
        table.write(table.rows[task_id], stored, self._seconds())

    # --- customers -------------------------------------------------------------------------------------------

    def call(self, kind: Place, card_id: int, seconds: int, *, inbound: bool = False) -> None:
        """See `Staff.call`. Telephony ticks off what was spoken; a call that nobody answered stays open."""
        now = self._seconds()
        way = _IN if inbound else _OUT
        self._add(kind, card_id, 2, "VOXIMPLANT_CALL", "CALL", way, (now - seconds, now), completed=seconds > 0)

    def message(self, kind: Place, card_id: int, *, inbound: bool = False) -> None:
        """See `Staff.message`: a text message."""
        now = self._seconds()
        self._add(kind, card_id, 6, "CRM_SMS", "SMS", _IN if inbound else _OUT, (now, now), completed=True)

    def letter(self, kind: Place, card_id: int, *, inbound: bool = False) -> None:
        """See `Staff.letter`."""
        now = self._seconds()
        self._add(kind, card_id, 4, "CRM_EMAIL", "EMAIL", _IN if inbound else _OUT, (now, now), completed=not inbound)

    def meet(self, kind: Place, card_id: int, *, held: bool = True) -> None:
        """See `Staff.meet`. An hour long."""
        now = self._seconds()
        self._add(kind, card_id, 1, "CRM_MEETING", "MEETING", 0, (now - _HOUR_S, now), completed=held)

    def _add(
        self,
        kind: Place,
        card_id: int,
        type_id: int,
        provider: str,
        provider_type: str,
        direction: int,
        span: tuple[int, int],
        *,
        completed: bool,
    ) -> None:
        with self._lock:
            card = self._state.card(_TYPES[kind], card_id)
            if card is None:
                raise LookupError(f"no {kind} {card_id} here")
            now, who = self._seconds(), card.assigned_by_id or self._state.user_id
            row = Activity(
                id=self._state.activities.next_id(),
                created=now,
                updated=now,
                owner_type_id=_TYPES[kind],
                owner_id=card_id,
                subject="about the private matter",
                description="what was said",
                deadline=span[0],
                responsible_id=who,
                author_id=who,
                completed=completed,
                provider_id=provider,
                provider_type_id=provider_type,
                type_id=type_id,
                direction=direction,
                start=span[0],
                end=span[1],
                bound=_beside(card),
            )
            self._state.activities.add(row)
            card.last_activity = max(card.last_activity, now)

    def _seconds(self) -> int:
        return int(self._now().timestamp())


def _beside(card: Any) -> tuple[tuple[int, int], ...]:
    """A deal's activity stands on its primary contact as well; a person's or a firm's on nothing else."""
    return ((CONTACT, card.contact_ids[0]),) if isinstance(card, Deal) and card.contact_ids else ()
