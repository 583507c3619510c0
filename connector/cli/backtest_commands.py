"""backtest: methods replayed on the portal's own past, as figures and as one HTML file."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from connector.cli.output import emit, table
from connector.config import Config
from connector.errors import WrongUse
from connector.scores.moments import as_of_moment
from connector.scores.replays import Contest, Question, replay_methods
from connector.scores.run import spoken
from connector.store import portals
from connector.web.backtest_file import backtest_html
from connector.web.texts import texts_in
from connector.wiring import assemble
from connector.wording import Language
from scoring.backtest import Share


def backtest(config: Config, words: argparse.Namespace) -> int:
    """Replay, tell, and write the report if one is wanted. Nothing is stored and nothing is sent."""
    question = Question(words.methods, words.dates, words.every, words.horizon)
    with assemble(config) as service, service.database.session() as session:
        portal = portals.portal_named(session, words.portal)
        moment = as_of_moment(portal.time_zone, None, datetime.now(UTC))
        found = replay_methods(session, portal, question, moment)
        language = spoken(words.language or portal.language)
    lines = list(_lines(found))
    if words.out:
        _write(Path(words.out), backtest_html(found, texts_in(Language(language))))
        lines.append(f"report: {words.out}")
    emit({**found.as_json(), "report": words.out}, as_json=words.json, text="\n".join(lines))
    return 0


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except (OSError, ValueError) as error:
        detail = error.strerror if isinstance(error, OSError) else "the name makes no sense"
        raise WrongUse(f"{path} cannot be written: {detail}") from None


def _lines(found: Contest) -> Iterator[str]:
    days = ", ".join(map(str, found.dates))
    yield f"{found.portal}: as of {days}; what followed within {found.horizon} days"
    for label in found.seen:
        yield f"{label} was fitted after the first of these days: it has seen part of what it foretells"
    for replay in found.replays:
        outcome = replay.together
        if outcome is None:
            yield f"\n{replay.contender.label}: nobody could be scored on these days"
            continue
        pairs = "–" if outcome.auc is None else f"{100 * outcome.auc:.1f} of 100 pairs ranked right"
        shift = f", largest shift {max(replay.stability):.3f}" if replay.stability else ""
        yield f"\n{replay.contender.label}: {pairs}{shift}"
        rows = [
            [group.name, str(group.customers), _rate(group.bought), str(group.orders), f"{group.revenue / 100:.2f}"]
            for group in outcome.segments
        ]
        yield table(rows, ("segment", "customers", "bought", "orders", "revenue"))
        for flag in outcome.flags:
            lift = "–" if flag.lift is None else f"{flag.lift:.2f}"
            yield f"{flag.name}: true for {_rate(flag.precision)} of {flag.marked} marked, lift {lift}"
        for one in outcome.violations:
            sure = "certainly" if one.certain else "maybe by chance"
            yield f"{one.scale}: {one.worse} bought more often than {one.better} ({sure})"


def _rate(share: Share) -> str:
    low, high = share.interval
    return "–" if share.value is None else f"{share.value:.1%} ({low:.1%}–{high:.1%})"
