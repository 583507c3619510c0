"""Tells what alerts have changed: by e-mail and by a webhook, where the settings name them. The log is told by itself.

A notice is a row, made in the transaction that changes its alerts. It is held while it is sent and settled with the
answer, so two workers never send one twice. A process killed between an answer and its settling sends the notice again,
with the same id (Message-ID, Idempotency-Key) and the same words, by which its receiver can tell that it has it.
"""

from __future__ import annotations

import logging
import smtplib
import ssl
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from email.message import EmailMessage
from typing import Any
from urllib.parse import unquote, urlsplit

import orjson
import requests

from connector.config import Config
from connector.jobs.alarm_texts import notice_lines, notice_title
from connector.store import alerts
from connector.store.database import Database
from connector.store.jobs import SERVICE
from connector.store.models import NoticeRow, Portal

log = logging.getLogger("rfm.alerts")
EMAIL, WEBHOOK = "email", "webhook"
_AT_ONCE = 20
_TIMEOUT_S = 10.0
_FIRST_WAIT, _LONGEST_WAIT = timedelta(minutes=1), timedelta(hours=1)
_GIVEN_UP = timedelta(days=2)
_TROUBLES = (OSError, smtplib.SMTPException, requests.RequestException)


class NotTaken(Exception):
    """The receiver answered, and not with yes."""


class Letter:
    """A notice in words."""

    def __init__(self, notice: NoticeRow, portal: Portal | None, host: str) -> None:
        language = portal.language if portal is not None else "en"
        self.portal = portal.name if portal is not None else ""
        self.key = f"rfm-alert-{notice.portal_id}-{notice.notice_id}-{notice.made_at:%Y%m%d%H%M%S%f}"
        self.message_id = f"<{self.key}@{host}>"
        self.made_at = notice.made_at
        self.changes: list[dict[str, Any]] = notice.changes
        self.title = notice_title(self.portal, self.changes, language)
        self.lines = notice_lines(self.changes, language)


Send = Callable[[Config, Letter], None]


def channels(config: Config) -> list[str]:
    """The ways that the settings name."""
    named = {EMAIL: bool(config.smtp_url and config.alert_email), WEBHOOK: bool(config.alert_webhook_url)}
    return [channel for channel, is_named in named.items() if is_named]


def tell(database: Database, config: Config, now: datetime, ways: Mapping[str, Send] | None = None) -> int:
    """Send what is due, at most some at a time; returns how many reached their receiver. Safe to repeat, and to kill.

    What does not get through is tried again, ever more seldom, for two days.
    """
    told = 0
    for _ in range(_AT_ONCE):
        with database.session() as session:
            notice = alerts.next_notice(session, now)
            if notice is None:
                return told
            portal = session.get(Portal, notice.portal_id) if notice.portal_id != SERVICE else None
            host = urlsplit(config.public_url or "").hostname or "rfm.localhost"
            send = (ways or WAYS)[notice.channel] if notice.channel in channels(config) else _nowhere
            try:
                send(config, Letter(notice, portal, host))
            except (NotTaken, *_TROUBLES) as error:
                _put_off(notice, error, now)
            else:
                notice.state, notice.settled_at, notice.reason = alerts.SENT, now, None
                told += 1
    return told


def _put_off(notice: NoticeRow, error: Exception, now: datetime) -> None:
    """Nothing a server said is kept: it may repeat an address."""
    reason = str(error) if isinstance(error, NotTaken) else type(error).__name__
    log.warning("alert not told channel=%s tries=%d reason=%s", notice.channel, notice.tries + 1, reason)
    notice.tries += 1
    notice.reason = reason
    notice.due_at = now + min(_LONGEST_WAIT, _FIRST_WAIT * 2.0 ** min(notice.tries - 1, 10))
    if now - notice.made_at > _GIVEN_UP:
        notice.state, notice.settled_at = alerts.FAILED, now


def _nowhere(_: Config, __: Letter) -> None:
    raise NotTaken("the settings do not name this way any more")


def by_email(config: Config, letter: Letter) -> None:
    """One e-mail to all of ALERT_EMAIL. A password is never sent over a line that is not encrypted."""
    parts = urlsplit(config.smtp_url or "")
    host, user, password = parts.hostname or "", unquote(parts.username or ""), unquote(parts.password or "")
    message = EmailMessage()
    message["Subject"] = letter.title
    message["From"] = user if "@" in user else config.alert_email[0]
    message["To"] = ", ".join(config.alert_email)
    message["Message-ID"] = letter.message_id
    message["Date"] = letter.made_at
    message["Auto-Submitted"] = "auto-generated"
    message.set_content("\n".join(letter.lines))
    context = ssl.create_default_context()
    if parts.scheme == "smtps":
        server: smtplib.SMTP = smtplib.SMTP_SSL(host, parts.port or 465, timeout=_TIMEOUT_S, context=context)
    else:
        server = smtplib.SMTP(host, parts.port or 587, timeout=_TIMEOUT_S)
    with server:
        server.ehlo()
        is_safe = parts.scheme == "smtps"
        if not is_safe and server.has_extn("starttls"):
            server.starttls(context=context)
            server.ehlo()
            is_safe = True
        if password:
            if not is_safe:
                raise NotTaken("the mail server offers no encryption, so the password was not sent")
            server.login(user, password)
        server.send_message(message)


def by_webhook(config: Config, letter: Letter) -> None:
    """One POST of JSON: id, portal, at, title, text, changes. No redirect is followed."""
    body = {
        "id": letter.key,
        "portal": letter.portal,
        "at": letter.made_at.isoformat(),
        "title": letter.title,
        "text": "\n".join([letter.title, *letter.lines]),
        "changes": letter.changes,
    }
    answer = requests.post(
        config.alert_webhook_url or "",
        data=orjson.dumps(body),
        headers={"Content-Type": "application/json", "Idempotency-Key": letter.key},
        timeout=_TIMEOUT_S,
        allow_redirects=False,
    )
    if not 200 <= answer.status_code < 300:
        raise NotTaken(f"the webhook answered {answer.status_code}")


WAYS: Mapping[str, Send] = {EMAIL: by_email, WEBHOOK: by_webhook}
