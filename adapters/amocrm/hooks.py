"""Webhooks of one account: which events are asked for, and keeping the subscription as it should be.

https://www.amocrm.ru/developers/content/crm_platform/webhooks-api (read 2026-11). A destination is subscribed once;
posting it again replaces its events. amoCRM switches a hook off after a hundred bad answers in two hours.
"""

from __future__ import annotations

from typing import Any

from adapters.amocrm.client import Client
from adapters.errors import Gone

_SORT = 10
EVENTS = tuple(
    f"{action}_{entity}"
    for entity, actions in {
        "lead": ("add", "update", "delete", "restore", "responsible", "status"),
        "contact": ("add", "delete", "restore", "responsible"),
        "company": ("add", "delete", "restore", "responsible"),
    }.items()
    for action in actions
)
"""Cards are not asked for at every change: our own writes would all come back, and scores depend on none of it."""


def subscribe(client: Client, destination: str) -> None:
    """See `contract.Hooks.subscribe`. Administrators only, and only on the larger plans."""
    found = client.hooks(destination)
    if any(_is_right(row) for row in found):
        return
    client.subscribe({"destination": destination, "settings": list(EVENTS), "sort": _SORT})


def unsubscribe(client: Client, destination: str) -> None:
    """See `contract.Hooks.unsubscribe`."""
    if client.hooks(destination):
        try:
            client.unsubscribe(destination)
        except Gone:  # somebody was faster
            return


def _is_right(row: dict[str, Any]) -> bool:
    settings = row.get("settings")
    return not row.get("disabled") and isinstance(settings, list) and set(EVENTS) <= {str(one) for one in settings}
