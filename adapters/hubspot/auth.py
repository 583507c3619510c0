"""How a HubSpot account is connected with a token of its own (private app or service key).

Such a token is static: it has no expiry that we could renew, and what it may do is set in HubSpot.
"""

from __future__ import annotations

from typing import NoReturn
from urllib.parse import urlsplit

from adapters.contract import PortalAccess
from adapters.errors import TokenExpired
from adapters.records import CRM

API_URL = "https://api.hubapi.com"
"""One host for every data centre (https://developers.hubspot.com/docs/api-reference, read 2026-11)."""
_LONGEST_TOKEN = 512


class StaticToken:
    """Keeper of a token that never changes."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __repr__(self) -> str:
        """Without the secret."""
        return "StaticToken(***)"

    def current(self) -> str:
        """The token."""
        return self._token

    def renew(self, stale: str) -> NoReturn:  # noqa: ARG002 - the Protocol's word; nothing newer exists
        """Raise `TokenExpired`: only a person can make another."""
        raise TokenExpired("HubSpot does not accept the token: make a new one in HubSpot and connect again", status=401)


def access_from_input(token: str, api_url: str | None = None) -> PortalAccess:
    """What a person pasted → access. Raises `ValueError` with a sentence for that person; sends nothing."""
    words = token.split()
    words = words[1:] if words[:1] == ["Bearer"] else words
    if not words:
        raise ValueError("the HubSpot token is empty")
    if len(words) > 1 or not words[0].isascii() or not words[0].isprintable() or len(words[0]) > _LONGEST_TOKEN:
        raise ValueError("that is not a HubSpot token: copy it whole from the app's Auth page, it has no spaces")
    return PortalAccess(CRM.HUBSPOT, _base(api_url or API_URL), StaticToken(words[0]))


def _base(url: str) -> str:
    try:
        parts = urlsplit(url.strip())
        _ = parts.port
    except ValueError:
        raise ValueError("the HubSpot API address is not a URL") from None
    if parts.scheme not in {"https", "http"} or not parts.hostname:
        raise ValueError(f"the HubSpot API address is not a URL: write it like {API_URL}")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("the HubSpot API address must be a plain address, without a name, a password or a query")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
