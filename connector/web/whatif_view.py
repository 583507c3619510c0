"""A what-if report as a diagram, a matrix and figures. Pure: the report and the words in, what a template shows out."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from connector.web.texts import Texts

_NOBODY = "other"


def view(report: Mapping[str, Any], texts: Texts) -> dict[str, Any]:
    """What the page shows; `currency` and `day` are filled in by those who know them."""
    sides = {side: _side(report["segments"][side], texts) for side in ("live", "draft")}
    flows = {(flow["from"], flow["to"]): int(flow["customers"]) for flow in report["flows"]}
    for side, place in (("live", 0), ("draft", 1)):
        if any(pair[place] is None for pair in flows):
            sides[side].append({"value": None, "label": texts("whatif.no_score"), "work": _NOBODY})
    return {
        "report": report,
        "sankey": _sankey(sides, flows, texts),
        "matrix": _matrix(sides, flows),
        "columns": [one["label"] for one in sides["draft"]],
        "movers": [_mover(one, sides, texts) for one in report["movers"]],
        "share": texts.percent(report["moved"], report["customers"]),
    }


def _side(segments: list[dict[str, Any]], texts: Texts) -> list[dict[str, Any]]:
    return [
        {"value": one["segment"], "label": one["label"][texts.language.value], "work": one["work"]} for one in segments
    ]


def _sankey(
    sides: Mapping[str, list[dict[str, Any]]], flows: Mapping[tuple[Any, Any], int], texts: Texts
) -> dict[str, Any]:
    left, right = sides["live"], sides["draft"]
    nodes = [*left, *right]
    places = {("live", one["value"]): at for at, one in enumerate(left)}
    places |= {("draft", one["value"]): len(left) + at for at, one in enumerate(right)}
    sizes = [0] * len(nodes)
    for (was, now), count in flows.items():
        sizes[places["live", was]] += count
        sizes[places["draft", now]] += count
    return {
        "kind": "sankey",
        "labels": [f"{one['label']}: {texts.number(size)}" for one, size in zip(nodes, sizes, strict=True)],
        "works": [one["work"] for one in nodes],
        "left": len(left),
        "sources": [places["live", was] for was, _ in flows],
        "targets": [places["draft", now] for _, now in flows],
        "values": list(flows.values()),
        "texts": [texts.counted("customers", count) for count in flows.values()],
    }


def _matrix(sides: Mapping[str, list[dict[str, Any]]], flows: Mapping[tuple[Any, Any], int]) -> list[dict[str, Any]]:
    """A row for each segment in force, with the customers who go to each segment of the draft."""
    rows = []
    for one in sides["live"]:
        counts = [flows.get((one["value"], other["value"]), 0) for other in sides["draft"]]
        stays = [other["value"] == one["value"] for other in sides["draft"]]
        rows.append({**one, "cells": list(zip(counts, stays, strict=True)), "total": sum(counts)})
    return rows


def _mover(one: Mapping[str, Any], sides: Mapping[str, list[dict[str, Any]]], texts: Texts) -> dict[str, Any]:
    labels = {side: {segment["value"]: segment["label"] for segment in segments} for side, segments in sides.items()}
    nobody = texts("whatif.no_score")
    kind, _, external_id = one["customer"].partition(":")
    return {
        "kind": kind,
        "external_id": external_id,
        "was": labels["live"].get(one["was"], nobody),
        "now": labels["draft"].get(one["now"], nobody),
        "code_was": one["code_was"],
        "code_now": one["code_now"],
        "sum": Decimal(one["m"]),
    }
