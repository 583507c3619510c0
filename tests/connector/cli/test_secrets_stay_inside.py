"""The whole loop over HTTP against each sandbox with everything logged: the token appears nowhere."""

from __future__ import annotations

import io
import logging
from datetime import UTC, datetime
from importlib import import_module

import pytest

from adapters.records import CRM
from sandbox.clock import RealClock
from sandbox.faults import Fault, Faults
from sandbox.random_shop import random_shop
from sandbox.server import serve
from tests.connector.factories import dump

SECRET = "sandbox0token0that0nobody0may0see"


@pytest.mark.parametrize("crm", list(CRM))
def test_the_token_is_in_no_output_no_log_and_no_row(cli, monkeypatch, database, crm):
    faults = Faults.none()
    portal = import_module(f"sandbox.{crm.value}").create_portal(
        random_shop(3, 12, 30, datetime.now(UTC).date()), clock=RealClock(), limits=False, faults=faults, token=SECRET
    )
    with serve(portal.app) as server:
        monkeypatch.setenv("ALLOWED_CRM_HOSTS", server.url.removeprefix("http://"))
        url = portal.connect_url(server.url)
        words = {
            CRM.HUBSPOT: ("--token", SECRET, "--api-url", url),
            CRM.AMOCRM: ("--token", SECRET, "--account-url", url),
            CRM.BITRIX24: ("--webhook-url", url),
        }[crm]
        said = [cli("connect", crm.value, "--name", "p", *words)]
        assert said[0].status == 0, said[0]
        faults.force(Fault.LOST_ANSWER)
        faults.force(Fault.SERVER_ERROR)
        commands = (("run", "p", "--json"), ("run", "p", "--dry-run"), ("portals", "--json"), ("doctor",))
        said += [cli(*command) for command in commands]
        wrong = [word.replace(SECRET, f"{SECRET}x") for word in words]
        said.append(cli("connect", crm.value, "--name", "p", *wrong))
    said.append(cli("sync", "p"))
    assert [one.status for one in said] == [0, 0, 0, 0, 0, 3, 3], said
    everything = "".join(one.out + one.err for one in said)
    assert "DEBUG rfm.http" in everything, "calls are logged, or this proves nothing"
    assert SECRET not in everything
    assert SECRET not in repr(dump(database))


def test_other_peoples_loggers_speak_only_when_they_warn(cli):
    cli("portals")
    held = io.StringIO()
    (handler,) = logging.getLogger().handlers
    handler.setStream(held)
    for name in ("urllib3.connectionpool", "sqlalchemy.engine", "alembic.runtime"):
        logging.getLogger(name).info("payload")
        logging.getLogger(name).warning("trouble")
    logging.getLogger("rfm.http").debug("ours")
    assert "payload" not in held.getvalue()
    assert held.getvalue().count("trouble") == 3
    assert "ours" in held.getvalue()
