"""CRM → its receiver. The only module that names the three."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

from adapters.records import CRM
from webhooks import amocrm, bitrix24, hubspot
from webhooks.deliveries import ChangeNotice, Delivery, Secrets


class Receiver(Protocol):
    """What each CRM's module can do. All of it is pure, and raises nothing but `WebhookError`."""

    def address(self, delivery: Delivery, /) -> str:
        """By what `Portals.secrets` finds the secrets for a delivery that is not proven yet."""
        ...

    def verify(self, delivery: Delivery, secrets: Secrets, *, now: datetime) -> None:
        """Raise `NotAuthentic`, `Stale` or `Unreadable`, or return. `Secrets()` proves nothing."""
        ...

    def notices(self, delivery: Delivery) -> list[ChangeNotice]:
        """What a proven delivery says has changed. Raises `Unreadable`."""
        ...

    def delivery_key(self, delivery: Delivery) -> str:
        """64 hexadecimal digits that are the same when the CRM sends the same again. Raises `Unreadable`."""
        ...


RECEIVERS: Mapping[CRM, Receiver] = {
    CRM.AMOCRM: amocrm,
    CRM.BITRIX24: bitrix24,
    CRM.HUBSPOT: hubspot,
}
