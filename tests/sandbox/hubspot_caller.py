"""Calls an emulated HubSpot without a socket; factories for small shops."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from werkzeug.test import Client

from sandbox.clock import ManualClock
from sandbox.faults import Faults
from sandbox.hubspot import HubSpotPortal, create_portal
from sandbox.northwind import northwind_shop
from sandbox.shop import Shop

NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)
TODAY = date(2026, 11, 24)
TOKEN = "hubspot-token"


@dataclass(frozen=True)
class Reply:
    status: int
    data: Any
    headers: dict[str, str]
    text: str

    @property
    def ids(self) -> list[str]:
        return sorted(record["id"] for record in self.data["results"])


class Caller:
    """`api.get("/crm/…")`; bodies are JSON."""

    def __init__(self, portal: HubSpotPortal, token: str = TOKEN) -> None:
        self._client = Client(portal.app)
        self._headers = {"Authorization": f"Bearer {token}"}

    def __call__(self, method: str, path: str, json: Any = None, **query: Any) -> Reply:
        answer = self._client.open(path, method=method, json=json, query_string=query, headers=self._headers)
        return Reply(answer.status_code, answer.get_json(silent=True), dict(answer.headers), answer.text)

    def get(self, path: str, **query: Any) -> Reply:
        return self("GET", path, **query)

    def post(self, path: str, json: Any) -> Reply:
        return self("POST", path, json)

    def patch(self, path: str, json: Any) -> Reply:
        return self("PATCH", path, json)


def new_clock() -> ManualClock:
    return ManualClock(NOW)


def new_portal(shop: Shop | None = None, **options: Any) -> HubSpotPortal:
    options = {"clock": new_clock(), "limits": False, "faults": Faults.none(), **options}
    return create_portal(northwind_shop(TODAY) if shop is None else shop, token=TOKEN, **options)


def rfm_property(name: str, type_: str = "number", field_type: str = "number", **more: Any) -> dict[str, Any]:
    return {"name": name, "label": name, "groupName": "rfm", "type": type_, "fieldType": field_type, **more}


def with_fields(portal: HubSpotPortal, kind: str = "companies") -> Caller:
    """The portal with an `rfm` group and one property of each type."""
    api = Caller(portal)
    base = f"/crm/properties/2026-09/{kind}"
    assert api.post(f"{base}/groups", {"name": "rfm", "label": "RFM"}).status == 201
    choices = [{"label": value.title(), "value": value} for value in ("vip", "loyal")]
    flags = [{"label": value, "value": value} for value in ("true", "false")]
    made = api.post(
        f"{base}/batch/create",
        {
            "inputs": [
                rfm_property("rfm_r"),
                rfm_property("rfm_segment", "enumeration", "select", options=choices),
                rfm_property("rfm_tags", "enumeration", "checkbox", options=choices),
                rfm_property("rfm_updated_at", "datetime", "date"),
                rfm_property("rfm_day", "date", "date"),
                rfm_property("rfm_churn_risk", "bool", "booleancheckbox", options=flags),
                rfm_property("rfm_code", "string", "text"),
            ]
        },
    )
    assert made.status == 201
    return api
