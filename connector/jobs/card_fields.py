"""The fields on the cards: what they are called in each language, and that they exist in a portal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from adapters.contract import Adapter, Choice, FieldMap, FieldSpec, FieldStep, FieldType
from connector.store import mirror, scores
from connector.store.database import Database
from connector.store.models import Portal
from scoring.methods import Method, MethodVersion

_CHECK_AGE = timedelta(hours=20)
_FIELDS: tuple[tuple[str, FieldType, str, str], ...] = (
    ("r", FieldType.INTEGER, "RFM: дней с последнего заказа", "RFM: days since last order"),
    ("f", FieldType.INTEGER, "RFM: заказов за период", "RFM: orders in the period"),
    ("m", FieldType.DECIMAL, "RFM: сумма за период", "RFM: sum in the period"),
    ("code", FieldType.TEXT, "RFM: код", "RFM: code"),
    ("segment", FieldType.CHOICE, "RFM: сегмент", "RFM: segment"),
    ("segment_previous", FieldType.TEXT, "RFM: прежний сегмент", "RFM: previous segment"),
    ("updated_at", FieldType.TIME, "RFM: обновлено", "RFM: updated at"),
    ("method", FieldType.TEXT, "RFM: версия методики", "RFM: method version"),
    ("quality", FieldType.INTEGER, "RFM: качество данных, 0–100", "RFM: data quality, 0–100"),
    ("churn_risk", FieldType.FLAG, "RFM: риск ухода", "RFM: churn risk"),
    ("upsell", FieldType.FLAG, "RFM: готов к допродаже", "RFM: upsell candidate"),
    ("hint", FieldType.LONG_TEXT, "RFM: подсказка", "RFM: hint"),
)

KEYS = frozenset(key for key, *_ in _FIELDS)
"""Our keys of the fields."""


def field_specs(methods: Sequence[Method], language: str) -> list[FieldSpec]:
    """The twelve fields of CONTRACT section 4, labelled; the segment field has the methods' segments as options.

    A value that several methods share has the label of the first.
    """
    russian = language == "ru"
    choices: dict[str, Choice] = {}
    for method in methods:
        for segment in sorted(method.segments, key=lambda segment: segment.rank):
            choices.setdefault(segment.value, Choice(segment.value, segment.label["ru" if russian else "en"]))
    return [
        FieldSpec(key, kind, ru if russian else en, tuple(choices.values()) if kind is FieldType.CHOICE else ())
        for key, kind, ru, en in _FIELDS
    ]


def plan_fields(database: Database, portal: Portal, adapter: Adapter, method: Method) -> list[FieldStep]:
    """What `ensure_fields` would create or extend now."""
    known = FieldMap.from_json(portal.fields) if portal.fields else None
    return adapter.plan_fields(field_specs(_methods(database, portal, method), portal.language), known)


def ensure_fields(database: Database, portal: Portal, adapter: Adapter, method: Method) -> FieldMap:
    """Create what is missing in the CRM and remember where everything is. Safe to repeat.

    The options of all methods published on the portal are kept: cards may hold them, and undo puts them back.
    Cards that were read before it was known where the fields are will be read again: they may hold values already.
    """
    known = FieldMap.from_json(portal.fields) if portal.fields else None
    fields = adapter.ensure_fields(field_specs(_methods(database, portal, method), portal.language), known)
    with database.session() as session:
        stored = session.get_one(Portal, portal.portal_id)
        stored.fields = fields.to_json()
        stored.fields_checked_at = datetime.now(UTC)
        if known is None:
            mirror.forget_cursors(session, portal.portal_id, "customers:")
    return fields


def fields_ready(portal: Portal, *methods: Method) -> FieldMap | None:
    """The known fields, if they were checked within the day and have every option the methods need."""
    if portal.fields is None or portal.fields_checked_at is None:
        return None
    if datetime.now(UTC) - portal.fields_checked_at > _CHECK_AGE:
        return None
    fields = FieldMap.from_json(portal.fields)
    wanted = {segment.value for method in methods for segment in method.segments}
    return fields if all(_has(refs.get("segment"), wanted) for refs in fields.fields.values()) else None


def _methods(database: Database, portal: Portal, method: Method) -> list[Method]:
    """The method itself, then all that were published on the portal."""
    with database.session() as session:
        bodies = scores.published_bodies(session, portal.portal_id)
    return [method, *(MethodVersion.from_json(body).method for body in bodies)]


def _has(ref: object, wanted: set[str]) -> bool:
    choices: Mapping[str, str] = getattr(ref, "choices", {})
    return wanted <= set(choices)
