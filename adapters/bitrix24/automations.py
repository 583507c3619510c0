"""Our robots for deals and our tab in the cards: registering what is missing, and answering robots that wait.

https://apidocs.bitrix24.com/api-reference/bizproc/bizproc-robot/index.html, /api-reference/widgets/placement-bind.html
and /api-reference/bizproc/bizproc-activity/bizproc-event-send.html (read 2026-11). The portal forgets all of it when
the app is updated or removed, so this is repeated daily. Contacts and companies have no robots in Bitrix24.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from adapters.bitrix24.client import Client, Command
from adapters.bitrix24.visitor import TABS
from adapters.contract import CallAnswer, Outcome
from adapters.errors import CRMError, Malformed, Rejected, ScopeMissing, Unpaid, Unsupported

ROBOTS: Mapping[str, tuple[Mapping[str, str], Mapping[str, str]]] = {
    "rfm_score": (
        {"ru": "RFM: пересчитать клиента", "en": "RFM: score the customer again"},
        {
            "ru": "Пересчитывает клиента сделки и возвращает R, F, M, код и сегмент.",
            "en": "Scores the deal's customer again and returns R, F, M, code and segment.",
        },
    ),
    "rfm_segment": (
        {"ru": "RFM: узнать сегмент клиента", "en": "RFM: get the customer's segment"},
        {
            "ru": "Возвращает нынешние R, F, M, код и сегмент клиента сделки.",
            "en": "Returns the present R, F, M, code and segment of the deal's customer.",
        },
    ),
}
"""Code → name and description."""
_RETURNS: Mapping[str, tuple[str, str, str]] = {
    "r": ("int", "RFM: дней с последнего заказа", "RFM: days since the last order"),
    "f": ("int", "RFM: число заказов", "RFM: number of orders"),
    "m": ("double", "RFM: сумма заказов", "RFM: sum of orders"),
    "code": ("string", "RFM: код", "RFM: code"),
    "segment": ("string", "RFM: сегмент", "RFM: segment"),
}
_TITLE = "RFM"
_HANDLER = "/card/bitrix24"
_NOT_HERE = (ScopeMissing, Unpaid, Unsupported, Rejected)


class Bitrix24Automations:
    """See `contract.Automations`."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def ensure(self, base_url: str, *, renew: bool) -> Mapping[str, str]:
        """Two requests where nothing is missing. Raises what is no matter of the portal's plan or of our rights."""
        base = base_url.rstrip("/")
        return {
            "robots": _why_not(lambda: self._robots(base, renew=renew)),
            "tabs": _why_not(lambda: self._tabs(base + _HANDLER)),
        }

    def answer(self, answers: Sequence[CallAnswer]) -> list[Outcome]:
        """See `contract.Automations.answer`. A workflow that is over is refused with ACCESS_DENIED."""
        if not answers:
            return []
        replies = self._client.batch_all({f"a{at}": _sent(one) for at, one in enumerate(answers)})
        return [_outcome(replies[f"a{at}"].error) for at in range(len(answers))]

    def _robots(self, base: str, *, renew: bool) -> None:
        known = self._client.call(Command("bizproc.robot.list", {})).result
        if not isinstance(known, list):
            raise Malformed("Bitrix24 answered with something else than a list", path="bizproc.robot.list")
        for code in ROBOTS:
            fields = self._described(code, base)
            if code not in known:
                self._add(code, fields)
            elif renew:
                self._client.call(Command("bizproc.robot.update", {"CODE": code, "FIELDS": fields}))

    def _add(self, code: str, fields: Mapping[str, Any]) -> None:
        """One that somebody has added meanwhile is described anew."""
        try:
            self._client.call(Command("bizproc.robot.add", {"CODE": code, **fields}))
        except Rejected as error:
            if "ALREADY_INSTALLED" not in str(error):
                raise
            self._client.call(Command("bizproc.robot.update", {"CODE": code, "FIELDS": dict(fields)}))

    def _described(self, code: str, base: str) -> dict[str, Any]:
        name, description = ROBOTS[code]
        user = self._client.address.user_id
        return {
            "HANDLER": f"{base}/robots/bitrix24/{code}",
            **({"AUTH_USER_ID": int(user)} if user.isdecimal() else {}),
            "USE_SUBSCRIPTION": "Y",
            "NAME": dict(name),
            "DESCRIPTION": dict(description),
            "RETURN_PROPERTIES": {
                key: {"Name": {"ru": russian, "en": english}, "Type": kind}
                for key, (kind, russian, english) in _RETURNS.items()
            },
            "DOCUMENT_TYPE": ["crm", "CCrmDocumentDeal", "DEAL"],
            "FILTER": {"INCLUDE": [["crm", "CCrmDocumentDeal"]]},
        }

    def _tabs(self, handler: str) -> None:
        rows = self._client.call(Command("placement.get", {})).result
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise Malformed("Bitrix24 answered with something else than a list", path="placement.get")
        bound = {(str(row.get("placement")), str(row.get("handler"))) for row in rows}
        for tab in TABS:
            if (tab, handler) not in bound:
                self._client.call(Command("placement.bind", _tab(tab, handler)))
        for tab, old in sorted(bound):  # bound under an address that we had before
            if tab in TABS and old != handler and old.endswith(_HANDLER):
                self._client.call(Command("placement.unbind", {"PLACEMENT": tab, "HANDLER": old}))


def _tab(tab: str, handler: str) -> dict[str, Any]:
    titles = {language: {"TITLE": _TITLE} for language in ("ru", "en")}
    return {"PLACEMENT": tab, "HANDLER": handler, "TITLE": _TITLE, "LANG_ALL": titles}


def _sent(answer: CallAnswer) -> Command:
    values = {key: str(value) for key, value in answer.values.items()}
    return Command(
        "bizproc.event.send", {"event_token": answer.token, "return_values": values, "log_message": answer.text}
    )


def _outcome(error: CRMError | None) -> Outcome:
    if isinstance(error, _NOT_HERE):
        return Outcome(ok=False, reason=str(error))
    if error is not None:
        raise error
    return Outcome(ok=True)


def _why_not(work: Callable[[], None]) -> str:
    try:
        work()
    except _NOT_HERE as error:
        return str(error)
    return ""
