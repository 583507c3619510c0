"""Alerts reach people once for each change, through a mail server and a webhook that run on this computer."""

from __future__ import annotations

import json
import re
import threading
from datetime import timedelta
from email import message_from_string
from http.server import BaseHTTPRequestHandler, HTTPServer
from socketserver import StreamRequestHandler, ThreadingTCPServer

import pytest

from connector.config import Config, from_environment
from connector.errors import Misconfigured
from connector.jobs import telling, watch
from connector.jobs.alarm_texts import alarm_text, notice_title
from connector.jobs.run_alarms import LIMITS
from connector.store import alerts
from connector.store.alerts import Alarm
from tests.connector.factories import at, keep_portal, rows

NOW = at("2026-11-24 12:00")
MINUTE = timedelta(minutes=1)
BOTH = ("email", "webhook")
CONFIG = Config(
    smtp_url="smtp://mail.example", alert_email=("a@example.com",), alert_webhook_url="https://hook.example"
)


@pytest.fixture
def portal(database):
    return keep_portal(database)


class Receiver:
    """Takes letters, and fails or dies when a test wants that."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors = list(errors)
        self.letters: list[telling.Letter] = []

    def __call__(self, _: Config, letter: telling.Letter) -> None:
        self.letters.append(letter)
        if self.errors:
            raise self.errors.pop(0)


def settle(database, now, *found, channels=("webhook",)):
    with database.session() as session:
        return alerts.settle(session, found, now, channels)


def tell(database, now, receiver, config=CONFIG):
    return telling.tell(database, config, now, dict.fromkeys(BOTH, receiver))


# --- once ------------------------------------------------------------------------------------------------------------


def test_an_alarm_is_told_once_and_its_end_once_over_a_hundred_looks(database, portal):
    receiver, alarm = Receiver(), Alarm(portal.portal_id, "stale", detail={"since": "Monday"})
    for minute in range(100):
        found = [alarm] if 10 <= minute < 60 else []
        settle(database, NOW + minute * MINUTE, *found)
        tell(database, NOW + minute * MINUTE, receiver)
    assert [[change["state"] for change in letter.changes] for letter in receiver.letters] == [["open"], ["closed"]]
    assert [letter.made_at for letter in receiver.letters] == [NOW + 10 * MINUTE, NOW + 60 * MINUTE]


def test_several_changes_of_a_look_are_one_letter_of_a_portal(database, portal):
    other, receiver = keep_portal(database, "q"), Receiver()
    found = [Alarm(portal.portal_id, "stale"), Alarm(portal.portal_id, "jumps", detail={"jumps": 4})]
    settle(database, NOW, *found, Alarm(other.portal_id, "stale"), channels=BOTH)
    assert tell(database, NOW, receiver) == 4
    assert sorted((letter.portal, len(letter.changes)) for letter in receiver.letters) == [
        ("p", 2), ("p", 2), ("q", 1), ("q", 1),
    ]  # fmt: skip


def test_an_alarm_that_another_step_opened_is_told_with_its_end(database, portal):
    receiver = Receiver()
    with database.session() as session:
        alerts.raise_one(session, Alarm(portal.portal_id, "schedule", "run", {"due": "03:00"}), NOW)
    settle(database, NOW + MINUTE)
    tell(database, NOW + MINUTE, receiver)
    assert [change["state"] for change in receiver.letters[0].changes] == ["open", "closed"]
    settle(database, NOW + 2 * MINUTE)
    assert tell(database, NOW + 2 * MINUTE, receiver) == 0


def test_without_settings_nothing_is_kept_to_be_told(database, portal):
    settle(database, NOW, Alarm(portal.portal_id, "stale"), channels=telling.channels(Config()))
    assert rows(database, "SELECT count(*) FROM alert_notices") == [0]


# --- kills and failures ----------------------------------------------------------------------------------------------


class Killed(BaseException):
    """The process ends here."""


def test_a_kill_between_send_and_settle_sends_the_same_letter_again_by_which_it_is_known(database, portal):
    settle(database, NOW, Alarm(portal.portal_id, "stale"))
    receiver = Receiver(Killed())
    with pytest.raises(Killed):
        tell(database, NOW, receiver)
    assert tell(database, NOW + MINUTE, receiver) == 1
    assert tell(database, NOW + 2 * MINUTE, receiver) == 0
    first, second = receiver.letters
    assert (first.key, first.message_id, first.title, first.lines) == (
        second.key,
        second.message_id,
        second.title,
        second.lines,
    )
    assert len({letter.key for letter in receiver.letters}) == 1


def test_a_kill_after_the_decision_loses_no_letter_and_makes_no_second(database, portal):
    def decide_and_die() -> None:
        with database.session() as session:
            alerts.settle(session, [Alarm(portal.portal_id, "stale")], NOW, BOTH)
            raise Killed

    with pytest.raises(Killed):
        decide_and_die()
    assert rows(database, "SELECT count(*) FROM alerts") == [0]
    settle(database, NOW + MINUTE, Alarm(portal.portal_id, "stale"))
    receiver = Receiver()
    assert tell(database, NOW + MINUTE, receiver) == 1


def test_two_that_send_at_once_share_the_letters(database, portal):
    settle(database, NOW, Alarm(portal.portal_id, "stale"), channels=BOTH)
    inner = Receiver()

    def outer(config: Config, letter: telling.Letter) -> None:
        assert tell(database, NOW, inner) == 1
        assert inner.letters[0].key != letter.key

    assert telling.tell(database, CONFIG, NOW, {"email": outer, "webhook": outer}) == 1


def test_what_does_not_get_through_is_tried_ever_more_seldom_and_given_up_after_two_days(database, portal):
    settle(database, NOW, Alarm(portal.portal_id, "stale"))
    waits, now = [], NOW
    while rows(database, "SELECT count(*) FROM alert_notices WHERE state = 'failed'") != [1]:
        assert tell(database, now, Receiver(telling.NotTaken("the webhook answered 500"))) == 0
        due = rows(database, "SELECT due_at FROM alert_notices")[0]
        waits.append((due - now).total_seconds())
        now = due
    assert waits[:4] == [60, 120, 240, 480]
    assert max(waits) == 3600
    assert now - NOW >= timedelta(days=2)


def test_a_server_that_answers_with_a_secret_leaves_no_trace_of_it(database, portal, caplog):
    settle(database, NOW, Alarm(portal.portal_id, "stale"))
    tell(database, NOW, Receiver(OSError("535 user:hunter2 rejected")))
    assert rows(database, "SELECT reason FROM alert_notices") == ["OSError"]
    assert "hunter2" not in caplog.text


# --- the wire --------------------------------------------------------------------------------------------------------


class Mail(StreamRequestHandler):
    """As much of SMTP as a letter needs; offers no encryption."""

    def handle(self) -> None:
        self.wfile.write(b"220 mail\r\n")
        while line := self.rfile.readline().decode():
            verb = line.split()[0].upper() if line.split() else ""
            if verb == "DATA":
                self.wfile.write(b"354 go on\r\n")
                text = ""
                while (line := self.rfile.readline().decode()) != ".\r\n":
                    text += line
                self.server.letters.append(text)  # type: ignore[attr-defined]
            self.wfile.write(b"221 bye\r\n" if verb == "QUIT" else b"250 mail\r\n")
            if verb == "QUIT":
                return


class Hook(BaseHTTPRequestHandler):
    """Takes JSON."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.letters.append((dict(self.headers), json.loads(body)))  # type: ignore[attr-defined]
        self.send_response(self.server.status)  # type: ignore[attr-defined]
        self.send_header("Location", "http://127.0.0.1:1/elsewhere")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Silent."""


@pytest.fixture(params=["mail", "hook"])
def server(request):
    kinds = {
        "mail": lambda: ThreadingTCPServer(("127.0.0.1", 0), Mail),
        "hook": lambda: HTTPServer(("127.0.0.1", 0), Hook),
    }
    with kinds[request.param]() as server:
        server.letters, server.status, server.kind = [], 200, request.param
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def config_for(server, password=""):
    port = server.server_address[1]
    if server.kind == "mail":
        login = f"me:{password}@" if password else ""
        return Config(smtp_url=f"smtp://{login}127.0.0.1:{port}", alert_email=("a@example.com", "b@example.com"))
    return Config(alert_webhook_url=f"http://127.0.0.1:{port}/rfm")


def test_a_letter_arrives_with_its_id(database, portal, server):
    config = config_for(server)
    settle(database, NOW, Alarm(portal.portal_id, "jumps", detail={"jumps": 4}), channels=telling.channels(config))
    assert telling.tell(database, config, NOW) == 1
    [letter] = server.letters
    if server.kind == "mail":
        mail = message_from_string(letter)
        assert (mail["To"], mail["Message-ID"][:11]) == ("a@example.com, b@example.com", "<rfm-alert-")
        assert "4 customers changed segment without an event" in mail.get_payload()
    else:
        headers, body = letter
        assert headers["Idempotency-Key"] == body["id"]
        assert (body["portal"], body["changes"][0]["kind"]) == ("p", "jumps")


def test_a_server_without_encryption_never_gets_the_password(database, portal, server):
    config = config_for(server, "hunter2")
    if server.kind == "mail":
        settle(database, NOW, Alarm(portal.portal_id, "stale"), channels=telling.channels(config))
        assert telling.tell(database, config, NOW) == 0
        assert server.letters == []
    else:
        server.status = 302
        settle(database, NOW, Alarm(portal.portal_id, "stale"), channels=telling.channels(config))
        assert telling.tell(database, config, NOW) == 0
        assert rows(database, "SELECT reason FROM alert_notices") == ["the webhook answered 302"]


# --- words and settings ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["ru", "en"])
@pytest.mark.parametrize(
    "kind", [*LIMITS, "zero_rows", "schedule", "failing", "failed", "paused", "stale", "inbox", "queue"]
)
def test_every_alarm_has_words_in_both_languages_even_without_its_details(kind, language):
    words = alarm_text(kind, "run", {}, language)
    assert words != f"{kind} run"
    assert bool(re.search("[а-я]", words)) is (language == "ru")


def test_a_title_counts_what_began_and_what_is_over():
    changes = [{"state": state} for state in ("open", "open", "closed")]
    assert notice_title("shop", changes, "en") == "RFM: shop: 2 alarms, 1 over"
    assert notice_title("", changes, "ru") == "RFM: сервис: тревог 2, прошло 1"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"SMTP_URL": "smtp://mail.example"}, "together"),
        ({"ALERT_EMAIL": "a@example.com"}, "together"),
        ({"SMTP_URL": "http://mail.example", "ALERT_EMAIL": "a@example.com"}, "SMTP_URL must be like"),
        ({"SMTP_URL": "smtp://mail.example", "ALERT_EMAIL": "nobody"}, "ALERT_EMAIL"),
        ({"ALERT_WEBHOOK_URL": "http://hook.example/secret-path"}, "https"),
        ({"ALERT_WEBHOOK_URL": "http://127.0.0.1:9/x"}, "https"),
        ({"ALERT_WEBHOOK_URL": "http://hook.example:9/x", "ALLOWED_CRM_HOSTS": "hook.example:9"}, "https"),
        ({"LOG_FORMAT": "xml"}, "LOG_FORMAT"),
    ],
)
def test_wrong_settings_are_named_and_not_repeated(settings, words):
    with pytest.raises(Misconfigured, match=words) as refused:
        from_environment(settings)
    assert "secret-path" not in str(refused.value)


def test_right_settings_are_taken_and_kept_out_of_the_repr():
    config = from_environment(
        {
            "SMTP_URL": "smtps://me:hunter2@mail.example",
            "ALERT_EMAIL": "a@example.com, b@example.com",
            "ALERT_WEBHOOK_URL": "http://127.0.0.1:9/x",
            "ALLOWED_CRM_HOSTS": "127.0.0.1:9",
        }
    )
    assert telling.channels(config) == ["email", "webhook"]
    assert config.alert_email == ("a@example.com", "b@example.com")
    assert "hunter2" not in repr(config)


def test_a_look_makes_letters_for_the_channels_it_is_given(database, portal):
    watch.look(database, NOW + timedelta(days=400), ["webhook"])
    assert rows(database, "SELECT DISTINCT channel FROM alert_notices") == ["webhook"]
