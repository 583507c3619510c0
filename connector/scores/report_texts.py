"""The delivery report in words, Russian or English. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from connector.scores.report import DeliveryReport
from connector.wording import Language, counted, day, number

_FORMS: Mapping[str, tuple[tuple[str, str, str], tuple[str, str]]] = {
    "customers": (("клиент", "клиента", "клиентов"), ("customer", "customers")),
    "cards": (("карточка", "карточки", "карточек"), ("card", "cards")),
    "days": (("день", "дня", "дней"), ("day", "days")),
}
_WORDS: Mapping[str, tuple[str, str]] = {
    "title": ("{portal}: доставка за {day}", "{portal}: delivery on {day}"),
    "none": ("{portal}: расчётов ещё не было", "{portal}: there has been no run yet"),
    "runs": ("Расчётов: {runs}, записано карточек: {written}", "Runs: {runs}, cards written: {written}"),
    "moved": ("Сменили сегмент: {count}", "Changed segment: {count}"),
    "move": ("  {was} → {now}: {count} ({cause})", "  {was} → {now}: {count} ({cause})"),
    "jumps": ("Без события: {count}", "Without an event: {count}"),
    "unrefreshed": (
        "Не обновлены дольше {days}: оценки {scores}, карточки {cards} из {of}",
        "Not refreshed for {days}: {scores} scores, {cards} cards of {of}",
    ),
    "refused": ("Отклонила CRM: {count}", "Refused by the CRM: {count}"),
    "invalid": ("Не отправлены из-за ошибки в данных: {count}", "Not sent, because they cannot be right: {count}"),
    "reason": ("  {field}: {reason} – {count}", "  {field}: {reason} – {count}"),
    "whole": ("вся карточка", "whole card"),
    "waiting": ("Ждут повтора: {count}", "Waiting for the next try: {count}"),
    "hands": ("Наши поля меняли другие за неделю:", "Our fields changed by others within a week:"),
    "hand": ("  {field}: {count}", "  {field}: {count}"),
    "quota": (
        "За сутки запросов: {requests}, просьб замедлиться: {throttled}",
        "Requests within a day: {requests}, told to slow down: {throttled}",
    ),
}
CAUSES: Mapping[str, tuple[str, str]] = {
    "order": ("по заказу", "by an order"),
    "time": ("по времени", "by time"),
    "method": ("по методике", "by method"),
    "data": ("по исправлению данных", "by a repair of data"),
    "manager": ("рукой менеджера на карточке", "by a manager's hand on the card"),
    "unknown": ("без события", "without an event"),
}


def report_text(portal: str, report: DeliveryReport | None, language: str) -> str:
    """The whole report, one line for each fact."""
    return "\n".join(_Lines(language).of(portal, report))


class _Lines:
    def __init__(self, language: str) -> None:
        self._language = Language.RU if language == "ru" else Language.EN
        self._english = self._language is Language.EN

    def of(self, portal: str, report: DeliveryReport | None) -> Iterator[str]:
        if report is None:
            yield self._say("none", portal=portal)
            return
        yield self._say("title", portal=portal, day=day(report.day, self._language))
        yield self._say("runs", runs=len(report.runs), written=self._number(report.total("written")))
        yield self._say("moved", count=self._count("customers", report.moved))
        for move in report.moves:
            words = {
                "was": move.was,
                "now": move.now,
                "cause": CAUSES.get(move.cause, (move.cause, move.cause))[self._english],
            }
            yield self._say("move", count=self._number(move.customers), **words)
        yield self._say("jumps", count=self._count("customers", report.jumps))
        yield self._say(
            "unrefreshed",
            days=self._count("days", report.stale_days),
            scores=self._number(report.total("unrefreshed", "scores")),
            cards=self._number(report.total("unrefreshed", "cards")),
            of=self._number(report.total("living")),
        )
        yield from self._not_written(report)
        if report.hands:
            yield self._say("hands")
        for field, customers, _ in report.hands:
            yield self._say("hand", field=field, count=self._count("cards", customers))
        yield self._say("quota", requests=self._number(report.requests), throttled=self._number(report.throttled))

    def _not_written(self, report: DeliveryReport) -> Iterator[str]:
        for kind in ("refused", "invalid"):
            yield self._say(kind, count=self._count("cards", report.total(kind)))
            for fact in report.of_kind(kind):
                field = fact.about or self._say("whole")
                yield self._say("reason", field=field, reason=fact.why, count=self._number(fact.count))
        yield self._say("waiting", count=self._count("cards", report.waiting))

    def _say(self, key: str, **values: object) -> str:
        return _WORDS[key][self._english].format_map(values)

    def _number(self, value: int) -> str:
        return number(value, self._language)

    def _count(self, noun: str, count: int) -> str:
        return counted(count, _FORMS[noun][self._english], self._language)
