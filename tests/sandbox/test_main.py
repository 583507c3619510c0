from __future__ import annotations

import json
import threading
from datetime import date
from threading import Event

import pytest
import requests

from sandbox.__main__ import CRMS, main, portals
from sandbox.northwind import northwind_shop


def test_every_emulator_is_made_with_its_faults():
    made = list(portals(northwind_shop(date(2026, 11, 24)), 0.05))
    assert [portal.crm for portal in made] == list(CRMS)
    assert all(portal.faults.rates for portal in made)
    assert all(portal.exceeded == portal.requests == 0 for portal in made)


def test_it_prints_one_line_per_portal_and_serves_until_it_is_stopped(capsys):
    class Probing(Event):
        """Asks the portals while `main` waits."""

        def wait(self, timeout=None):
            self.lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
            hubspot = self.lines[CRMS.index("hubspot")]
            headers = {"Authorization": f"Bearer {hubspot['token']}"}
            self.answer = requests.get(f"{hubspot['url']}/account-info/2026-09/details", headers=headers)
            return True

    probing = Probing()
    before = threading.active_count()
    assert main(["--faults", "0"], probing) == 0
    assert [line["crm"] for line in probing.lines] == list(CRMS)
    assert all(line["url"].startswith("http://127.0.0.1:") for line in probing.lines)
    assert probing.answer.json()["portalId"] == 101
    assert threading.active_count() <= before + 1
    with pytest.raises(requests.ConnectionError):
        requests.get(probing.lines[0]["url"])
