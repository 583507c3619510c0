"""What an OAuth step needs besides its own words: a courier that waits by a clock of the test's own."""

from __future__ import annotations

from http.client import HTTPConnection
from urllib.parse import parse_qsl, urlsplit

from adapters.budget import LocalStates
from adapters.hosts import HostPolicy
from adapters.oauth import Courier
from adapters.transport import Answer, Call, Transport
from sandbox.clock import ManualClock


def courier_to(*urls: str, clock: ManualClock) -> Courier:
    """A courier that may call these servers; it gives up after few tries, as the real one does."""
    hosts = HostPolicy(frozenset(urlsplit(url).netloc for url in urls))
    transport = Transport(hosts, patience=20.0, attempts=2, sleep=clock.advance, clock=clock.monotonic)
    return Courier(transport, LocalStates(clock.monotonic), clock.now)


def follow(url: str) -> tuple[str, dict[str, str]]:
    """What a browser does with a consent page that agrees at once: the address it is sent to, and its query."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    connection.request("GET", f"{parts.path}?{parts.query}")
    answer = connection.getresponse()
    answer.read()
    connection.close()
    assert answer.status == 302, answer.status
    target = urlsplit(answer.headers["Location"])
    return target._replace(query="").geturl(), dict(parse_qsl(target.query))


class Scripted:
    """A transport that answers from a list and remembers what it was asked."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, Call, dict[str, str]]] = []

    def send(self, call: Call, dialect) -> Answer:
        signed = dialect.sign(call, None)
        self.asked.append((signed.url, call, dict(signed.headers)))
        answer = self.answers.pop(0)
        fault = dialect.fault(call, answer)
        if fault is not None:
            raise fault
        return answer


def scripted(clock: ManualClock, *answers: Answer) -> tuple[Courier, Scripted]:
    line = Scripted(*answers)
    return Courier(line, LocalStates(clock.monotonic), clock.now), line  # type: ignore[arg-type]
