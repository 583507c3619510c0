"""The life of an installed app, with the web process and commands as they are run: every CRM's sandbox over HTTP."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.acceptance.life import Life, living
from tests.acceptance.stage import CRMS

pytestmark = pytest.mark.slow


@pytest.fixture(params=CRMS)
def life(request, database, database_url, tmp_path) -> Iterator[Life]:
    with living(request.param, database, database_url, tmp_path) as alive:
        yield alive


def test_an_installed_app_lives_through_expiry_loss_removal_and_return(life):
    told = life.install()
    assert told.status == 200, told.text
    name = life.kept().name
    first = life.command("run", name)
    assert first["written"] == first["scored"] > 0

    life.portal.oauth.grants.expire()
    again = life.command("run", name)
    assert (again["written"], again["refused"]) == (0, [])
    assert life.portal.oauth.grants.refreshes == 1
    assert life.portal.double_refreshes == 0

    life.portal.oauth.grants.revoke_all()
    life.command("run", name, check=3)
    portal = life.kept()
    assert portal.state == "paused"
    assert portal.state_reason
    asked = life.portal.requests
    life.command("run", name, check=3)
    assert life.portal.requests == asked

    assert life.install().status == 200
    assert life.kept().state == "active"
    assert life.command("run", name)["written"] == 0

    life.uninstall()
    if life.crm == "hubspot":  # nobody is told: the next call finds out
        life.command("run", name, check=3)
        assert life.kept().state == "paused"
    else:
        assert life.kept().state == "disconnected"
        assert life.kept().access is None
        life.command("run", name, check=2)

    assert life.install().status == 200
    portal = life.kept()
    assert (portal.name, portal.state) == (name, "active")
    assert life.command("run", name)["written"] == 0
    assert life.portal.double_refreshes == 0
