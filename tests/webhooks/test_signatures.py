"""Proofs: published vectors, and a family of right and wrong ones for each kind."""

from __future__ import annotations

import hashlib
import hmac
from datetime import timedelta

import pytest

from tests.webhooks.factories import NOW, SECRET, token
from webhooks import signatures
from webhooks.errors import NotAuthentic, Stale
from webhooks.signatures import TokenAlgorithm

URL = "https://app.example.com/hubspot/webhooks"
BODY = b'[{"eventId":7,"portalId":101,"objectId":55}]'
TIMESTAMP = "1790000000000"
CLAIMS = {"exp": NOW.timestamp() + 60, "nbf": NOW.timestamp() - 60, "account_id": 123}


def test_hubspot_vectors_of_all_three_versions() -> None:
    assert signatures.hubspot_v1(SECRET, BODY) == "47ac55f17434227b65bcc6d1e72a8a311c1e7695aa287baa6ce2047142efaf96"
    assert signatures.hubspot_v2(SECRET, "POST", URL, BODY) == (
        "bf53f5be871233e47d7796afa9e2cf238f188913b977e7b47233173eab6b7449"
    )
    assert signatures.hubspot_v3(SECRET, "POST", URL, BODY, TIMESTAMP) == "zhVarkO0ePtT23MgUStT8mRWfSw8nlkUdZpT2+jkKWQ="


@pytest.mark.parametrize(
    ("escape", "character"),
    [
        ("%3A", ":"), ("%2F", "/"), ("%3F", "?"), ("%40", "@"), ("%21", "!"), ("%24", "$"),
        ("%27", "'"), ("%28", "("), ("%29", ")"), ("%2A", "*"), ("%2C", ","), ("%3B", ";"), ("%3b", ";"),
    ],
)  # fmt: skip
def test_hubspot_v3_decodes_the_escapes_of_its_table(escape: str, character: str) -> None:
    escaped = signatures.hubspot_v3(SECRET, "GET", f"{URL}?q=a{escape}b", b"", TIMESTAMP)
    assert escaped == signatures.hubspot_v3(SECRET, "GET", f"{URL}?q=a{character}b", b"", TIMESTAMP)


@pytest.mark.parametrize(
    ("escape", "character"), [("%20", " "), ("%26", "&"), ("%3D", "="), ("%2B", "+"), ("%253A", "%3A")]
)
def test_hubspot_v3_leaves_other_escapes_alone(escape: str, character: str) -> None:
    escaped = signatures.hubspot_v3(SECRET, "GET", f"{URL}?q=a{escape}b", b"", TIMESTAMP)
    assert escaped != signatures.hubspot_v3(SECRET, "GET", f"{URL}?q=a{character}b", b"", TIMESTAMP)


@pytest.mark.parametrize(
    ("offset", "fresh"),
    [
        (timedelta(), True),
        (timedelta(minutes=-5), True),
        (timedelta(minutes=5), True),
        (timedelta(minutes=-5, milliseconds=-1), False),
        (timedelta(minutes=5, milliseconds=1), False),
        (timedelta(days=-365), False),
        (timedelta(days=365), False),
    ],
)
def test_hubspot_timestamp_is_good_for_five_minutes_either_way(offset: timedelta, fresh: bool) -> None:
    timestamp = str(round((NOW + offset).timestamp() * 1000))
    if fresh:
        signatures.check_hubspot_timestamp(timestamp, now=NOW)
    else:
        with pytest.raises(Stale):
            signatures.check_hubspot_timestamp(timestamp, now=NOW)


@pytest.mark.parametrize(
    "timestamp", ["", "soon", "-1", "1790000000000.0", "1e12", "１７９００００００００００", "9" * 40]
)
def test_hubspot_timestamp_that_is_no_number_proves_nothing(timestamp: str) -> None:
    with pytest.raises(NotAuthentic):
        signatures.check_hubspot_timestamp(timestamp, now=NOW)


def test_uninstall_signature_is_the_documented_formula() -> None:
    wanted = hmac.new(b"S", b"client-uuid|123", hashlib.sha256).hexdigest()
    assert signatures.amocrm_uninstall("S", "client-uuid", "123") == wanted


def test_matches_any_of_several_and_never_an_empty_one() -> None:
    assert signatures.matches("b", ["a", "b"])
    assert signatures.matches("a", ["a", "b"])
    assert not signatures.matches("c", ["a", "b"])
    assert not signatures.matches("", [""])
    assert not signatures.matches("a", [])
    assert not signatures.matches("ключ\ud800", ["key"])


def test_token_gives_its_claims() -> None:
    assert signatures.token_claims(token(CLAIMS), [SECRET], TokenAlgorithm.HS256, now=NOW)["account_id"] == 123


def test_token_of_the_second_secret_passes_during_rotation() -> None:
    made = token(CLAIMS, secret="old")
    assert signatures.token_claims(made, ["new", "old"], TokenAlgorithm.HS256, now=NOW)["account_id"] == 123


def test_token_signed_with_sha512_passes_only_where_that_is_asked_for() -> None:
    made = token(CLAIMS, alg="HS512", digest="sha512")
    assert signatures.token_claims(made, [SECRET], TokenAlgorithm.HS512, now=NOW)["account_id"] == 123
    with pytest.raises(NotAuthentic):
        signatures.token_claims(made, [SECRET], TokenAlgorithm.HS256, now=NOW)


@pytest.mark.parametrize(
    "made",
    [
        token(CLAIMS, secret="other"),
        token(CLAIMS, alg="none"),
        token(CLAIMS, alg="HS512"),
        token(CLAIMS, alg="RS256"),
        token(CLAIMS, digest="sha512"),
        token(CLAIMS)[:-2],
        token(CLAIMS).rpartition(".")[0] + ".",
        token(CLAIMS).rpartition(".")[0],
        token(CLAIMS) + ".",
        "A" + token(CLAIMS),
        token({"account_id": 123}),
        token({**CLAIMS, "exp": "never"}),
        token({**CLAIMS, "exp": True}),
        token({**CLAIMS, "nbf": None}),
        "",
        "..",
        "a.b.c",
        "é.é.é",
        "W10.W10.W10",
        "x" * 100_000,
    ],
)
def test_token_that_proves_nothing(made: str) -> None:
    with pytest.raises(NotAuthentic):
        signatures.token_claims(made, [SECRET], TokenAlgorithm.HS256, now=NOW)


def test_token_has_one_spelling_only() -> None:
    head, _, signature = token(CLAIMS).rpartition(".")
    for spelt in (f"{signature[:5]}!{signature[5:]}", f"{signature[:5]}\n{signature[5:]}", f"{signature}===="):
        with pytest.raises(NotAuthentic):
            signatures.token_claims(f"{head}.{spelt}", [SECRET], TokenAlgorithm.HS256, now=NOW)


def test_token_with_extensions_that_must_be_understood_proves_nothing() -> None:
    with pytest.raises(NotAuthentic):
        signatures.token_claims(token(CLAIMS, crit=["exp"]), [SECRET], TokenAlgorithm.HS256, now=NOW)


def test_token_with_an_empty_secret_proves_nothing() -> None:
    for secrets in ([], [""]):
        with pytest.raises(NotAuthentic):
            signatures.token_claims(token(CLAIMS, secret=""), secrets, TokenAlgorithm.HS256, now=NOW)


@pytest.mark.parametrize(("seconds", "fresh"), [(-121, False), (-120, True), (0, True), (119, True), (120, False)])
def test_token_lives_from_nbf_to_exp_with_a_minute_for_the_clocks(seconds: int, fresh: bool) -> None:
    now = NOW + timedelta(seconds=seconds)
    if fresh:
        assert signatures.token_claims(token(CLAIMS), [SECRET], TokenAlgorithm.HS256, now=now)
    else:
        with pytest.raises(Stale):
            signatures.token_claims(token(CLAIMS), [SECRET], TokenAlgorithm.HS256, now=now)
