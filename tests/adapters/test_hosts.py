"""Nothing but the vendors' own addresses and those that the operator named is ever called."""

from __future__ import annotations

import pytest

from adapters.hosts import HostPolicy, HostRefused
from adapters.records import CRM

NAMED = HostPolicy(frozenset({"crm.example", "other.example:8443", "127.0.0.1:9000", "[::1]:9000", "localhost:7"}))


@pytest.mark.parametrize(
    ("crm", "url"),
    [
        (CRM.HUBSPOT, "https://api.hubapi.com/crm"),
        (CRM.HUBSPOT, "https://api-eu1.hubapi.com"),
        (CRM.HUBSPOT, "https://API.HUBAPI.COM:443/"),
        (CRM.AMOCRM, "https://shop-1.amocrm.ru"),
        (CRM.AMOCRM, "https://shop.kommo.com/api/v4"),
        (CRM.BITRIX24, "https://portal.bitrix24.ru/rest/1/x/"),
        (CRM.BITRIX24, "https://portal.bitrix24.com.br/rest/1/x/"),
        (CRM.HUBSPOT, "https://crm.example"),
        (CRM.HUBSPOT, "https://crm.example:8443"),
        (CRM.BITRIX24, "https://other.example:8443/rest/1/x/"),
        (CRM.AMOCRM, "http://127.0.0.1:9000"),
        (CRM.AMOCRM, "http://[::1]:9000"),
        (CRM.AMOCRM, "http://localhost:7"),
    ],
)
def test_the_vendors_own_and_named_addresses_may_be_called(crm, url):
    NAMED.check(crm, url)


@pytest.mark.parametrize(
    ("crm", "url"),
    [
        (CRM.HUBSPOT, "https://api.hubapi.com.evil.example"),
        (CRM.HUBSPOT, "https://evil-api.hubapi.com"),
        (CRM.HUBSPOT, "https://api.hubapi.com:8443"),
        (CRM.HUBSPOT, "https://shop.amocrm.ru"),
        (CRM.HUBSPOT, "https://api.hubapi.com@evil.example"),
        (CRM.HUBSPOT, "https://user:pass@api.hubapi.com"),
        (CRM.HUBSPOT, "https://api.hubapi.com\\@evil.example"),
        (CRM.AMOCRM, "https://amocrm.ru"),
        (CRM.AMOCRM, "https://a.b.amocrm.ru"),
        (CRM.AMOCRM, "https://evilamocrm.ru"),
        (CRM.BITRIX24, "https://bitrix24.ru/rest/1/x/"),
        (CRM.BITRIX24, "https://portal.bitrix24.ru.evil.example/rest/1/x/"),
        (CRM.HUBSPOT, "http://api.hubapi.com"),
        (CRM.HUBSPOT, "http://crm.example"),
        (CRM.HUBSPOT, "http://127.0.0.1:9001"),
        (CRM.HUBSPOT, "https://127.0.0.1"),
        (CRM.HUBSPOT, "https://169.254.169.254/latest"),
        (CRM.HUBSPOT, "https://other.example"),
        (CRM.HUBSPOT, "https://other.example:443"),
        (CRM.HUBSPOT, "ftp://api.hubapi.com"),
        (CRM.HUBSPOT, "file:///etc/passwd"),
        (CRM.HUBSPOT, "https://"),
        (CRM.HUBSPOT, "api.hubapi.com"),
        (CRM.HUBSPOT, "https://api.hubapi.com:port"),
        (CRM.HUBSPOT, "https://[::1"),
        (CRM.HUBSPOT, ""),
    ],
)
def test_no_other_address_is_called_and_the_refusal_repeats_no_secret(crm, url):
    with pytest.raises(HostRefused) as caught:
        NAMED.check(crm, url)
    assert "pass" not in str(caught.value).replace("password", "")


def test_without_named_addresses_no_loopback_is_called():
    for url in ("http://127.0.0.1", "http://localhost:80", "https://[::1]"):
        with pytest.raises(HostRefused):
            HostPolicy().check(CRM.HUBSPOT, url)
