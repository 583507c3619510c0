"""What a person who opens our tab in a card may see: asked with that person's own token, never with ours.

https://apidocs.bitrix24.com/api-reference/widgets/index.html and
https://apidocs.bitrix24.com/api-reference/widgets/crm/detail-tab.html (read 2026-11).
"""

from __future__ import annotations

from adapters.bitrix24.faults import whole_fault
from adapters.bitrix24.schemas import DEAL, ENTITY
from adapters.budget import Rolling
from adapters.errors import CRMError, Rejected, ScopeMissing
from adapters.oauth import LANE, Courier, Server, json_of
from adapters.records import CRM, CustomerKind
from adapters.transport import Answer, Call

TABS = {
    "CRM_CONTACT_DETAIL_TAB": ENTITY[CustomerKind.CONTACT],
    "CRM_COMPANY_DETAIL_TAB": ENTITY[CustomerKind.COMPANY],
    "CRM_DEAL_DETAIL_TAB": DEAL,
}
"""Places of our tab → the type of record they are on."""
_RATE = Rolling(20, 1.0)


def may_read(courier: Courier, base_url: str, token: str, tab: str, record_id: str) -> bool:
    """Whether the token's user may read the record on whose card the tab is; False also for a record that is gone.

    Raises `AccessLost` for a token that this portal does not accept, `Transient` when it cannot be asked now.
    """
    asked = {"entityTypeId": TABS[tab], "id": int(record_id), "auth": token}
    call = Call("POST", "crm.item.get", json=asked, lane=LANE, label="crm.item.get")
    try:
        answer = courier.send(Server(CRM.BITRIX24, base_url, _RATE, _fault), call)
    except (Rejected, ScopeMissing):
        return False
    result = json_of(answer).get("result")
    item = result.get("item") if isinstance(result, dict) else None
    return isinstance(item, dict) and str(item.get("id")) == record_id


def _fault(call: Call, answer: Answer) -> CRMError | None:
    return whole_fault(call.path, answer.status, answer.headers, json_of(answer) or None)
