"""connect, portals, provision, disconnect."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from adapters.records import CRM, CustomerKind
from connector.cli.output import emit, table
from connector.config import Config
from connector.jobs import card_fields, connecting, health, loop, run_alarms, running
from connector.jobs import settings as portal_settings
from connector.jobs.steps import method_for
from connector.store import portals as stored
from connector.wiring import assemble, utc_now


def connect(config: Config, words: argparse.Namespace) -> int:
    """Check a token and keep the portal."""
    crm = CRM(words.crm)
    if crm is CRM.HUBSPOT:
        url = words.api_url or config.hubspot_api_url
    else:
        url = words.webhook_url if crm is CRM.BITRIX24 else words.account_url
    with assemble(config) as service:
        found = connecting.connect(
            service,
            crm,
            words.name,
            url=url,
            token=getattr(words, "token", ""),
            language=words.language,
            time_zone=words.time_zone,
        )
    text = (
        f"connected {found['portal']}: {found['crm']} account {found['account']} at {found['host']},"
        f" {found['time_zone']}, {found['currency']}\nnext: rfm-connector run {found['portal']} --dry-run"
    )
    if "webhook_url" in found:
        text += f"\nlet amoCRM post events to this secret address: {found['webhook_url']}"
    emit(found, as_json=words.json, text=text)
    return 0


def portals(config: Config, words: argparse.Namespace) -> int:
    """List the portals."""
    with assemble(config) as service, service.database.session() as session:
        known, now = run_alarms.histories(session), utc_now()
        found = [
            {
                **connecting.view(portal),
                "health": health.view(portal, known.get(portal.portal_id), now),
                "progress": running.view(session, portal.portal_id, now),
            }
            for portal in stored.all_portals(session)
        ]
    header = ("name", "crm", "host", "state", "method", "last sync", "health")
    keys = ("portal", "crm", "host", "state", "method", "last_sync")
    rows = [
        [*(str(portal[key] or "–") for key in keys), str(portal["health"]["score"]) if portal["health"] else "–"]
        for portal in found
    ]
    emit({"portals": found}, as_json=words.json, text=table(rows, header) if rows else "no portal is connected yet")
    return 0


def provision(config: Config, words: argparse.Namespace) -> int:
    """Create the group and the fields, or say what would be created."""
    with assemble(config) as service, loop.working_on(service, words.portal) as (portal, opened):
        method = method_for(service, portal, None)
        steps = card_fields.plan_fields(service.database, portal, opened.adapter, method)
        if not words.dry_run:
            fields = card_fields.ensure_fields(service.database, portal, opened.adapter, method)
            counts = {kind.value: len(fields.of(kind)) for kind in CustomerKind}
        else:
            counts = {}
        result = {
            "portal": portal.name,
            "dry_run": words.dry_run,
            "steps": [asdict(step) for step in steps],
            "fields": counts,
            "requests": opened.counters.requests,
            "throttled": opened.counters.throttled,
        }
    lines = [f"{step.action} {step.kind.value} {step.key}: {step.detail}" for step in steps]
    verb = "would be done" if words.dry_run else "done"
    emit(result, as_json=words.json, text="\n".join([*lines, f"{len(steps)} steps {verb}"]))
    return 0


def disconnect(config: Config, words: argparse.Namespace) -> int:
    """Forget the token; with --purge everything."""
    with assemble(config) as service:
        found = connecting.disconnect(service, words.portal, purge=words.purge)
    emit(
        found,
        as_json=words.json,
        text=f"{found['portal']} is {found['state']}"
        + ("; the app is removed in the CRM" if found["revoked"] else "; revoke its access in the CRM too"),
    )
    return 0


def settings(config: Config, words: argparse.Namespace) -> int:
    """Show or change a portal's settings."""
    with assemble(config) as service:
        if words.changes:
            found = portal_settings.change(service, words.portal, words.changes)
        else:
            found = portal_settings.show(service, words.portal)
    lines = [f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in sorted(found["settings"].items())]
    emit(found, as_json=words.json, text="\n".join(lines))
    return 0
