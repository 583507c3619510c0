"""What the staff of every emulated portal do at their desks: with tasks, and with customers.

Each vendor's package has a `staff` module, and each portal a `staff` of it. Deeds happen now, by the portal's clock.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal, Protocol

Place = Literal["company", "contact", "deal"]


class Staff(Protocol):
    """People of one portal. Ids are the portal's own, managers' too. Raises `LookupError` for what is not there."""

    def close_task(self, task_id: int, result: str = "") -> None:
        """Tick a task off, with a few words where the CRM takes them."""
        ...

    def move_task(self, task_id: int, due: datetime) -> None:
        """Give a task another deadline (aware)."""
        ...

    def give_task(self, task_id: int, manager_id: int) -> None:
        """Give a task to somebody else."""
        ...

    def delete_task(self, task_id: int) -> None:
        """Remove a task."""
        ...

    def call(self, kind: Place, card_id: int, seconds: int, *, inbound: bool = False) -> None:
        """Hold a call that has just ended, from the card; with 0 seconds nobody answered."""
        ...

    def message(self, kind: Place, card_id: int, *, inbound: bool = False) -> None:
        """Write in a messenger, from the card. Not every CRM keeps who wrote."""
        ...

    def letter(self, kind: Place, card_id: int, *, inbound: bool = False) -> None:
        """Write an e-mail, from the card."""
        ...

    def meet(self, kind: Place, card_id: int, *, held: bool = True) -> None:
        """A meeting that has just ended, or whose hour has passed in vain."""
        ...
