"""`/webhooks`: subscriptions; `sandbox.amocrm.letters` delivers.

https://www.amocrm.ru/developers/content/crm_platform/webhooks-api
"""

from __future__ import annotations

from typing import Any

from sandbox.amocrm.calls import Call, hal, nothing, whole_list
from sandbox.amocrm.problems import Problem, Refused, missing, unsupported
from sandbox.amocrm.router import Route
from sandbox.amocrm.rows import Hook
from sandbox.web import Answer

MOST = 100
_ACTIONS = {
    "lead": ("add", "update", "delete", "restore", "responsible", "status", "note"),
    "contact": ("add", "update", "delete", "restore", "responsible", "note"),
    "company": ("add", "update", "delete", "restore", "responsible", "note"),
    "customer": ("add", "update", "delete", "responsible", "note"),
    "task": ("add", "update", "delete", "responsible"),
    "talk": ("add", "update"),
}
SETTINGS = frozenset(f"{action}_{entity}" for entity, actions in _ACTIONS.items() for action in actions) | {
    "add_message",
    "add_outgoing_message",
    "add_chat_template_review",
}


def list_hooks(call: Call) -> Answer:
    """Subscriptions; `filter[destination]` finds one."""
    _admins_only(call)
    rows = list(call.account.hooks.values())
    if "destination" in call.filter:
        rows = [row for row in rows if row.destination == call.filter["destination"]]
    return whole_list(call, "webhooks", [_view(call, row) for row in rows]) if rows else nothing()


def subscribe(call: Call) -> Answer:
    """POST of an object; a known destination gets the new settings."""
    _admins_only(call)
    account, item = call.account, call.item()
    destination, settings = item.get("destination"), item.get("settings")
    if not isinstance(destination, str) or not destination.startswith(("https://", "http://")):
        raise Refused([("0", missing("destination"))])
    if not isinstance(settings, list) or not settings:
        raise Refused([("0", missing("settings"))])
    for at, name in enumerate(settings):
        if str(name) not in SETTINGS:
            raise Refused([("0", unsupported(f"settings.{at}"))])
    known = next((hook for hook in account.hooks.values() if hook.destination == destination), None)
    if known is not None:
        known.settings, known.updated_at = list(settings), account.now()
        return hal(_view(call, known))
    if len(account.hooks) >= MOST:
        raise Problem(400, f"At most {MOST} webhooks")
    now, sort = account.now(), item.get("sort", 10)
    hook = Hook(next(account.ids["hooks"]), destination, list(settings), sort, account.token_user_id, now, now)
    account.hooks[hook.id] = hook
    return hal(_view(call, hook), 201)


def unsubscribe(call: Call) -> Answer:
    """DELETE with a body that names the destination."""
    _admins_only(call)
    destination = call.item().get("destination")
    found = [hook.id for hook in call.account.hooks.values() if hook.destination == destination]
    if not found:
        raise Problem(404, "Webhook not found")
    for hook_id in found:
        del call.account.hooks[hook_id]
    return nothing()


def _admins_only(call: Call) -> None:
    if not call.account.token_is_admin():
        raise Problem(403, "Administrator rights are required")


def _view(call: Call, hook: Hook) -> dict[str, Any]:
    return {
        "id": hook.id,
        "destination": hook.destination,
        "created_at": hook.created_at,
        "updated_at": hook.updated_at,
        "account_id": call.account.settings.id,
        "created_by": hook.created_by,
        "sort": hook.sort,
        "disabled": hook.disabled,
        "settings": hook.settings,
    }


ROUTES = (
    Route("GET", "webhooks", list_hooks),
    Route("POST", "webhooks", subscribe),
    Route("DELETE", "webhooks", unsubscribe),
)
