"""How an amoCRM or Kommo account is connected with a long-lived token of a private integration.

Such a token is shown once and has no refresh token; after it expires or is revoked every call is 401
(https://www.amocrm.ru/developers/content/oauth/step-by-step, read 2026-11).
"""

from __future__ import annotations

import re
from typing import NoReturn
from urllib.parse import urlsplit

from adapters.contract import PortalAccess
from adapters.errors import TokenExpired
from adapters.records import CRM

_EXAMPLE = "https://example.amocrm.ru"
_LONGEST_TOKEN = 8192
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


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
        raise TokenExpired(
            "amoCRM does not accept the token: make a new long-lived token in the integration and connect again",
            status=401,
        )


def access_from_input(token: str, account_url: str) -> PortalAccess:
    """What a person pasted → access. Raises `ValueError` with a sentence for that person; sends nothing.

    Of the account's address only scheme, host and port count: people copy it from a page they are looking at.
    """
    words = token.split()
    token = " ".join(words[1:] if words[:1] == ["Bearer"] else words)
    if not token:
        raise ValueError("the amoCRM token is empty")
    if not token.isascii() or not token.isprintable() or " " in token or len(token) > _LONGEST_TOKEN:
        raise ValueError("that is not an amoCRM token: copy the long-lived token whole, it has no spaces")
    return PortalAccess(CRM.AMOCRM, _base(account_url), StaticToken(token))


def _base(url: str) -> str:
    text = url.strip()
    if not text:
        raise ValueError(f"the address of the amoCRM account is empty: write it like {_EXAMPLE}")
    if not _SCHEME.match(text):
        text = f"https://{text}"
    try:
        parts = urlsplit(text)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        raise ValueError(f"the address of the amoCRM account is not a URL: write it like {_EXAMPLE}") from None
    if parts.scheme not in {"https", "http"} or not host or any(char.isspace() for char in parts.netloc):
        raise ValueError(f"the address of the amoCRM account is not a URL: write it like {_EXAMPLE}")
    if parts.username is not None or parts.password is not None:
        raise ValueError("the address of the amoCRM account must not carry a user name or a password")
    if ":" in host:
        host = f"[{host}]"
    is_default = port is None or (parts.scheme, port) in {("https", 443), ("http", 80)}
    return f"{parts.scheme}://{host}" if is_default else f"{parts.scheme}://{host}:{port}"
