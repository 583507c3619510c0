"""rotate-keys."""

from __future__ import annotations

import argparse

from connector.cli.output import emit
from connector.config import Config
from connector.store import keys
from connector.wiring import assemble


def rotate(config: Config, words: argparse.Namespace) -> int:
    """Seal every stored secret with the first of ENCRYPTION_KEYS; exit 1 while an older key is still needed."""
    with assemble(config) as service:
        renewed = keys.rotate(service.database, service.vault)
        stands = keys.standing(service.database, service.vault)
    text = f"{renewed} secrets sealed anew; {stands.newest} on the first key, {stands.older} on older keys"
    if stands.unreadable:
        text += f", {stands.unreadable} that no key opens: put their key back, or connect those portals again"
    elif stands.older:
        text += ": a process with the old settings still runs, restart it and repeat"
    found = {
        "renewed": renewed,
        "on_first_key": stands.newest,
        "on_older_keys": stands.older,
        "unreadable": stands.unreadable,
    }
    emit(found, as_json=words.json, text=text)
    return 0 if stands.is_whole else 1
