"""What makes sandbox portals tell the demo of their changes: our app in them, and the settings it needs."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from urllib.parse import urlsplit

from adapters.records import CRM
from adapters.registry import bitrix24_prove, bitrix24_read_page
from connector.config import Config
from connector.grants import app_of
from connector.jobs import installing, schedule
from connector.sandboxes import Offer
from connector.wiring import Service


def with_apps(config: Config, offers: Sequence[Offer]) -> Config:
    """The settings with the sandbox's registrations of our app, and its hosts allowed."""
    hosts = {offer.host for offer in offers}
    apps = {offer.crm: offer.app for offer in offers if offer.app}
    settings = {
        f"{crm.value}_{name}": app[name]
        for crm, app in apps.items()
        for name in ("client_id", "client_secret", "oauth_url")
    }
    hosts |= {urlsplit(app["oauth_url"]).netloc for app in apps.values()}
    return replace(config, allowed_crm_hosts=config.allowed_crm_hosts | hosts, **settings)


def environment(config: Config) -> dict[str, str]:
    """The same settings as a child process reads them."""
    changed = {
        "DATABASE_URL": config.database_url,
        "VAR_DIR": str(config.var_dir),
        "PUBLIC_URL": config.public_url,
        "PORT": str(config.port),
        "ENCRYPTION_KEYS": ",".join(config.encryption_keys),
        "ALLOWED_CRM_HOSTS": ",".join(sorted(config.allowed_crm_hosts)),
    }
    for crm in CRM:
        for name in ("client_id", "client_secret", "oauth_url"):
            changed[f"{crm.name}_{name.upper()}"] = getattr(config, f"{crm.value}_{name}")
    return {**os.environ, **{name: value or "" for name, value in changed.items()}}


def open_apps(service: Service, offers: Sequence[Offer]) -> None:
    """Have the portals' events asked for; in Bitrix24 by its administrator's opening our page."""
    for offer in offers:
        if offer.crm is CRM.BITRIX24 and offer.app:
            _open_in_bitrix24(service, offer.app["query"], offer.app["form"])


def _open_in_bitrix24(service: Service, query: Mapping[str, str], form: Mapping[str, str]) -> None:
    opened, courier = bitrix24_read_page(query, form), service.grants.courier(CRM.BITRIX24)
    proof = bitrix24_prove(app_of(service.config, CRM.BITRIX24), courier, opened)
    installing.install(service, CRM.BITRIX24, proof.grant, application_token=opened.application_token)


def ask_for_webhooks(service: Service, portal_ids: Sequence[int]) -> None:
    """Have a worker look at fields and webhooks at once."""
    with service.database.session() as session:
        for portal_id in portal_ids:
            schedule.ask(session, schedule.SETUP, portal_id, service.now())
