import pytest

from adapters.errors import TokenExpired
from adapters.hubspot.auth import API_URL, StaticToken, access_from_input
from adapters.records import CRM


def test_a_pasted_token_becomes_access_to_the_public_api():
    access = access_from_input("  Bearer pat-eu1-abc \n")
    assert (access.crm, access.base_url) == (CRM.HUBSPOT, API_URL)
    assert access.tokens.current() == "pat-eu1-abc"


def test_another_api_address_loses_its_last_slash():
    assert access_from_input("t", "http://127.0.0.1:8080/").base_url == "http://127.0.0.1:8080"
    assert access_from_input("t", "http://[::1]:8080/hs/").base_url == "http://[::1]:8080/hs"


@pytest.mark.parametrize("token", ["", "  ", "Bearer ", "two words", "tab\tinside", "ключ", "x" * 513])
def test_what_is_no_token_is_refused_in_one_sentence_without_repeating_it(token):
    with pytest.raises(ValueError) as refusal:
        access_from_input(token)
    assert "HubSpot token" in str(refusal.value)
    assert token.strip() == "" or token not in str(refusal.value)


@pytest.mark.parametrize(
    "url",
    ["ftp://api.hubapi.com", "api.hubapi.com", "https://", "https://u:p@api.hubapi.com", "https://h?x=1", "http://h:x"],
)
def test_what_is_no_address_is_refused(url):
    with pytest.raises(ValueError, match="HubSpot API address"):
        access_from_input("t", url)


def test_a_static_token_cannot_be_renewed_and_hides_itself():
    token = StaticToken("pat-secret")
    with pytest.raises(TokenExpired):
        token.renew("pat-secret")
    assert "secret" not in repr(token)
