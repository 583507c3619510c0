from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import urllib.request

import psutil
import pytest

from connector import server
from connector.config import Config
from connector.errors import WrongUse

PATIENCE_S = 60


@pytest.fixture
def taken_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield taken.getsockname()[1]


@pytest.fixture
def serving(database, tmp_path):
    """A web process of its own, on a free port, and its first line."""
    environment = {**os.environ, "DATABASE_URL": database.url, "PORT": "0", "VAR_DIR": str(tmp_path)}
    process = subprocess.Popen(
        [sys.executable, "-m", "connector", "serve"],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process, process.stderr.readline()
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(PATIENCE_S)
        process.stderr.close()


def test_it_listens_on_this_computer_only_unless_it_has_a_public_address():
    for public_url, address in ((None, "127.0.0.1"), ("https://rfm.example", "0.0.0.0")):
        with server.listen(Config(port=0, public_url=public_url)) as listener:
            assert listener.getsockname()[0] == address


def test_a_taken_port_is_one_clear_sentence(taken_port):
    with pytest.raises(WrongUse, match=f"port {taken_port} is taken by another process: choose another with PORT="):
        server.listen(Config(port=taken_port))


def test_a_port_that_may_not_be_used_says_why(monkeypatch):
    def refuse(*_words):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(server.socket.socket, "bind", refuse)
    with pytest.raises(WrongUse, match=r"port 80 cannot be used \(Permission denied\)"):
        server.listen(Config(port=80))


def test_people_are_told_the_address_they_can_open():
    with server.listen(Config(port=0)) as listener:
        port = listener.getsockname()[1]
        assert server.address_of(listener) == f"http://127.0.0.1:{port}/"


@pytest.mark.slow
@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_and_a_signal_stops_it_without_a_trace(serving, sign):
    process, line = serving
    address = line.removeprefix("serving at ").split(" ")[0]
    with urllib.request.urlopen(address + "healthz", timeout=PATIENCE_S) as answer:
        assert answer.read() == b"ok"
    workers = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, sign)  # as a terminal does
    assert process.wait(PATIENCE_S) == 0
    assert process.stderr.read() == ""
    _gone, alive = psutil.wait_procs(workers, timeout=PATIENCE_S)
    assert alive == []


@pytest.mark.slow
def test_a_second_server_on_the_same_port_ends_with_status_2(database, tmp_path, taken_port):
    environment = {**os.environ, "DATABASE_URL": database.url, "PORT": str(taken_port), "VAR_DIR": str(tmp_path)}
    ended = subprocess.run(
        [sys.executable, "-m", "connector", "serve"], check=False, env=environment, capture_output=True, text=True
    )
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr.count("\n") == 1
