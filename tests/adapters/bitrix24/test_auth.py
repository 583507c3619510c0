from __future__ import annotations

import pytest

from adapters.bitrix24.auth import access_from_input, read_webhook
from adapters.records import CRM


@pytest.mark.parametrize(
    ("pasted", "base"),
    [
        ("https://shop.bitrix24.ru/rest/1/abc123/", "https://shop.bitrix24.ru/rest/1/abc123/"),
        ("https://shop.bitrix24.ru/rest/1/abc123", "https://shop.bitrix24.ru/rest/1/abc123/"),
        ("  https://Shop.Bitrix24.RU/rest/17/aBc/profile.json \n", "https://shop.bitrix24.ru/rest/17/aBc/"),
        ("https://crm.example.org/rest/1/abc/crm.item.list?x=1", "https://crm.example.org/rest/1/abc/"),
        ("https://shop.bitrix24.ru:443/rest/1/abc/", "https://shop.bitrix24.ru/rest/1/abc/"),
        ("http://127.0.0.1:8003/rest/1/sandbox-token/", "http://127.0.0.1:8003/rest/1/sandbox-token/"),
    ],
)
def test_a_pasted_webhook_is_put_right(pasted, base):
    access = access_from_input(pasted)
    assert (access.crm, access.base_url) == (CRM.BITRIX24, base)


@pytest.mark.parametrize(
    "pasted",
    [
        "",
        "shop.bitrix24.ru/rest/1/hushhush/",
        "ftp://shop.bitrix24.ru/rest/1/hushhush/",
        "https://shop.bitrix24.ru/",
        "https://shop.bitrix24.ru/rest/admin/hushhush/",
        "https://shop.bitrix24.ru/rest/1/hush/hush/hush/",
        "https://me:hushhush@shop.bitrix24.ru/rest/1/hushhush/",
        "https://shop.bitrix24.ru:port/rest/1/hushhush/",
    ],
)
def test_what_is_no_webhook_is_refused_without_repeating_it(pasted):
    with pytest.raises(ValueError) as refusal:
        read_webhook(pasted)
    assert "hush" not in str(refusal.value)


def test_the_secret_is_not_shown():
    webhook = read_webhook("https://shop.bitrix24.ru/rest/1/hushhush/")
    assert "hush" not in repr(webhook)
    assert "hush" not in repr(access_from_input("https://shop.bitrix24.ru/rest/1/hushhush/"))
    assert (webhook.host, webhook.user_id, webhook.origin) == ("shop.bitrix24.ru", "1", "https://shop.bitrix24.ru")
