"""serve, worker, demo, doctor, migrate."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from connector.cli.output import emit
from connector.config import Config
from connector.jobs.doctor import examine
from connector.store.database import open_database


def serve(config: Config, words: argparse.Namespace) -> int:  # noqa: ARG001 - every command takes the words
    """Serve the pages until stopped."""
    from connector import server  # noqa: PLC0415 - gunicorn is loaded only where it serves

    return server.serve(config)


def worker(config: Config, words: argparse.Namespace) -> int:  # noqa: ARG001 - every command takes the words
    """Work in the background until stopped."""
    from connector import worker as background  # noqa: PLC0415 - the engine is loaded only where it works

    return background.work(config)


def demo(config: Config, words: argparse.Namespace) -> int:
    """Sandbox portals, the main job on each, and the pages."""
    from connector import demo as show  # noqa: PLC0415 - the sandbox is loaded only where it plays

    return show.play(config, once=words.once, as_json=words.json)


def doctor(config: Config, words: argparse.Namespace) -> int:
    """Look at everything; exit 1 when something needs care."""
    findings = []
    for finding in examine(config):
        findings.append(finding)
        if not words.json:
            mark = "ok " if finding.ok else "!! "
            advice = f" → {finding.advice}" if finding.advice else ""
            print(f"{mark}{finding.about}: {finding.found}{advice}")
    healthy = all(finding.ok for finding in findings)
    if words.json:
        emit({"ok": healthy, "findings": [asdict(finding) for finding in findings]}, as_json=True, text="")
    return 0 if healthy else 1


def migrate(config: Config, words: argparse.Namespace) -> int:
    """Bring the database to this version's schema."""
    database = open_database(config)
    try:
        before = database.schema_version()
        database.migrate()
        after = database.schema_version()
    finally:
        database.close()
    text = f"schema {after}" if before == after else f"schema {before or 'none'} → {after}"
    emit({"before": before, "after": after}, as_json=words.json, text=text)
    return 0
