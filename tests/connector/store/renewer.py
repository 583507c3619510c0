"""A process that needs a token: `python -m tests.connector.store.renewer` with its orders as JSON in the first line.

Says `ready`, waits for a second line, and prints the token it got, or the name of the error. With `die` true it is
killed as soon as the vendor's answer has come, before anything is stored.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from datetime import UTC, datetime

from adapters.amocrm.auth import EARLY, oauth_app, refresh
from adapters.budget import LocalStates
from adapters.errors import CRMError
from adapters.hosts import HostPolicy
from adapters.oauth import Courier, Grant, KeptTokens, courier_transport
from connector.secrets import Vault
from connector.store.database import Database
from connector.store.tokens import StoredTokens


def _now() -> datetime:
    return datetime.now(UTC)


def main() -> None:
    orders = json.loads(sys.stdin.readline())
    app = oauth_app(orders["client_id"], orders["client_secret"], orders["redirect_url"])
    courier = Courier(courier_transport(HostPolicy(frozenset({orders["host"]}))), LocalStates(), _now)

    def renewal(grant: Grant) -> Grant:
        fresh = refresh(app, courier, grant)
        if orders["die"]:
            os.kill(os.getpid(), signal.SIGKILL)
        return fresh

    keeper = StoredTokens(Database(orders["database"]), Vault((orders["key"],)))
    with keeper.locked(orders["portal_id"]) as held:
        seen = held.grant
    tokens = KeptTokens(keeper, orders["portal_id"], seen, renewal, early=EARLY, now=_now)
    print("ready", flush=True)
    sys.stdin.readline()
    try:
        print(tokens.current(), flush=True)
    except CRMError as error:
        print(type(error).__name__, flush=True)


if __name__ == "__main__":
    main()
