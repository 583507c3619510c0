"""What an alarm says to people, in Russian and English. Pure. Figures only: no customer, no manager, no secret."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_TEXTS: Mapping[str, tuple[str, str]] = {
    "schedule": (
        "работа «{about}» не началась вовремя или не продвигается (срок {due})",
        "{about} was due and is neither done nor getting on (due {due})",
    ),
    "failing": ("работа «{about}» не удаётся раз за разом: {reason}", "{about} fails again and again: {reason}"),
    "failed": ("работа «{about}» прекращена: {reason}", "{about} was given up: {reason}"),
    "paused": ("портал ждёт человека: {reason}", "the portal waits for a person: {reason}"),
    "stale": ("нет завершённого расчёта с {since}", "no run has come to its end since {since}"),
    "refused": ("CRM отклонила карточек: {refused} из {of}", "the CRM refused {refused} of {of} cards"),
    "invalid": ("не отправлено из-за ошибки в данных: {invalid} из {of}", "{invalid} of {of} cards could not be sent"),
    "throttled": (
        "CRM просит замедлиться: {throttled} ответов на {requests} запросов",
        "the CRM told us to slow down {throttled} times in {requests} requests",
    ),
    "inbox": ("событие ждёт обработки с {since}", "an event has been waiting since {since}"),
    "aside": (
        "не удалось прочитать записей: {records}, повтор раз в день: {reason}",
        "{records} records could not be read and are tried again once a day: {reason}",
    ),
    "proposal": (
        "методике {about} предложены новые пороги: посмотрите черновик {method}",
        "new thresholds are proposed for {about}: look at the draft {method}",
    ),
    "deadlines": (
        "сроки по клиентам, {about}: нарушено {missed}, из них ещё открыто {open}",
        "deadlines with customers, {about}: {missed} missed, {open} of them still open",
    ),
    "queue": ("задания ждут с {since}: не хватает обработчиков", "jobs wait since {since}: too few workers"),
    "moves": (
        "сегмент сменили необычно многие: {moved} (доля {share}, обычно {usual})",
        "unusually many customers changed segment: {moved} (a share of {share}, usually {usual})",
    ),
    "jumps": ("сегмент сменился без события: {jumps}", "{jumps} customers changed segment without an event"),
    "unrefreshed": ("не обновлены: {unrefreshed} из {of}", "{unrefreshed} of {of} customers were not refreshed"),
    "data_drop": (
        "стало заметно меньше данных ({about}): {now}, было {before}",
        "far fewer {about} are known: {now}, before {before}",
    ),
    "zero_rows": ("никто не посчитан, прошлый раз было {before}", "nobody was scored, last time {before} were"),
    "slow": ("расчёт шёл {seconds} с, обычно {usual} с", "the run took {seconds} s, usually {usual} s"),
    "cowriter": (
        "кто-то ещё меняет наше поле {about}: карточек {cards}",
        "somebody else changes our field {about}: {cards} cards",
    ),
    "quota": (
        "лимит запросов аккаунта расходует кто-то ещё: {throttled} отказов на наши {requests} запросов",
        "somebody else uses up the account's requests: {throttled} refusals of our {requests}",
    ),
}
_OVER = ("прошло", "over")
_BEGUN = ("внимание", "attention")
_TITLE = (("RFM: {portal}: тревог {opened}, прошло {closed}"), ("RFM: {portal}: {opened} alarms, {closed} over"))
_SERVICE = ("сервис", "service")


def alarm_text(kind: str, about: str, detail: Mapping[str, Any], language: str) -> str:
    """One alarm in words. A kind without words stands for itself."""
    texts = _TEXTS.get(kind)
    if texts is None:
        return f"{kind} {about}".strip()
    return texts[language != "ru"].format_map(_Filled(about=about, **detail))


def notice_title(portal: str, changes: list[dict[str, Any]], language: str) -> str:
    """The subject of a notice. An empty portal is the service."""
    opened = sum(change["state"] == "open" for change in changes)
    english = language != "ru"
    return _TITLE[english].format(portal=portal or _SERVICE[english], opened=opened, closed=len(changes) - opened)


def notice_lines(changes: list[dict[str, Any]], language: str) -> list[str]:
    """Each change in one line."""
    english = language != "ru"
    words = {"open": _BEGUN[english], "closed": _OVER[english]}
    return [
        f"{words[change['state']]}: {alarm_text(change['kind'], change['about'], change['detail'], language)}"
        for change in changes
    ]


class _Filled(dict[str, Any]):
    """Says a dash for what an alarm does not tell."""

    def __missing__(self, key: str) -> str:
        return "–"
