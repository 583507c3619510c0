"""A short way for webhooks through a WSGI server, in front of the web framework, which costs more than the work itself.

It takes plain POSTs of known length to the addresses of events; whatever is out of the ordinary, refused addresses and
names among it, goes the long way. Both ways end in `webhooks.receiving`, and answer alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from http import HTTPStatus
from typing import Any

from adapters.records import CRM
from webhooks.deliveries import Endpoint
from webhooks.receiving import TEXT, Answer, Reception, delivery_of

Environ = dict[str, Any]
_Start = Callable[..., Any]
_Application = Callable[[Environ, _Start], Iterable[bytes]]

_PLAIN = {"/webhooks/hubspot": CRM.HUBSPOT, "/webhooks/bitrix24": CRM.BITRIX24}
_SECRET = "/webhooks/amocrm/"  # noqa: S105 - the beginning of an address
_CUT_SHORT = Answer(HTTPStatus.BAD_REQUEST, "Bad Request")


class Lane:
    """WSGI middleware. `is_expected` says whether a request may come in by the name that it asked for.

    `base` is the address under which CRMs reach us; `headers` are put on every answer.
    """

    def __init__(
        self,
        application: _Application,
        reception: Reception,
        base: str,
        *,
        max_body: int,
        is_expected: Callable[[Environ], bool],
        headers: Sequence[tuple[str, str]],
    ) -> None:
        self._application = application
        self._reception = reception
        self._base = base
        self._max_body = max_body
        self._is_expected = is_expected
        self._headers = headers

    def __call__(self, environ: Environ, start_response: _Start) -> Iterable[bytes]:
        """Answer, or hand on."""
        crm, length, target = _crm_of(environ), _length(environ), environ.get("RAW_URI", "")
        if crm is None or not 0 < length <= self._max_body or target[:1] != "/" or not self._is_expected(environ):
            return self._application(environ, start_response)
        return self._told(self._answer(crm, length, target, environ), start_response)

    def _answer(self, crm: CRM, length: int, target: str, environ: Environ) -> Answer:
        try:
            body = environ["wsgi.input"].read(length)
        except (OSError, ValueError):
            return _CUT_SHORT
        if len(body) < length:
            return _CUT_SHORT
        now = self._reception.clock()
        return self._reception.receive(delivery_of(crm, Endpoint.EVENTS, now, self._base, target, body, environ))

    def _told(self, answer: Answer, start_response: _Start) -> Iterable[bytes]:
        body = f"{answer.text}\n".encode() if answer.text else b""
        headers = [
            ("Content-Type", TEXT if body else "text/html; charset=utf-8"),
            ("Content-Length", str(len(body))),
            *self._headers,
        ]
        if answer.retry_after is not None:
            headers.append(("Retry-After", str(answer.retry_after)))
        start_response(f"{answer.status} {HTTPStatus(answer.status).phrase.upper()}", headers)
        return (body,)


def _crm_of(environ: Environ) -> CRM | None:
    if environ["REQUEST_METHOD"] != "POST" or environ.get("SCRIPT_NAME"):
        return None
    path = environ["PATH_INFO"]
    found = _PLAIN.get(path)
    if found is None and path.startswith(_SECRET) and path.count("/") == 3 and path != _SECRET:
        return CRM.AMOCRM
    return found


def _length(environ: Environ) -> int:
    """0 where it is not told in the plain way."""
    told = environ.get("CONTENT_LENGTH") or ""
    is_plain = told.isascii() and told.isdigit() and len(told) < 12 and "HTTP_TRANSFER_ENCODING" not in environ
    return int(told) if is_plain else 0
