"""Bitrix24's receiver: events, robots and pages, all proven by the installation's `application_token`.

https://apidocs.bitrix24.com/api-reference/events/safe-event-handlers.html and
https://apidocs.bitrix24.com/api-reference/events/index.html, read 2026-11-24.
No body is signed and no time is, so nothing here can be stale: events are hints, and the record is read again. Tokens
in an event belong to whoever made the change, and are not looked at. ONAPPPAYMENT has no `application_token` and is
refused. An ONAPPINSTALL, or an ONAPPUPDATE with a new token, can be proven only by asking `app.info` with its access
token, which is the business of the install page; here they pass with the stored token only.
"""

from __future__ import annotations

import hashlib
from datetime import datetime

from webhooks import forms, readings, signatures
from webhooks.deliveries import ChangeNotice, Delivery, Endpoint, Kind, Resource, Secrets
from webhooks.errors import NotAuthentic, Unreadable

_CRUD = {"ADD": Kind.CREATED, "UPDATE": Kind.CHANGED, "DELETE": Kind.DELETED}
_RECORDS = {
    "CRMCONTACT": Resource.CONTACT,
    "CRMCOMPANY": Resource.COMPANY,
    "CRMDEAL": Resource.DEAL,
    "CRMACTIVITY": Resource.TASK,  # our tasks are to-dos, which are activities; ONTASK… is the planner's
}
_CARDS = ("CRMCONTACT", "CRMCOMPANY", "CRMDEAL")
_EVENTS: dict[str, tuple[Resource, Kind]] = {
    **{f"ON{name}{verb}": (what, kind) for name, what in _RECORDS.items() for verb, kind in _CRUD.items()},
    **{f"ON{name}USERFIELD{verb}": (Resource.FIELD, kind) for name in _CARDS for verb, kind in _CRUD.items()},
    **{f"ON{name}USERFIELDSETENUMVALUES": (Resource.FIELD, Kind.CHANGED) for name in _CARDS},
    "ONCRMDEALMOVETOCATEGORY": (Resource.DEAL, Kind.CHANGED),  # raises no UPDATE beside it
    "ONSALEORDERSAVED": (Resource.ORDER, Kind.CHANGED),
    "ONORDERENTITYSAVED": (Resource.ORDER, Kind.CHANGED),
    "ONSALEBEFOREORDERDELETE": (Resource.ORDER, Kind.DELETED),
    "ONORDERDELETED": (Resource.ORDER, Kind.DELETED),
    "ONPAYMENTENTITYSAVED": (Resource.ORDER, Kind.CHANGED),
    "ONPAYMENTDELETED": (Resource.ORDER, Kind.CHANGED),
    "ONAPPINSTALL": (Resource.APP, Kind.CREATED),
    "ONAPPUPDATE": (Resource.APP, Kind.CHANGED),
    "ONAPPUNINSTALL": (Resource.APP, Kind.DELETED),
}
_DOCUMENTS = {"CONTACT": Resource.CONTACT, "COMPANY": Resource.COMPANY, "DEAL": Resource.DEAL}


def address(delivery: Delivery) -> str:
    """The `member_id` that the request claims. Raises `Unreadable` or `NotAuthentic`."""
    found = readings.account_id(_credential(delivery, "member_id", "member_id"))
    if found is None:
        raise NotAuthentic("member_id is missing")
    return found


def verify(delivery: Delivery, secrets: Secrets, *, now: datetime) -> None:  # noqa: ARG001 - nothing tells a time
    """Compare `member_id` and `application_token` with the stored pair. Raises `Unreadable` or `NotAuthentic`."""
    member_id = address(delivery)
    if secrets.account_id is None or not signatures.matches(member_id, [secrets.account_id]):
        raise NotAuthentic("member_id is not that of the portal")
    token = _credential(delivery, "application_token", "APPLICATION_TOKEN")
    if not signatures.matches(token or "", secrets.values):
        raise NotAuthentic("application_token is missing or wrong")


def notices(delivery: Delivery) -> list[ChangeNotice]:
    """What changed: at most one. Events without meaning for us give none. Raises `Unreadable`."""
    if delivery.endpoint is Endpoint.ACTION:
        return _of_robot(delivery)
    if delivery.endpoint is Endpoint.CARD:
        return []
    return _of_event(delivery)


def delivery_key(delivery: Delivery) -> str:
    """Portal, event, record and second: two handlers of one event are folded. A robot's call has its own token."""
    form = delivery.form
    if delivery.endpoint is Endpoint.ACTION:
        parts = [address(delivery), forms.text(form, "event_token") or ""]
    elif delivery.endpoint is Endpoint.CARD:
        parts = [address(delivery), hashlib.sha256(delivery.body).hexdigest()]
    else:
        data = sorted(_flat(forms.branch(form, "data")))
        parts = [address(delivery), _event(delivery), forms.text(form, "ts") or "", *data]
    return hashlib.sha256("\n".join([delivery.endpoint, *parts]).encode("utf-8", "replace")).hexdigest()


def _of_event(delivery: Delivery) -> list[ChangeNotice]:
    form, member_id = delivery.form, address(delivery)
    resource, kind = _EVENTS.get(_event(delivery), (None, Kind.CHANGED))
    external_id = _subject(delivery, resource, member_id) if resource else None
    if resource is None or external_id is None:
        return []
    return [
        ChangeNotice(
            member_id,
            resource,
            external_id,
            kind,
            occurred_at=readings.moment(forms.text(form, "ts")),
            property_name=readings.name(forms.text(form, "data", "FIELDS", "FIELD_NAME")),
            actor_id=readings.record_id(forms.text(form, "auth", "user_id")),
            erase=resource is Resource.APP and kind is Kind.DELETED and forms.text(form, "data", "CLEAN") == "1",
        )
    ]


def _subject(delivery: Delivery, resource: Resource, member_id: str) -> str | None:
    if resource is Resource.APP:
        return member_id
    key = "ORDER_ID" if "PAYMENT" in _event(delivery) else "ID"
    return readings.record_id(forms.text(delivery.form, "data", "FIELDS", key))


def _of_robot(delivery: Delivery) -> list[ChangeNotice]:
    """The card on which a robot or a workflow runs, `DEAL_123` (the keys are those of the vendor's SDK)."""
    form = delivery.form
    if not forms.text(form, "event_token"):
        raise Unreadable("the body is no call of a robot")
    word, _, number = (forms.text(form, "document_id", "2") or "").rpartition("_")
    resource, external_id = _DOCUMENTS.get(word), readings.record_id(number)
    if resource is None or external_id is None:
        return []
    moment = readings.moment(forms.text(form, "ts"))
    return [ChangeNotice(address(delivery), resource, external_id, Kind.CHANGED, occurred_at=moment)]


def _event(delivery: Delivery) -> str:
    """The event's name; documentation and wire differ in its case."""
    found = readings.name(forms.text(delivery.form, "event"))
    if found is None:
        raise Unreadable("the body is no event")
    return found.upper()


def _credential(delivery: Delivery, key: str, page_key: str) -> str | None:
    """Events and robots carry credentials under `auth`; pages at the top, under names of their own."""
    form = delivery.form
    if delivery.endpoint is Endpoint.CARD:
        return forms.text(form, page_key)
    return forms.text(form, "auth", key)


def _flat(form: forms.Form, path: str = "") -> list[str]:
    found = []
    for key, value in form.items():
        found += [f"{path}/{key}={value}"] if isinstance(value, str) else _flat(value, f"{path}/{key}")
    return found
