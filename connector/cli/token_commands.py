"""token: who may call the API, with which rights. The token itself is printed once, when it is made."""

from __future__ import annotations

import argparse
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from sqlalchemy.orm import Session

from adapters.fields import zone
from connector.cli.output import emit, table
from connector.config import Config
from connector.errors import WrongUse
from connector.store import api_tokens, portals
from connector.store.models import Portal
from connector.wiring import assemble

_COLUMNS = ("id", "name", "scopes", "state", "created_by", "created_at", "expires_at", "last_used_at")


def token(config: Config, words: argparse.Namespace) -> int:
    """Create, list or revoke tokens of a portal, or with --all of the whole service."""
    if words.all == (words.portal is not None):
        raise WrongUse("name a portal, or write --all for tokens of the whole service")
    with assemble(config) as service, service.database.session() as session:
        portal = None if words.all else portals.portal_named(session, words.portal)
        result, text = _ACTIONS[words.action](session, portal, words, datetime.now(UTC))
    emit({"portal": words.portal, **result}, as_json=words.json, text=text)
    return 0


def _create(
    session: Session, portal: Portal | None, words: argparse.Namespace, now: datetime
) -> tuple[dict[str, Any], str]:
    expires_at = None if words.expires is None else _end_of(words.expires, portal)
    issued = api_tokens.issue(session, _id(portal), words.name, words.scope, expires_at=expires_at, now=now)
    shown = api_tokens.view(issued.row, now)
    text = f"{issued.secret}\nkeep it now, it is not shown again; it may {', '.join(shown['scopes'])}" + (
        f" until {shown['expires_at']}" if expires_at else ""
    )
    return {**shown, "token": issued.secret}, text


def _list(session: Session, portal: Portal | None, _: argparse.Namespace, now: datetime) -> tuple[dict[str, Any], str]:
    found = [api_tokens.view(row, now) for row in api_tokens.of_portal(session, _id(portal))]
    rows = [
        [", ".join(one[key]) if isinstance(one[key], list) else str(one[key] or "–") for key in _COLUMNS]
        for one in found
    ]
    header = [column.removesuffix("_at").replace("_", " ") for column in _COLUMNS]
    return {"tokens": found}, table(rows, header) if rows else "there are no tokens yet"


def _revoke(
    session: Session, portal: Portal | None, words: argparse.Namespace, now: datetime
) -> tuple[dict[str, Any], str]:
    row = api_tokens.revoke(session, _id(portal), words.id, now)
    if row is None:
        where = "the whole service" if portal is None else portal.name
        raise WrongUse(f"{where} has no such token: see `token {'--all' if portal is None else portal.name} list`")
    return api_tokens.view(row, now), f"{row.token_id} ({row.name}) is revoked"


_ACTIONS = {"create": _create, "list": _list, "revoke": _revoke}


def _id(portal: Portal | None) -> int:
    return api_tokens.SERVICE if portal is None else portal.portal_id


def _end_of(day: date, portal: Portal | None) -> datetime:
    """The end of a day of the portal; of the service in UTC."""
    here = UTC if portal is None else zone(portal.time_zone)
    try:
        return datetime.combine(day + timedelta(days=1), time(), here).astimezone(UTC)
    except OverflowError:
        raise WrongUse(f"{day} is too far away: leave --expires out for a token without an end") from None
