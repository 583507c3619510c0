"""Short pages in words for people who install our app, in Russian or English, and their headers.

A page of a Bitrix24 portal is shown in a frame of that portal and of no other; everything else is in no frame.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Response, g, make_response, render_template, request

RETRY_AFTER_S = 10
_BX24 = "https://api.bitrix24.com"
_LANGUAGES = ("ru", "en")
_LIKE_RUSSIAN = frozenset({"ru", "ua", "by", "kz", "uz"})

_TEXTS: Mapping[str, tuple[tuple[str, str], tuple[str, str]]] = {
    "installed": (
        ("RFM подключён", "Портал {host} подключён. Первый расчёт уже поставлен в очередь, окно можно закрыть."),
        ("RFM is connected", "The portal {host} is connected. Its first run is queued; you can close this window."),
    ),
    "returned": (
        ("RFM снова подключён", "Портал {host} снова подключён, его история найдена. Окно можно закрыть."),
        ("RFM is connected again", "{host} is connected again, and its history was found. You can close this window."),
    ),
    "ready": (
        ("RFM работает", "Портал {host} подключён: сегменты стоят в карточках контактов и компаний."),
        ("RFM is at work", "The portal {host} is connected: segments are on the cards of contacts and companies."),
    ),
    "refused": (
        ("Установка не удалась", "Ничего не сохранено. Причина: {reason}."),
        ("The installation did not work", "Nothing was kept. The reason: {reason}."),
    ),
    "later": (
        ("Сейчас не получилось", "Попробуйте ещё раз через минуту. Причина: {reason}."),
        ("Not at this moment", "Try again in a minute. The reason: {reason}."),
    ),
    "not_set_up": (
        ("Установка ещё не настроена", "Сообщите тому, кто содержит этот сервер: {reason}."),
        ("Installing is not set up here", "Tell those who run this server: {reason}."),
    ),
    "not_admin": (
        ("Нужен администратор", "Пусть приложение откроет администратор портала: он его и подключит."),
        ("An administrator is needed", "Let an administrator of the portal open the app: that connects it."),
    ),
    "inside_only": (
        ("Страница приложения для Битрикс24", "Она открывается внутри портала, из меню приложений."),
        ("The app's page for Bitrix24", "It opens inside a portal, from the menu of its applications."),
    ),
}


def chosen_language(lang: str = "") -> str:
    """`ru` or `en`: what the CRM names, else what the browser prefers."""
    if lang:
        return "ru" if lang[:2].lower() in _LIKE_RUSSIAN else "en"
    return request.accept_languages.best_match(_LANGUAGES) or "en"


def page(
    status: int, kind: str, *, lang: str = "", framed_by: str = "", finishes: bool = False, **facts: str
) -> Response:
    """A page in words. `framed_by` is the origin of the proven portal; `finishes` calls `BX24.installFinish`.

    A page that says what went wrong is shown in the frame of the portal that claims to open it (`g.framed_by`).
    """
    framed_by = framed_by or g.get("framed_by", "")
    language = chosen_language(lang)
    title, text = _TEXTS[kind][_LANGUAGES.index(language)]
    words = {name: value.rstrip(".") for name, value in facts.items()}
    body = render_template(
        "install/page.html",
        language=language,
        title=title,
        text=text.format(**words),
        bx24=_BX24 if finishes else "",
    )
    answer = make_response(body, status)
    answer.headers["Cache-Control"] = "no-store"
    answer.headers["Content-Security-Policy"] = policy(framed_by)
    if not framed_by:
        answer.headers["X-Frame-Options"] = "DENY"
    if status == 503:
        answer.headers["Retry-After"] = str(RETRY_AFTER_S)
    return answer


def plain(status: int, text: str, **headers: Any) -> Response:
    """For machines."""
    answer = Response(f"{text}\n", status=status, content_type="text/plain; charset=utf-8")
    if status == 503:
        answer.headers["Retry-After"] = str(RETRY_AFTER_S)
    answer.headers.update(headers)
    return answer


def policy(framed_by: str) -> str:
    """Scripts of ours and, in a portal's frame, Bitrix24's library of its frames."""
    ancestors = f"'self' {framed_by}" if framed_by else "'none'"
    scripts = f"'self' {_BX24}" if framed_by else "'self'"
    return (
        f"default-src 'none'; script-src {scripts}; style-src 'self'; base-uri 'none'; form-action 'none';"
        f" frame-ancestors {ancestors}"
    )
