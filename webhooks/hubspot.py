"""HubSpot's receiver: arrays of events for any accounts of our app, and workflow actions.

https://developers.hubspot.com/docs/apps/developer-platform/add-features/configure-webhooks and
https://developers.hubspot.com/docs/apps/developer-platform/add-features/custom-workflow-actions, read 2026-11-24.
A single event that says too little is left out: its 99 neighbours are worth more than a refusal, after which
HubSpot would send the same array ten times more.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import lru_cache
from operator import itemgetter
from typing import Any

import orjson

from webhooks import readings, signatures
from webhooks.deliveries import ChangeNotice, Delivery, Endpoint, Kind, Resource, Secrets
from webhooks.errors import NotAuthentic, Unreadable

Event = Mapping[str, Any]

_TYPES = {
    "0-1": Resource.CONTACT,
    "0-2": Resource.COMPANY,
    "0-3": Resource.DEAL,
    "0-27": Resource.TASK,
    "0-123": Resource.ORDER,
}
_WORDS = {each.value: each for each in _TYPES.values()}
_KINDS = {
    "creation": Kind.CREATED,
    "deletion": Kind.DELETED,
    "restore": Kind.RESTORED,
    "merge": Kind.MERGED,
    "propertyChange": Kind.CHANGED,
    "associationChange": Kind.CHANGED,
    "privacyDeletion": Kind.DELETED,
}
_USER = "userId:"
_MERGED = Kind.MERGED
_SAME = (
    "portalId", "subscriptionType", "eventType", "objectTypeId", "objectId", "propertyName", "propertyValue",
    "occurredAt", "fromObjectTypeId", "fromObjectId", "toObjectTypeId", "toObjectId", "associationType",
    "associationRemoved", "isPrimaryAssociation", "primaryObjectId", "mergedObjectIds", "newObjectId",
)  # fmt: skip
"""What makes two events the same. `attemptNumber` grows when HubSpot repeats; `eventId` is not unique."""


_ONE_CHANGE = ("objectId", "subscriptionType", "portalId", "objectTypeId", "changeSource", "sourceId", "appId")
"""What makes two changes of properties one notice."""
_same_change = itemgetter(*_ONE_CHANGE)
_PROPERTY = ".propertyChange"


def address(_delivery: Delivery) -> str:
    """Empty: one secret, the app's own, signs for all accounts."""
    return ""


def verify(delivery: Delivery, secrets: Secrets, *, now: datetime) -> None:
    """Raises `NotAuthentic` or `Stale`.

    Signature v3 is asked for, except for workflow actions that come without one: those are documented with v2. The
    older signatures know no time, so an action must be kept from running twice by its `delivery_key`.
    """
    given = delivery.headers.get("x-hubspot-signature-v3", "")
    if given or delivery.endpoint is not Endpoint.ACTION:
        _verify_v3(delivery, secrets, given, now)
    else:
        _verify_older(delivery, secrets)


def notices(delivery: Delivery) -> list[ChangeNotice]:
    """What changed, in the order of the array, which is not that of time. Raises `Unreadable`.

    Changes of several properties of one record are one notice, with the name of the first.
    """
    if delivery.endpoint is Endpoint.ACTION:
        return list(_of_action(_action(delivery)))
    return [notice for event in _folded(_events(delivery)) for notice in _of_event(event)]


def delivery_key(delivery: Delivery) -> str:
    """Survives redelivery: the events themselves without the number of the attempt; for an action its callback."""
    if delivery.endpoint is Endpoint.ACTION:
        parts = [_plain(_action(delivery).get("callbackId"))]
    else:
        parts = sorted(_plain([event.get(name) for name in _SAME]) for event in _events(delivery))
    return hashlib.sha256(b"\n".join([delivery.endpoint.encode(), *parts])).hexdigest()


def _verify_v3(delivery: Delivery, secrets: Secrets, given: str, now: datetime) -> None:
    timestamp = delivery.headers.get("x-hubspot-request-timestamp", "")
    if not given or not timestamp:
        raise NotAuthentic("signature v3 or its timestamp is missing")
    wanted = [
        signatures.hubspot_v3(secret, delivery.method, delivery.url, delivery.body, timestamp)
        for secret in secrets.values
        if secret
    ]
    if not signatures.matches(given, wanted):
        raise NotAuthentic("signature v3 is wrong: check the client secret and PUBLIC_URL if HubSpot itself sent this")
    signatures.check_hubspot_timestamp(timestamp, now=now)


def _verify_older(delivery: Delivery, secrets: Secrets) -> None:
    version = delivery.headers.get("x-hubspot-signature-version", "")
    known = [secret for secret in secrets.values if secret]
    if version == "v2":
        wanted = [signatures.hubspot_v2(secret, delivery.method, delivery.url, delivery.body) for secret in known]
    elif version == "v1":
        wanted = [signatures.hubspot_v1(secret, delivery.body) for secret in known]
    else:
        raise NotAuthentic("no signature of a known version")
    if not signatures.matches(delivery.headers.get("x-hubspot-signature", ""), wanted):
        raise NotAuthentic(f"signature {version} is wrong")


def _events(delivery: Delivery) -> list[Event]:
    found = delivery.json
    if not isinstance(found, list) or not all(isinstance(event, dict) for event in found):
        raise Unreadable("the body is no array of events")
    return found


def _folded(events: list[Event]) -> Iterator[Event]:
    """Without changes of further properties of a record: most of an array, and the same notice."""
    seen: set[tuple[Any, ...]] = set()
    for event in events:
        try:
            same = _same_change(event)
        except KeyError:  # older kinds of events say less
            same = tuple(map(event.get, _ONE_CHANGE))
        try:
            if same in seen:
                continue
            if str(same[1]).endswith(_PROPERTY):
                seen.add(same)
        except TypeError:  # nested where plain values stand: it is looked at on its own
            pass
        yield event


def _action(delivery: Delivery) -> Event:
    found = delivery.json
    if not isinstance(found, dict) or not isinstance(found.get("callbackId"), str):
        raise Unreadable("the body is no call of a workflow action")
    return found


def _of_action(call: Event) -> Iterator[ChangeNotice]:
    origin, record = call.get("origin"), call.get("object")
    if not isinstance(origin, dict) or not isinstance(record, dict):
        return
    account = readings.record_id(origin.get("portalId"))
    resource, external_id = _resource(record.get("objectType")), readings.record_id(record.get("objectId"))
    if account and resource and external_id:
        yield ChangeNotice(account, resource, external_id, Kind.CHANGED)


def _of_event(event: Event) -> Iterator[ChangeNotice]:
    called = readings.text(event.get("subscriptionType")) or readings.text(event.get("eventType"))
    word, action, kind = _read(called)
    account = readings.record_id(event.get("portalId"))
    if account is None or kind is None:
        return
    merged: tuple[str, ...] = ()
    if action == "associationChange":
        records = _ends(event)
    else:
        winner, merged = _merged(event) if kind is _MERGED else (readings.record_id(event.get("objectId")), ())
        records = [(_resource(event.get("objectTypeId")) or _resource(word), winner)]
    source = readings.text(event.get("sourceId"))
    moment = readings.moment(event.get("occurredAt"), per_second=1000)
    name = readings.name(event.get("propertyName"))
    actor = readings.record_id(source.removeprefix(_USER)) if source.startswith(_USER) else None
    is_echo, erase = _is_echo(event), action == "privacyDeletion"
    for resource, external_id in records:
        if resource and external_id:
            yield ChangeNotice(account, resource, external_id, kind, moment, name, actor, merged, is_echo, erase)


@lru_cache(maxsize=64)
def _read(called: str) -> tuple[str, str, Kind | None]:
    """A type of subscription: of what record, what happened, and how we call that."""
    word, _, action = called.partition(".")
    return word, action, _KINDS.get(action)


def _is_echo(event: Event) -> bool:
    """Our own write: its source is the app whose subscription this is (taken from captured deliveries)."""
    if event.get("changeSource") != "INTEGRATION":
        return False
    app = readings.record_id(event.get("appId"))
    return app is not None and readings.record_id(event.get("sourceId")) == app


def _merged(event: Event) -> tuple[str | None, tuple[str, ...]]:
    """Who stays, and who is no more. A merge may make a new record, in which even the primary one ends."""
    primary = readings.record_id(event.get("primaryObjectId")) or readings.record_id(event.get("objectId"))
    winner = readings.record_id(event.get("newObjectId")) or primary
    listed = event.get("mergedObjectIds")
    lost = [primary, *(readings.record_id(each) for each in (listed if isinstance(listed, list) else []))]
    return winner, tuple(dict.fromkeys(each for each in lost if each and each != winner))


def _ends(event: Event) -> list[tuple[Resource | None, str | None]]:
    """Both ends of a link: whose deal it is has changed for the deal and for the customer."""
    words = readings.text(event.get("associationType")).split("_TO_")
    here, there = words if len(words) == 2 else ("", "")
    return [
        (_resource(event.get("fromObjectTypeId")) or _resource(here), readings.record_id(event.get("fromObjectId"))),
        (_resource(event.get("toObjectTypeId")) or _resource(there), readings.record_id(event.get("toObjectId"))),
    ]


def _resource(word: object) -> Resource | None:
    """A type by its id (`0-3`) or its name in any case; None for those that say nothing about customers."""
    return _TYPES.get(word) or _WORDS.get(word.lower()) if isinstance(word, str) else None


def _plain(value: object) -> bytes:
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:
        raise Unreadable("an event is nested too deeply") from None
