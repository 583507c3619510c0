"""Bitrix24's page of our app, shown in the portal's frame, and the events of the app's life.

What is posted comes through a browser or from anybody. It counts only as far as the authorisation server confirms its
token, and a grant is kept only of an administrator. The page ends the installation by `BX24.installFinish()`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from urllib.parse import parse_qsl, urlsplit

from flask import Blueprint, Response, g, request

from adapters.hosts import HostPolicy, HostRefused
from adapters.records import CRM
from adapters.registry import (
    Bitrix24Opened,
    Bitrix24Proof,
    bitrix24_is_admin,
    bitrix24_prove,
    bitrix24_read_event,
    bitrix24_read_page,
)
from connector.api.answers import chosen_language, page, plain
from connector.api.hooks import uninstalled
from connector.api.install import in_words
from connector.api.lazily import ServiceWhenNeeded
from connector.config import Config
from connector.grants import app_of
from connector.jobs import schedule
from connector.jobs.installing import install
from connector.store import hooks, portals
from connector.store.models import Portal
from connector.wiring import Service
from webhooks.signatures import matches

_HOST = re.compile(r"[a-z0-9.-]+(:[0-9]{1,5})?")
_LARGEST = 64 * 1024
_MOST_FIELDS = 200
_PROVEN_BY_TOKEN = ("ONAPPUNINSTALL", "ONAPPUPDATE")
_WITH_TOKENS = ("ONAPPINSTALL", "ONAPPUPDATE")


def create_blueprint(service: ServiceWhenNeeded) -> Blueprint:
    """Route `/install/bitrix24`: POST for pages and events, GET and HEAD for whoever looks whether it is there."""
    routes = _Page(service)
    blueprint = Blueprint("install_bitrix24", __name__)
    blueprint.add_url_rule("/install/bitrix24", "page", in_words(routes.page), methods=["GET", "POST"])
    return blueprint


class _Page:
    """The view over one service."""

    def __init__(self, service: ServiceWhenNeeded) -> None:
        self._service = service

    def page(self) -> Response:
        """Say what to do with a request."""
        if request.method != "POST":
            return page(200, "inside_only")
        try:
            form = _form()
        except ValueError as error:
            return page(400, "refused", reason=str(error))
        g.framed_by = claimed_origin(self._service.config)
        app_of(self._service.config, CRM.BITRIX24)
        if "event" in form:
            return self._event(self._service(), form)
        return self._opened(self._service(), form)

    def _opened(self, service: Service, form: Mapping[str, str]) -> Response:
        """A person has opened the app: an administrator's opening installs it, or brings it back to life."""
        try:
            opened = bitrix24_read_page(request.args, form)
        except ValueError as error:
            return page(400, "refused", reason=str(error))
        proof = self._proven(service, opened)
        frame, lang = _origin(proof.grant.base_url), opened.language
        portal = _portal(service, opened.member_id)
        is_at_work = portal is not None and portal.state == "active" and service.has_grant(portal)
        if not bitrix24_is_admin(service.grants.courier(CRM.BITRIX24), proof.grant):
            kind = "ready" if is_at_work else "not_admin"
            return page(200 if is_at_work else 403, kind, lang=lang, framed_by=frame, host=opened.domain)
        kind = "ready"
        if portal is None or not is_at_work or not proof.is_installed:
            kind = self._installed(service, opened, proof)
        elif opened.application_token:
            _keep_token(service, portal.portal_id, opened.application_token)
        return page(200, kind, lang=lang, framed_by=frame, finishes=not proof.is_installed, host=opened.domain)

    def _event(self, service: Service, form: Mapping[str, str]) -> Response:
        """The app's life. The token we have stored proves removal and update; a new one, only what it opens."""
        name, member_id = form["event"].upper(), form.get("auth[member_id]", "")
        if name in _PROVEN_BY_TOKEN and self._has_our_token(
            service, member_id, form.get("auth[application_token]", "")
        ):
            return self._told(service, name, member_id, erase=form.get("data[CLEAN]") == "1")
        if name not in _WITH_TOKENS:
            is_known = name in _PROVEN_BY_TOKEN
            return plain(403 if is_known else 400, "not proven" if is_known else "not an event of the app")
        try:
            opened = bitrix24_read_event(form)
        except ValueError as error:
            return plain(400, str(error))
        proof = self._proven(service, opened)
        if not bitrix24_is_admin(service.grants.courier(CRM.BITRIX24), proof.grant):
            return plain(403, "only an administrator's access is kept")
        self._installed(service, opened, proof)
        return plain(200, "installed")

    def _told(self, service: Service, name: str, member_id: str, *, erase: bool) -> Response:
        if name == "ONAPPUNINSTALL":
            uninstalled(service, CRM.BITRIX24, member_id, erase=erase)
            return plain(200, "uninstalled")
        portal = _portal(service, member_id)
        if portal is not None:  # an update forgets all that was bound
            with service.database.session() as session:
                schedule.ask(session, schedule.SETUP, portal.portal_id, service.now())
        return plain(200, "noted")

    def _proven(self, service: Service, opened: Bitrix24Opened) -> Bitrix24Proof:
        app = app_of(service.config, CRM.BITRIX24)
        return bitrix24_prove(app, service.grants.courier(CRM.BITRIX24), opened)

    def _has_our_token(self, service: Service, member_id: str, token: str) -> bool:
        if not member_id.isalnum():
            return False
        with service.database.session() as session:
            portal = hooks.portal_of_member(session, member_id)
        return portal is not None and matches(token, [hooks.secret_of(portal, service.vault)])

    def _installed(self, service: Service, opened: Bitrix24Opened, proof: Bitrix24Proof) -> str:
        found = install(
            service,
            CRM.BITRIX24,
            proof.grant,
            language=chosen_language(opened.language) if opened.language else None,
            application_token=opened.application_token,
        )
        return "installed" if found.is_new else "returned"


def _portal(service: Service, member_id: str) -> Portal | None:
    with service.database.session() as session:
        return portals.portal_of_account(session, CRM.BITRIX24.value, member_id)


def _keep_token(service: Service, portal_id: int, token: str) -> None:
    with service.database.session() as session:
        hooks.keep_secret(session.get_one(Portal, portal_id), service.vault, token)


def _origin(base_url: str) -> str:
    parts = urlsplit(base_url)
    return f"{parts.scheme}://{parts.netloc}"


def claimed_origin(config: Config) -> str:
    """The portal that says it shows the page, if it is one of Bitrix24's: what went wrong may be read in its frame."""
    hosts, domain = HostPolicy(config.allowed_crm_hosts), request.args.get("DOMAIN", "").lower()
    for origin in (f"https://{domain}", f"http://{domain}"):
        with suppress(HostRefused):
            hosts.check(CRM.BITRIX24, origin)
            return origin if _HOST.fullmatch(domain) else ""
    return ""


def _form() -> dict[str, str]:
    """The posted form, flat; of a name sent twice the last value counts. Raises `ValueError`, and 413 by itself."""
    request.max_content_length = _LARGEST
    body = request.get_data(parse_form_data=False)
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict")
    except ValueError:
        raise ValueError("the body is no form") from None
    return dict(pairs)
