"""Every command as people and scripts call it: what it says, on which output, and how it ends."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from adapters.errors import Interrupted, TokenExpired
from adapters.records import CustomerRef
from connector.cli.main import COMMANDS, function_of
from tests.connector.factories import CONTACT, TOKEN, dump, execute, plug, rows, stock
from tests.fakes.memory import MemoryCRM

RUN_WORDS = {
    "portal",
    "as_of",
    "method",
    "customers",
    "orders",
    "scored",
    "segments",
    "written",
    "unchanged",
    "refused",
    "tasks_created",
    "requests",
    "throttled",
    "seconds",
    "run_id",
}


def history(tmp_path, *lines, name="orders.csv"):
    path = tmp_path / name
    path.write_text("\n".join(["client;date;sum", *lines]))
    return str(path)


# --- the usual day -------------------------------------------------------------------------------------------------


def test_connecting_says_what_was_found_and_what_comes_next(cli, crm):
    said = cli("connect", "hubspot", "--name", "p", "--token", TOKEN)
    assert (said.status, "acc-1" in said.out, "run p" in said.out) == (0, True, True)
    again = cli("connect", "hubspot", "--name", "p", "--token", TOKEN, "--json", "--language", "ru")
    assert (again.json["portal"], again.json["language"], again.json["state"]) == ("p", "ru", "active")


def test_a_run_says_the_same_in_words_and_in_json(connected, crm):
    shown = connected("run", "p", "--dry-run")
    assert (shown.status, crm.calls["write_scores"]) == (0, 0)
    assert "8 cards" in shown.out
    assert "segment: – →" in shown.out
    said = connected("run", "p", "--json")
    assert said.status == 0
    assert len(said.out.splitlines()) == 1
    assert set(said.json) >= RUN_WORDS
    assert (said.json["written"], said.json["scored"], said.json["refused"]) == (8, 8, [])
    words = connected("run", "p")
    assert "0 written, 8 unchanged, 0 refused" in words.out


@pytest.mark.parametrize(
    "words",
    [
        ("portals",),
        ("provision", "p"),
        ("provision", "p", "--dry-run"),
        ("sync", "p"),
        ("sync", "p", "--full"),
        ("score", "p"),
        ("score", "p", "--dry-run"),
        ("writeback", "p"),
        ("writeback", "p", "--dry-run"),
        ("tasks", "p"),
        ("tasks", "p", "--dry-run"),
        ("run", "p", "--method", "octolis6", "--force"),
        ("method", "list"),
        ("method", "list", "p"),
        ("method", "show", "sales5"),
        ("method", "show", "sales5@1", "--portal", "p"),
        ("method", "fit", "p"),
        ("migrate",),
        ("disconnect", "p"),
        ("disconnect", "p", "--purge"),
    ],
    ids=" ".join,
)
def test_every_command_has_one_json_object_on_the_last_line_and_words_otherwise(connected, words):
    connected("run", "p")
    said = connected(*words, "--json")
    assert said.status == 0, said
    assert len(said.out.splitlines()) == 1
    assert isinstance(said.json, dict)


def test_the_steps_in_words(connected):
    assert "24 steps would be done" in connected("provision", "p", "--dry-run").out
    assert "24 steps done" in connected("provision", "p").out
    assert "0 steps done" in connected("provision", "p").out
    assert "8 customers, 36 orders" in connected("sync", "p").out
    assert "scored 8" in connected("score", "p").out
    assert "plan: 8 cards" in connected("writeback", "p", "--dry-run").out
    assert "8 written" in connected("writeback", "p").out
    assert "tasks that would be created" in connected("tasks", "p", "--dry-run").out
    assert connected("tasks", "p").status == 0
    listed = connected("portals").out
    assert "sales5@1" in listed
    assert "active" in listed


def test_undo_puts_a_run_back(connected, crm):
    run_id = connected("run", "p", "--json").json["run_id"]
    said = connected("undo", "p", "--run", run_id)
    assert (said.status, "8 cards to restore" in said.out) == (0, True)
    assert dict(crm.card(CustomerRef(CONTACT, "8"))) == {}


def test_a_purge_leaves_nothing(connected, database):
    connected("run", "p")
    assert connected("disconnect", "p", "--purge").status == 0
    left = {name for name, lines in dump(database).items() if lines}
    assert left == set()
    connected("run", "p").assert_wrong_use()


def test_an_import_counts_and_says_which_rows_are_bad(connected, database, tmp_path):
    good = history(tmp_path, "contact:1;2026-01-01;10", "2;01.02.2026;5,50")
    said = connected("import", "p", good, "--json")
    assert (said.status, said.json["orders"], said.json["changed"]) == (0, 2, 2)
    assert connected("import", "p", good, "--json").json["changed"] == 0
    bad = history(tmp_path, "contact:1;2026-01-01;10", "2;soon;5", name="bad.csv")
    said = connected("import", "p", bad)
    assert (said.status, "row 3:" in said.out) == (1, True)
    assert connected("run", "p", "--json").status == 0


def test_an_import_rehearsed_stores_nothing(connected, database, tmp_path):
    said = connected("import", "p", history(tmp_path, "contact:1;2026-01-01;10"), "--dry-run", "--json")
    assert (said.status, said.json["dry_run"], rows(database, "SELECT count(*) FROM orders")) == (0, True, [0])


def test_help_is_help(cli, capsys):
    for words in (("--help",), ("run", "--help"), ("connect", "hubspot", "--help"), ("method", "--help")):
        with pytest.raises(SystemExit) as caught:
            cli(*words)
        assert caught.value.code == 0


# --- exit 1 --------------------------------------------------------------------------------------------------------


def test_refused_cards_end_with_1_and_are_listed(connected, crm):
    crm.refusals = {"contact:3": ("hint", "too long")}
    said = connected("run", "p")
    assert (said.status, "refused contact:3: too long (hint)" in said.out) == (1, True)
    said = connected("run", "p", "--json")
    assert (said.status, said.json["refused"]) == (
        1,
        [{"customer": "contact:3", "field": "hint", "reason": "too long"}],
    )


def test_the_doctor_ends_with_1_until_all_is_well(connected):
    said = connected("doctor")
    assert (said.status, "!! p fields" in said.out, "→" in said.out) == (1, True, True)
    connected("run", "p")
    said = connected("doctor", "--json")
    assert (said.status, said.json["ok"]) == (0, True)


# --- exit 2 --------------------------------------------------------------------------------------------------------

WRONG = [
    (),
    ("fly",),
    ("run",),
    ("run", "p", "q"),
    ("run", "nobody"),
    ("run", "p", "--as-of", "tomorrow"),
    ("run", "p", "--as-of", "2026-02-31"),
    ("run", "p", "--as-of", "20260201"),
    ("run", "p", "--as-of", "2999-01-01"),
    ("run", "p", "--method", "best"),
    ("run", "p", "--method", ""),
    ("run", "p", "--quickly"),
    ("run", "p", "--as-off=2026-01-01", "--fast", "x"),
    ("score", "nobody"),
    ("score", "p", "--method", "sales5@1"),
    ("score", "p", "--as-of", "2999-01-01"),
    ("sync",),
    ("sync", "nobody", "--full"),
    ("provision", "nobody"),
    ("writeback", "nobody"),
    ("writeback", "p"),
    ("tasks", "nobody"),
    ("tasks", "p"),
    ("import", "p"),
    ("import", "p", "missing.csv"),
    ("import", "p", "/"),
    ("undo", "p"),
    ("undo", "p", "--run", "20260101T000000-abcdef"),
    ("undo", "nobody", "--run", "x"),
    ("disconnect", "nobody"),
    ("disconnect",),
    ("method",),
    ("method", "list", "nobody"),
    ("method", "show"),
    ("method", "show", "best"),
    ("method", "show", "sales5@1"),
    ("method", "show", "sales5@9", "--portal", "p"),
    ("method", "show", "sales5@x", "--portal", "p"),
    ("method", "fit", "nobody"),
    ("method", "fit", "p", "--as-of", "2999-01-01"),
    ("method", "fit", "p", "--method", "best"),
    ("method", "simulate", "p"),
    ("portals", "p"),
    ("connect",),
    ("connect", "salesforce", "--name", "x", "--token", TOKEN),
    ("connect", "hubspot", "--token", TOKEN),
    ("connect", "hubspot", "--name", "x"),
    ("connect", "hubspot", "--name", "a b", "--token", TOKEN),
    ("connect", "hubspot", "--name", "x", "--token", TOKEN, "--api-url", "nonsense"),
    ("connect", "hubspot", "--name", "x", "--token", TOKEN, "--api-url", "https://evil.example"),
    ("connect", "hubspot", "--name", "x", "--token", TOKEN, "--api-url", "http://127.0.0.1:9"),
    ("connect", "hubspot", "--name", "x", "--token", TOKEN, "--time-zone", "Mars/Olympus"),
    ("connect", "hubspot", "--name", "x", "--token", TOKEN, "--language", "de"),
    ("connect", "hubspot", "--name", "x", "--token", TOKEN, TOKEN),
    ("connect", "hubspot", "--name", "x", "--tokens", TOKEN),
    ("connect", "hubspot", "--name", "x", "--token", TOKEN, "--webhook-url", f"https://p.bitrix24.ru/rest/1/{TOKEN}/"),
    ("connect", "bitrix24", "--name", "x", "--webhook-url", "https://p.bitrix24.ru/"),
    ("connect", "bitrix24", "--name", "x", "--webhook-url", f"https://evil.example/rest/1/{TOKEN}/"),
    ("connect", "bitrix24", "--name", "x", "--webhook-url", f"https://p.bitrix24.ru/rest/1/{TOKEN}/", "--token", TOKEN),
    ("connect", f"https://p.bitrix24.ru/rest/1/{TOKEN}/"),
    ("connect", "amocrm", "--name", "x", "--token", TOKEN, "--account-url", "https://evil.example"),
    ("connect", "amocrm", "--name", "x", "--token", TOKEN, "--account-url", f"https://u:{TOKEN}@a.amocrm.ru"),
]


@pytest.mark.parametrize("words", WRONG, ids=lambda words: " ".join(words).replace(TOKEN, "T")[:70] or "nothing")
def test_wrong_words_end_with_2_one_line_and_nothing_done(connected, crm, database, words):
    before, calls = dump(database), crm.calls.total()
    for said in (connected(*words), connected(*words, "--json")):
        said.assert_wrong_use()
    assert (dump(database), crm.calls.total()) == (before, calls)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "mysql://u:geheim@h/d"),
        ("DATABASE_URL", "postgresql://u:geheim@h:port/d"),
        ("LOG_LEVEL", "LOUD"),
        ("PORT", "eighty"),
        ("PORT", "²"),
        ("PORT", "99999"),
        ("PUBLIC_URL", "rfm.example"),
        ("PUBLIC_URL", "http://[rfm.example"),
        ("ENCRYPTION_KEYS", "short"),
    ],
)
def test_a_wrong_setting_ends_with_2_and_is_named(cli, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    said = cli("portals", "--json")
    said.assert_wrong_use()
    assert name in said.err
    assert "geheim" not in said.err


def test_production_without_secrets_ends_with_2_and_names_them(cli, monkeypatch):
    monkeypatch.setenv("PUBLIC_URL", "https://rfm.example")
    monkeypatch.delenv("ENCRYPTION_KEYS")
    said = cli("portals")
    said.assert_wrong_use()
    assert "ENCRYPTION_KEYS" in said.err


def test_an_older_schema_ends_with_2_and_says_migrate(cli, monkeypatch, own_database):
    execute(own_database, "UPDATE alembic_version SET version_num = '0000'")
    monkeypatch.setenv("DATABASE_URL", own_database.url)
    said = cli("portals")
    said.assert_wrong_use()
    assert "migrate" in said.err


def test_an_empty_database_is_set_up_by_the_first_command(cli, monkeypatch, empty_database_url):
    monkeypatch.setenv("DATABASE_URL", empty_database_url)
    assert cli("portals", "--json").json == {"portals": []}
    said = cli("migrate", "--json")
    assert said.json["before"] == said.json["after"]


def test_a_broken_history_ends_with_2(connected, tmp_path):
    (tmp_path / "bad.xlsx").write_text("no sheet")
    (tmp_path / "bad.csv").write_text("a;b;c\n1;2;3")
    for name in ("bad.xlsx", "bad.csv"):
        connected("import", "p", str(tmp_path / name), "--json").assert_wrong_use()


def test_a_key_that_does_not_fit_ends_with_2_and_says_what_to_do(connected, monkeypatch):
    monkeypatch.setenv("ENCRYPTION_KEYS", "quite another key than before")
    said = connected("run", "p")
    said.assert_wrong_use()
    assert "old key" in said.err


def test_an_unsafe_plan_ends_with_2_until_it_is_forced(cli, monkeypatch, database):
    crm = MemoryCRM(page_size=500)
    stock(crm, 55)
    plug(monkeypatch, crm)
    cli("connect", "hubspot", "--name", "p", "--token", TOKEN)
    assert cli("run", "p").status == 0
    said = cli("run", "p", "--method", "customer360", "--json")
    said.assert_wrong_use()
    assert "--force" in said.err
    assert cli("run", "p", "--method", "customer360", "--force").status == 0


# --- exit 3 --------------------------------------------------------------------------------------------------------


def assert_interrupted(said):
    assert said.status == 3, said
    assert "Traceback" not in said.err
    complaints = [line for line in said.err.splitlines() if line.startswith("rfm-connector: ")]
    assert len(complaints) == 1, said.err


def test_a_refused_token_ends_with_3_and_leaves_no_portal_behind(cli, crm, database):
    other = "some-other-token-9876543210"
    for more in ((), ("--json",)):
        said = cli("connect", "hubspot", "--name", "p", "--token", other, *more)
        assert_interrupted(said)
        assert other not in said.out + said.err
    assert rows(database, "SELECT count(*) FROM portals") == [0]


@pytest.mark.parametrize(
    ("crm_name", "secret"),
    [
        ("hubspot", ("--token", TOKEN, "--api-url", "http://127.0.0.1:1")),
        ("amocrm", ("--token", TOKEN, "--account-url", "http://127.0.0.1:1")),
        ("bitrix24", ("--webhook-url", f"http://127.0.0.1:1/rest/1/{TOKEN.replace('-', '')}/")),
    ],
)
def test_a_crm_that_is_down_ends_with_3_and_leaves_no_portal_behind(cli, monkeypatch, database, crm_name, secret):
    monkeypatch.setenv("ALLOWED_CRM_HOSTS", "127.0.0.1:1")
    said = cli("connect", crm_name, "--name", "p", *secret)
    assert_interrupted(said)
    assert TOKEN.replace("-", "") not in said.err
    assert rows(database, "SELECT count(*) FROM portals") == [0]


@pytest.mark.parametrize("error", [Interrupted("no answer"), TokenExpired("the token is refused")])
def test_a_run_that_the_crm_cuts_off_ends_with_3_and_the_next_goes_on(connected, crm, error):
    crm.fail("write_scores", error, after=1)
    said = connected("run", "p", "--json")
    assert_interrupted(said)
    assert said.json["exit"] == 3
    assert connected("run", "p", "--json").status == 0
    assert connected("run", "p", "--json").json["written"] == 0


@pytest.mark.parametrize(
    "command", [("portals",), ("run", "p"), ("migrate",), ("connect", "hubspot", "--name", "p", "--token", TOKEN)]
)
def test_an_unreachable_database_ends_with_3_and_one_line_without_its_password(cli, monkeypatch, command):
    monkeypatch.setenv("DATABASE_URL", "postgresql://rfm:geheim@127.0.0.1:1/rfm")
    for said in (cli(*command), cli(*command, "--json")):
        assert_interrupted(said)
        assert "geheim" not in said.out + said.err
        assert len(said.err.splitlines()) == 1


def test_a_paused_portal_ends_with_3_and_says_why(connected, database):
    execute(database, "UPDATE portals SET state = 'paused', state_reason = 'the tariff ended'")
    said = connected("run", "p")
    assert_interrupted(said)
    assert "the tariff ended" in said.err


def test_a_disconnected_portal_is_no_longer_worked_on(connected):
    connected("disconnect", "p")
    for command in ("run", "sync", "writeback", "tasks", "provision"):
        connected(command, "p").assert_wrong_use()


def test_what_nobody_expected_is_one_line_too(connected, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError(f"with {TOKEN} inside")

    monkeypatch.setattr("connector.jobs.loop.sync_portal", broken)
    monkeypatch.setenv("LOG_LEVEL", "WARNING")
    said = connected("sync", "p", "--json")
    assert_interrupted(said)
    assert "RuntimeError" in said.err


def test_ctrl_c_is_no_stack_trace(connected, monkeypatch):
    def stopped(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("connector.jobs.loop.sync_portal", stopped)
    said = connected("sync", "p")
    assert (said.status, len(said.err.splitlines())) == (130, 1)


def test_as_of_today_is_no_future(connected):
    connected("sync", "p")
    today = (datetime.now(UTC) + timedelta(hours=3)).date().isoformat()
    said = connected("score", "p", "--as-of", today, "--json")
    assert (said.status, said.json["as_of"]) == (0, today)
    assert json.loads(said.out)["scored"] == 8


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_where_it_is_said_to_be(name):
    assert callable(function_of(name))
