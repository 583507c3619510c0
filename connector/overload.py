"""The web process under more than it can do: webhooks are refused before they are read, pages go on.

A CRM that hears 503 with `Retry-After` sends again later; one that hears nothing in time counts us as broken, and in
the end switches its webhooks off. Reading a request costs as much as answering it, so what is refused is looked at
only as far as its first words.
"""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from typing import Any

from gunicorn.workers.gthread import ThreadWorker

RETRY_AFTER_S = 5
MOST_WAITING = 40
"""Requests that wait for a thread, beyond which webhooks are refused: a fraction of a second's work."""
LONGEST_WAIT_S = 0.3
"""A webhook that waited longer is refused as well: the database stands still, or the machine is busy with others."""

_WEBHOOK = b"POST /webhooks/"
_REFUSAL = (
    f"HTTP/1.1 503 Service Unavailable\r\nRetry-After: {RETRY_AFTER_S}\r\n"
    "Content-Length: 0\r\nConnection: close\r\n\r\n"
).encode()


class Worker(ThreadWorker):  # type: ignore[misc]
    """Gunicorn's threads, with a door for webhooks in front of their queue."""

    def __init__(self, *words: Any, **more: Any) -> None:
        super().__init__(*words, **more)
        self._since: dict[Any, float] = {}

    def enqueue_req(self, conn: Any) -> None:
        """Hand a connection that has something to say to the threads, or refuse it."""
        if len(self._since) > MOST_WAITING and refused(conn.sock):
            self.nr_conns -= 1
            conn.close()
            return
        self._since[conn] = time.monotonic()
        super().enqueue_req(conn)

    def handle(self, conn: Any) -> Any:
        """Answer a connection, in a thread."""
        if time.monotonic() - self._since.pop(conn) > LONGEST_WAIT_S and refused(conn.sock):
            return False
        return super().handle(conn)


def refused(sock: socket.socket) -> bool:
    """Refuse what the socket holds if that is a webhook; anything else, and what is not there yet, is left alone."""
    with suppress(OSError):
        sock.setblocking(False)
        if sock.recv(len(_WEBHOOK), socket.MSG_PEEK) == _WEBHOOK:
            with suppress(BlockingIOError):
                while sock.recv(1 << 20):  # unread bytes would cut the connection before the answer is heard
                    pass
            sock.send(_REFUSAL)
            sock.shutdown(socket.SHUT_WR)
            return True
    with suppress(OSError):
        sock.setblocking(True)
    return False
