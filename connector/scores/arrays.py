"""Scored customers as the store takes them; those of several versions joined into one set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from connector.scores.counting import Counted
from connector.store.score_arrays import ScoreArrays
from scoring.errors import BadFrame
from scoring.frames import Customers
from scoring.methods import MethodVersion


def score_arrays(customers: Customers, version: MethodVersion, counted: Counted) -> ScoreArrays:
    """One version's customers for the store."""
    summary, history = counted.summary, counted.summary.history
    if history is None:
        raise BadFrame("the store keeps totals of the summary's history", column="history")
    held = None
    if customers.held is not None:
        by_code = version.method.segment_table[customers.cell]
        held = np.where(customers.held & (by_code != customers.segment), by_code, -1).astype(np.int16)
    return ScoreArrays(
        customer=customers.number,
        r=customers.recency,
        f=customers.frequency,
        m=customers.monetary,
        cell=customers.cell,
        segment=customers.segment,
        quality=counted.quality.score,
        causes=counted.quality.causes,
        churn_risk=customers.churn_risk,
        upsell=customers.upsell,
        orders_total=history.orders_total,
        last_day=summary.last_day,
        codes=customers.codes,
        segments=customers.segments,
        versions=(version.label,),
        held=held,
        orders_sum=counted.orders_sum,
    )


def taken(found: ScoreArrays, which: NDArray[np.bool_]) -> ScoreArrays:
    """The customers that are marked."""
    if which.all():
        return found
    cut = {one.name: getattr(found, one.name)[which] for one in fields(found) if _is_array(found, one.name)}
    return replace(found, **cut)


def joined(parts: Sequence[ScoreArrays]) -> ScoreArrays:
    """Several versions' customers, each customer once, ascending. Codes and segments of one spelling become one."""
    if len(parts) == 1:
        return parts[0]
    codes, code_maps = _united([part.codes for part in parts])
    segments, segment_maps = _united([part.segments for part in parts])
    order = np.argsort(np.concatenate([part.customer for part in parts]), kind="stable")

    def together(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(part, name) for part in parts])[order]

    plain = {one.name: together(one.name) for one in fields(ScoreArrays) if one.name in _PLAIN}
    has_sums = any(part.orders_sum is not None for part in parts)
    return ScoreArrays(
        **plain,
        cell=np.concatenate([places[part.cell] for part, places in zip(parts, code_maps, strict=True)])[order],
        segment=np.concatenate([places[part.segment] for part, places in zip(parts, segment_maps, strict=True)])[order],
        codes=codes,
        segments=segments,
        versions=tuple(label for part in parts for label in part.versions),
        version=np.concatenate([np.full(len(part), at, np.int16) for at, part in enumerate(parts)])[order],
        held=np.concatenate([_held(part, places) for part, places in zip(parts, segment_maps, strict=True)])[order],
        orders_sum=np.concatenate([_sums(part) for part in parts])[order] if has_sums else None,
    )


_PLAIN = frozenset({"customer", "r", "f", "m", "quality", "causes", "churn_risk", "upsell", "orders_total", "last_day"})


def _is_array(found: ScoreArrays, name: str) -> bool:
    return isinstance(getattr(found, name), np.ndarray)


def _united(lists: Sequence[Sequence[str]]) -> tuple[tuple[str, ...], list[NDArray[np.int16]]]:
    """All words once, and for each list where its words are among them."""
    words = tuple(dict.fromkeys(word for one in lists for word in one))
    places = {word: at for at, word in enumerate(words)}
    return words, [np.array([places[word] for word in one], np.int16) for one in lists]


def _held(part: ScoreArrays, places: NDArray[np.int16]) -> NDArray[np.int16]:
    if part.held is None:
        return np.full(len(part), -1, np.int16)
    return np.where(part.held >= 0, places[part.held], np.int16(-1)).astype(np.int16)


def _sums(part: ScoreArrays) -> NDArray[np.int64]:
    return np.zeros(len(part), np.int64) if part.orders_sum is None else part.orders_sum
