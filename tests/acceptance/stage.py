"""A sandbox portal over HTTP and the command line against it, the same words for the three CRMs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from typing import Any

from sandbox.clock import RealClock
from sandbox.faults import Faults
from sandbox.server import serve
from sandbox.shop import Shop

ROOT = Path(__file__).parents[2]
CRMS = ("amocrm", "bitrix24", "hubspot")
_BITRIX = {
    "churn_risk": "UF_CRM_RFM_CHURN",
    "segment_previous": "UF_CRM_RFM_PREVIOUS",
    "updated_at": "UF_CRM_RFM_UPDATED",
}
_AMO = {"segment_previous": "RFM_PREVIOUS"}


@dataclass
class Stage:
    """One portal under test."""

    crm: str
    shop: Shop
    portal: Any
    url: str
    environ: dict[str, str]
    name: str = "p"
    results: list[dict[str, Any]] = field(default_factory=list)

    def cli(self, *words: str, check: int | None = 0) -> dict[str, Any]:
        """Run a command in its own process and return its JSON; `check` is the wanted exit status."""
        done = self._start(*words, "--json")
        out, err = done.communicate(timeout=280)
        if check is not None:
            assert done.returncode == check, f"exit {done.returncode}: {err}\n{out}"
        last = out.strip().splitlines()[-1] if out.strip() else "{}"
        found: dict[str, Any] = json.loads(last)
        found["exit"], found["stderr"] = done.returncode, err
        return found

    def killed(self, after_s: float, *words: str) -> bool:
        """Run a command and kill it after a while; True if it was still running then."""
        process = self._start(*words)
        try:
            process.communicate(timeout=after_s)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            return True
        return False

    def connect(self) -> None:
        """Connect the portal."""
        secret = {
            "hubspot": ("--token", self.portal.token, "--api-url", self.url),
            "amocrm": ("--token", self.portal.token, "--account-url", self.url),
            "bitrix24": ("--webhook-url", self.url),
        }[self.crm]
        self.cli("connect", self.crm, "--name", self.name, *secret)

    def run(self, *words: str, check: int | None = 0) -> dict[str, Any]:
        """The whole loop."""
        return self.cli("run", self.name, *words, check=check)

    def card(self, kind: str, number: int) -> dict[str, Any]:
        """Our fields on a card by key, in Python's types; empty ones left out."""
        if self.crm == "hubspot":
            raw = self.portal.card("contacts" if kind == "contact" else "companies", number)
            found = {key.removeprefix("rfm_"): value for key, value in raw.items() if key.startswith("rfm_")}
        elif self.crm == "bitrix24":
            raw = self.portal.card(kind, number)
            names = {value: key for key, value in _BITRIX.items()}
            found = {
                names.get(key, key.removeprefix("UF_CRM_RFM_").lower()): value
                for key, value in raw.items()
                if key.startswith("UF_CRM_RFM_")
            }
        else:
            raw = self.portal.card_values("contacts" if kind == "contact" else "companies", number)
            names = {value: key for key, value in _AMO.items()}
            found = {
                names.get(key, key.removeprefix("RFM_").lower()): value
                for key, value in raw.items()
                if key.startswith("RFM_")
            }
        return {key: _typed(key, value) for key, value in found.items()}

    def edit(self, kind: str, number: int, key: str, value: Any) -> None:
        """Put a value into one of our fields the way a person or another program would."""
        if self.crm == "hubspot":
            self.portal.edit("contacts" if kind == "contact" else "companies", number, **{f"rfm_{key}": str(value)})
        elif self.crm == "bitrix24":
            self.portal.edit_card(kind, number, {_BITRIX.get(key, f"UF_CRM_RFM_{key.upper()}"): value})
        else:
            entity = "contacts" if kind == "contact" else "companies"
            self.portal.edit_card(entity, number, {_AMO.get(key, f"RFM_{key.upper()}"): value})

    def tasks(self) -> list[tuple[str, str]]:
        """(customer, text) of every task, of whichever kind the CRM has."""
        if self.crm == "hubspot":
            texts = [
                f"{task.get('hs_task_subject', '')} {task.get('hs_task_body', '')}" for task in self.portal.tasks()
            ]
            return [("", text) for text in texts]
        if self.crm == "bitrix24":
            return [
                (f"{todo.owner_type_id}:{todo.owner_id}", f"{todo.subject} {todo.description}")
                for todo in self.portal.todos()
            ]
        return [(f"{task['entity_type']}:{task['entity_id']}", task["text"]) for task in self.portal.tasks()]

    def markers(self) -> list[str]:
        """Our marker in every task."""
        return [text.rsplit("RFM#", 1)[1][:16] for _, text in self.tasks() if "RFM#" in text]

    def reopen(self, deal: int) -> None:
        """A won deal becomes open again."""
        if self.crm == "hubspot":
            self.portal.reopen(deal)
        elif self.crm == "bitrix24":
            self.portal.reopen_deal(deal)
        else:
            self.portal.reopen_lead(deal)

    def delete_deal(self, deal: int) -> None:
        """A deal goes."""
        if self.crm == "hubspot":
            self.portal.delete("deals", deal)
        elif self.crm == "bitrix24":
            self.portal.delete_deal(deal)
        else:
            self.portal.delete_leads([deal])

    def merge_contacts(self, winner: int, loser: int) -> None:
        """Two contacts become one."""
        if self.crm == "hubspot":
            self.portal.merge("contacts", winner, loser)
        elif self.crm == "bitrix24":
            self.portal.merge_contacts(winner, loser)
        else:
            self.portal.merge_contacts(winner, loser)

    def _start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "connector", *words],
            env=self.environ,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


@contextmanager
def stage(
    crm: str,
    shop: Shop,
    database_url: str,
    tmp_path: Path,
    *,
    faults: Faults | None = None,
    limits: bool = True,
    name: str = "p",
    **more: Any,
) -> Iterator[Stage]:
    """A served portal and an environment for the command line, connected."""
    create = import_module(f"sandbox.{crm}").create_portal
    portal = create(
        shop,
        clock=RealClock(),
        limits=limits,
        faults=faults or Faults.none(),
        token="sandbox0token0for0tests",
        **more,
    )
    with serve(portal.app, 0) as server:
        environ = {
            "PATH": os.environ.get("PATH", ""),
            "DATABASE_URL": database_url,
            "ALLOWED_CRM_HOSTS": server.url.split("//", 1)[1],
            "VAR_DIR": str(tmp_path / "var"),
            "PYTHONWARNINGS": "ignore",
        }
        made = Stage(crm, shop, portal, portal.connect_url(server.url), environ, name)
        made.connect()
        yield made


def _typed(key: str, value: Any) -> Any:
    if key in {"r", "f", "quality"}:
        return int(Decimal(str(value)))
    if key == "m":
        return Decimal(str(value))
    if key in {"churn_risk", "upsell"}:
        return str(value).lower() in {"true", "1", "y", "yes"}
    return value
