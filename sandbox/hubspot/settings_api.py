"""What an app reads about the account itself: details, owners, pipelines, currencies, limits. All read-only.

Source: developers.hubspot.com, guides of account information, owners, pipelines, currencies and limits tracking,
read November 2026.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sandbox.hubspot import values
from sandbox.hubspot.account import Account
from sandbox.hubspot.body import Call
from sandbox.hubspot.definitions import MAX_CUSTOM
from sandbox.hubspot.errors import invalid, missing_resource, not_found
from sandbox.hubspot.kinds import DEAL, ORDER
from sandbox.hubspot.settings import Owner, Pipeline
from sandbox.web import Answer, json_answer

OWNERS_PAGE = 500


def details(call: Call) -> Answer:
    """`/account-info/…/details`."""
    account = call.account
    offset = account.clock.now().astimezone(ZoneInfo(account.timezone)).utcoffset() or timedelta()
    minutes = int(offset.total_seconds()) // 60
    sign = "-" if minutes < 0 else "+"
    return json_answer(
        {
            "portalId": account.portal_id,
            "accountType": "STANDARD",
            "timeZone": account.timezone,
            "companyCurrency": account.currency,
            "additionalCurrencies": sorted(code for code, rate in account.rates.items() if rate),
            "utcOffset": f"{sign}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}",
            "utcOffsetMilliseconds": minutes * 60_000,
            "uiDomain": "app.hubspot.com",
            "dataHostingLocation": "na1",
        }
    )


def owners(call: Call, rest: Sequence[str]) -> Answer:
    """`/crm/owners/…[/{id}]`."""
    if call.request.method != "GET" or len(rest) > 1:
        raise missing_resource()
    if rest:
        return json_answer(_owner(call, rest[0]))
    archived, email = call.flag("archived"), call.one("email")
    limit, start = call.count("limit", 100, OWNERS_PAGE), call.cursor()
    listed = [
        owner
        for number, owner in sorted(call.account.owners.items())
        if number >= start and owner.archived == archived and email in {"", owner.email}
    ]
    answer: dict[str, Any] = {"results": [_shown(call.account, owner) for owner in listed[:limit]]}
    if len(listed) > limit:
        answer["paging"] = {"next": {"after": str(listed[limit].id), "link": "https://api.hubapi.com/crm/v3/owners"}}
    return json_answer(answer)


def _owner(call: Call, asked: str) -> dict[str, Any]:
    by = call.one("idProperty", "id")
    if by not in {"id", "userId"}:
        raise invalid("idProperty must be id or userId")
    archived = call.flag("archived")
    for owner in call.account.owners.values():
        if str(owner.user_id if by == "userId" else owner.id) == asked and owner.archived == archived:
            return _shown(call.account, owner)
    raise not_found(f"owner {asked}", asked)


def _shown(account: Account, owner: Owner) -> dict[str, Any]:
    created = values.iso_full(account.created_ms)
    body: dict[str, Any] = {
        "id": str(owner.id),
        "userId": None if owner.archived else owner.user_id,
        "userIdIncludingInactive": owner.user_id,
        "email": owner.email,
        "firstName": owner.first_name,
        "lastName": owner.last_name,
        "type": "PERSON",
        "createdAt": created,
        "updatedAt": created,
        "archived": owner.archived,
    }
    if owner.team is not None:
        body["teams"] = [{"id": str(owner.team[0]), "name": owner.team[1], "primary": True}]
    return body


def pipelines(call: Call, rest: Sequence[str]) -> Answer:
    """`/crm/pipelines/…/{type}[/{pipeline}[/stages]]`."""
    kind = call.account.kind(rest[0]) if rest else None
    if call.request.method != "GET" or kind not in {DEAL, ORDER}:
        raise missing_resource()
    lines = call.account.deal_pipelines if kind is DEAL else call.account.order_pipelines
    shown = [_pipeline(call.account, line, place, deals=kind is DEAL) for place, line in enumerate(lines)]
    if len(rest) == 1:
        return json_answer({"results": shown})
    found = next((line for line in shown if line["id"] == rest[1]), None)
    if found is None:
        raise not_found(f"pipeline {rest[1]}", rest[1])
    return json_answer(found if len(rest) == 2 else {"results": found["stages"]})


def _pipeline(account: Account, line: Pipeline, place: int, *, deals: bool) -> dict[str, Any]:
    stamps = {
        "createdAt": values.iso_full(account.created_ms),
        "updatedAt": values.iso_full(account.created_ms),
        "archived": False,
    }
    stages = [
        {
            "id": stage.id,
            "label": stage.label,
            "displayOrder": number,
            "metadata": (
                {"isClosed": "true" if stage.closed else "false", "probability": stage.probability}
                if deals
                else {"state": "CLOSED" if stage.closed else "OPEN"}
            ),
            "writePermissions": "CRM_PERMISSIONS_ENFORCEMENT",
            **stamps,
        }
        for number, stage in enumerate(line.stages)
    ]
    return {"id": line.id, "label": line.label, "displayOrder": place, "stages": stages, **stamps}


def currencies(call: Call, rest: Sequence[str]) -> Answer:
    """`/settings/currencies/…/{company-currency | exchange-rates/current}`."""
    account = call.account
    stamp = values.iso_full(account.created_ms)
    match (call.request.method, *rest):
        case ("GET", "company-currency"):
            return json_answer({"id": "1", "currencyCode": account.currency, "createdAt": stamp, "updatedAt": stamp})
        case ("GET", "exchange-rates", "current"):
            rates = [
                {
                    "id": str(place),
                    "fromCurrencyCode": code,
                    "toCurrencyCode": account.currency,
                    "conversionRate": float(rate),
                    "effectiveAt": stamp,
                    "createdAt": stamp,
                    "updatedAt": stamp,
                    "visibleInUI": True,
                }
                for place, (code, rate) in enumerate(account.rates.items(), start=1)
                if rate is not None
            ]
            return json_answer({"results": rates})
        case _:
            raise missing_resource()


def limits(call: Call, rest: Sequence[str]) -> Answer:
    """`/crm/limits/…/custom-properties`."""
    if call.request.method != "GET" or list(rest) != ["custom-properties"]:
        raise missing_resource()
    used = {kind: definitions.custom for kind, definitions in call.account.definitions.items()}
    overall = MAX_CUSTOM * len(used)
    return json_answer(
        {
            "overallLimit": overall,
            "overallUsage": sum(used.values()),
            "overallPercentage": 100 * sum(used.values()) / overall,
            "byObjectType": [
                {
                    "objectTypeId": kind.type_id,
                    "limit": MAX_CUSTOM,
                    "usage": count,
                    "percentage": 100 * count / MAX_CUSTOM,
                    "singularLabel": kind.singular.replace("_", " ").capitalize(),
                    "pluralLabel": kind.plural.replace("_", " ").capitalize(),
                }
                for kind, count in used.items()
            ],
        }
    )
