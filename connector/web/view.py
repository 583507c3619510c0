"""What every template has at hand: the language of the request and the filters that write in it."""

from __future__ import annotations

import json
from datetime import date, datetime, tzinfo
from decimal import Decimal
from typing import Any, cast
from urllib.parse import quote, urlencode

from flask import Flask, Response, g, request
from markupsafe import Markup

from connector.web.texts import Texts, choose_language, texts_in
from connector.wording import Language, day

COOKIE = "lang"
_SPEECHLESS = "webhooks"
_YEAR_S = 365 * 24 * 3600


def add_language(app: Flask) -> None:
    """Choose the language of each request: `?lang=`, else the cookie, else Accept-Language. Webhooks have none."""

    @app.before_request
    def choose() -> None:
        if request.blueprint != _SPEECHLESS:
            g.texts = texts_of_request()

    @app.after_request
    def remember(response: Response) -> Response:
        if request.blueprint == _SPEECHLESS:
            return response
        wish = request.args.get(COOKIE)
        if wish in {language.value for language in Language} and request.cookies.get(COOKIE) != wish:
            response.set_cookie(COOKIE, wish, max_age=_YEAR_S, samesite="Lax", httponly=True, secure=request.is_secure)
        response.headers.add("Vary", "Accept-Language, Cookie")
        return response

    @app.context_processor
    def words() -> dict[str, Any]:
        return {"t": g.texts, "lang": g.texts.language.value, "other_lang_url": _other_language()}

    app.add_template_filter(_number, "number")
    app.add_template_filter(_money, "money")
    app.add_template_filter(_moment, "moment")
    app.add_template_filter(_day, "day")
    app.add_template_filter(as_data, "chart")


def texts_of_request() -> Texts:
    """The words of the language that this request asks for."""
    accepted = [tag for tag, quality in request.accept_languages if quality > 0]
    return texts_in(choose_language((request.args.get(COOKIE), request.cookies.get(COOKIE)), accepted))


def _other_language() -> str:
    """This address in the other language, the rest of its query kept."""
    other = Language.RU if _texts().language is Language.EN else Language.EN
    kept = {name: value for name, value in request.args.items() if name != COOKIE}
    return f"{quote(request.path)}?{urlencode({**kept, COOKIE: other.value})}"


def _number(value: Decimal | float | None, decimals: int = 0) -> str:
    return _texts()("site.none") if value is None else _texts().number(value, decimals)


def _money(value: Decimal, currency: str) -> str:
    return _texts().money(value, currency)


def _moment(value: datetime, here: tzinfo, *, named: bool = False) -> Markup:
    """A moment as people read it, with the exact one for machines."""
    shown = _texts().moment(value, here, named=named)
    return Markup('<time datetime="{}">{}</time>').format(value.isoformat(), shown)


def _day(value: date | str) -> str:
    """A day as people read it, given as one or as it is written for machines."""
    return day(value if isinstance(value, date) else date.fromisoformat(value), _texts().language)


def as_data(data: dict[str, Any]) -> Markup:
    """Data for a script block: nothing in it can end the block or open another."""
    text = json.dumps(data, ensure_ascii=False)
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)  # noqa: S704 - escaped above


def _texts() -> Texts:
    return cast("Texts", g.texts)
