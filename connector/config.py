"""Reads the environment once into a frozen `Config`; everything else receives values as arguments."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from connector.errors import Misconfigured

_OAUTH_URLS = ("HUBSPOT_OAUTH_URL", "BITRIX24_OAUTH_URL", "AMOCRM_OAUTH_URL")
_MOST_WORKERS = 32
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
_FORMATS = ("text", "json")
_EMAIL = re.compile(r"[^@\s,<>]+@[^@\s,<>]+")


@dataclass(frozen=True, slots=True)
class Config:
    """The settings of CONTRACT section 6 that this version uses.

    `database_url` None means the private PostgreSQL in `var_dir`. `encryption_keys` are newest first; empty means
    that a key is kept in `var_dir` (never in production). `workers` is how many portals one worker process works on at
    once. A `*_oauth_url` None means the vendor's own addresses.
    """

    database_url: str | None = field(default=None, repr=False)
    secret_key: str | None = field(default=None, repr=False)
    encryption_keys: tuple[str, ...] = field(default=(), repr=False)
    public_url: str | None = None
    metrics_token: str | None = field(default=None, repr=False)
    hubspot_api_url: str = "https://api.hubapi.com"
    hubspot_client_id: str | None = None
    hubspot_client_secret: str | None = field(default=None, repr=False)
    hubspot_app_id: str | None = None
    hubspot_oauth_url: str | None = None
    bitrix24_client_id: str | None = None
    bitrix24_client_secret: str | None = field(default=None, repr=False)
    bitrix24_oauth_url: str | None = None
    amocrm_client_id: str | None = None
    amocrm_client_secret: str | None = field(default=None, repr=False)
    amocrm_oauth_url: str | None = None
    allowed_crm_hosts: frozenset[str] = frozenset()
    log_level: str = "WARNING"
    log_format: str = "text"
    smtp_url: str | None = field(default=None, repr=False)
    alert_email: tuple[str, ...] = ()
    alert_webhook_url: str | None = field(default=None, repr=False)
    port: int = 8000
    workers: int = 4
    var_dir: Path = Path("var")

    @property
    def is_production(self) -> bool:
        """Whether people reach it over https."""
        return self.public_url is not None and self.public_url.startswith("https://")

    def require_secrets(self) -> None:
        """Raise `Misconfigured` with everything that production lacks."""
        if not self.is_production:
            return
        wanted = {"SECRET_KEY": self.secret_key, "ENCRYPTION_KEYS": self.encryption_keys}
        missing = [name for name, value in wanted.items() if not value]
        if missing:
            raise Misconfigured(f"PUBLIC_URL is https, so these settings must be set: {', '.join(missing)}")


def _is_url(text: str) -> bool:
    try:
        return urlsplit(text).scheme in {"http", "https"}
    except ValueError:
        return False


def _alert_problems(
    smtp_url: str | None, emails: Sequence[str], webhook_url: str | None, hosts: Collection[str]
) -> Iterator[str]:
    """What is wrong with the ways alerts go. The addresses may hold passwords, so none is repeated."""
    if bool(smtp_url) != bool(emails):
        yield "SMTP_URL and ALERT_EMAIL must be set together"
    if smtp_url and not _has_host(smtp_url, ("smtp", "smtps")):
        yield "SMTP_URL must be like smtp://user:password@mail.example.com:587 or smtps://…:465"
    if not all(_EMAIL.fullmatch(one) for one in emails):
        yield "ALERT_EMAIL takes addresses separated by commas"
    if webhook_url and not (_has_host(webhook_url, ("https",)) or _is_named_loopback(webhook_url, hosts)):
        yield "ALERT_WEBHOOK_URL must begin with https://"


def _has_host(url: str, schemes: Sequence[str]) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in schemes and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        return False


def _is_named_loopback(url: str, hosts: Collection[str]) -> bool:
    """The one place plain http may go to, as it is for CRMs: this computer, where it is named."""
    if not _has_host(url, ("http",)):
        return False
    parts = urlsplit(url)
    named = {parts.hostname or "", parts.netloc} & set(hosts)
    return bool(named) and parts.hostname in {"localhost", "127.0.0.1", "::1"}


def from_environment(environ: Mapping[str, str]) -> Config:
    """The settings in `environ`. Raises `Misconfigured` naming every wrong one, not only the first."""
    problems: list[str] = []

    def text(name: str) -> str | None:
        return environ.get(name, "").strip() or None

    level = (text("LOG_LEVEL") or "WARNING").upper()
    if level not in _LEVELS:
        problems.append(f"LOG_LEVEL must be one of {', '.join(_LEVELS)}")
    port_text = text("PORT") or "8000"
    port = int(port_text) if port_text.isdecimal() and int(port_text) < 65536 else -1
    if port < 0:
        problems.append("PORT must be a number below 65536")
    workers_text = text("WORKERS") or "4"
    workers = int(workers_text) if workers_text.isdecimal() and 0 < int(workers_text) <= _MOST_WORKERS else 0
    if workers == 0:
        problems.append(f"WORKERS must be a number from 1 to {_MOST_WORKERS}")
    database_url = text("DATABASE_URL")
    if database_url and not database_url.startswith(("postgresql://", "postgres://", "postgresql+psycopg://")):
        problems.append("DATABASE_URL must begin with postgresql://")
    problems.extend(
        f"{name} must begin with https://"
        for name in ("PUBLIC_URL", "HUBSPOT_API_URL", *_OAUTH_URLS)
        if text(name) and not _is_url(text(name) or "")
    )
    for vendor in ("HUBSPOT", "BITRIX24", "AMOCRM"):
        names = (f"{vendor}_CLIENT_ID", f"{vendor}_CLIENT_SECRET")
        if len([name for name in names if text(name)]) == 1:
            problems.append(f"{' and '.join(names)} must be set together")
    log_format = (text("LOG_FORMAT") or "text").lower()
    if log_format not in _FORMATS:
        problems.append(f"LOG_FORMAT must be one of {', '.join(_FORMATS)}")
    hosts = frozenset(host.strip().lower() for host in (text("ALLOWED_CRM_HOSTS") or "").split(",") if host.strip())
    emails = tuple(one.strip() for one in (text("ALERT_EMAIL") or "").split(",") if one.strip())
    problems.extend(_alert_problems(text("SMTP_URL"), emails, text("ALERT_WEBHOOK_URL"), hosts))
    if problems:
        raise Misconfigured("; ".join(problems))
    return Config(
        database_url=database_url,
        secret_key=text("SECRET_KEY"),
        encryption_keys=tuple(key.strip() for key in (text("ENCRYPTION_KEYS") or "").split(",") if key.strip()),
        public_url=text("PUBLIC_URL"),
        metrics_token=text("METRICS_TOKEN"),
        hubspot_api_url=(text("HUBSPOT_API_URL") or "https://api.hubapi.com").rstrip("/"),
        hubspot_client_id=text("HUBSPOT_CLIENT_ID"),
        hubspot_client_secret=text("HUBSPOT_CLIENT_SECRET"),
        hubspot_app_id=text("HUBSPOT_APP_ID"),
        hubspot_oauth_url=text("HUBSPOT_OAUTH_URL"),
        bitrix24_client_id=text("BITRIX24_CLIENT_ID"),
        bitrix24_client_secret=text("BITRIX24_CLIENT_SECRET"),
        bitrix24_oauth_url=text("BITRIX24_OAUTH_URL"),
        amocrm_client_id=text("AMOCRM_CLIENT_ID"),
        amocrm_client_secret=text("AMOCRM_CLIENT_SECRET"),
        amocrm_oauth_url=text("AMOCRM_OAUTH_URL"),
        allowed_crm_hosts=hosts,
        log_level=level,
        log_format=log_format,
        smtp_url=text("SMTP_URL"),
        alert_email=emails,
        alert_webhook_url=text("ALERT_WEBHOOK_URL"),
        port=port,
        workers=workers,
        var_dir=Path(text("VAR_DIR") or "var"),
    )
