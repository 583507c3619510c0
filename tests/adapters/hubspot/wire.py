"""A transport without a network: answers by path, in turn, and remembers what was asked."""

import json
from collections import defaultdict
from datetime import UTC, datetime

import orjson

from adapters.budget import LocalStates
from adapters.errors import Interrupted
from adapters.hubspot.adapter import HubSpot
from adapters.hubspot.auth import access_from_input
from adapters.transport import Answer

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
DATE = "Sun, 22 Nov 2026 12:00:00 GMT"
LOST = object()
"""An answer that never comes."""


def answer(body=None, status=200, **headers):
    return Answer(status, {"Date": DATE, **headers}, b"" if body is None else orjson.dumps(body))


class Wire:
    """`on(end of path, *answers)`: the last one repeats. Answers are bodies, `Answer`s, functions of the call, LOST."""

    def __init__(self):
        self.calls = []
        self._answers = defaultdict(list)

    def on(self, path_end, *answers):
        self._answers[path_end] = list(answers)
        return self

    def send(self, call, dialect):
        self.calls.append(call)
        found = self._answer(call)
        if found is LOST:
            raise Interrupted("hubspot did not answer")
        dialect.learn(call, found)
        fault = dialect.fault(call, found)
        if fault is not None:
            raise fault
        return found

    def send_all(self, calls, dialect):
        return [self.send(call, dialect) for call in calls]

    def _answer(self, call):
        ends = [end for end in self._answers if call.path.endswith(end)]
        assert ends, f"nobody answers {call.method} {call.path}"
        queue = self._answers[max(ends, key=len)]
        found = queue.pop(0) if len(queue) > 1 else queue[0]
        found = found(call) if callable(found) else found
        return found if isinstance(found, Answer) or found is LOST else answer(found)

    def bodies(self, path_end):
        return [call.json for call in self.calls if call.path.endswith(path_end)]

    def queries(self, path_end):
        return [dict(call.query) for call in self.calls if call.path.endswith(path_end)]


def adapter(wire):
    return HubSpot(access_from_input("pat-eu1-secret"), wire, LocalStates(clock=lambda: 0.0), now=lambda: NOW)


def record(record_id, *, updated="2026-11-20T10:00:00.000Z", associations=None, **properties):
    body = {
        "id": str(record_id),
        "properties": properties,
        "createdAt": "2026-01-02T03:04:05.678Z",
        "updatedAt": updated,
        "archived": False,
    }
    return body if associations is None else {**body, "associations": associations}


def page(*results, after=None, **more):
    body = {"results": list(results), **more}
    return body if after is None else {**body, "paging": {"next": {"after": after, "link": "https://old.example"}}}


def linked(**ends):
    """An answer of a batch read: record id (`_101`) → ids it is associated with."""
    return page(
        *(
            {
                "from": {"id": start.strip("_")},
                "to": [{"toObjectId": end, "associationTypes": []} if isinstance(end, int) else end for end in found],
            }
            for start, found in ends.items()
        )
    )


def account(**changes):
    return {
        "portalId": 101,
        "timeZone": "Europe/Berlin",
        "companyCurrency": "EUR",
        "uiDomain": "app-eu1.hubspot.com",
        "accountType": "STANDARD",
        **changes,
    }


def place(cursor):
    return json.loads(cursor)
