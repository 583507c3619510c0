"""Requests over plain sockets, in a process of its own: as fast as the answers come, or so many a second.

A request is the bytes of it. `flat_out` keeps a fixed number of connections busy; `paced` sends at given moments
whatever the server does and opens another connection where none is idle, which is how a CRM behaves.
"""

from __future__ import annotations

import multiprocessing
import selectors
import socket
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

_MOST_OPEN = 900
_LIMIT_S = 10.0
_END = b"\r\n\r\n"


@dataclass
class Heard:
    """Answers by status (0: cut or none within ten seconds), seconds each took, by status, and how long all took."""

    seconds: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    took: dict[int, list[float]] = field(default_factory=dict)
    hinted: int = 0
    """503 with `Retry-After`."""

    def note(self, status: int, took: float, *, hinted: bool = False) -> None:
        """One more answer."""
        self.statuses[status] += 1
        self.took.setdefault(status, []).append(took)
        self.hinted += hinted

    def a_second(self, status: int = 200) -> float:
        """Answers of a status per second."""
        return self.statuses[status] / self.seconds if self.seconds else 0.0

    def part(self, share: float, *statuses: int) -> float:
        """The quantile of the seconds, of some statuses or of all."""
        found = sorted(took for status, all_of in self.took.items() if not statuses or status in statuses
                       for took in all_of)  # fmt: skip
        return found[min(len(found) - 1, int(share * len(found)))] if found else 0.0


class Load:
    """The generating process. Its requests are sent over once; turns of it are asked for by their first byte."""

    def __init__(self, port: int) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._line, there = spawn.Pipe()
        self._process = spawn.Process(target=_generate, args=(there, port), daemon=True)
        self._process.start()
        there.close()

    def flat_out(self, requests: Sequence[bytes], seconds: float, connections: int) -> Heard:
        """Each of the connections sends its next request when it has its answer."""
        return self._ask(requests, seconds, connections, 0.0)

    def paced(self, requests: Sequence[bytes], seconds: float, rate: float) -> Heard:
        """So many requests a second, whatever becomes of them."""
        return self._ask(requests, seconds, 0, rate)

    def begin(self, requests: Sequence[bytes], seconds: float, rate: float) -> None:
        """The same without waiting for its end: `heard` has it."""
        self._line.send((list(requests), seconds, 0, rate))

    def heard(self) -> Heard:
        """What came of what was begun."""
        found: Heard = self._line.recv()
        return found

    def close(self) -> None:
        """End the process."""
        self._line.close()
        self._process.join(5)

    def _ask(self, requests: Sequence[bytes], seconds: float, connections: int, rate: float) -> Heard:
        self._line.send((list(requests), seconds, connections, rate))
        return self.heard()


def _generate(line: Connection, port: int) -> None:
    while True:
        try:
            requests, seconds, connections, rate = line.recv()
        except EOFError:
            return
        line.send(_Turn(port, requests, seconds, connections, rate).run())


class _Talk:
    """One connection and what it waits for."""

    __slots__ = ("answer", "began", "idle", "left", "sent", "wire")

    def __init__(self, wire: socket.socket) -> None:
        self.wire = wire
        self.answer = b""
        self.began = 0.0
        self.sent = 0
        self.left = b""
        self.idle = True


class _Turn:
    """One turn of the generator."""

    def __init__(self, port: int, requests: Sequence[bytes], seconds: float, connections: int, rate: float) -> None:
        self._port, self._requests, self._seconds, self._rate = port, requests, seconds, rate
        self._connections = connections
        self._next = 0
        self._idle: list[_Talk] = []
        self._open: set[_Talk] = set()
        self._look = selectors.DefaultSelector()
        self._heard = Heard()

    def run(self) -> Heard:
        """Send for some seconds, wait for the last answers, and tell."""
        began = time.perf_counter()
        end = began + self._seconds
        for _ in range(self._connections):
            self._send(time.perf_counter())
        sent = 0
        while True:
            now = time.perf_counter()
            if self._rate and now < end:
                while sent < (now - began) * self._rate:
                    self._send(began + sent / self._rate)
                    sent += 1
            busy = len(self._open) - len(self._idle)
            if now >= end and (not busy or now > end + _LIMIT_S):
                break
            for key, events in self._look.select(0.0005 if self._rate else 0.05):
                self._go_on(key.data, events, again=not self._rate and now < end)
        self._heard.seconds = (end if self._rate else time.perf_counter()) - began
        for talk in self._open - set(self._idle):
            self._heard.note(0, time.perf_counter() - talk.began)
        for talk in self._open:
            talk.wire.close()
        return self._heard

    def _send(self, due: float) -> None:
        talk = self._idle.pop() if self._idle else self._connected()
        if talk is None:
            self._heard.note(0, 0.0)
            return
        talk.idle, talk.began, talk.answer = False, due, b""
        talk.left = self._requests[self._next % len(self._requests)]
        self._next += 1
        self._push(talk)

    def _connected(self) -> _Talk | None:
        if len(self._open) >= _MOST_OPEN:
            return None
        wire = socket.socket()
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        wire.setblocking(False)
        wire.connect_ex(("127.0.0.1", self._port))
        talk = _Talk(wire)
        self._open.add(talk)
        self._look.register(wire, selectors.EVENT_READ | selectors.EVENT_WRITE, talk)
        return talk

    def _push(self, talk: _Talk) -> None:
        try:
            done = talk.wire.send(talk.left) if talk.left else 0
        except BlockingIOError:
            done = 0
        except OSError:
            self._cut(talk)
            return
        talk.left = talk.left[done:]
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if talk.left else 0)
        self._look.modify(talk.wire, wanted, talk)

    def _go_on(self, talk: _Talk, events: int, *, again: bool) -> None:
        if events & selectors.EVENT_WRITE and talk.left:
            self._push(talk)
        if not events & selectors.EVENT_READ or talk not in self._open:
            return
        try:
            more = talk.wire.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            more = b""
        if not more:
            self._cut(talk)
        else:
            talk.answer += more
            if _whole(talk.answer):
                self._answered(talk)
            else:
                return
        if again:
            self._send(time.perf_counter())

    def _answered(self, talk: _Talk) -> None:
        head = talk.answer.partition(_END)[0].lower()
        self._heard.note(int(head[9:12]), time.perf_counter() - talk.began, hinted=b"\r\nretry-after:" in head)
        talk.idle = True
        if b"\r\nconnection: close" in head or talk.left:
            self._drop(talk)
        else:
            self._idle.append(talk)

    def _cut(self, talk: _Talk) -> None:
        if not talk.idle:
            self._heard.note(0, time.perf_counter() - talk.began)
        elif talk in self._idle:
            self._idle.remove(talk)
        self._drop(talk)

    def _drop(self, talk: _Talk) -> None:
        self._look.unregister(talk.wire)
        talk.wire.close()
        self._open.discard(talk)


def _whole(answer: bytes) -> bool:
    head, end, body = answer.partition(_END)
    if not end:
        return False
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return len(body) >= int(value)
    return head[9:12] in {b"204", b"304"}


def request(method: str, path: str, headers: Sequence[tuple[str, str]] = (), body: bytes = b"") -> bytes:
    """The bytes of a request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *(f"{name}: {value}" for name, value in headers)]
    if body or method == "POST":
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + _END + body
