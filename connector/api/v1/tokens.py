"""Tokens of a portal, for those who may handle them. A token that is made is shown once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marshmallow import fields, validate

from connector.api.v1.callers import holder, service
from connector.api.v1.problems import Refused, not_found
from connector.api.v1.routes import Routes
from connector.api.v1.words import Answer, Question, choice, listed, many, moment, text, words
from connector.store import api_tokens, portals

routes = Routes("tokens", url_prefix="/api/v1/portals/<portal>/tokens", description="Tokens of a portal")


class TokenView(Answer):
    """A token, without what opens the door."""

    id = text("Its id.", "1f2e3d4c5b6a")
    name = text("Who uses it.", "warehouse")
    scopes = listed(fields.String(), "What it may do.")
    state = choice("Whether it is in force.", "active", "expired", "revoked")
    created_by = text("Who made it.", "cli:anna")
    created_at = moment("When.")
    expires_at = moment("Until when.", None)
    last_used_at = moment("When last, to the minute.", None)
    revoked_at = moment("When.", None)


class Tokens(Answer):
    """Tokens of a portal."""

    items = many(TokenView, "The newest first.")


class NewToken(TokenView):
    """A token that was just made."""

    token = text("The token itself. It is not shown again.", "rfm_1f2e3d4c5b6a_…")


class TokenAsked(Question):
    """What token to make."""

    name = words("Who uses it.", "warehouse", longest=100, required=True)
    scopes = fields.List(
        fields.String(validate=validate.OneOf(api_tokens.SCOPES)),
        required=True,
        validate=validate.Length(1, len(api_tokens.SCOPES)),
        metadata={"description": "What it may do; nothing that your own token may not.", "example": ["read"]},
    )
    expires_at = moment("Until when; without it for ever.", "2027-11-24T00:00:00Z", allow_none=False)


@routes.offer("GET", "", scope="admin", answer=Tokens)
def list_tokens(portal: str) -> dict[str, Any]:
    """The tokens of a portal, those that are over as well."""
    opened = service()
    with opened.database.session() as session:
        found = portals.portal_named(session, portal)
        rows = api_tokens.of_portal(session, found.portal_id)
    return {"items": [api_tokens.view(row, opened.now()) for row in rows]}


@routes.offer("POST", "", scope="admin", answer=NewToken, status=201, body=TokenAsked)
def make_token(asked: Mapping[str, Any], portal: str) -> dict[str, Any]:
    """Make a token of the portal. It is shown once."""
    beyond = sorted(set(asked["scopes"]) - holder().scopes)
    if beyond:
        raise Refused(403, f"your own token has no scope {', '.join(map(repr, beyond))}: it cannot give what it lacks")
    opened = service()
    with opened.database.session() as session:
        found = portals.portal_named(session, portal)
        issued = api_tokens.issue(
            session,
            found.portal_id,
            asked["name"],
            asked["scopes"],
            expires_at=asked.get("expires_at"),
            now=opened.now(),
        )
        return {**api_tokens.view(issued.row, opened.now()), "token": issued.secret}


@routes.offer("DELETE", "/<token>", scope="admin", answer=TokenView)
def revoke_token(portal: str, token: str) -> dict[str, Any]:
    """Make a token worthless at once."""
    opened = service()
    with opened.database.session() as session:
        found = portals.portal_named(session, portal)
        row = api_tokens.revoke(session, found.portal_id, token, opened.now())
        if row is None:
            raise not_found("token")
        return api_tokens.view(row, opened.now())
