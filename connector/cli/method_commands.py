"""method …, history: an analyst's commands. Each prints one JSON object or a few lines for people."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from connector.cli import method_texts as texts
from connector.cli.output import emit
from connector.config import Config
from connector.errors import WrongUse
from connector.jobs import loop, whatif
from connector.jobs import methods as work
from connector.jobs.methods import Person
from connector.scores.versions import Reach
from connector.store.methods import ALL, MANAGERS, SHADOW, TEAMS
from connector.wiring import Service, assemble

Answer = tuple[dict[str, Any], str]


def method(config: Config, words: argparse.Namespace) -> int:
    """Dispatch to the action. What needs no portal opens no database."""
    alone = _ALONE.get(words.action)
    if alone is not None and (words.action != "show" or "@" not in words.method):
        result, text = alone(words)
    else:
        with assemble(config) as service:
            result, text = _ACTIONS[words.action](service, words)
    emit(result, as_json=words.json, text=text)
    return 0


def history(config: Config, words: argparse.Namespace) -> int:
    """A customer's scores over time."""
    with assemble(config) as service:
        found = work.history(service, words.portal, words.customer, words.on)
    emit(found, as_json=words.json, text=texts.history(found))
    return 0


def _list(service: Service, words: argparse.Namespace) -> Answer:
    found = work.listed(service, words.portal)
    return found, texts.listed(found)


def _show_rules(words: argparse.Namespace) -> Answer:
    spec = work.rules(words.method)
    return spec, json.dumps(spec, ensure_ascii=False, indent=2)


def _show(service: Service, words: argparse.Namespace) -> Answer:
    found = work.shown(service, words.method, words.portal)
    return found, json.dumps(found, ensure_ascii=False, indent=2)


def _fit(service: Service, words: argparse.Namespace) -> Answer:
    fitted = loop.fit_method(service, words.portal, as_of=words.as_of, method=words.method)
    return fitted, texts.fitted(fitted)


def _draft(service: Service, words: argparse.Namespace) -> Answer:
    notes = {language: text for language, text in (("ru", words.note_ru), ("en", words.note_en)) if text}
    found = work.draft(
        service,
        words.portal,
        words.method,
        _person(words),
        as_of=words.as_of,
        thresholds_of=words.thresholds_of,
        notes=notes,
    )
    return found, texts.drafted(found)


def _simulate(service: Service, words: argparse.Namespace) -> Answer:
    found = whatif.simulate(service, words.portal, words.method, as_of=words.as_of, limit=words.limit)
    if words.html:
        from connector.web.whatif_file import page  # noqa: PLC0415 - pages are loaded only where one is written

        try:
            Path(words.html).write_text(page(found), encoding="utf-8")
        except (OSError, ValueError) as error:
            raise WrongUse(f"{words.html} cannot be written: {getattr(error, 'strerror', error)}") from None
        found["html"] = words.html
    return found, texts.simulated(found)


def _review(service: Service, words: argparse.Namespace) -> Answer:
    found = work.review(service, words.portal, words.label, _person(words))
    return found, f"{found['method']} is reviewed by {found['reviewer']}"


def _publish(service: Service, words: argparse.Namespace) -> Answer:
    if words.shadow:
        reach = Reach(SHADOW, (), words.effective_from)
    elif words.to_teams or words.to_managers:
        reach = Reach(TEAMS if words.to_teams else MANAGERS, words.to_teams or words.to_managers, words.effective_from)
    else:
        reach = Reach(ALL, (), words.effective_from)
    found = work.publish(service, words.portal, words.label, reach, _person(words))
    return found, texts.published(found)


def _rollback(service: Service, words: argparse.Namespace) -> Answer:
    found = work.rollback(service, words.portal, _person(words))
    return found, texts.rolled_back(found)


def _retire(service: Service, words: argparse.Namespace) -> Answer:
    found = work.retire(service, words.portal, words.label, _person(words))
    return found, f"{found['method']} is retired"


def _prove(words: argparse.Namespace) -> Answer:
    found = work.proven(words.file)
    if not found["sound"]:
        raise WrongUse(texts.refused(found))
    return found, texts.proven(found)


def _diff(service: Service, words: argparse.Namespace) -> Answer:
    found = work.compared(service, words.portal, words.one, words.other)
    return found, texts.differences(found)


def _stability(service: Service, words: argparse.Namespace) -> Answer:
    found = work.stability(service, words.portal, days=words.days, least=words.least)
    return found, texts.stability(found)


def _flows(service: Service, words: argparse.Namespace) -> Answer:
    if words.first > words.last:
        raise WrongUse(f"--from {words.first} is after --to {words.last}")
    found = work.segments_between(service, words.portal, words.first, words.last)
    return found, texts.flows(found["flows"])


def _person(words: argparse.Namespace) -> Person:
    return Person(words.by, words.reason)


_ALONE: Mapping[str, Callable[[argparse.Namespace], Answer]] = {"show": _show_rules, "prove": _prove}
_ACTIONS: Mapping[str, Callable[[Service, argparse.Namespace], Answer]] = {
    "list": _list,
    "show": _show,
    "fit": _fit,
    "draft": _draft,
    "simulate": _simulate,
    "review": _review,
    "publish": _publish,
    "rollback": _rollback,
    "retire": _retire,
    "diff": _diff,
    "stability": _stability,
    "flows": _flows,
}
