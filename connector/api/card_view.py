"""A customer's card in words, as values: what the three CRMs' pages and widgets draw. In Russian or English."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from adapters.fields import zone
from connector.store.cards import Card, RecentOrder
from connector.store.models import Portal, ScoreRow
from connector.wording import day, day_and_time, money, number
from scoring.hints import words
from scoring.methods import Method, MethodVersion
from scoring.quality import SOFTEN_BELOW, causes_in

Spoken = Literal["ru", "en"]

_TEXTS: Mapping[Spoken, Mapping[str, str]] = {
    "ru": {
        "unscored": "Оценки пока нет",
        "unscored_why": "Она появится после первого выигранного заказа и ближайшего расчёта.",
        "first_step": "Первый шаг",
        "offer": "Что предложить",
        "r": "Дней с последнего заказа",
        "f": "Заказов за {window} дн.",
        "m": "Сумма за {window} дн.",
        "code": "Код",
        "orders_total": "Заказов всего",
        "last_order": "Последний заказ",
        "previous": "Прежний сегмент",
        "quality": "Качество данных",
        "low_quality": "История клиента ненадёжна, сначала проверьте её.",
        "churn_risk": "Есть риск потерять клиента",
        "upsell": "Можно предложить большее",
        "recent": "Последние заказы",
        "updated": "Изменено",
        "method": "Методика",
        "yes": "да",
        "no_amount": "без суммы",
    },
    "en": {
        "unscored": "No score yet",
        "unscored_why": "It comes with the first won order and the next run.",
        "first_step": "First step",
        "offer": "What to offer",
        "r": "Days since the last order",
        "f": "Orders in {window} days",
        "m": "Sum in {window} days",
        "code": "Code",
        "orders_total": "Orders in all",
        "last_order": "Last order",
        "previous": "Segment before",
        "quality": "Data quality",
        "low_quality": "The history of this customer is doubtful: check it first.",
        "churn_risk": "May be lost",
        "upsell": "Could be offered more",
        "recent": "Last orders",
        "updated": "Changed",
        "method": "Method",
        "yes": "yes",
        "no_amount": "no amount",
    },
}


def spoken(language: str) -> Spoken:
    """The language we answer in."""
    return "ru" if language[:2].lower() in {"ru", "uk", "ua", "be", "by", "kk", "kz", "uz"} else "en"


def view(portal: Portal, card: Card | None, language: str) -> dict[str, Any]:
    """The card as plain values. `title`, `meaning`, `lines` (label, value) and `notes` are ready to be drawn."""
    said = spoken(language)
    if card is None or card.score is None or card.body is None:
        texts = _TEXTS[said]
        customer = str(card.ref) if card is not None else None
        return {
            "scored": False,
            "customer": customer,
            "language": said,
            "title": texts["unscored"],
            "meaning": texts["unscored_why"],
            "lines": [],
            "notes": [],
        }
    method = MethodVersion.from_json(card.body).method
    return {
        "scored": True,
        "customer": str(card.ref),
        "language": said,
        **_values(portal, card, card.score, method),
        **_drawn(portal, card, card.score, method, said),
    }


def _values(portal: Portal, card: Card, score: ScoreRow, method: Method) -> dict[str, Any]:
    last = card.last_order_on
    return {
        "segment": score.segment,
        "segment_previous": score.segment_previous,
        "code": score.code,
        "r": score.r,
        "f": score.f,
        "m": f"{score.m:.2f}",
        "currency": portal.currency,
        "window": method.window,
        "quality": score.quality,
        "churn_risk": score.churn_risk,
        "upsell": score.upsell,
        "orders_total": score.orders_total,
        "last_order_on": last.isoformat() if last is not None else None,
        "orders": [
            {
                "on": order.on.isoformat(),
                "amount": f"{order.amount:.2f}" if order.amount is not None else None,
                "currency": order.currency,
            }
            for order in card.orders
        ],
        "updated_at": score.changed_at.isoformat(timespec="seconds"),
        "method": score.method,
    }


def _drawn(portal: Portal, card: Card, score: ScoreRow, method: Method, said: Spoken) -> dict[str, Any]:
    texts, told, window = _TEXTS[said], words(method, score.segment, said), method.window
    last = card.last_order_on
    lines = [
        (texts["code"], score.code),
        (texts["r"], number(score.r, said)),
        (texts["f"].format(window=window), number(score.f, said)),
        (texts["m"].format(window=window), money(score.m, portal.currency, said)),
        (texts["orders_total"], number(score.orders_total, said)),
        (texts["last_order"], day(last, said) if last is not None else "–"),
        (texts["quality"], f"{score.quality} / 100"),
        *([(texts["previous"], _label(method, score.segment_previous, said))] if score.segment_previous else []),
        *([(texts["churn_risk"], texts["yes"])] if score.churn_risk else []),
        *([(texts["upsell"], texts["yes"])] if score.upsell else []),
        (texts["updated"], day_and_time(score.changed_at, zone(portal.time_zone), said)),
        (texts["method"], score.method),
    ]
    notes = [texts["low_quality"]] if score.quality < SOFTEN_BELOW else []
    return {
        "title": _label(method, score.segment, said),
        "meaning": told.meaning,
        "first_step": told.first_step,
        "offer": told.offer,
        "hint": told.hint,
        "labels": {key: texts[key] for key in ("first_step", "offer", "recent")},
        "lines": [{"label": label, "value": value} for label, value in lines],
        "recent": [{"label": day(order.on, said), "value": _amount(order, portal, said)} for order in card.orders],
        "notes": notes + [cause.text(said) for cause in causes_in(score.causes)],
    }


def _label(method: Method, segment: str, said: Spoken) -> str:
    """A segment of an earlier method may be unknown to this one."""
    try:
        return method.segment(segment).label[said]
    except KeyError:
        return segment


def _amount(order: RecentOrder, portal: Portal, said: Spoken) -> str:
    if order.amount is None:
        return _TEXTS[said]["no_amount"]
    return money(order.amount, order.currency or portal.currency, said)
