"""One decorator says of a route all there is: address, scope, question, answer, refusals. Docs and checks follow it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import Request, Response, request
from flask_smorest import Blueprint
from marshmallow import RAISE, Schema
from webargs.flaskparser import FlaskParser

from connector.api.v1 import callers
from connector.api.v1.problems import MEDIA_TYPE, FieldError, Refused, of_error
from connector.api.v1.words import Answer, many, optional, text, whole
from connector.store import audit

View = Callable[..., Any]
SECURITY = "token"
PREFIXED = "api-"
"""Begins the names of our blueprints, so that pages may have the same words."""
_PATHS: dict[str, dict[str, Any]] = {
    "portal": {"description": "Name of the portal, as `GET /portals` lists it.", "example": "north"},
    "customer": {"description": "Kind and id in the CRM.", "example": "company:45"},
    "run": {"description": "Id of a run.", "example": "20261124T030001-4f1c2a"},
    "version": {"description": "A method's version.", "example": "sales5@2"},
    "method": {"description": "A method that ships.", "example": "sales5"},
    "token": {"description": "Id of a token.", "example": "1f2e3d4c5b6a"},
}
_NAMES = re.compile(r"<(?:\w+:)?(\w+)>")
_MEANINGS = {
    304: "Nothing has changed since the answer whose ETag was sent in If-None-Match.",
    400: "The request cannot be read.",
    401: "A token is asked for, or the one shown is unknown, revoked or over.",
    403: "The token lacks the scope of this operation.",
    404: "Not there, or not for this token.",
    409: "The portal's state does not allow it now.",
    413: "The body is too large.",
    415: "The body is not JSON.",
    422: "A parameter or the body makes no sense.",
    429: "Too many requests of this token: ask again after Retry-After seconds.",
    502: "The CRM refused.",
    503: "The database or the CRM cannot be reached: ask again after Retry-After seconds.",
}


class ProblemField(Answer):
    """What is wrong with one field."""

    field = text("Path of the field.", "query.limit")
    message = text("What is wrong with it.", "Must be greater than or equal to 1 and less than or equal to 500.")


class Problem(Answer):
    """A refusal (RFC 9457)."""

    type = text("Which kind of refusal, the same for ever.", "urn:rfm-connector:problem:missing-scope")
    title = text("The status in words.", "Forbidden")
    status = whole("The status.", 403)
    detail = text("One sentence to act on.", "the token has no scope 'run'")
    errors = optional(many(ProblemField, "By field, where fields are wrong."))


class Reader(FlaskParser):
    """Reads questions: strict JSON, nothing that is not known, and nothing that a database cannot keep."""

    DEFAULT_UNKNOWN_BY_LOCATION: dict[str, str | None] = {"query": RAISE, "json": RAISE}  # noqa: RUF012 - as its base

    def load_json(self, req: Request, schema: Schema) -> Any:
        """Raises `Refused` for what is no JSON of ours."""
        body = req.get_data(cache=True)
        if body and not req.is_json:
            raise Refused(415, "the body has to be JSON, with Content-Type: application/json")
        try:
            found = super().load_json(req, schema)
            fault = _fault(found)
        except RecursionError:
            fault = "it is nested too deeply"
        if fault:
            raise Refused(400, f"the body cannot be read: {fault}", errors=[FieldError("json", fault)])
        return found


class Routes(Blueprint):  # type: ignore[misc] # the library has no types
    """A part of the API."""

    ARGUMENTS_PARSER = Reader()

    def __init__(self, tag: str, *, url_prefix: str, description: str) -> None:
        super().__init__(f"{PREFIXED}{tag}", __name__, url_prefix=url_prefix, description=description)
        self.tag = tag

    def offer(
        self,
        method: str,
        rule: str,
        *,
        scope: str | None,
        answer: type[Schema] | None,
        status: int = 200,
        query: type[Schema] | None = None,
        body: type[Schema] | None = None,
        refuses: tuple[int, ...] = (),
    ) -> Callable[[View], View]:
        """Serve a view. It gets the query, then the body, then the parts of the path, and returns what is answered.

        `scope` None opens it to everybody. `refuses` are statuses besides those that follow from all this.
        """
        path = f"{self.url_prefix}{rule}"

        def decorate(view: View) -> View:
            told = self.response(status, answer, description=(view.__doc__ or "").split("\n", 1)[0])(view)
            if body is not None:
                told = self.arguments(body, location="json", required=any_required(body))(told)
            if query is not None:
                told = self.arguments(query, location="query")(told)
            for code in _refusals(method, path, scope, query, body, refuses):
                known = {"schema": Problem, "content_type": MEDIA_TYPE} if code != 304 else {}
                told = self.alt_response(code, description=_MEANINGS[code], **known)(told)
            name = view.__name__
            told = self.doc(operationId=name, security=[{SECURITY: [scope]}] if scope else [])(told)
            guarded = _guarded(told, scope)
            parts = [{"in": "path", "name": part, **_PATHS[part]} for part in _NAMES.findall(path)]
            self.route(rule, methods=[method], endpoint=name, parameters=parts, tags=[self.tag])(guarded)
            return view

        return decorate


def any_required(schema: type[Schema]) -> bool:
    """Whether a body of this kind has to be sent at all."""
    return any(field.required for field in schema().fields.values())


def _refusals(
    method: str,
    rule: str,
    scope: str | None,
    query: type[Schema] | None,
    body: type[Schema] | None,
    more: tuple[int, ...],
) -> list[int]:
    found = {*more, 503}
    if scope is not None:
        found |= {401, 403, 429}
    if "<" in rule:
        found.add(404)
    if query is not None or body is not None:
        found.add(422)
    if body is not None:
        found |= {400, 413, 415}
    if method == "GET":
        found.add(304)
    return sorted(found)


def _guarded(view: View, scope: str | None) -> View:
    """Let in whoever may, name him in the audit trail, and turn whatever goes wrong into an answer."""

    @wraps(view)
    def answered(**path: str) -> Response:
        request.max_content_length = callers.LARGEST_BODY
        try:
            if scope is None:
                return _finished(view(**path))
            who = callers.admit(scope)
            callers.check_path(path)
            with audit.acting(f"token:{who.name}"):
                return _finished(view(**path))
        except Exception as error:  # noqa: BLE001 - the last wall: scripts never see a stack trace
            return of_error(error)

    answered.scope = scope  # type: ignore[attr-defined]
    return answered


def _finished(answer: Response) -> Response:
    """Answers to GET can be asked for again with If-None-Match."""
    if request.method in {"GET", "HEAD"} and answer.status_code == 200:
        answer.add_etag(weak=True)
        answer.make_conditional(request)
    elif request.method not in {"GET", "HEAD"}:
        answer.headers["Cache-Control"] = "no-store"
    return answer


def _fault(found: Any) -> str:
    """Why JSON cannot be kept; empty where it can."""
    match found:
        case str():
            return _fault_of_text(found)
        case float() if not math.isfinite(found):
            return "a number is not finite"
        case dict():
            return next((fault for pair in found.items() for one in pair if (fault := _fault(one))), "")
        case list():
            return next((fault for one in found if (fault := _fault(one))), "")
    return ""


def _fault_of_text(found: str) -> str:
    if "\0" in found:
        return "the character NUL is not allowed"
    try:
        found.encode()
    except UnicodeEncodeError:
        return "a text is not valid Unicode"
    return ""
