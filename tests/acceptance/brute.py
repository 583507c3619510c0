"""What the cards must say, worked out from a shop the slow and obvious way. Shares no code with the product."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from itertools import pairwise
from statistics import median
from zoneinfo import ZoneInfo

from sandbox.shop import Deal, Shop

CENT = Decimal("0.01")


@dataclass(frozen=True)
class Expected:
    """A card's values."""

    r: int
    f: int
    m: Decimal
    code: str
    segment: str
    churn_risk: bool
    upsell: bool


def owner(crm: str, deal: Deal) -> tuple[str, int] | None:
    """Whose order it is, by each vendor's idea of the main contact."""
    if deal.company_id is not None:
        return ("company", deal.company_id)
    if not deal.contact_ids:
        return None
    if crm == "hubspot":
        return ("contact", min(deal.contact_ids))
    if deal.main_contact_id is not None:
        return ("contact", deal.main_contact_id)
    return ("contact", deal.contact_ids[0] if crm == "bitrix24" else min(deal.contact_ids))


def expected_cards(
    crm: str, shop: Shop, now: datetime, as_of: date | None = None, borders: list | None = None
) -> dict[tuple[str, int], Expected]:
    """Every scored customer of a shop under sales5, thresholds fitted on the same day or given (R, F, M)."""
    zone = ZoneInfo(shop.timezone)
    today = as_of or now.astimezone(zone).date()
    orders: dict[tuple[str, int], list[tuple[date, Decimal | None]]] = defaultdict(list)
    refunds: dict[tuple[str, int], list[tuple[date, Decimal]]] = defaultdict(list)
    for deal in shop.deals:
        who = owner(crm, deal)
        if deal.status != "won" or deal.closed_at is None or who is None:
            continue
        day = deal.closed_at.astimezone(zone).date()
        if day > today or (as_of is None and deal.closed_at > now):
            continue
        rate: Decimal | None = Decimal(1)
        if crm != "amocrm" and deal.currency != shop.currency:
            rate = shop.rates[deal.currency]
        if deal.amount is None:
            orders[who].append((day, Decimal(0)))
        elif deal.amount > 0:
            orders[who].append((day, None if rate is None else deal.amount * rate))
        else:
            refunds[who].append((day, Decimal(0) if rate is None else deal.amount * rate))
    raw = {}
    for who, rows in orders.items():
        recency = (today - max(day for day, _ in rows)).days
        window = [(day, amount) for day, amount in rows if 0 <= (today - day).days < 365]
        back = [amount for day, amount in refunds[who] if 0 <= (today - day).days < 365]
        money = sum((amount for _, amount in window if amount is not None), Decimal(0)) + sum(back, Decimal(0))
        days = sorted({day for day, _ in rows})
        gaps = [(b - a).days for a, b in pairwise(days)]
        overdue = len(days) >= 3 and recency > 2 * median(gaps)
        raw[who] = (recency, len(window), money.quantize(CENT, ROUND_HALF_UP), overdue)
    borders = borders or [_borders([values[axis] for values in raw.values()]) for axis in range(3)]
    return {who: _card(values, borders) for who, values in raw.items()}


def _borders(values: list) -> list:
    """Boundary k of 1..4: the smallest observed value v such that at least k/5 have a value <= v."""
    found = []
    for k in range(1, 5):
        for value in sorted(set(values)):
            if 5 * sum(other <= value for other in values) >= k * len(values):
                found.append(value)
                break
    return found


def _card(values: tuple, borders: list) -> Expected:
    recency, frequency, money, overdue = values
    r = 5 - sum(recency > border for border in borders[0])
    f = 1 + sum(frequency > border for border in borders[1])
    m = 1 + sum(money > border for border in borders[2])
    if r >= 4 and f >= 4 and m >= 4:
        segment = "vip"
    elif r >= 3:
        segment = "loyal" if f + m >= 6 else "promising"
    else:
        segment = "at_risk" if f + m >= 6 else "sleeping"
    return Expected(
        recency, frequency, money, f"{r}{f}{m}", segment, segment == "at_risk" or overdue, r >= 4 and f >= 4 and m <= 3
    )
