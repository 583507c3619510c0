"""Robots and workflow actions that wait: where that was asked, the customer is scored again; then they are told.

The calls were put down together with their records in the inbox, so scoring them is a drain. A call is answered at
least once: after a kill between the CRM's answer and ours it is told a second time, which the CRM refuses harmlessly.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby

from adapters.contract import CallAnswer
from adapters.registry import automations_of
from connector.deadline import NEVER, Deadline
from connector.jobs.drain import drain_portal
from connector.jobs.loop import working_on
from connector.store import calls, cards
from connector.store.calls import Call
from connector.store.models import Portal
from connector.wiring import OpenPortal, Service

_AT_ONCE = 50
_DONE = "answered"
_NOBODY = "nobody waited"
_TEXTS = {
    "ru": ("RFM: клиент не найден или ещё не оценён", "RFM: сегмент {segment}, код {code}"),
    "en": ("RFM: the customer is not known or not scored yet", "RFM: segment {segment}, code {code}"),
}

Values = dict[str, str | int]


def answer_portal(service: Service, portal_id: int, deadline: Deadline = NEVER) -> bool:
    """Answer a portal's calls; returns whether all that waited at the start are answered.

    Raises `CRMError` and `Interruption`; what was told stays told.
    """
    began = service.now()
    with service.database.session() as session:
        name = session.get_one(Portal, portal_id).name
        has_to_score = calls.wants_score(session, portal_id)
    if has_to_score and not drain_portal(service, portal_id, deadline).finished:
        return False
    with working_on(service, name) as (portal, opened):
        while not deadline.over():
            with service.database.session() as session:
                open_calls = calls.waiting(session, portal_id, _AT_ONCE, before=began)
            if not open_calls:
                return True
            _answer(service, portal, opened, open_calls, service.now())
    return False


def values_of(service: Service, portal: Portal, call: Call) -> Values:
    """What is known of the customer on whose card or deal a call runs; `segment` is empty where there is no score."""
    with service.database.session() as session:
        number = cards.customer_of(session, portal, call.resource, call.external_id)
        score = cards.score_of(session, portal.portal_id, number) if number is not None else None
    if score is None:
        return {"segment": ""}
    return {"r": score.r, "f": score.f, "m": f"{score.m:.2f}", "code": score.code, "segment": score.segment}


def _answer(service: Service, portal: Portal, opened: OpenPortal, open_calls: Sequence[Call], now: datetime) -> None:
    told = [call for call in open_calls if call.sealed is not None]
    settled = {call.call_key: _NOBODY for call in open_calls if call.sealed is None}
    automations = automations_of(opened.adapter)
    if automations is not None:
        answers = [_told(service, portal, call) for call in told]
        for call, outcome in zip(told, automations.answer(answers), strict=True):
            settled[call.call_key] = _DONE if outcome.ok else outcome.reason or "refused"
    with service.database.session() as session:
        for outcome_text, pairs in groupby(sorted(settled.items(), key=_by_outcome), key=_by_outcome):
            calls.answered(session, portal.portal_id, [key for key, _ in pairs], now, outcome_text)


def _by_outcome(pair: tuple[str, str]) -> str:
    return pair[1]


def _told(service: Service, portal: Portal, call: Call) -> CallAnswer:
    values = values_of(service, portal, call)
    unknown, known = _TEXTS["ru" if portal.language == "ru" else "en"]
    text = known.format(**values) if "code" in values else unknown
    token = service.vault.open(call.sealed)["token"] if call.sealed is not None else ""
    return CallAnswer(token, values, text)
