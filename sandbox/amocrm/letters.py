"""Webhooks of an account: a form to every subscribed destination, one event each, all values strings.

https://www.amocrm.ru/developers/content/crm_platform/webhooks-format (read 2026-11). Companies come under `contacts`,
told apart by `type`. Which hooks a merge fires is not documented: see `Rules.merge_deletes`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from sandbox.amocrm.account import Account
from sandbox.amocrm.rows import Lead
from sandbox.deliveries import Postman
from sandbox.posting import post_form

_PATIENCE_S = 2.0
_BRANCHES: Mapping[str, str] = {"lead": "leads", "contact": "contacts", "company": "contacts"}
_ACTIONS: Mapping[str, str] = {
    **{f"{entity}_added": "add" for entity in _BRANCHES},
    **{f"{entity}_deleted": "delete" for entity in _BRANCHES},
    **{f"{entity}_restored": "restore" for entity in _BRANCHES},
    "lead_status_changed": "status",
    "entity_responsible_changed": "responsible",
    "sale_field_changed": "update",
    "name_field_changed": "update",
    "custom_field_value_changed": "update",
}


class Letters:
    """What an account posts to its webhooks."""

    def __init__(self, account: Account, postman: Postman) -> None:
        self._account = account
        self._postman = postman

    def tell(self, event: str, entity: str, entity_id: int) -> None:
        """Post an event of the history to those who asked for it."""
        action = _ACTIONS.get(event)
        if action is None or entity not in _BRANCHES:
            return
        asked = f"{action}_{entity}"
        for hook in list(self._account.hooks.values()):
            if asked in hook.settings and not hook.disabled:
                form = self._form(action, entity, entity_id)
                self._postman.take(partial(post_form, hook.destination, form, _PATIENCE_S))

    def _form(self, action: str, entity: str, entity_id: int) -> dict[str, str]:
        item = f"{_BRANCHES[entity]}[{action}][0]"
        settings = self._account.settings
        told = {f"{item}[id]": str(entity_id)}
        if entity == "lead":
            lead = self._account.leads.rows.get(entity_id)
            told |= _lead(item, lead) if lead is not None else {}
        else:
            told[f"{item}[type]"] = entity
        return {**told, "account[id]": str(settings.id), "account[subdomain]": settings.subdomain}


def _lead(item: str, lead: Lead) -> dict[str, str]:
    return {
        f"{item}[status_id]": str(lead.status_id),
        f"{item}[pipeline_id]": str(lead.pipeline_id),
        f"{item}[price]": str(int(lead.price or 0)),
        f"{item}[responsible_user_id]": str(lead.responsible_user_id),
    }
