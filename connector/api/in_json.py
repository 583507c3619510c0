"""Answers for programs: what a client sends gives 2xx or 4xx, what is missing on our side 503. Never 500."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import Response, jsonify
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import HTTPException

from adapters.errors import AccessLost, CRMError
from adapters.hosts import HostRefused
from connector.errors import ConnectorError
from webhooks.errors import InboxAway, WebhookError

log = logging.getLogger("rfm.calls")

RETRY_AFTER_S = 5
View = Callable[..., Response]
Refuse = Callable[[int, str], Response]


def refusal(status: int, reason: str) -> Response:
    """A refusal as JSON."""
    answer = jsonify(error=reason)
    answer.status_code = status
    return finished(answer)


def finished(answer: Response) -> Response:
    """The headers that all of them have."""
    answer.headers["Cache-Control"] = "no-store"
    if answer.status_code == 503:
        answer.headers["Retry-After"] = str(RETRY_AFTER_S)
    return answer


def told(view: View, refuse: Refuse = refusal) -> View:
    """Turn whatever goes wrong in a view into an answer; `refuse` makes it of a status and a reason."""

    @wraps(view)
    def answered(*args: Any, **words: Any) -> Response:
        try:
            return view(*args, **words)
        except Exception as error:  # noqa: BLE001 - a fault of ours, whatever it is: the CRM shall ask again
            return refuse(*_explained(error))

    return answered


def _explained(error: Exception) -> tuple[int, str]:
    """Status and reason; what goes wrong on our side is a line in the log."""
    status, reason = 503, "not at this moment"
    match error:
        case HTTPException():  # too large, or the client went away
            status, reason = error.code or 400, error.name
        case WebhookError():
            log.info("a call is refused (%s): %s", type(error).__name__, error)
            status, reason = error.status, str(error)
        case AccessLost() | HostRefused():
            status, reason = 403, str(error)
        case ConnectorError() | CRMError() | InboxAway():
            log.warning("a call cannot be answered now: %s", error)
            reason = str(error)
        case SQLAlchemyError():
            log.warning("a call cannot be answered now: %s", type(error).__name__)
            reason = "the database is away"
        case _:  # its text may hold what was sent
            frame = traceback.extract_tb(error.__traceback__)[-1]
            log.error("a call could not be handled: %s at %s:%s", type(error).__name__, frame.filename, frame.lineno)
    return status, reason
