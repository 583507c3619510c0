"""method list, show and fit. What changes a published method comes with a later version and says so."""

from __future__ import annotations

import argparse
import json
from typing import Any

from connector.cli.output import emit
from connector.config import Config
from connector.errors import WrongUse
from connector.jobs import loop
from connector.scores.run import check_method
from connector.store import portals, scores
from connector.store.models import MethodRow
from connector.wiring import assemble
from scoring.methods import MethodVersion, load_method, method_names


def method(config: Config, words: argparse.Namespace) -> int:
    """Dispatch to the action."""
    actions = {"list": _list, "show": _show, "fit": _fit}
    if words.action not in actions:
        raise WrongUse(f"`method {words.action}` comes with a later version; list, show and fit work")
    result, text = actions[words.action](config, words)
    emit(result, as_json=words.json, text=text)
    return 0


def _list(config: Config, words: argparse.Namespace) -> tuple[dict[str, Any], str]:
    shipped = [_shipped(name) for name in method_names()]
    published: list[dict[str, Any]] = []
    if words.portal:
        with assemble(config) as service, service.database.session() as session:
            portal = portals.portal_named(session, words.portal)
            rows = scores.published_versions(session, portal.portal_id)
            published = [
                {
                    "method": f"{row.name}@{row.version}",
                    "published_at": row.published_at.isoformat() if row.published_at else None,
                    "in_force": portal.method == f"{row.name}@{row.version}",
                    "digest": row.digest,
                    "weak": row.weak,
                }
                for row in rows
            ]
    lines = [f"{item['method']:14} {item['bins']} bins, {len(item['segments'])} segments" for item in shipped]
    lines += [f"{item['method']:14} published {item['published_at'][:10]}" for item in published]
    return {"shipped": shipped, "published": published}, "\n".join(lines)


def _show(config: Config, words: argparse.Namespace) -> tuple[dict[str, Any], str]:
    name, at, number = words.method.partition("@")
    check_method(name)
    if not at:
        spec = load_method(name).spec()
        return spec, json.dumps(spec, ensure_ascii=False, indent=2)
    if not words.portal or not number.isdigit():
        raise WrongUse("a published version belongs to a portal: write `method show sales5@1 --portal N`")
    with assemble(config) as service, service.database.session() as session:
        portal = portals.portal_named(session, words.portal)
        row = session.get(MethodRow, (portal.portal_id, name, int(number)))
        if row is None:
            raise WrongUse(f"{words.portal} has no published version {words.method}")
        body: dict[str, Any] = json.loads(MethodVersion.from_json(row.body).to_json())
    return body, json.dumps(body, ensure_ascii=False, indent=2)


def _fit(config: Config, words: argparse.Namespace) -> tuple[dict[str, Any], str]:
    with assemble(config) as service:
        fitted = loop.fit_method(service, words.portal, as_of=words.as_of, method=words.method)
    lines = [f"{fitted['method']} on {fitted['customers']} customers as of {fitted['as_of']}"]
    lines += [f"  {axis}: {', '.join(map(str, borders))}" for axis, borders in fitted["thresholds"].items()]
    lines += [f"  weak: {reason}" for reason in fitted["weak"]]
    return fitted, "\n".join(lines)


def _shipped(name: str) -> dict[str, Any]:
    shipped = load_method(name)
    return {
        "method": name,
        "bins": shipped.bins,
        "window": shipped.window,
        "segments": [segment.value for segment in shipped.segments],
    }
