"""What stays with the browser between the start of an installation and the vendor's answer: one sealed cookie.

It holds the state, which the vendor repeats, and the PKCE verifier, which the vendor is told by us only. Only we can
make or read one, and it is worth nothing after ten minutes.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from flask import Response

from adapters.oauth import new_verifier
from adapters.records import CRM
from connector.errors import Misconfigured
from connector.secrets import Vault
from webhooks.signatures import matches

LIVES = timedelta(minutes=10)
_KIND = "install"


@dataclass(frozen=True, slots=True)
class Start:
    """An installation under way."""

    crm: CRM
    state: str = field(repr=False)
    verifier: str = field(repr=False)


def begun(crm: CRM) -> Start:
    """A new installation."""
    return Start(crm, secrets.token_urlsafe(24), new_verifier())


def cookie_name(crm: CRM) -> str:
    """Each vendor's own, so that two installations at once do not mix."""
    return f"rfm_install_{crm.value}"


def remember(answer: Response, vault: Vault, start: Start, now: datetime, *, secure: bool) -> None:
    """Give it to the browser, for the way back from the vendor only."""
    kept = {
        "kind": _KIND,
        "crm": start.crm.value,
        "state": start.state,
        "verifier": start.verifier,
        "at": now.isoformat(),
    }
    answer.set_cookie(
        cookie_name(start.crm),
        vault.seal(kept).decode(),
        max_age=int(LIVES.total_seconds()),
        path=f"/oauth/{start.crm.value}",
        secure=secure,
        httponly=True,
        samesite="Lax",
    )


def forget(answer: Response, crm: CRM, *, secure: bool) -> None:
    """It was used."""
    answer.delete_cookie(cookie_name(crm), path=f"/oauth/{crm.value}", secure=secure, httponly=True, samesite="Lax")


def recalled(cookie: str, vault: Vault, crm: CRM, state: str, now: datetime) -> Start | None:
    """The installation that this browser began and that the vendor's `state` belongs to; None for any other."""
    try:
        kept = vault.open(cookie.encode("utf-8", "replace"))
        began = datetime.fromisoformat(kept.get("at", ""))
    except (Misconfigured, ValueError):
        return None
    is_young = timedelta(0) <= now - began <= LIVES
    if kept.get("kind") != _KIND or kept.get("crm") != crm.value or not is_young:
        return None
    return Start(crm, kept["state"], kept["verifier"]) if matches(state, [kept["state"]]) else None
