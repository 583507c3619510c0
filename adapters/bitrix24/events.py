"""Events of one portal: which are asked for, and binding what is missing. Only an app may do so, a webhook may not.

https://apidocs.bitrix24.com/api-reference/events/event-bind.html (read 2026-11). The portal forgets all bindings when
the app is updated or removed, so this is repeated daily.
"""

from __future__ import annotations

import logging

from adapters.bitrix24.client import Client, Command, Reply
from adapters.errors import AccessLost, CRMError, Malformed, Transient, Unsupported

log = logging.getLogger("rfm.bitrix24")

_CRUD = ("ADD", "UPDATE", "DELETE")
EVENTS = (
    *(f"ONCRM{card}{verb}" for card in ("DEAL", "CONTACT", "COMPANY") for verb in _CRUD),
    "ONCRMDEALMOVETOCATEGORY",  # raises no UPDATE beside it
    "ONSALEORDERSAVED",
    "ONSALEBEFOREORDERDELETE",
    "ONPAYMENTENTITYSAVED",
    "ONPAYMENTDELETED",
    "ONAPPUPDATE",
    "ONAPPUNINSTALL",
)


def subscribe(client: Client, handler: str) -> None:
    """See `contract.Hooks.subscribe`. Two requests where something is missing, else one.

    An event that this portal does not have (the online store's, without its scope) is left out.
    """
    bound = _bound(client, handler)
    missing = [event for event in EVENTS if event not in bound]
    replies = client.batch_all({event: _bind(event, handler) for event in missing}) if missing else {}
    for event, reply in replies.items():
        _look(event, reply)


def unsubscribe(client: Client, handler: str) -> None:
    """See `contract.Hooks.unsubscribe`."""
    bound = sorted(_bound(client, handler))
    commands = {event: Command("event.unbind", {"event": event, "handler": handler}) for event in bound}
    for reply in (client.batch_all(commands) if commands else {}).values():
        reply.good()


def _bind(event: str, handler: str) -> Command:
    return Command("event.bind", {"event": event, "handler": handler})


def _bound(client: Client, handler: str) -> set[str]:
    rows = client.call(Command("event.get", {})).result
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise Malformed("Bitrix24 answered with something else than a list", path="event.get")
    return {str(row.get("event", "")).upper() for row in rows if row.get("handler") == handler}


def _look(event: str, reply: Reply) -> None:
    """A refusal of one event is no harm, a missing right or a portal that is away is."""
    error: CRMError | None = reply.error
    if isinstance(error, AccessLost | Transient | Unsupported):
        raise error
    if error is not None:
        log.info("event not bound event=%s reason=%s", event, error)
