from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.errors import Unavailable
from adapters.records import CRM
from connector import demo, server
from connector.config import Config
from connector.jobs.loop import Report
from connector.sandboxes import Offer
from connector.store import portals
from tests.acceptance.life import until
from tests.connector.factories import rows
from tests.connector.web import shop

OFFERS = [Offer(crm, f"http://127.0.0.1:{9000 + place}", "t" * 20) for place, crm in enumerate(CRM)]


@pytest.fixture
def config(database, tmp_path):
    return Config(database_url=database.url, var_dir=tmp_path, port=0)


@pytest.fixture
def stage(monkeypatch):
    """A demo without a sandbox: portals that connect and run as `runs` says; what was done is kept in `done`."""

    class Stage:
        def __init__(self) -> None:
            self.done: list[str] = []
            self.runs = {}
            self.refused = []
            self.hosts = frozenset()

        @contextmanager
        def sandbox(self, app_url=None):
            self.app_url = app_url
            self.done.append("start")
            try:
                yield OFFERS
            finally:
                self.done.append("stop")

        def connect(self, service, crm, name, *, url, token):
            self.hosts = service.config.allowed_crm_hosts
            with service.database.session() as session:
                shop.whole_shop(session, name, 3, crm=crm.value, host=url.removeprefix("http://"))

        def run(self, service, name, *, progress):
            progress("orders:deals", 5)
            if name in self.runs:
                raise self.runs[name]
            return Report(name, "r", customers=7, scored=3, written=3, seconds=1.25, refused=self.refused)

    made = Stage()
    monkeypatch.setattr(demo, "sandbox_portals", made.sandbox)
    monkeypatch.setattr(demo.connecting, "connect", made.connect)
    monkeypatch.setattr(demo.loop, "run_portal", made.run)
    return made


def test_every_portal_is_connected_and_run_and_the_result_is_a_table(config, stage, capsys):
    assert demo.play(config, once=True, as_json=False) == 0
    shown = capsys.readouterr()
    lines = shown.out.splitlines()
    assert " ".join(lines[0].split()) == "crm customers orders scored cards written tasks requests seconds"
    assert [line.split()[:2] for line in lines[1:4]] == [["amocrm", "7"], ["bitrix24", "7"], ["hubspot", "7"]]
    assert "  http://127.0.0.1:9000/sandbox/cards/contact/2" in lines
    assert sorted(shown.err.splitlines()[1:]) == [f"sandbox-{crm}: done" for crm in CRM]
    assert stage.done == ["start", "stop"]
    assert stage.hosts == {offer.host for offer in OFFERS}


def test_a_portal_that_fails_is_named_and_the_others_go_on(config, stage, capsys):
    stage.runs = {"sandbox-bitrix24": Unavailable("the portal does not answer"), "sandbox-hubspot": KeyError("bug")}
    assert demo.play(config, once=True, as_json=True) == 3
    shown = capsys.readouterr()
    found = {each["portal"]: each for each in json.loads(shown.out.splitlines()[-1])["portals"]}
    assert found["sandbox-amocrm"]["error"] is None
    assert found["sandbox-amocrm"]["customers"] == 7
    assert found["sandbox-bitrix24"]["error"] == "the portal does not answer"
    assert found["sandbox-hubspot"]["error"] == "unexpected KeyError"
    assert stage.done == ["start", "stop"]


def test_refused_records_are_status_1(config, stage, capsys):
    stage.refused = [{"customer": "contact:1", "field": None, "reason": "no"}]
    assert demo.play(config, once=True, as_json=False) == 1
    assert "the CRM refused 1 records" in capsys.readouterr().out


def test_what_an_earlier_demo_left_is_erased_and_nothing_else(config, stage, database, monkeypatch):
    with database.session() as session:
        shop.whole_shop(session, "sandbox-hubspot", 9, host="127.0.0.1:1", crm="hubspot")
        shop.whole_shop(session, "sandbox-amocrm", 9, host="real.amocrm.ru", crm="amocrm")
        shop.whole_shop(session, "mine", 9, host="127.0.0.1:1", crm="hubspot")
    left: list[str] = []

    def look(service, offers):
        with service.database.session() as session:
            left.extend(portal.name for portal in portals.all_portals(session))
        return []

    monkeypatch.setattr(demo, "_run_all", look)
    demo.play(config, once=True, as_json=False)
    assert left == ["mine", "sandbox-amocrm"]


def test_a_taken_port_is_told_before_any_work(config, stage, monkeypatch):
    def taken(_config):
        raise demo.server.WrongUse("port 8000 is taken")

    monkeypatch.setattr(demo.server, "listen", taken)
    with pytest.raises(demo.server.WrongUse):
        demo.play(config, once=False, as_json=False)
    assert stage.done == []


def test_ctrl_c_during_the_runs_stops_them_and_the_sandbox(config, stage, monkeypatch):
    def interrupted(_threads):
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "_wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        demo.play(config, once=True, as_json=False)
    assert stage.done == ["start", "stop"]


def test_the_pages_are_served_on_this_computer_only(config, stage, monkeypatch):
    served: list[Config] = []
    monkeypatch.setattr(demo.server, "serve", lambda config, ready: served.append(config) or 0)
    public = replace(config, public_url="https://rfm.example", secret_key="s", encryption_keys=("k" * 16,))
    assert demo.play(public, once=False, as_json=False) == 0
    (one,) = served
    assert one.public_url == stage.app_url == f"http://127.0.0.1:{one.port}"
    with server.listen(replace(one, port=0)) as listener:
        assert listener.getsockname()[0] == "127.0.0.1"


def test_a_worker_listens_to_the_portals_of_this_demo_and_never_beside_portals_of_yours(
    config, stage, database, monkeypatch
):
    told: list[dict[str, str]] = []
    monkeypatch.setattr(demo.server, "serve", lambda _config, ready: 0)
    monkeypatch.setattr(demo, "background", lambda environ: told.append(environ) or nullcontext())
    hubspot = {"client_id": "i", "client_secret": "s", "oauth_url": "http://127.0.0.1:9002"}
    offers = [replace(one, app=hubspot if one.crm is CRM.HUBSPOT else {}) for one in OFFERS]
    monkeypatch.setattr(f"{__name__}.OFFERS", offers)
    demo.play(config, once=False, as_json=False)
    (environ,) = told
    assert environ["HUBSPOT_CLIENT_SECRET"] == "s"
    assert environ["PUBLIC_URL"] == stage.app_url
    assert rows(database, "SELECT count(*) FROM work WHERE job = 'setup' AND asked_at IS NOT NULL") == [3]
    with database.session() as session:
        shop.whole_shop(session, "mine", 9, host="real.amocrm.ru", crm="amocrm")
    demo.play(config, once=False, as_json=False)
    assert len(told) == 1


def test_without_pages_there_is_no_worker(config, stage, monkeypatch):
    monkeypatch.setattr(demo, "background", lambda _: pytest.fail("a worker was started"))
    demo.play(config, once=True, as_json=False)
    assert stage.app_url is None


@pytest.mark.slow
def test_the_whole_demo_plays_on_sandbox_portals(config, tmp_path):
    environment = {**os.environ, "DATABASE_URL": config.database_url, "VAR_DIR": str(tmp_path)}
    ended = subprocess.run(
        [sys.executable, "-m", "connector", "demo", "--once", "--json"],
        check=False,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)["portals"]
    assert [each["crm"] for each in found] == ["amocrm", "bitrix24", "hubspot"]
    assert all(each["scored"] == each["written"] > 0 and each["refused"] == [] for each in found)


def children_of(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(one) for one in found.read_text().split()] if found.exists() else []


def lives(pid: int) -> bool:
    """Whether there is such a process, and not only its end that nobody has taken notice of."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks for children in /proc")
@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGKILL])
def test_the_demo_takes_its_worker_its_pages_and_its_portals_with_it_however_it_ends(config, tmp_path, sign):
    environment = {
        **os.environ,
        "DATABASE_URL": config.database_url,
        "VAR_DIR": str(tmp_path),
        "PORT": str(free_port()),
    }
    command = [sys.executable, "-m", "connector", "demo"]
    demo_process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        for line in demo_process.stderr or ():
            if line.startswith("open http"):
                break
        children = until(lambda: len(found := children_of(demo_process.pid)) == 3 and found)  # portals, worker, pages
        demo_process.send_signal(sign)
        demo_process.wait(30)
        until(lambda: not any(lives(child) for child in children))
    finally:
        demo_process.kill()
        demo_process.communicate()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
