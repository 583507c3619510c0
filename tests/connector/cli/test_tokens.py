"""token: made once, listed, revoked; for one portal or for all."""

from __future__ import annotations

import pytest

from tests.connector.factories import keep_portal, rows


@pytest.fixture
def portal(cli, database):
    keep_portal(database, "p")
    return cli


def test_a_token_is_shown_once_and_listed_without_its_secret(portal, database):
    made = portal(
        "token", "p", "create", "--name", "warehouse", "--scope", "run,read", "--expires", "2199-12-31", "--json"
    )
    assert made.status == 0, made
    assert made.json["scopes"] == ["read", "run"]
    assert made.json["expires_at"] == "2199-12-31T21:00:00+00:00"
    secret = made.json["token"].split("_", 2)[2]
    listed = portal("token", "p", "list", "--json")
    assert [one["id"] for one in listed.json["tokens"]] == [made.json["id"]]
    assert secret not in listed.out
    assert secret not in "".join(rows(database, "SELECT t::text FROM api_tokens t"))
    (actor,) = rows(database, "SELECT actor FROM audit WHERE action = 'token.created'")
    assert actor.startswith("cli")


def test_for_people_the_token_stands_on_a_line_of_its_own(portal):
    said = portal("token", "p", "create", "--name", "anna", "--scope", "read")
    assert said.out.splitlines()[0].startswith("rfm_")
    assert "not shown again" in said.out
    assert "anna" in portal("token", "p", "list").out


def test_revoking_is_for_the_portal_that_has_it_and_may_be_repeated(portal, database):
    keep_portal(database, "other")
    made = portal("token", "p", "create", "--name", "x", "--scope", "read", "--json").json["id"]
    portal("token", "other", "revoke", made).assert_wrong_use()
    for _ in range(2):
        assert portal("token", "p", "revoke", made, "--json").json["state"] == "revoked"
    assert rows(database, "SELECT count(*) FROM audit WHERE action = 'token.revoked'") == [1]


def test_tokens_of_the_whole_service_are_apart(portal):
    assert portal("token", "--all", "create", "--name", "ops", "--scope", "read,admin").status == 0
    assert [one["name"] for one in portal("token", "--all", "list", "--json").json["tokens"]] == ["ops"]
    assert portal("token", "p", "list", "--json").json["tokens"] == []


@pytest.mark.parametrize(
    "words",
    [
        ("token",),
        ("token", "p"),
        ("token", "list"),
        ("token", "p", "--all", "list"),
        ("token", "nowhere", "list"),
        ("token", "p", "create", "--name", "x"),
        ("token", "p", "create", "--scope", "read"),
        ("token", "p", "create", "--name", "x", "--scope", "everything"),
        ("token", "p", "create", "--name", "x", "--scope", ","),
        ("token", "p", "create", "--name", " ", "--scope", "read"),
        ("token", "p", "create", "--name", "x", "--scope", "read", "--expires", "2020-01-01"),
        ("token", "p", "create", "--name", "x", "--scope", "read", "--expires", "9999-12-31"),
        ("token", "p", "revoke", "none"),
    ],
)
def test_words_that_make_no_sense_make_no_token(portal, database, words):
    portal(*words).assert_wrong_use()
    assert rows(database, "SELECT count(*) FROM api_tokens") == [0]


def test_a_portal_that_is_erased_takes_its_tokens_along(connected, database):
    assert connected("token", "p", "create", "--name", "x", "--scope", "read").status == 0
    assert connected("disconnect", "p", "--purge").status == 0
    assert rows(database, "SELECT count(*) FROM api_tokens") == [0]
