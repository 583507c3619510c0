"""What the staff of an emulated HubSpot account do: with tasks, and with customers. See `sandbox.staff`."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from datetime import datetime

from sandbox.hubspot import values
from sandbox.hubspot.account import Account
from sandbox.hubspot.kinds import CALL, COMMUNICATION, DEFAULT_LINK, EMAIL, MEETING, TASK, Kind
from sandbox.hubspot.records import Author
from sandbox.staff import Place

_PLURAL: Mapping[Place, str] = {"contact": "contacts", "company": "companies", "deal": "deals"}
_HOUR_MS = 3_600_000


class HubSpotStaff:
    """See `sandbox.staff.Staff`. A task has no place for a result: it becomes a note beside it, which is left out."""

    def __init__(self, account: Account, lock: AbstractContextManager[object], author: Author) -> None:
        self._account = account
        self._lock = lock
        self._author = author

    # --- tasks -----------------------------------------------------------------------------------------------

    def close_task(self, task_id: int, result: str = "") -> None:
        """See `Staff.close_task`."""
        del result
        self._edit(task_id, hs_task_status="COMPLETED")

    def move_task(self, task_id: int, due: datetime) -> None:
        """See `Staff.move_task`."""
        self._edit(task_id, hs_timestamp=values.iso(values.to_ms(due)))

    def give_task(self, task_id: int, manager_id: int) -> None:
        """See `Staff.give_task`; the manager is an owner."""
        self._edit(task_id, hubspot_owner_id=str(manager_id))

    def delete_task(self, task_id: int) -> None:
        """See `Staff.delete_task`: into the recycling bin."""
        with self._lock:
            self._account.archive(TASK, self._account.find(TASK, task_id), self._author)

    def _edit(self, task_id: int, **texts: str) -> None:
        with self._lock:
            record = self._account.find(TASK, task_id)
            self._account.update(TASK, record, self._account.checked(TASK, record, texts), self._author)

    # --- customers -------------------------------------------------------------------------------------------

    def call(self, kind: Place, card_id: int, seconds: int, *, inbound: bool = False) -> None:
        """See `Staff.call`."""
        texts = {
            "hs_timestamp": values.iso(self._account.now_ms() - seconds * 1000),
            "hs_call_direction": "INBOUND" if inbound else "OUTBOUND",
            "hs_call_status": "COMPLETED" if seconds else "NO_ANSWER",
            "hs_call_duration": str(seconds * 1000),
            "hs_call_title": "about the private matter",
        }
        self._add(CALL, kind, card_id, texts)

    def message(self, kind: Place, card_id: int, *, inbound: bool = False) -> None:
        """See `Staff.message`. HubSpot keeps no direction of it."""
        del inbound
        self._add(COMMUNICATION, kind, card_id, {"hs_communication_channel_type": "SMS", **self._now_and_text()})

    def letter(self, kind: Place, card_id: int, *, inbound: bool = False) -> None:
        """See `Staff.letter`."""
        way = {"hs_email_direction": "INCOMING_EMAIL" if inbound else "EMAIL"}
        sent = {} if inbound else {"hs_email_status": "SENT"}
        now = values.iso(self._account.now_ms())
        self._add(EMAIL, kind, card_id, {**way, **sent, "hs_timestamp": now, "hs_email_text": "what was said"})

    def meet(self, kind: Place, card_id: int, *, held: bool = True) -> None:
        """See `Staff.meet`. An hour long."""
        begun = values.iso(self._account.now_ms() - _HOUR_MS)
        texts = {
            "hs_timestamp": begun,
            "hs_meeting_start_time": begun,
            "hs_meeting_end_time": values.iso(self._account.now_ms()),
            "hs_meeting_outcome": "COMPLETED" if held else "NO_SHOW",
        }
        self._add(MEETING, kind, card_id, texts)

    def _now_and_text(self) -> dict[str, str]:
        return {
            "hs_timestamp": values.iso(self._account.now_ms()),
            "hs_communication_logged_from": "CRM",
            "hs_communication_body": "what was said",
        }

    def _add(self, what: Kind, kind: Place, card_id: int, texts: Mapping[str, str]) -> None:
        """A record on a card, in the name of the card's owner."""
        with self._lock:
            card_kind = self._account.kind(_PLURAL[kind])
            card = self._account.records[card_kind].live(card_id)
            if card is None:
                raise LookupError(f"no {kind} {card_id} here")
            owner = card.values.get("hubspot_owner_id")
            known = self._account.owners.get(int(owner)) if owner else None
            given = {**texts, **({"hubspot_owner_id": owner} if owner and known and not known.archived else {})}
            record = self._account.create(what, self._account.checked(what, None, given), self._author)
            self._account.link(DEFAULT_LINK[what, card_kind], record.id, card_id, self._author)
            self._account.touch()
