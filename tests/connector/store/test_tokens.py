from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from sqlalchemy import text

from adapters.amocrm.auth import EARLY, oauth_app, refresh
from adapters.budget import LocalStates
from adapters.errors import AccessLost, TokenExpired, Unavailable
from adapters.hosts import HostPolicy
from adapters.oauth import Courier, Grant, KeptTokens, OAuthApp, courier_transport
from connector.errors import Misconfigured
from connector.secrets import Vault
from connector.store.database import Database
from connector.store.models import Portal
from connector.store.tokens import StoredTokens, to_grant, to_kept
from sandbox.amocrm import Portal as Account
from sandbox.amocrm import create_portal
from sandbox.clock import RealClock
from sandbox.grants import Consent
from sandbox.northwind import northwind_shop
from sandbox.server import serve

ROOT = Path(__file__).parents[3]
KEY = "an encryption key for tests only"
BACK = "https://rfm.example/oauth/amocrm/callback"


def now() -> datetime:
    return datetime.now(UTC)


def store(database: Database, grant: Grant | None, *, access: dict[str, str] | None = None) -> int:
    kept = to_kept(grant) if grant is not None else access
    with database.session() as session:
        portal = Portal(
            crm="amocrm", name="shop", account_id="1", host="h", time_zone="UTC", currency="RUB", language="ru",
            access=Vault((KEY,)).seal(kept) if kept is not None else None, settings={},
        )  # fmt: skip
        session.add(portal)
        session.flush()
        return portal.portal_id


def stored(database: Database, portal_id: int, *keys: str) -> Grant | None:
    with database.session() as session:
        sealed = session.get_one(Portal, portal_id).access
    return to_grant(Vault(keys or (KEY,)).open(sealed)) if sealed is not None else None


def some_grant(number: int = 1, **other) -> Grant:
    begun = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
    facts = {"account_id": "1", "base_url": "https://x.amocrm.ru", **other}
    return Grant(f"access-{number}", f"refresh-{number}", begun, begun + timedelta(days=1), **facts)


# --- what is stored --------------------------------------------------------------------------------------------


def test_a_grant_comes_back_as_it_was_kept():
    full = some_grant(auth_url="https://api-b.amocrm.ru", scopes=("crm", "files"), user_id="7")
    for grant in (full, some_grant()):
        assert to_grant(to_kept(grant)) == grant


def test_a_pasted_token_is_no_grant(database: Database):
    assert to_grant({"url": "https://x.amocrm.ru", "token": "t"}) is None
    portal_id = store(database, None, access={"url": "https://x.amocrm.ru", "token": "t"})
    with pytest.raises(AccessLost), StoredTokens(database, Vault((KEY,))).locked(portal_id):
        pass


@pytest.mark.parametrize("missing", [True, False], ids=["disconnected", "erased"])
def test_a_portal_without_access_has_nothing_to_hold(database: Database, missing):
    portal_id = store(database, None) if missing else 987_654
    with pytest.raises(AccessLost, match="connect it again"), StoredTokens(database, Vault((KEY,))).locked(portal_id):
        pass


def test_what_is_kept_is_sealed_with_the_newest_key_and_nowhere_in_the_clear(database: Database):
    portal_id = store(database, some_grant())
    with StoredTokens(database, Vault(("a newer key, long enough", KEY))).locked(portal_id) as held:
        held.keep(some_grant(2))
        assert held.grant == some_grant(2)
    assert stored(database, portal_id, "a newer key, long enough") == some_grant(2)
    with pytest.raises(Misconfigured):
        stored(database, portal_id, KEY)
    with database.session() as session:
        shown = session.scalar(text("SELECT portals::text FROM portals"))
    assert "access-2" not in str(shown)
    assert "refresh-2" not in str(shown)


def test_an_error_in_the_block_leaves_the_old_pair(database: Database):
    portal_id = store(database, some_grant())
    keeper = StoredTokens(database, Vault((KEY,)))

    def keep_and_fail() -> None:
        with keeper.locked(portal_id) as held:
            held.keep(some_grant(2))
            raise Unavailable("after the answer")

    with pytest.raises(Unavailable):
        keep_and_fail()
    assert stored(database, portal_id) == some_grant()
    with keeper.locked(portal_id) as held:
        assert held.grant == some_grant()


@pytest.mark.parametrize("same_process", [True, False], ids=["a-thread", "a-process"])
def test_who_holds_a_grant_for_too_long_is_not_waited_for(database: Database, same_process):
    portal_id = store(database, some_grant())
    first = StoredTokens(database, Vault((KEY,)))
    second = StoredTokens(database, Vault((KEY,)), patience_ms=50)
    if same_process:
        first._patience_ms = 50
        second = first
    with first.locked(portal_id), pytest.raises(Unavailable, match="too long"), second.locked(portal_id):
        pass


def test_two_portals_are_held_at_once(database: Database):
    one = store(database, some_grant())
    with database.session() as session:
        session.execute(text("UPDATE portals SET name = 'other', account_id = '2'"))
    two = store(database, some_grant(5))
    keeper = StoredTokens(database, Vault((KEY,)))
    with keeper.locked(one) as first, keeper.locked(two) as second:
        assert (first.grant.access_token, second.grant.access_token) == ("access-1", "access-5")


# --- one renewal -----------------------------------------------------------------------------------------------


@dataclass
class Bench:
    """An emulated account whose grant has come to its end, and a portal that holds it."""

    database: Database
    account: Account
    app: OAuthApp
    courier: Courier
    portal_id: int
    ended: Grant
    host: str

    def tokens(self) -> KeptTokens:
        keeper = StoredTokens(self.database, Vault((KEY,)))
        return KeptTokens(keeper, self.portal_id, self.ended, self._renew, early=EARLY, now=now)

    def _renew(self, grant: Grant) -> Grant:
        return refresh(self.app, self.courier, grant)

    @contextmanager
    def process(self, *, die: bool = False) -> Iterator[subprocess.Popen[str]]:
        child = subprocess.Popen(
            [sys.executable, "-m", "tests.connector.store.renewer"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        try:
            _say(
                child,
                json.dumps(
                    {
                        "database": self.database.url,
                        "key": KEY,
                        "portal_id": self.portal_id,
                        "client_id": self.app.client_id,
                        "client_secret": self.app.client_secret,
                        "redirect_url": BACK,
                        "host": self.host,
                        "die": die,
                    }
                ),
            )
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
            yield child
        finally:
            child.kill()
            child.communicate()

    @property
    def renewals(self) -> int:
        return self.account.oauth.grants.refreshes


def _say(child: subprocess.Popen[str], line: str) -> None:
    assert child.stdin is not None
    child.stdin.write(line + "\n")
    child.stdin.flush()


def _hear(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    return child.stdout.readline().strip()


@pytest.fixture
def bench(database: Database) -> Iterator[Bench]:
    account = create_portal(northwind_shop(now().date()), clock=RealClock())
    account.oauth.redirect_url = BACK
    with serve(account.app) as server:
        host = urlsplit(server.url).netloc
        app = oauth_app(account.oauth.client_id, account.oauth.client_secret, BACK)
        transport = courier_transport(HostPolicy(frozenset({host})))
        pair = account.oauth.grants.issue(Consent(0, ("crm",)))
        begun = now() - timedelta(days=1)
        account_id = str(account.account.settings.id)
        ended = Grant(
            pair.access, pair.refresh, begun, begun + timedelta(days=1), account_id=account_id, base_url=server.url
        )
        portal_id = store(database, ended)
        yield Bench(database, account, app, Courier(transport, LocalStates(), now), portal_id, ended, host)
        transport.close()


@pytest.mark.parametrize("shared", [True, False], ids=["one-object", "an-object-each"])
def test_a_hundred_threads_at_the_end_of_a_token_cause_one_renewal(bench: Bench, shared):
    one = bench.tokens()
    each = [one if shared else bench.tokens() for _ in range(100)]
    start, found = threading.Barrier(100), []

    def ask(tokens: KeptTokens) -> None:
        start.wait()
        found.append(tokens.current())

    threads = [threading.Thread(target=ask, args=(tokens,)) for tokens in each]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kept = stored(bench.database, bench.portal_id)
    assert kept is not None
    assert found == [kept.access_token] * 100
    assert bench.renewals == 1
    assert bench.account.double_refreshes == 0
    assert bench.account.oauth.grants.is_live(kept.access_token)


def test_two_processes_at_the_end_of_a_token_cause_one_renewal(bench: Bench):
    with bench.process() as one, bench.process() as two:
        for child in (one, two):
            _say(child, "go")
        found = {_hear(one), _hear(two)}
    kept = stored(bench.database, bench.portal_id)
    assert kept is not None
    assert found == {kept.access_token}
    assert bench.renewals == 1
    assert bench.account.double_refreshes == 0


def test_a_process_killed_after_the_answer_holds_nothing_and_the_loss_is_told_not_tried_for_ever(bench: Bench):
    with bench.process(die=True) as child:
        _say(child, "go")
        assert child.wait(30) == -9
    assert stored(bench.database, bench.portal_id) == bench.ended
    assert bench.renewals == 1
    with pytest.raises(TokenExpired, match="install the integration again"):
        bench.tokens().current()
    assert bench.renewals == 1


def test_after_a_new_installation_the_lost_portal_works_again(bench: Bench):
    bench.account.oauth.uninstall()
    tokens = bench.tokens()
    with pytest.raises(AccessLost):
        tokens.current()
    pair = bench.account.oauth.grants.issue(Consent(0, ("crm",)))
    again = replace(
        bench.ended,
        access_token=pair.access,
        refresh_token=pair.refresh,
        issued_at=now(),
        expires_at=now() + timedelta(days=1),
    )
    with StoredTokens(bench.database, Vault((KEY,))).locked(bench.portal_id) as held:
        held.keep(again)
    assert tokens.current() == pair.access
    assert bench.renewals == 0
