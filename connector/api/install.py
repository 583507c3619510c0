"""Installing and leaving: the vendors' consent pages and back (HubSpot, amoCRM), amoCRM's hooks.

Bitrix24's part is in `bitrix24_page`. Everything a client sends gives 2xx or 4xx, in words; 503 is said when a setting,
the database or the CRM is missing. Nothing is kept before the CRM has confirmed it.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import Blueprint, Response, request

from adapters.errors import AccessLost, CRMError, Malformed, Transient
from adapters.hosts import HostRefused
from adapters.records import CRM
from adapters.registry import amocrm_uninstalled_account, authorize_url
from connector.api import starts
from connector.api.answers import page, plain
from connector.api.background import Background
from connector.api.hooks import uninstalled
from connector.api.lazily import ServiceWhenNeeded
from connector.errors import ConnectorError, DatabaseAway, Misconfigured, SchemaBehind, WrongUse
from connector.grants import app_of
from connector.jobs import leaving
from connector.jobs.installing import exchange_code, install, install_waiting, keep_code
from connector.store import portals
from connector.wiring import Service

log = logging.getLogger("rfm.install")

_CODE = re.compile(r"[\x21-\x7e]{1,2048}")
_LONGEST_REFERER = 255
View = Callable[..., Response]


def create_blueprint(service: ServiceWhenNeeded, *, background: Background) -> Blueprint:
    """Routes `/oauth/{hubspot,amocrm}/{start,callback}` and `/uninstall/amocrm`, and the files of their pages."""
    routes = _Routes(service, background)
    blueprint = Blueprint(
        "install", __name__, template_folder="templates", static_folder="static", static_url_path="/install/static"
    )
    for crm in (CRM.HUBSPOT, CRM.AMOCRM):
        about = {"crm": crm}
        base, name = f"/oauth/{crm.value}", crm.value
        blueprint.add_url_rule(f"{base}/start", f"{name}_start", in_words(routes.start), defaults=about)
        blueprint.add_url_rule(f"{base}/callback", f"{name}_callback", in_words(routes.callback), defaults=about)
    blueprint.add_url_rule("/uninstall/amocrm", "amocrm_uninstall", in_words(routes.uninstall))
    return blueprint


def in_words(view: View) -> View:
    """Turn what goes wrong into a page: 4xx for what was sent, 503 for what is missing here or away now."""

    @wraps(view)
    def told(*args: Any, **words: Any) -> Response:
        try:
            return view(*args, **words)
        except (Misconfigured, SchemaBehind) as error:
            return page(503, "not_set_up", reason=str(error))
        except (Transient, Malformed, DatabaseAway) as error:
            log.warning("installation put off reason=%s", error)
            return page(503, "later", reason=str(error))
        except (AccessLost, HostRefused, WrongUse) as error:
            return page(403, "refused", reason=str(error))
        except (CRMError, ConnectorError) as error:
            log.warning("installation refused reason=%s", error)
            return page(503, "later", reason=str(error))

    return told


class _Routes:
    """The views over one service."""

    def __init__(self, service: ServiceWhenNeeded, background: Background) -> None:
        self._service = service
        self._config = service.config
        self._background = background

    def start(self, crm: CRM) -> Response:
        """Send the person to the vendor's consent page."""
        app = app_of(self._config, crm)
        service, begun = self._service(), starts.begun(crm)
        verifier = begun.verifier if crm is CRM.HUBSPOT else ""
        answer = Response(status=302, headers={"Location": authorize_url(crm, app, begun.state, verifier=verifier)})
        starts.remember(answer, service.vault, begun, service.now(), secure=self._is_secure)
        answer.headers["Cache-Control"] = "no-store"
        return answer

    def callback(self, crm: CRM) -> Response:
        """The person is back with a code, or amoCRM's server has called after an installation in its marketplace."""
        app = app_of(self._config, crm)
        if request.method == "HEAD":
            return plain(200, "")
        query = request.args
        if query.get("client_id", app.client_id) != app.client_id:
            return page(403, "refused", reason="the answer is for another app")
        if crm is CRM.AMOCRM and "state" not in query and "error" not in query:
            return self._from_marketplace()
        service = self._service()
        cookie, state = request.cookies.get(starts.cookie_name(crm), ""), query.get("state", "")
        begun = starts.recalled(cookie, service.vault, crm, state, service.now())
        if begun is None:
            again = f"{(self._config.public_url or '').rstrip('/')}/oauth/{crm.value}/start"
            return page(403, "refused", reason=f"this browser has not begun the installation, begin it at {again}")
        answer = self._finished(service, begun)
        starts.forget(answer, crm, secure=self._is_secure)
        return answer

    def uninstall(self) -> Response:
        """The integration was removed, says amoCRM. Its signature never changes, so the account is asked too."""
        if request.method == "HEAD":
            return plain(200, "")
        account_id = amocrm_uninstalled_account(app_of(self._config, CRM.AMOCRM), request.args)
        if account_id is None:
            return plain(403, "the signature is wrong")
        service = self._service()
        with service.database.session() as session:
            portal = portals.portal_of_account(session, CRM.AMOCRM.value, account_id)
        if portal is None or not service.has_grant(portal):
            return plain(200, "nothing is installed")
        if not leaving.is_shut_out(service, portal):
            with service.database.session() as session:
                portals.note(session, portal.portal_id, CRM.AMOCRM.value, "portal.uninstall_not_confirmed", {})
            return plain(200, "the account still lets us in, nothing is changed")
        uninstalled(service, CRM.AMOCRM, account_id, erase=False)
        return plain(200, "uninstalled")

    @property
    def _is_secure(self) -> bool:
        return self._config.is_production

    def _finished(self, service: Service, begun: starts.Start) -> Response:
        if "error" in request.args:
            return page(403, "refused", reason="the access was not granted")
        code = request.args.get("code", "")
        if not _CODE.fullmatch(code):
            return page(400, "refused", reason="the code is missing")
        crm = begun.crm
        verifier = begun.verifier if crm is CRM.HUBSPOT else ""
        grant = exchange_code(service, crm, code, verifier=verifier, referer=request.args.get("referer", ""))
        found = install(service, crm, grant)
        return page(200, "installed" if found.is_new else "returned", host=found.web_url or found.host)

    def _from_marketplace(self) -> Response:
        """Within three seconds, asked once: the code is stored first, and exchanged when the answer is under way."""
        code, referer = request.args.get("code", ""), request.args.get("referer", "")
        if not _CODE.fullmatch(code) or len(referer) > _LONGEST_REFERER:
            return plain(400, "the code is missing")
        service = self._service()
        if not keep_code(service, code, referer):
            return plain(429, "too many installations at once")
        self._background(lambda: install_waiting(service))
        return plain(200, "stored")
