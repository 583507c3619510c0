"""What is refused when too much waits: webhooks, before they are read, and nothing else."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest
from gunicorn.config import Config
from gunicorn.workers.gthread import ThreadWorker

from connector import overload

WEBHOOK = b"POST /webhooks/hubspot HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody"
PAGE = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


class Wire:
    """A client's end and ours."""

    def __init__(self) -> None:
        self.theirs, self.sock = socket.socketpair()
        self.is_closed = False

    def close(self) -> None:
        self.is_closed = True
        self.sock.close()

    def heard(self) -> bytes:
        found = b""
        while more := self.theirs.recv(1000):
            found += more
        return found


@pytest.fixture
def wire() -> Iterator[Wire]:
    made = Wire()
    yield made
    made.theirs.close()
    made.sock.close()


@pytest.fixture
def worker(monkeypatch) -> overload.Worker:
    taken = []
    monkeypatch.setattr(ThreadWorker, "enqueue_req", lambda _, conn: taken.append(conn))
    monkeypatch.setattr(ThreadWorker, "handle", lambda _, conn: "answered")
    made = overload.Worker(1, 1, [], None, 30, Config(), None)
    made.taken = taken
    made.nr_conns = 1
    return made


def test_a_webhook_is_asked_to_come_again(wire):
    wire.theirs.sendall(WEBHOOK)
    assert overload.refused(wire.sock)
    wire.sock.close()
    head = wire.heard()
    assert head.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nRetry-After: 5\r\n" in head


@pytest.mark.parametrize("sent", [PAGE, b"", b"POST /web", b"HEAD /webhooks/bitrix24 HTTP/1.1\r\n\r\n"])
def test_anything_else_is_left_as_it_is(wire, sent):
    wire.theirs.sendall(sent)
    assert not overload.refused(wire.sock)
    wire.theirs.shutdown(socket.SHUT_WR)
    assert wire.sock.recv(1000) == sent


def test_webhooks_are_refused_while_too_many_wait_and_pages_are_not(worker, wire, monkeypatch):
    monkeypatch.setattr(overload, "MOST_WAITING", 0)
    first, page = Wire(), Wire()
    for one, sent in ((first, WEBHOOK), (wire, WEBHOOK), (page, PAGE)):
        one.theirs.sendall(sent)
        worker.enqueue_req(one)
    assert worker.taken == [first, page]
    assert wire.is_closed
    assert worker.nr_conns == 0
    assert worker.handle(first) == worker.handle(page) == "answered"
    wire.theirs.close()
    again = Wire()
    again.theirs.sendall(WEBHOOK)
    worker.enqueue_req(again)
    assert again in worker.taken


def test_a_webhook_that_waited_too_long_is_refused_and_a_page_is_answered(worker, wire, monkeypatch):
    page, now = Wire(), time.monotonic()
    wire.theirs.sendall(WEBHOOK)
    page.theirs.sendall(PAGE)
    worker.enqueue_req(wire)
    worker.enqueue_req(page)
    monkeypatch.setattr(time, "monotonic", lambda: now + 60)
    assert worker.handle(wire) is False
    assert worker.handle(page) == "answered"
