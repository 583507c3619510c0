"""What the staff of an emulated amoCRM account do: with tasks, and with customers. See `sandbox.staff`."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any

from sandbox.amocrm.account import Account
from sandbox.amocrm.rows import Card, Kind, Note, Task
from sandbox.amocrm.tasks import add_task, check_task, edit_task
from sandbox.staff import Place

_KINDS: Mapping[Place, Kind] = {"contact": "contacts", "company": "companies", "deal": "leads"}
_SPOKE, _NOT_REACHED = 4, 6
_MEETING = 2


class AmoStaff:
    """See `sandbox.staff.Staff`. A meeting is a task of its type, ticked off when it was held."""

    def __init__(self, account: Account, lock: AbstractContextManager[object]) -> None:
        self._account = account
        self._lock = lock

    # --- tasks -------------------------------------------------------------------------------------------------

    def close_task(self, task_id: int, result: str = "") -> None:
        """See `Staff.close_task`."""
        self._edit(task_id, is_completed=True, **({"result": {"text": result}} if result else {}))

    def move_task(self, task_id: int, due: datetime) -> None:
        """See `Staff.move_task`."""
        self._edit(task_id, complete_till=int(due.timestamp()))

    def give_task(self, task_id: int, manager_id: int) -> None:
        """See `Staff.give_task`."""
        self._edit(task_id, responsible_user_id=manager_id)

    def delete_task(self, task_id: int) -> None:
        """See `Staff.delete_task`: people can, the API cannot."""
        with self._lock:
            task = self._task(task_id)
            self._account.tasks.drop(task)
            if task.entity_type is not None and task.entity_id is not None:
                self._account.task_ids_of[task.entity_type, task.entity_id].remove(task_id)
            self._account.tell("task_deleted", "tasks", task_id, task.responsible_user_id)

    def _edit(self, task_id: int, **item: Any) -> None:
        with self._lock:
            task = self._task(task_id)
            edit_task(self._account, task, check_task(self._account, item, task), by=task.responsible_user_id)

    def _task(self, task_id: int) -> Task:
        return self._account.tasks.rows[task_id]

    # --- customers ---------------------------------------------------------------------------------------------

    def call(self, kind: Place, card_id: int, seconds: int, *, inbound: bool = False) -> None:
        """See `Staff.call`; telephony writes a note with a number and a link to a record."""
        params = {
            "uniq": f"call-{self._account.now()}",
            "duration": seconds,
            "source": "telephony",
            "link": "",
            "phone": "+70000000000",
            "call_status": _SPOKE if seconds else _NOT_REACHED,
        }
        self._note(kind, card_id, "call_in" if inbound else "call_out", params)

    def message(self, kind: Place, card_id: int, *, inbound: bool = False) -> None:
        """See `Staff.message`: a chat, which stands in the history only."""
        with self._lock:
            card = self._card(kind, card_id)
            word = "incoming_chat_message" if inbound else "outgoing_chat_message"
            self._account.tell(word, _KINDS[kind], card_id, 0 if inbound else card.responsible_user_id)

    def letter(self, kind: Place, card_id: int, *, inbound: bool = False) -> None:
        """See `Staff.letter`. The note's keys are not documented but for its type; `income` is seen in answers."""
        self._note(kind, card_id, "amomail_message", {"income": inbound, "subject": "about the private matter"})

    def meet(self, kind: Place, card_id: int, *, held: bool = True) -> None:
        """See `Staff.meet`."""
        with self._lock:
            card = self._card(kind, card_id)
            item = {
                "text": "Meeting",
                "complete_till": self._account.now(),
                "task_type_id": _MEETING,
                "entity_id": card_id,
                "entity_type": _KINDS[kind],
                "responsible_user_id": card.responsible_user_id,
                "is_completed": held,
            }
            add_task(self._account, item, by=card.responsible_user_id)

    def _card(self, kind: Place, card_id: int) -> Card:
        card = self._account.card(_KINDS[kind], card_id)
        if card is None:
            raise LookupError(f"no {kind} {card_id} here")
        return card

    def _note(self, kind: Place, card_id: int, note_type: str, params: dict[str, object]) -> None:
        with self._lock:
            account, card = self._account, self._card(kind, card_id)
            who, now = card.responsible_user_id, account.now()
            note = Note(next(account.ids["notes"]), _KINDS[kind], card_id, note_type, params, who, who, now, now)
            account.notes[note.id] = note
