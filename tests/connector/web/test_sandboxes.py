from __future__ import annotations

import socket
import subprocess
import sys

import psutil
import pytest

from connector import sandboxes
from connector.errors import Interruption

PATIENCE_S = 60
START_AND_WAIT = """
import sys
from connector.sandboxes import sandbox_portals
with sandbox_portals() as offers:
    print(offers[0].host, flush=True)
    sys.stdin.read()
"""


@pytest.mark.slow
def test_three_portals_are_offered_and_gone_afterwards():
    with sandboxes.sandbox_portals() as offers:
        assert [offer.crm.value for offer in offers] == ["amocrm", "bitrix24", "hubspot"]
        assert all(sandboxes.answers(offer.host) for offer in offers)
        assert "token" not in repr(offers[0]).replace("Offer(", "")
        children = psutil.Process().children(recursive=True)
    assert not any(sandboxes.answers(offer.host) for offer in offers)
    assert not any("sandbox" in child.cmdline() for child in children if child.is_running())


@pytest.mark.slow
def test_where_a_port_is_taken_free_ones_are_used():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with sandboxes.sandbox_portals(first_port=port) as offers:
            ports = {int(offer.host.rpartition(":")[2]) for offer in offers}
    assert port not in ports
    assert len(ports) == 3


@pytest.mark.slow
def test_the_portals_end_with_a_parent_that_is_killed():
    parent = subprocess.Popen(
        [sys.executable, "-c", START_AND_WAIT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    host = parent.stdout.readline().strip()
    children = psutil.Process(parent.pid).children(recursive=True)
    parent.kill()
    parent.wait(PATIENCE_S)
    for pipe in (parent.stdin, parent.stdout):
        pipe.close()
    _gone, alive = psutil.wait_procs(children, timeout=PATIENCE_S)
    assert children
    assert alive == []
    assert not sandboxes.answers(host)


def test_a_sandbox_that_does_not_start_is_one_sentence(monkeypatch):
    monkeypatch.setattr(sandboxes.sys, "executable", "/bin/false")
    with pytest.raises(Interruption, match="did not start"), sandboxes.sandbox_portals():
        pass


@pytest.mark.parametrize("host", ["127.0.0.1:1", "127.0.0.1", "", "127.0.0.1:port"])
def test_nothing_answers_where_nothing_listens(host):
    assert not sandboxes.answers(host)
