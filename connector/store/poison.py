"""Which failures are about the record that was looked at, so that the others may go on without it."""

from __future__ import annotations

import traceback
from pathlib import Path

from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from adapters.errors import AccessLost, CRMError, Transient, Unsupported
from adapters.hosts import HostRefused
from connector.errors import ConnectorError

_ABOUT_ALL = (
    Transient,
    AccessLost,
    Unsupported,
    ConnectorError,
    HostRefused,
    OperationalError,
    InterfaceError,
    PoolTimeout,
)


def is_poison(error: BaseException) -> bool:
    """Whether leaving a record out may help: the CRM refuses it, answers strangely, or we stumble over it ourselves."""
    return isinstance(error, Exception) and not isinstance(error, _ABOUT_ALL)


def in_words(error: BaseException) -> str:
    """What may be kept and shown: our own sentences; of strangers' errors only class and place."""
    if isinstance(error, CRMError | ConnectorError | HostRefused):
        return str(error)
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"unexpected {type(error).__name__}{place}"
