"""The card's own tab or widget: what is known of the customer on whose card somebody looks. Shown after a proof only.

========  ==========================================================================================================
HubSpot   signature v3 over the raw request, by HubSpot itself; the app card's `hubspot.fetch` cannot add a header
Bitrix24  the installation's token (or, without one, what the authorisation server says of the opener's token), and
          then whether that person may read the record: asked with the person's own token
amoCRM    the widget's one-time token: algorithm, time, address, integration and account; each is good once
========  ==========================================================================================================

A signature of HubSpot proves the app and not the account, which stands in the query: where HubSpot adds the account
itself, both must be the same. https://developers.hubspot.com/docs/apps/developer-platform/add-features/ui-extensions/
fetching-data, https://www.amocrm.ru/developers/content/oauth/disposable-tokens (read 2026-11).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import orjson
from flask import Blueprint, Response, g, jsonify, make_response, render_template, request

from adapters.hosts import HostPolicy, HostRefused
from adapters.records import CRM
from adapters.registry import BITRIX24_TABS, bitrix24_may_read, bitrix24_prove, bitrix24_read_page
from connector.api.answers import chosen_language, page, policy
from connector.api.bitrix24_page import claimed_origin
from connector.api.card_view import view
from connector.api.in_json import finished, told
from connector.api.lazily import ServiceWhenNeeded
from connector.grants import app_of, callback_url
from connector.store import cards, hooks, portals
from connector.store.models import Portal
from connector.wiring import Service
from webhooks import amocrm, forms, readings
from webhooks.blueprint import delivery_of_request
from webhooks.deliveries import Delivery, Endpoint, Resource, Secrets
from webhooks.errors import NotAuthentic, Unreadable
from webhooks.registry import RECEIVERS
from webhooks.signatures import SKEW_S, fingerprint

_LARGEST = 64 * 1024
_SKEW = timedelta(seconds=2 * SKEW_S)
"""A used token is remembered so much longer than it lives: the proof forgives clocks that differ."""
_MOST_PARAMETERS = 50
_RESOURCES: Mapping[str, Resource] = {
    **dict.fromkeys(("contact", "contacts", "0-1", "CRM_CONTACT_DETAIL_TAB"), Resource.CONTACT),
    **dict.fromkeys(("company", "companies", "0-2", "CRM_COMPANY_DETAIL_TAB"), Resource.COMPANY),
    **dict.fromkeys(("deal", "deals", "0-3", "lead", "leads", "CRM_DEAL_DETAIL_TAB"), Resource.DEAL),
}
"""Each vendor's words for the records on whose cards we are. amoCRM's lead is a deal."""
_TROUBLE = {
    "ru": {403: "Нет доступа к этой карточке", 503: "Сейчас не получилось, откройте вкладку ещё раз"},
    "en": {403: "This card may not be shown", 503: "Not at this moment, open the tab again"},
}
_UNREADABLE = {"ru": "Запрос не такой, какой посылает Битрикс24", "en": "This is not what Bitrix24 sends"}


def create_blueprint(service: ServiceWhenNeeded) -> Blueprint:
    """Routes `/card/{hubspot,bitrix24,amocrm}`."""
    routes = _Cards(service)
    blueprint = Blueprint("cards", __name__, url_prefix="/card")
    blueprint.add_url_rule("/hubspot", "hubspot", told(routes.hubspot), methods=["GET", "POST"])
    blueprint.add_url_rule("/bitrix24", "bitrix24", told(routes.bitrix24, _refusing_page), methods=["GET", "POST"])
    blueprint.add_url_rule(
        "/amocrm",
        "amocrm",
        routes.shared(told(routes.amocrm)),
        methods=["GET", "POST", "OPTIONS"],
        provide_automatic_options=False,
    )
    return blueprint


class _Cards:
    """The views over one service."""

    def __init__(self, service: ServiceWhenNeeded) -> None:
        self._service = service
        self._config = service.config

    # --- HubSpot ---------------------------------------------------------------------------------------------------

    def hubspot(self) -> Response:
        """Data for the app card."""
        if request.method == "HEAD":
            return finished(Response(status=200))
        app = app_of(self._config, CRM.HUBSPOT)
        service, delivery = self._service(), self._delivery(CRM.HUBSPOT)
        RECEIVERS[CRM.HUBSPOT].verify(delivery, Secrets((app.client_secret,)), now=service.now())
        asked = _parameters(delivery)
        accounts = {readings.record_id(value) for name, value in asked if name == "portalId"}
        if len(accounts) > 1:
            raise NotAuthentic("the request names two accounts")
        account = accounts.pop() if accounts else None
        if account is None:
            raise Unreadable("portalId is missing")
        last = dict(asked)
        resource, external_id = _record(last.get("objectType") or last.get("objectTypeId"), last.get("objectId"))
        portal = _portal(service, CRM.HUBSPOT, account)
        return _data(service, portal, resource, external_id, _language(last.get("language"), portal))

    # --- Bitrix24 --------------------------------------------------------------------------------------------------

    def bitrix24(self) -> Response:
        """The page in the card's tab."""
        if request.method != "POST":
            return page(200, "inside_only")
        delivery = self._delivery(CRM.BITRIX24)
        g.framed_by, g.lang = claimed_origin(self._config), request.args.get("LANG", "")[:8]
        app_of(self._config, CRM.BITRIX24)
        service = self._service()
        portal = self._portal_of_page(service, delivery)
        tab, external_id = _tab(delivery)
        token = forms.text(delivery.form, "AUTH_ID") or ""
        base_url = _base_url(service, portal)
        if not bitrix24_may_read(service.grants.courier(CRM.BITRIX24), base_url, token, tab, external_id):
            raise NotAuthentic("this person may not read the record")
        language = chosen_language(g.lang) if g.lang else portal.language
        with service.database.session() as session:
            number = cards.customer_of(session, portal, _RESOURCES[tab], external_id)
            card = cards.card_of(session, portal, number) if number is not None else None
        return _page(200, view(portal, card, language), _origin(base_url))

    def _portal_of_page(self, service: Service, delivery: Delivery) -> Portal:
        """The portal that opens the page, proven. Raises `NotAuthentic`, `AccessLost` and `Unreadable`."""
        member_id = RECEIVERS[CRM.BITRIX24].address(delivery)
        with service.database.session() as session:
            portal = hooks.portal_of_member(session, member_id)
            secret = hooks.secret_of(portal, service.vault) if portal is not None else ""
        if portal is None or portal.access is None:
            raise NotAuthentic("the app is not installed in this portal")
        if not readings.name(forms.text(delivery.form, "AUTH_ID")):
            raise Unreadable("AUTH_ID is missing or no token")
        if forms.text(delivery.form, "APPLICATION_TOKEN"):
            RECEIVERS[CRM.BITRIX24].verify(delivery, Secrets((secret,), account_id=member_id), now=service.now())
            return portal
        try:
            flat = {name: value for name, value in delivery.form.items() if isinstance(value, str)}
            opened = bitrix24_read_page(request.args, flat)
        except ValueError as error:
            raise Unreadable(str(error)) from None
        bitrix24_prove(app_of(self._config, CRM.BITRIX24), service.grants.courier(CRM.BITRIX24), opened)
        return portal

    # --- amoCRM ----------------------------------------------------------------------------------------------------

    def amocrm(self) -> Response:
        """Data for the widget."""
        if request.method in {"HEAD", "OPTIONS"}:
            return finished(Response(status=200 if request.method == "HEAD" else 204))
        app = app_of(self._config, CRM.AMOCRM)
        service, delivery = self._service(), self._delivery(CRM.AMOCRM)
        parts = urlsplit(callback_url(self._config, CRM.AMOCRM))
        secrets = Secrets((app.client_secret,), client_id=app.client_id, audience=f"{parts.scheme}://{parts.netloc}")
        visitor = amocrm.visitor(request.headers.get("X-Auth-Token", ""), secrets, now=service.now())
        if not visitor.token_id or visitor.expires_at is None:
            raise NotAuthentic("the token has no id of its own")
        asked = dict(_parameters(delivery))
        resource, external_id = _record(asked.get("type"), asked.get("id"))
        portal = _portal(service, CRM.AMOCRM, visitor.account_id)
        with service.database.session() as session:
            key, now = fingerprint(visitor.token_id), service.now()
            is_first = cards.spend(session, portal.portal_id, key, visitor.expires_at + _SKEW, now)
        if not is_first:
            raise NotAuthentic("the token was used already")
        return _data(service, portal, resource, external_id, _language(asked.get("lang"), portal))

    def shared(self, answered: Any) -> Any:
        """Let the pages of amoCRM's accounts, and of nobody else, read the answer."""

        def view_with_origin() -> Response:
            answer: Response = answered()
            origin = request.headers.get("Origin", "")
            answer.headers["Vary"] = "Origin"
            try:
                HostPolicy(self._config.allowed_crm_hosts).check(CRM.AMOCRM, origin)
            except HostRefused:
                return answer
            answer.headers["Access-Control-Allow-Origin"] = origin
            answer.headers["Access-Control-Allow-Headers"] = "X-Auth-Token, Content-Type, X-Requested-With"
            answer.headers["Access-Control-Allow-Methods"] = "GET, POST"
            answer.headers["Access-Control-Max-Age"] = "600"
            return answer

        return view_with_origin

    def _delivery(self, crm: CRM) -> Delivery:
        now, url = self._service().now(), self._config.public_url
        return delivery_of_request(crm, Endpoint.CARD, now, url, max_body=_LARGEST)


def _parameters(delivery: Delivery) -> list[tuple[str, str]]:
    """Names and values of the query and of a JSON body, in this order. Raises `Unreadable`."""
    try:
        found = parse_qsl(urlsplit(delivery.url).query, max_num_fields=_MOST_PARAMETERS, errors="strict")
    except ValueError:
        raise Unreadable("the query is none") from None
    if not delivery.body:
        return found
    body = delivery.json
    if not isinstance(body, dict):
        raise Unreadable("the body is no object")
    return found + [(str(name), readings.text(value)) for name, value in body.items()]


def _record(word: str | None, number: str | None) -> tuple[Resource, str]:
    resource, external_id = _RESOURCES.get((word or "").lower()), readings.record_id(number)
    if resource is None or external_id is None:
        raise Unreadable("the request names no contact, company or deal")
    return resource, external_id


def _tab(delivery: Delivery) -> tuple[str, str]:
    """The place of the tab and the record. `PLACEMENT_OPTIONS` is JSON in a text, `[]` where there are none."""
    tab = forms.text(delivery.form, "PLACEMENT") or ""
    try:
        options = orjson.loads(forms.text(delivery.form, "PLACEMENT_OPTIONS") or "{}")
    except orjson.JSONDecodeError:
        raise Unreadable("PLACEMENT_OPTIONS is no JSON") from None
    external_id = readings.record_id(options.get("ID")) if isinstance(options, dict) else None
    if tab not in BITRIX24_TABS or external_id is None:
        raise Unreadable("the page was not opened in a card of a contact, a company or a deal")
    return tab, external_id


def _portal(service: Service, crm: CRM, account_id: str) -> Portal:
    with service.database.session() as session:
        portal = portals.portal_of_account(session, crm.value, account_id)
    if portal is None or portal.state == "disconnected":
        raise NotAuthentic("the app is not installed in this account")
    return portal


def _language(asked: str | None, portal: Portal) -> str:
    return (asked or portal.language)[:8]


def _data(service: Service, portal: Portal, resource: Resource, external_id: str, language: str) -> Response:
    with service.database.session() as session:
        number = cards.customer_of(session, portal, resource, external_id)
        card = cards.card_of(session, portal, number) if number is not None else None
    return finished(jsonify(view(portal, card, language)))


def _base_url(service: Service, portal: Portal) -> str:
    """Where the portal is called: as it was proven at installation, never as a request says."""
    return service.vault.open(portal.access)["url"] if portal.access is not None else ""


def _origin(base_url: str) -> str:
    parts = urlsplit(base_url)
    return f"{parts.scheme}://{parts.netloc}"


def _refusing_page(status: int, reason: str) -> Response:  # noqa: ARG001 - people are told less than programs
    language = chosen_language(g.get("lang", ""))
    title = _TROUBLE[language].get(status, _UNREADABLE[language])
    shown = {"scored": False, "language": language, "title": title, "meaning": "", "lines": [], "notes": []}
    return _page(status, shown, g.get("framed_by", ""))


def _page(status: int, shown: Mapping[str, Any], framed_by: str) -> Response:
    answer = make_response(render_template("card/page.html", card=shown, is_framed=bool(framed_by)), status)
    answer.headers["Content-Security-Policy"] = policy(framed_by)
    if not framed_by:
        answer.headers["X-Frame-Options"] = "DENY"
    return finished(answer)
