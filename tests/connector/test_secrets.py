"""Tokens at rest: sealed with the newest key, opened with any, never lost between two processes that start at once."""

from __future__ import annotations

import threading

import pytest
from cryptography.fernet import Fernet

from connector.config import Config
from connector.errors import Misconfigured
from connector.secrets import Vault, vault_of

ACCESS = {"url": "https://api.hubapi.com", "token": "geheim"}
OLD, NEW = "the first long enough key", "the second long enough key"


def test_what_was_sealed_is_opened_and_not_readable():
    sealed = Vault((OLD,)).seal(ACCESS)
    assert b"geheim" not in sealed
    assert Vault((OLD,)).open(sealed) == ACCESS
    assert Vault((OLD,)).seal(ACCESS) != sealed


def test_keys_are_rotated_by_putting_the_new_one_first():
    sealed = Vault((OLD,)).seal(ACCESS)
    both = Vault((NEW, OLD))
    assert both.open(sealed) == ACCESS
    assert Vault((NEW,)).open(both.seal(ACCESS)) == ACCESS


def test_without_the_right_key_it_says_what_to_do():
    with pytest.raises(Misconfigured, match="old key"):
        Vault((NEW,)).open(Vault((OLD,)).seal(ACCESS))


def test_a_fernet_key_is_taken_as_it_is_and_a_short_word_is_refused():
    key = Fernet.generate_key()
    assert Fernet(key).decrypt(Vault((key.decode(),)).seal(ACCESS))
    with pytest.raises(Misconfigured, match="16 characters") as caught:
        Vault(("geheim",))
    assert "geheim" not in str(caught.value)


def test_outside_production_a_key_is_kept_for_its_owner_only(tmp_path):
    config = Config(var_dir=tmp_path / "var")
    sealed = vault_of(config).seal(ACCESS)
    assert vault_of(config).open(sealed) == ACCESS
    assert (tmp_path / "var" / "encryption.key").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in (tmp_path / "var").iterdir()] == ["encryption.key"]


def test_production_keeps_no_key_in_a_file(tmp_path):
    with pytest.raises(Misconfigured, match="ENCRYPTION_KEYS"):
        vault_of(Config(public_url="https://rfm.example", secret_key="x", var_dir=tmp_path / "var"))
    assert not (tmp_path / "var").exists()


def test_those_who_start_at_once_agree_on_one_key(tmp_path):
    config, sealed, start = Config(var_dir=tmp_path), [], threading.Barrier(4)

    def begin():
        start.wait()
        sealed.append(vault_of(config).seal(ACCESS))

    threads = [threading.Thread(target=begin) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [vault_of(config).open(one) for one in sealed] == [ACCESS] * 4


def test_a_place_that_cannot_hold_the_key_is_named(tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(Misconfigured, match="VAR_DIR"):
        vault_of(Config(var_dir=tmp_path / "taken"))
