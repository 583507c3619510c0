"""What proves a portal's webhooks: one sealed secret a portal, by which amoCRM's portals are found as well."""

from __future__ import annotations

import secrets

from sqlalchemy import select
from sqlalchemy.orm import Session

from adapters.records import CRM
from connector.secrets import Vault
from connector.store.models import Portal
from webhooks.signatures import fingerprint

_KEY = "secret"


def keep_secret(portal: Portal, vault: Vault, secret: str) -> None:
    """Replace the portal's secret by one that the CRM has given (Bitrix24's application token)."""
    if portal.hook is None or secret_of(portal, vault) != secret:
        portal.hook = vault.seal({_KEY: secret})


def ensure_path_secret(portal: Portal, vault: Vault) -> str:
    """The secret in the path of an amoCRM portal's address; made the first time, and the same ever after."""
    if portal.hook is not None and portal.hook_fingerprint is not None:
        return secret_of(portal, vault)
    secret = secrets.token_urlsafe(32)
    portal.hook, portal.hook_fingerprint = vault.seal({_KEY: secret}), fingerprint(secret)
    return secret


def secret_of(portal: Portal, vault: Vault) -> str:
    """The secret; empty where the portal has none. Raises `Misconfigured` when no key opens it."""
    return vault.open(portal.hook).get(_KEY, "") if portal.hook is not None else ""


def path_of(portal: Portal, vault: Vault) -> str:
    """Where the portal's CRM posts events, below PUBLIC_URL. amoCRM's has the portal's secret in it."""
    if portal.crm != CRM.AMOCRM:
        return f"/webhooks/{portal.crm}"
    return f"/webhooks/amocrm/{ensure_path_secret(portal, vault)}"


def portal_of_member(session: Session, member_id: str) -> Portal | None:
    """The Bitrix24 portal with that id, unless it has left."""
    return session.scalar(
        select(Portal).where(
            Portal.crm == CRM.BITRIX24.value, Portal.account_id == member_id, Portal.state != "disconnected"
        )
    )


def portal_of_path(session: Session, secret_fingerprint: str) -> Portal | None:
    """The amoCRM portal whose address has the secret with this fingerprint, unless it has left."""
    return session.scalar(
        select(Portal).where(Portal.hook_fingerprint == secret_fingerprint, Portal.state != "disconnected")
    )
