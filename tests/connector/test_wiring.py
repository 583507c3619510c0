from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from adapters.oauth import KeptTokens
from adapters.records import CRM
from adapters.registry import access_from_input
from connector import wiring
from connector.errors import Misconfigured
from connector.grants import app_of, callback_url
from connector.secrets import Vault
from connector.store.tokens import to_kept
from tests.adapters.keeper import grant
from tests.connector.factories import KEY, config_for, execute, keep_portal

SET = {"amocrm_client_id": "a", "amocrm_client_secret": "s", "public_url": "https://rfm.example/"}


@pytest.fixture
def service(database, tmp_path):
    made = wiring.Service(replace(config_for(database, tmp_path), **SET), database, Vault((KEY,)))
    yield made
    made.grants.close()


def installed(service, database, kept):
    """A portal that holds this grant."""
    portal = keep_portal(database)
    execute(database, "UPDATE portals SET crm = 'amocrm', access = :sealed", sealed=service.vault.seal(to_kept(kept)))
    portal.crm, portal.access = "amocrm", service.vault.seal(to_kept(kept))
    return portal


def test_a_portals_threads_share_one_set_of_tokens_until_the_grant_changes(service, database):
    portal = installed(service, database, grant(1))
    first = service.access_of(portal)
    assert isinstance(first.tokens, KeptTokens)
    assert service.access_of(portal) is first
    portal.access = service.vault.seal(to_kept(grant(2)))
    assert service.access_of(portal) is not first


def test_a_quota_survives_the_renewal_of_a_token(service, database):
    keys = set()
    for number in (1, 2):
        portal = installed(service, database, grant(number, life=timedelta(days=number)))
        keys.add(wiring.budget_key(service.access_of(portal)))
        execute(database, "DELETE FROM portals")
    assert keys == {"amocrm:shop.amocrm.ru:7"}


def test_a_quota_of_a_pasted_token_does_not_show_it():
    access = access_from_input(CRM.AMOCRM, url="https://shop.amocrm.ru", token="a-secret-token")
    key = wiring.budget_key(access)
    assert key.startswith("amocrm:shop.amocrm.ru:")
    assert "secret" not in key


def test_everything_that_an_app_lacks_is_named(service):
    with pytest.raises(Misconfigured, match=r"HUBSPOT_CLIENT_ID, HUBSPOT_CLIENT_SECRET$"):
        app_of(service.config, CRM.HUBSPOT)
    with pytest.raises(Misconfigured, match=r"PUBLIC_URL$"):
        app_of(replace(service.config, public_url=None), CRM.AMOCRM)


def test_the_way_back_has_no_double_slash(service):
    assert callback_url(service.config, CRM.AMOCRM) == "https://rfm.example/oauth/amocrm/callback"
