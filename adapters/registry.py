"""CRM → how to open it. The only module that names the three."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta

from adapters.amocrm import auth as amocrm_auth
from adapters.amocrm.adapter import AmoCRM
from adapters.bitrix24 import auth as bitrix24_auth
from adapters.bitrix24 import visitor as bitrix24_visitor
from adapters.bitrix24.adapter import Bitrix24
from adapters.budget import States
from adapters.contract import Adapter, Automations, PortalAccess
from adapters.hubspot import auth as hubspot_auth
from adapters.hubspot.adapter import HubSpot
from adapters.oauth import Courier, Grant, KeptTokens, OAuthApp, TokenKeeper
from adapters.records import CRM
from adapters.transport import Transport

Opener = Callable[[PortalAccess, Transport, States], Adapter]

OPENERS: Mapping[CRM, Opener] = {
    CRM.AMOCRM: AmoCRM,
    CRM.BITRIX24: Bitrix24,
    CRM.HUBSPOT: HubSpot,
}


def open_portal(access: PortalAccess, transport: Transport, states: States) -> Adapter:
    """The adapter of one portal. Sends nothing yet."""
    return OPENERS[access.crm](access, transport, states)


def automations_of(adapter: Adapter) -> Automations | None:
    """The portal's robots, actions and tabs; None where we have none that are told through the API (amoCRM)."""
    return adapter.automations if isinstance(adapter, Bitrix24 | HubSpot) else None


def access_from_input(crm: CRM, *, url: str, token: str) -> PortalAccess:
    """What a person pasted, checked for form. Raises `ValueError` with a sentence for that person.

    A Bitrix24 webhook URL is the token itself, so `token` stays empty there.
    """
    if crm is CRM.BITRIX24:
        return bitrix24_auth.access_from_input(url)
    if crm is CRM.AMOCRM:
        return amocrm_auth.access_from_input(token, url)
    return hubspot_auth.access_from_input(token, url)


# --- installed apps --------------------------------------------------------------------------------------------

EARLY: Mapping[CRM, timedelta] = {
    CRM.AMOCRM: amocrm_auth.EARLY,
    CRM.BITRIX24: bitrix24_auth.EARLY,
    CRM.HUBSPOT: hubspot_auth.EARLY,
}
"""How long before its end an access token is renewed."""

_REFRESH: Mapping[CRM, Callable[[OAuthApp, Courier, Grant], Grant]] = {
    CRM.AMOCRM: amocrm_auth.refresh,
    CRM.BITRIX24: bitrix24_auth.refresh,
    CRM.HUBSPOT: hubspot_auth.refresh,
}

amocrm_account_url = amocrm_auth.account_url
amocrm_uninstalled_account = amocrm_auth.uninstalled_account
bitrix24_read_page = bitrix24_auth.read_page
bitrix24_read_event = bitrix24_auth.read_event
bitrix24_prove = bitrix24_auth.prove
bitrix24_is_admin = bitrix24_auth.is_admin
bitrix24_may_read = bitrix24_visitor.may_read
BITRIX24_TABS = bitrix24_visitor.TABS
Bitrix24Opened = bitrix24_auth.Opened
Bitrix24Proof = bitrix24_auth.Proof


def oauth_app(
    crm: CRM,
    client_id: str,
    client_secret: str,
    *,
    redirect_url: str = "",
    api_url: str | None = None,
    oauth_url: str | None = None,
) -> OAuthApp:
    """Our registration with a vendor. `oauth_url` is the setting `*_OAUTH_URL`, None for the vendor's own addresses.

    `redirect_url` is our call back (none for Bitrix24), `api_url` the API of HubSpot.
    """
    if crm is CRM.BITRIX24:
        return bitrix24_auth.oauth_app(client_id, client_secret, oauth_url=oauth_url)
    if crm is CRM.AMOCRM:
        return amocrm_auth.oauth_app(client_id, client_secret, redirect_url, oauth_url=oauth_url)
    return hubspot_auth.oauth_app(client_id, client_secret, redirect_url, api_url=api_url, oauth_url=oauth_url)


def authorize_url(crm: CRM, app: OAuthApp, state: str, *, verifier: str = "", portal: str = "") -> str:
    """Where to send the person who installs. HubSpot takes a `verifier`, Bitrix24 needs the `portal`'s host."""
    if crm is CRM.BITRIX24:
        return bitrix24_auth.authorize_url(app, state, portal=portal)
    if crm is CRM.AMOCRM:
        return amocrm_auth.authorize_url(app, state)
    return hubspot_auth.authorize_url(app, state, verifier=verifier)


def exchange(crm: CRM, app: OAuthApp, courier: Courier, code: str, *, verifier: str = "", referer: str = "") -> Grant:
    """The grant behind a code, once only. amoCRM needs the `referer`, HubSpot the `verifier` if one was sent.

    Raises `HostRefused`, `AccessLost` when the code is worth nothing, `Transient` for anything else.
    """
    if crm is CRM.BITRIX24:
        return bitrix24_auth.exchange(app, courier, code)
    if crm is CRM.AMOCRM:
        return amocrm_auth.exchange(app, courier, code, referer=referer)
    return hubspot_auth.exchange(app, courier, code, verifier=verifier)


def refresh(crm: CRM, app: OAuthApp, courier: Courier, grant: Grant) -> Grant:
    """A new pair; the old refresh token may be dead from then on. For callers that hold the portal's grant only."""
    return _REFRESH[crm](app, courier, grant)


def uninstall(crm: CRM, app: OAuthApp, courier: Courier, grant: Grant) -> bool:
    """Remove our app from the account, where the vendor lets an app do so (HubSpot); False where a person has to."""
    if crm is not CRM.HUBSPOT:
        return False
    hubspot_auth.uninstall(app, courier, grant)
    return True


def installed_access(
    crm: CRM, app: OAuthApp, courier: Courier, keeper: TokenKeeper, portal_id: int, grant: Grant
) -> PortalAccess:
    """How to reach a portal that installed our app; its tokens renew themselves. Sends nothing yet."""
    tokens = KeptTokens(
        keeper,
        portal_id,
        grant,
        lambda held: refresh(crm, app, courier, held),
        early=EARLY[crm],
        now=courier.now,
    )
    return PortalAccess(crm, grant.base_url, tokens)
