"""Work that starts when its answer is on its way. What a killed process leaves undone is found by the daily look."""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Thread

from sqlalchemy.exc import SQLAlchemyError

from adapters.errors import CRMError
from connector.errors import ConnectorError

log = logging.getLogger("rfm.install")

Work = Callable[[], object]
Background = Callable[[Work], None]


def in_thread(work: Work) -> None:
    """Start it beside the request."""
    Thread(target=guarded, args=(work,), name="install", daemon=True).start()


def guarded(work: Work) -> None:
    """Do it; a failure is a line in the log, as nobody waits for it."""
    try:
        work()
    except (CRMError, ConnectorError) as error:
        log.warning("work after an installation failed reason=%s", error)
    except SQLAlchemyError as error:
        log.warning("work after an installation failed reason=%s", type(error).__name__)
