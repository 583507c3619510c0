"""sync, score, writeback, tasks, run, import, undo."""

from __future__ import annotations

import argparse

from connector.cli.output import describe, emit, progress
from connector.config import Config
from connector.jobs import loop, steps
from connector.sync import imports
from connector.wiring import assemble


def sync(config: Config, words: argparse.Namespace) -> int:
    """Pull."""
    with assemble(config) as service, progress() as bars:
        report = loop.sync_portal(service, words.portal, full=words.full, progress=bars)
    return _report(report, words)


def score(config: Config, words: argparse.Namespace) -> int:
    """Compute the scores."""
    with assemble(config) as service:
        report = loop.score_portal(service, words.portal, as_of=words.as_of, method=words.method, dry_run=words.dry_run)
    return _report(report, words)


def writeback(config: Config, words: argparse.Namespace) -> int:
    """Send the differences."""
    with assemble(config) as service, progress() as bars:
        report = loop.write_portal(service, words.portal, dry_run=words.dry_run, force=words.force, progress=bars)
    return _report(report, words)


def tasks(config: Config, words: argparse.Namespace) -> int:
    """Create due tasks."""
    with assemble(config) as service, progress() as bars:
        report = loop.raise_tasks(service, words.portal, dry_run=words.dry_run, progress=bars)
    return _report(report, words)


def run(config: Config, words: argparse.Namespace) -> int:
    """The whole loop."""
    with assemble(config) as service, progress() as bars:
        report = loop.run_portal(
            service,
            words.portal,
            as_of=words.as_of,
            method=words.method,
            dry_run=words.dry_run,
            force=words.force,
            progress=bars,
        )
    return _report(report, words)


def load(config: Config, words: argparse.Namespace) -> int:
    """Import an order history."""
    history = imports.read_history(words.file)
    with assemble(config) as service:
        result = imports.import_history(service.database, words.portal, history, only=words.only, dry_run=words.dry_run)
    lines = [f"row {problem['row']}: {problem['reason']}" for problem in result["refused"]]
    text = f"{result['orders']} orders of {result['customers']} customers read, {result['changed']} new or changed"
    emit(result, as_json=words.json, text="\n".join([*lines, text]))
    return 1 if result["refused"] else 0


def undo(config: Config, words: argparse.Namespace) -> int:
    """Put back what a run replaced."""
    with assemble(config) as service, progress() as bars:
        report = loop.undo_run(service, words.portal, words.run_id, progress=bars)
    return _report(report, words)


def _report(report: steps.Report, words: argparse.Namespace) -> int:
    emit(report.as_json(), as_json=words.json, text=describe(report))
    return 1 if report.refused or report.invalid else 0
