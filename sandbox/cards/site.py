"""The card pages as a WSGI application in front of a portal's API: no call, no limit, no fault, no log entry.

`GET /sandbox/cards/` the list (`kind`, `q`, `page`), `GET /sandbox/cards/<company|contact>/<id>` a card, `POST` to a
card's address what a person does on it (answered with 303 back to the card), `GET /sandbox/events` what changed.
The pages change a practice portal only, without a login; forms of other sites are refused all the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from urllib.parse import parse_qs
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from sandbox.cards.deeds import deed_of
from sandbox.cards.frame import ROOT, Frame, card_path
from sandbox.cards.pages import Asked, ListView, card_page, list_page, message_page
from sandbox.cards.views import KINDS, CardDesk, CardKind, Change, Refusal
from sandbox.cards.words import WORDS
from sandbox.web import Answer, Request, json_answer, read_request, status_line

EVENTS = "/sandbox/events"
PAGE = 50
MOST_EVENTS, USUAL_EVENTS = 1000, 100
_HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


def with_cards(api: WSGIApplication, desk: CardDesk) -> WSGIApplication:
    """The portal's application with its card pages in front: everything under `/sandbox` is theirs."""
    site = CardSite(desk)

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path != "/sandbox" and not path.startswith("/sandbox/"):
            return api(environ, start_response)
        answer = site.answer(read_request(environ))
        headers = {**answer.headers, "Content-Length": str(len(answer.body))}
        start_response(status_line(answer.status), list(headers.items()))
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else answer.body]

    return app


class CardSite:
    """A function from a request to a page, for one portal."""

    def __init__(self, desk: CardDesk) -> None:
        self._desk = desk
        self._frame = Frame(desk.crm, desk.language)

    def answer(self, request: Request) -> Answer:
        """The page, or what the portal does with the form."""
        with self._desk.lock:
            if request.method in {"GET", "HEAD"}:
                return self._shown(request.path, _first(request.query()))
            if request.method == "POST":
                return self._done(request)
        return Answer(405, b"", {"Allow": "GET, HEAD, POST"})

    # --- looking ---------------------------------------------------------------------------------------------

    def _shown(self, path: str, query: Mapping[str, str]) -> Answer:
        if path == EVENTS:
            return self._events(query)
        if path.rstrip("/") + "/" in {"/sandbox/", ROOT}:
            return self._list(query)
        place = _place(path)
        if place is None:
            return self._message(404, "gone")
        return self._card(*place, Asked(query.get("edit", ""), query.get("deals") == "all"))

    def _list(self, query: Mapping[str, str]) -> Answer:
        ids = {kind: self._desk.ids(kind) for kind in KINDS}
        kind = next((one for one in KINDS if one == query.get("kind")), KINDS[0] if ids[KINDS[0]] else KINDS[1])
        asked = query.get("q", "").strip()
        found = self._found(kind, ids[kind], asked)
        pages = max(1, -(-len(found) // PAGE))
        page = min(_whole(query.get("page", "")) or 1, pages)
        lines = [self._desk.line(kind, one) for one in found[(page - 1) * PAGE : page * PAGE]]
        return _html(200, list_page(self._frame, ListView(kind, asked, len(found), page, pages, lines)))

    def _found(self, kind: CardKind, ids: Sequence[int], asked: str) -> Sequence[int]:
        """A number finds the card of that id, and like any other text the names that contain it."""
        if not asked:
            return ids
        text, number = asked.casefold(), _whole(asked)
        return [one for one in ids if one == number or text in self._desk.line(kind, one).title.casefold()]

    def _card(self, kind: CardKind, card_id: int, asked: Asked, status: int = 200) -> Answer:
        card = self._desk.view(kind, card_id)
        if card is None:
            return self._message(404, "gone")
        return _html(status, card_page(self._frame, card, asked))

    def _events(self, query: Mapping[str, str]) -> Answer:
        count = _whole(query.get("limit", str(USUAL_EVENTS)))
        since = _moment(query.get("since"))
        if not count or since is None:
            problem = "limit is a number from 1, since is a moment in ISO 8601 with a zone"
            return json_answer({"error": problem}, 400)
        changes = self._desk.changes(min(count, MOST_EVENTS))
        shown = [_event(change) for change in changes if change.at >= since]
        return json_answer({"crm": self._desk.crm, "events": shown}, headers={"Cache-Control": "no-store"})

    # --- doing -----------------------------------------------------------------------------------------------

    def _done(self, request: Request) -> Answer:
        place = _place(request.path)
        if place is None or self._desk.view(*place) is None:
            return self._message(404, "gone")
        if _is_foreign(request):
            return self._message(403, "foreign")
        form = _first(parse_qs(request.body.decode("utf-8", "replace"), keep_blank_values=True))
        try:
            understood = self._act(place, form)
        except Refusal as refusal:
            return self._card(*place, Asked(form.get("name", ""), problem=str(refusal)), 400)
        if not understood:
            return self._card(*place, Asked(problem=WORDS[self._desk.language]["unclear"]), 400)
        kind, card_id = place
        return Answer(303, b"", {"Location": card_path(kind, card_id)})

    def _act(self, place: tuple[CardKind, int], form: Mapping[str, str]) -> bool:
        """Whether the form was one of ours."""
        match form:
            case {"do": "edit", "name": name, "value": value}:
                self._desk.edit(*place, name, value.replace("\r\n", "\n").strip())
            case {"do": "win" | "reopen" | "delete" as deed, "id": deal} if _whole(deal):
                self._desk.change_deal(_whole(deal), deed)
            case {"do": "finish", "id": task}:
                self._desk.finish_task(task)
            case _:
                return self._at_desk(place, form)
        return True

    def _at_desk(self, place: tuple[CardKind, int], form: Mapping[str, str]) -> bool:
        card = self._desk.view(*place)
        deed = deed_of(place, form, self._desk.zone, card.people if card else ())
        if deed is not None:
            self._desk.at_desk(deed)
        return deed is not None

    def _message(self, status: int, word: str) -> Answer:
        return _html(status, message_page(self._frame, WORDS[self._desk.language][word]))


def _html(status: int, page: str) -> Answer:
    return Answer(status, page.encode(), _HEADERS)


def _first(values: Mapping[str, Sequence[str]]) -> dict[str, str]:
    return {name: found[0] for name, found in values.items()}


def _whole(text: str) -> int:
    """A number of at most 18 digits, 0 for anything else."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else 0


def _place(path: str) -> tuple[CardKind, int] | None:
    kind_text, _, number = path.removeprefix(ROOT).partition("/")
    kind = next((one for one in KINDS if one == kind_text), None)
    return (kind, _whole(number)) if path.startswith(ROOT) and kind is not None and _whole(number) else None


def _moment(text: str | None) -> datetime | None:
    """None when it cannot be read; without a text the beginning of all time."""
    if text is None:
        return datetime.min.replace(tzinfo=UTC)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else None


def _event(change: Change) -> dict[str, object]:
    at = change.at.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return {"kind": change.kind, "id": change.id, "what": change.what, "at": at}


def _is_foreign(request: Request) -> bool:
    """Browsers name the page's origin with every POST; scripts that send none are no browsers."""
    origin = request.headers.get("origin")
    return origin is not None and origin.partition("://")[2] != request.headers.get("host", "")
