import pytest

from adapters.amocrm.auth import StaticToken, access_from_input
from adapters.errors import TokenExpired
from adapters.records import CRM


@pytest.mark.parametrize(
    ("pasted", "base"),
    [
        ("https://x.amocrm.ru", "https://x.amocrm.ru"),
        (" https://x.amocrm.ru/ ", "https://x.amocrm.ru"),
        ("https://X.AmoCRM.ru/leads/list/?skip=1#top", "https://x.amocrm.ru"),
        ("x.amocrm.ru", "https://x.amocrm.ru"),
        ("x.kommo.com/dashboard/", "https://x.kommo.com"),
        ("https://x.amocrm.com:443/", "https://x.amocrm.com"),
        ("http://127.0.0.1:8801/", "http://127.0.0.1:8801"),
        ("http://localhost:80", "http://localhost"),
        ("http://[::1]:8801/a", "http://[::1]:8801"),
    ],
)
def test_of_the_account_address_only_scheme_host_and_port_count(pasted, base):
    access = access_from_input("token", pasted)
    assert access.base_url == base
    assert access.crm is CRM.AMOCRM


@pytest.mark.parametrize(
    "pasted",
    ["", "  ", "ftp://x.amocrm.ru", "https://", "https://x.amocrm.ru:port", "https://a b.amocrm.ru", "http://["],
)
def test_what_is_no_address_is_refused_with_an_example(pasted):
    with pytest.raises(ValueError, match="write it like"):
        access_from_input("token", pasted)


def test_an_address_with_a_password_is_refused():
    with pytest.raises(ValueError, match="user name or a password"):
        access_from_input("token", "https://me:secret@x.amocrm.ru")


@pytest.mark.parametrize("pasted", ["abc.def-1_2", "  abc.def-1_2\n", "Bearer abc.def-1_2"])
def test_a_token_is_taken_without_what_surrounds_it(pasted):
    assert access_from_input(pasted, "x.amocrm.ru").tokens.current() == "abc.def-1_2"


@pytest.mark.parametrize("pasted", ["", "  ", "Bearer ", "two words", "токен", "a\x00b", "x" * 9000])
def test_what_is_no_token_is_refused_without_repeating_it(pasted):
    with pytest.raises(ValueError, match="amoCRM token") as caught:
        access_from_input(pasted, "x.amocrm.ru")
    assert not pasted.strip() or pasted.strip() not in str(caught.value)


def test_nothing_shows_the_token():
    access = access_from_input("very-secret", "x.amocrm.ru")
    assert "very-secret" not in repr(access) + repr(access.tokens)


def test_a_long_lived_token_cannot_be_renewed():
    with pytest.raises(TokenExpired, match="long-lived"):
        StaticToken("t").renew("t")
