"""Proofs of origin, over raw bytes, in constant time. Algorithms are fixed by the caller, never by the message.

HubSpot: https://developers.hubspot.com/docs/apps/developer-platform/build-apps/authentication/request-validation
amoCRM: https://www.amocrm.ru/developers/content/oauth/step-by-step (hook about uninstalling) and
https://www.amocrm.ru/developers/content/oauth/disposable-tokens. Read 2026-11-24.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import orjson

from webhooks.errors import NotAuthentic, Stale

WINDOW = timedelta(minutes=5)
"""HubSpot's limit for the age of a request. We hold it against the future as well."""
SKEW_S = 60
"""How far amoCRM's clock and ours may differ when a token begins and ends."""

_MAX_TOKEN = 8_192
_MILLISECONDS = re.compile(r"[0-9]{1,15}", re.ASCII)
_DECODED = {
    "%3A": ":", "%2F": "/", "%3F": "?", "%40": "@", "%21": "!", "%24": "$",
    "%27": "'", "%28": "(", "%29": ")", "%2A": "*", "%2C": ",", "%3B": ";",
}  # fmt: skip
_ESCAPES = re.compile("|".join(_DECODED), re.IGNORECASE)


class TokenAlgorithm(StrEnum):
    """amoCRM signs the widget's token and the bot's token differently."""

    HS256 = "sha256"
    HS512 = "sha512"


def matches(given: str, wanted: Iterable[str]) -> bool:
    """Whether `given` is one of the wanted texts. Takes the same time whichever it is; empty ones never match."""
    raw, found = _bytes(given), False
    for each in wanted:
        found |= hmac.compare_digest(raw, _bytes(each)) and bool(each)
    return found


def fingerprint(secret: str) -> str:
    """By what a random secret can be looked up in a table without being compared there."""
    return hashlib.sha256(_bytes(secret)).hexdigest()


def hubspot_v3(secret: str, method: str, url: str, body: bytes, timestamp: str) -> str:
    """Base64 of HMAC-SHA256 over method, URL with some escapes decoded, body and timestamp (milliseconds)."""
    message = _bytes(method) + _bytes(_hubspot_uri(url)) + body + _bytes(timestamp)
    return base64.b64encode(hmac.digest(_bytes(secret), message, "sha256")).decode()


def hubspot_v2(secret: str, method: str, url: str, body: bytes) -> str:
    """Hex SHA-256 over secret, method, URL and body."""
    return hashlib.sha256(_bytes(secret) + _bytes(method) + _bytes(url) + body).hexdigest()


def hubspot_v1(secret: str, body: bytes) -> str:
    """Hex SHA-256 over secret and body."""
    return hashlib.sha256(_bytes(secret) + body).hexdigest()


def check_hubspot_timestamp(timestamp: str, *, now: datetime) -> None:
    """Raises `Stale` outside five minutes either way, `NotAuthentic` for what is no time in milliseconds."""
    if not _MILLISECONDS.fullmatch(timestamp):
        raise NotAuthentic("the request's timestamp is no number of milliseconds")
    if abs(now.timestamp() - int(timestamp) / 1000) > WINDOW.total_seconds():
        raise Stale("the request was signed more than five minutes from now")


def amocrm_uninstall(secret: str, client_id: str, account_id: str) -> str:
    """Hex HMAC-SHA256 over our id and the account. It never changes for an account, so it can be replayed."""
    return hmac.new(_bytes(secret), _bytes(f"{client_id}|{account_id}"), "sha256").hexdigest()


def token_claims(token: str, secrets: Iterable[str], algorithm: TokenAlgorithm, *, now: datetime) -> Mapping[str, Any]:
    """The claims of a JSON web token signed by one of the secrets with exactly this algorithm.

    Raises `NotAuthentic`; `Stale` when it ended or has not begun; `exp` must be there.
    """
    if len(token) > _MAX_TOKEN or token.count(".") != 2:
        raise NotAuthentic("the token is none")
    signed, _, signature = token.rpartition(".")
    head, _, payload = signed.partition(".")
    header = _json_part(head)
    if header.get("alg") != algorithm.name or "crit" in header:
        raise NotAuthentic("the token is signed in another way than amoCRM does")
    message = _bytes(signed)
    wanted = [hmac.digest(_bytes(secret), message, algorithm.value) for secret in secrets if secret]
    given = _base64url(signature)
    if not any([hmac.compare_digest(given, each) for each in wanted]):  # noqa: C419 - compares all, always
        raise NotAuthentic("the token's signature is wrong")
    claims = _json_part(payload)
    _check_life(claims, now.timestamp())
    return claims


def _check_life(claims: Mapping[str, Any], now: float) -> None:
    begins, ends = _unix_time(claims.get("nbf", 0)), _unix_time(claims.get("exp"))
    if not begins - SKEW_S <= now < ends + SKEW_S:
        raise Stale("the token ended, or has not begun")


def _unix_time(claim: object) -> float:
    if isinstance(claim, int | float) and not isinstance(claim, bool):
        return claim
    raise NotAuthentic("the token does not say when it begins and ends")


def _hubspot_uri(url: str) -> str:
    return _ESCAPES.sub(lambda found: _DECODED[found.group().upper()], url)


def _json_part(part: str) -> dict[str, Any]:
    try:
        found = orjson.loads(_base64url(part))
    except orjson.JSONDecodeError:
        raise NotAuthentic("a part of the token is no JSON") from None
    if not isinstance(found, dict):
        raise NotAuthentic("a part of the token is no object")
    return found


def _base64url(part: str) -> bytes:
    try:
        return base64.b64decode(_bytes(part) + b"=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        raise NotAuthentic("a part of the token is not base64url") from None


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "replace")
