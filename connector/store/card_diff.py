"""SQL of the difference between the scores and what the cards hold: one row for every card that differs.

Values are compared field by field, so that cards which hold the right values cost nothing but the look;
JSON is built for the others only.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

_WANTED: Mapping[str, tuple[str, str]] = {
    "r": ("to_jsonb(s.r)", "s.r::text"),
    "f": ("to_jsonb(s.f)", "s.f::text"),
    "m": ("trim_scale(s.m)::text", "'\"' || trim_scale(s.m) || '\"'"),
    "code": ("s.code", "to_json(s.code)::text"),
    "segment": ("s.segment", "to_json(s.segment)::text"),
    "segment_previous": ("s.segment_previous", "to_json(s.segment_previous)::text"),
    "method": ("s.method", "to_json(s.method)::text"),
    "quality": ("to_jsonb(s.quality)", "s.quality::text"),
    "churn_risk": ("s.churn_risk::text", "s.churn_risk::text"),
    "upsell": ("s.upsell::text", "s.upsell::text"),
    "hint": ("h.hint", "to_json(h.hint)::text"),
}
"""Field → what it should hold, as it is compared and as JSON text."""
_NUMBERS = ("r", "f", "quality")
"""Compared as JSON, for which 5 and 5.0 are the same; the others as `card ->> field`."""
STAMP = "updated_at"
"""Goes along with a difference, and is none by itself."""


def hint_records(hints: Mapping[str, str]) -> str:
    """Texts by segment, or by `label:segment` where versions have their own, as JSON for the parameter `hints`."""
    records = []
    for key, hint in hints.items():
        label, _, segment = key.rpartition(":")
        records.append({"method": label or None, "segment": segment, "hint": hint})
    return json.dumps(records)


def _differs(key: str) -> str:
    look = "->" if key in _NUMBERS else "->>"
    return f"c.card {look} '{key}' IS DISTINCT FROM {_WANTED[key][0]}"


def _json(members: Iterable[str]) -> str:
    return f"('{{' || concat_ws(',', {', '.join(members)}) || '}}')::jsonb"


def _member(key: str, json: str) -> str:
    return f"'\"{key}\":' || coalesce({json}, 'null')"


def _member_that_differs(key: str, json: str) -> str:
    return f"CASE WHEN {_differs(key)} THEN {_member(key, json)} END"


def _held(key: str) -> str:
    return f"(c.card -> '{key}')::text"


_VALUES = _json(_member_that_differs(key, json) for key, (_, json) in _WANTED.items())
_BEFORE = _json([*(_member_that_differs(key, _held(key)) for key in _WANTED), _member(STAMP, _held(STAMP))])


PAIRS = f"""
FROM scores s
JOIN customers c ON c.portal_id = :portal AND c.number = s.customer AND c.seen AND NOT c.gone AND c.is_buyer
LEFT JOIN jsonb_to_recordset(CAST(:hints AS jsonb)) h(method text, segment text, hint text)
  ON h.segment = s.segment AND coalesce(h.method, s.method) = s.method
WHERE s.portal_id = :portal AND ({" OR ".join(map(_differs, _WANTED))})
"""
"""Scores `s` with the cards `c` that differ from them. Parameters: portal, hints (see `hint_records`)."""

COUNTED = f"""
SELECT count(*),
       count(*) FILTER (WHERE c.kind = 'contact'),
       count(*) FILTER (WHERE c.kind = 'company'),
       coalesce(sum({" + ".join(f"({_differs(key)})::int" for key in _WANTED)}), 0),
       count(*) FILTER (WHERE c.card ->> 'segment' IS NOT NULL AND {_differs("segment")})
{PAIRS}
"""
"""Cards, contacts, companies, fields, and cards whose segment was set and becomes another."""

DIFFERENCES = f"""
SELECT s.customer,
       {_VALUES} AS values,
       {_BEFORE} AS before
{PAIRS}
"""
"""Customer, the fields to write, and what stands there now (`updated_at` always, null for nothing)."""
