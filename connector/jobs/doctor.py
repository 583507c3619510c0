"""Self-check: settings, database, and each portal's reachability, rights, fields and limits, with what to do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from adapters.contract import Adapter, FieldMap
from adapters.errors import CRMError
from connector.config import Config
from connector.errors import ConnectorError
from connector.jobs import card_fields, loop
from connector.jobs.steps import method_for
from connector.secrets import Vault, vault_of
from connector.store import keys, portals
from connector.store.database import Database, open_database
from connector.store.models import Portal
from connector.wiring import Service

_STALE = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. `advice` is empty when all is well."""

    about: str
    ok: bool
    found: str
    advice: str = ""


def examine(config: Config) -> Iterator[Finding]:
    """Everything, in order; a thing that fails hides only what depends on it."""
    try:
        config.require_secrets()
        vault = vault_of(config)
        kind = "ENCRYPTION_KEYS" if config.encryption_keys else f"a key in {config.var_dir}"
        yield Finding("settings", ok=True, found=f"tokens are encrypted with {kind}")
    except ConnectorError as error:
        yield Finding("settings", ok=False, found=str(error), advice="set what is missing and start again")
        return
    try:
        database = open_database(config)
        found, wanted = database.schema_version(), database.wanted_version()
    except ConnectorError as error:
        yield Finding("database", ok=False, found=str(error), advice="start PostgreSQL or correct DATABASE_URL")
        return
    try:
        where = "DATABASE_URL" if config.database_url else f"embedded in {config.var_dir}"
        if found is None:
            database.ensure_schema()
        elif found != wanted:
            yield Finding("database", ok=False, found=f"schema {found}, wanted {wanted}", advice="run `migrate`")
            return
        yield Finding("database", ok=True, found=f"{where}, schema {wanted}")
        yield _keys(database, vault)
        service = Service(config, database, vault)
        with database.session() as session:
            names = [portal.name for portal in portals.all_portals(session)]
        if not names:
            yield Finding("portals", ok=True, found="none yet", advice="connect one: see `connect --help`")
        for name in names:
            yield from _portal(service, name)
    finally:
        database.close()


def _keys(database: Database, vault: Vault) -> Finding:
    stands = keys.standing(database, vault)
    if stands.unreadable:
        advice = "put their key behind the others in ENCRYPTION_KEYS, or connect those portals again"
    else:
        advice = "run `rotate-keys`, then drop the old key" if stands.older else ""
    found = f"{stands.newest} secrets on the first key, {stands.older} on older keys, {stands.unreadable} unreadable"
    return Finding("keys", ok=stands.is_whole, found=found, advice=advice)


def _portal(service: Service, name: str) -> Iterator[Finding]:
    try:
        with loop.working_on(service, name) as (portal, opened):
            info = opened.adapter.portal()
            yield Finding(name, ok=True, found=f"reached {info.name}, {info.time_zone}, {info.currency}")
            can = opened.adapter.capabilities
            yield Finding(
                f"{name} limits",
                ok=True,
                found=f"{can.requests_per_second:g} requests a second, {can.write_batch} cards in a write",
            )
            managers, teams = opened.adapter.managers()
            active = sum(manager.active for manager in managers)
            yield Finding(
                f"{name} staff",
                ok=active > 0,
                found=f"{active} active of {len(managers)} managers, {len(teams)} teams",
                advice="" if active else "give the token the right to read users",
            )
            yield _fields(service, portal, opened.adapter)
            yield _age(portal)
    except (CRMError, ConnectorError) as error:
        yield Finding(name, ok=False, found=str(error), advice=f"mend that, then run `connect` for {name} again")


def _fields(service: Service, portal: Portal, adapter: Adapter) -> Finding:
    steps = card_fields.plan_fields(service.database, portal, adapter, method_for(service, portal, None))
    if steps:
        missing = sorted({step.key for step in steps})
        return Finding(
            f"{portal.name} fields",
            ok=False,
            found=f"missing: {', '.join(missing)}",
            advice=f"run `provision {portal.name}`",
        )
    count = sum(len(refs) for refs in FieldMap.from_json(portal.fields).fields.values()) if portal.fields else 0
    return Finding(f"{portal.name} fields", ok=True, found=f"{count} fields are in place")


def _age(portal: Portal) -> Finding:
    synced = portal.last_sync_at
    if synced is None:
        return Finding(f"{portal.name} data", ok=False, found="never synced", advice=f"run `run {portal.name}`")
    fresh = datetime.now(UTC) - synced < _STALE
    return Finding(
        f"{portal.name} data",
        ok=fresh,
        found=f"last sync {synced:%Y-%m-%d %H:%M} UTC",
        advice="" if fresh else f"run `run {portal.name}`, and schedule it daily",
    )
