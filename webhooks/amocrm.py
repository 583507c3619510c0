"""amoCRM's receiver: unsigned forms at a secret address, the signed uninstall hook, and two kinds of tokens.

https://www.amocrm.ru/developers/content/crm_platform/webhooks-format,
https://www.amocrm.ru/developers/content/oauth/step-by-step and
https://www.amocrm.ru/developers/content/oauth/disposable-tokens, read 2026-11-24.
Values in a hook are in old formats and unproven: only ids are taken. Customers ("покупатели") and their transactions,
catalogs, notes and unsorted leads say nothing that can be acted on; what counts there is found by pulling.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from webhooks import forms, readings, signatures
from webhooks.deliveries import ChangeNotice, Delivery, Endpoint, Kind, Resource, Secrets
from webhooks.errors import NotAuthentic, Unreadable
from webhooks.signatures import TokenAlgorithm

_BRANCHES: Mapping[str, tuple[Resource, ...]] = {
    "leads": (Resource.DEAL,),
    "contacts": (Resource.CONTACT, Resource.COMPANY),
    "companies": (Resource.COMPANY,),
    "task": (Resource.TASK,),
}
_KINDS = {
    "add": Kind.CREATED,
    "update": Kind.CHANGED,
    "responsible": Kind.CHANGED,
    "status": Kind.CHANGED,
    "delete": Kind.DELETED,
    "restore": Kind.RESTORED,
}
_ELEMENTS = {"1": Resource.CONTACT, "2": Resource.DEAL, "3": Resource.COMPANY}
_MAX_QUERY = 20


@dataclass(frozen=True, slots=True)
class Visitor:
    """A user of the account whose browser called us from our widget. `token_id` is unique until `expires_at`."""

    account_id: str
    user_id: str
    is_admin: bool
    subdomain: str
    token_id: str
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class BotCall:
    """A bot that waits for us on a record. `resource` is None where it is none of ours (amoCRM's "customer")."""

    account_id: str
    resource: Resource | None
    external_id: str
    bot_type: str
    subdomain: str
    expires_at: datetime | None


def address(delivery: Delivery) -> str:
    """The fingerprint of the secret in the path. Empty for the uninstall hook, which the app's secret signs."""
    return "" if delivery.endpoint is Endpoint.UNINSTALL else signatures.fingerprint(_path_secret(delivery))


def verify(delivery: Delivery, secrets: Secrets, *, now: datetime) -> None:  # noqa: ARG001 - nothing tells a time
    """Raises `NotAuthentic` or `Unreadable`; never `Stale`, since neither address nor uninstall hook tell a time.

    The uninstall hook can be replayed for ever: ask amoCRM with the account's token before anything is erased.
    """
    if delivery.endpoint is Endpoint.UNINSTALL:
        _verify_uninstall(_query(delivery), secrets)
        return
    if not signatures.matches(_path_secret(delivery), secrets.values):
        raise NotAuthentic("the secret in the path is wrong")
    if secrets.account_id is None or _account_id(delivery) != secrets.account_id:
        raise NotAuthentic("the secret in the path belongs to another account")


def notices(delivery: Delivery) -> list[ChangeNotice]:
    """What changed, each record once for each kind of change. Raises `Unreadable`."""
    account = _account_id(delivery)
    if delivery.endpoint is Endpoint.UNINSTALL:
        return [ChangeNotice(account, Resource.APP, account, Kind.DELETED)]
    found = _of_action(account, delivery.json) if _is_json(delivery) else _of_hook(account, delivery.form)
    return list(dict.fromkeys(found))


def delivery_key(delivery: Delivery) -> str:
    """The body: amoCRM repeats a hook byte for byte, and gives it no id."""
    body = _account_id(delivery).encode() if delivery.endpoint is Endpoint.UNINSTALL else delivery.body
    return hashlib.sha256(delivery.endpoint.encode() + b"\n" + body).hexdigest()


def visitor(token: str, secrets: Secrets, *, now: datetime) -> Visitor:
    """Who calls from the widget, by the header `X-Auth-Token`. Raises `NotAuthentic` or `Stale`.

    The token lives for 30 minutes and may come again within them.
    """
    claims = signatures.token_claims(token, secrets.values, TokenAlgorithm.HS256, now=now)
    _check_audience(claims, secrets, required=True)
    account, user = _claimed_account(claims, secrets), readings.record_id(claims.get("user_id"))
    if user is None:
        raise NotAuthentic("the token names no user")
    return Visitor(
        account_id=account,
        user_id=user,
        is_admin=claims.get("is_admin") is True,
        subdomain=readings.name(claims.get("subdomain")) or "",
        token_id=readings.name(claims.get("jti")) or "",
        expires_at=readings.moment(claims.get("exp")),
    )


def bot_call(delivery: Delivery, secrets: Secrets, *, now: datetime) -> BotCall:
    """Which bot waits, by the token in the body. Raises `NotAuthentic`, `Stale` or `Unreadable`."""
    token = _member(delivery, "token")
    if not isinstance(token, str):
        raise NotAuthentic("the bot's token is missing")
    claims = signatures.token_claims(token, secrets.values, TokenAlgorithm.HS512, now=now)
    _check_audience(claims, secrets, required=False)
    external_id = readings.record_id(claims.get("entity_id"))
    if external_id is None:
        raise NotAuthentic("the token names no record")
    return BotCall(
        account_id=_claimed_account(claims, secrets),
        resource=_ELEMENTS.get(readings.text(claims.get("entity_type"))),
        external_id=external_id,
        bot_type=readings.name(claims.get("bot_type")) or "",
        subdomain=readings.name(claims.get("subdomain")) or "",
        expires_at=readings.moment(claims.get("exp")),
    )


def _verify_uninstall(query: Mapping[str, str], secrets: Secrets) -> None:
    client_id, account, given = query.get("client_uuid"), query.get("account_id"), query.get("signature")
    if not client_id or not account or not given:
        raise NotAuthentic("account_id, client_uuid or signature is missing")
    if secrets.client_id is None or not signatures.matches(client_id, [secrets.client_id]):
        raise NotAuthentic("the hook is about another integration")
    wanted = [signatures.amocrm_uninstall(secret, client_id, account) for secret in secrets.values if secret]
    if not signatures.matches(given.lower(), wanted):
        raise NotAuthentic("the hook's signature is wrong")


def _check_audience(claims: Mapping[str, Any], secrets: Secrets, *, required: bool) -> None:
    named = claims.get("aud")
    if named is None and not required:
        return
    listed = named if isinstance(named, list) else [named]
    if secrets.audience is None or secrets.audience not in listed:
        raise NotAuthentic("the token is meant for another address")


def _claimed_account(claims: Mapping[str, Any], secrets: Secrets) -> str:
    if secrets.client_id is None or claims.get("client_uuid") != secrets.client_id:
        raise NotAuthentic("the token is for another integration")
    account = readings.record_id(claims.get("account_id"))
    if account is None or secrets.account_id not in (None, account):
        raise NotAuthentic("the token is for another account")
    return account


def _of_hook(account: str, form: forms.Form) -> Iterator[ChangeNotice]:
    for branch, possible in _BRANCHES.items():
        for action, kind in _KINDS.items():
            for row in forms.rows(form, branch, action):
                for resource in _typed(row, possible):
                    yield from _of_row(account, resource, kind, row)


def _typed(row: forms.Form, possible: tuple[Resource, ...]) -> tuple[Resource, ...]:
    """Companies come under `contacts`, told by `type`; without it (deletions may lack it) it can be either."""
    named = [resource for resource in possible if forms.text(row, "type") == resource.value]
    return tuple(named) or possible


def _of_row(account: str, resource: Resource, kind: Kind, row: forms.Form) -> Iterator[ChangeNotice]:
    external_id = readings.record_id(forms.text(row, "id"))
    if external_id is None:
        return
    changed_at = forms.text(row, "updated_at") or forms.text(row, "last_modified")
    yield ChangeNotice(
        account,
        resource,
        external_id,
        kind,
        occurred_at=readings.moment(changed_at),
        actor_id=readings.record_id(forms.text(row, "modified_user_id")),
    )


def _of_action(account: str, body: object) -> Iterator[ChangeNotice]:
    """The lead on which an action of the digital pipeline fired."""
    event = body.get("event") if isinstance(body, dict) else None
    data = event.get("data") if isinstance(event, dict) else None
    if not isinstance(event, dict) or not isinstance(data, dict):
        raise Unreadable("the body is no action of the digital pipeline")
    resource, external_id = _ELEMENTS.get(readings.text(data.get("element_type"))), readings.record_id(data.get("id"))
    if resource and external_id:
        moment = readings.moment(event.get("time"))
        yield ChangeNotice(account, resource, external_id, Kind.CHANGED, occurred_at=moment)


def _account_id(delivery: Delivery) -> str:
    if delivery.endpoint is Endpoint.UNINSTALL:
        found = readings.record_id(_query(delivery).get("account_id"))
    elif _is_json(delivery):
        found = readings.record_id(_member(delivery, "account_id"))
    else:
        form = delivery.form
        found = readings.record_id(forms.text(form, "account", "id") or forms.text(form, "account_id"))
    if found is None:
        raise Unreadable("the body does not say of which account it is")
    return found


def _member(delivery: Delivery, key: str) -> object:
    if not _is_json(delivery):
        return forms.text(delivery.form, key)
    body = delivery.json
    return body.get(key) if isinstance(body, dict) else None


def _is_json(delivery: Delivery) -> bool:
    """Actions come as JSON or as a form, the documentation does not say which; no form begins with a brace."""
    return delivery.body.lstrip()[:1] == b"{"


def _path_secret(delivery: Delivery) -> str:
    return unquote(delivery.path.rpartition("/")[2], errors="replace")


def _query(delivery: Delivery) -> dict[str, str]:
    try:
        return dict(parse_qsl(urlsplit(delivery.url).query, max_num_fields=_MAX_QUERY))
    except ValueError:
        raise Unreadable("the query is none") from None
