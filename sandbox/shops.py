"""Which shop stands in which portal when nobody asks for another: a real one of the kind that CRM is bought for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date

from sandbox.cdnow import cdnow_shop
from sandbox.northwind import northwind_shop
from sandbox.online_retail import online_retail_shop
from sandbox.sales_opportunities import sales_opportunities_shop
from sandbox.shop import Shop

OWN: Mapping[str, Callable[[date], Shop]] = {
    "amocrm": cdnow_shop,
    "bitrix24": sales_opportunities_shop,
    "hubspot": online_retail_shop,
}
EVERYWHERE: Mapping[str, Callable[[date], Shop]] = {
    "northwind": northwind_shop,
    "cdnow": cdnow_shop,
    "online-retail": online_retail_shop,
    "sales-opportunities": sales_opportunities_shop,
}


def demo_shops(today: date, same: str | None = None) -> dict[str, Shop]:
    """A shop for each CRM; `same` (a key of `EVERYWHERE`) puts one shop into all three."""
    if same is not None:
        return dict.fromkeys(OWN, EVERYWHERE[same](today))
    return {crm: build(today) for crm, build in OWN.items()}
