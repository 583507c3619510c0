"""The product in one command: sandbox portals, the main job on each of them, the pages that show the result, a worker.

The portals tell what people change on their cards, and the worker puts what follows on the cards again. Everything
stays on this computer and is stopped together. A sandbox forgets its cards when it ends, so what an
earlier demo left in the database is erased first; portals of other names are not touched.
"""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from threading import Event, Thread
from time import monotonic
from typing import Any

from adapters.errors import CRMError
from connector import server
from connector.cli.output import emit, table
from connector.config import Config
from connector.demo_apps import ask_for_webhooks, environment, open_apps, with_apps
from connector.demo_progress import Board, board
from connector.demo_worker import background
from connector.errors import ConnectorError, Interruption
from connector.jobs import connecting, loop, steps
from connector.sandboxes import Offer, answers, sandbox_portals
from connector.store import overview, portals
from connector.store.database import open_database
from connector.store.models import Portal
from connector.web.links import card_url, is_sandbox
from connector.wiring import Service, assemble

_WAIT_S = 0.2
_GRACE_S = 5.0
_REFUSED, _FAILED = 1, 3


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one portal: a report, or the reason why there is none."""

    name: str
    crm: str
    report: steps.Report | None
    error: str | None

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        report = self.report.as_json() if self.report is not None else {}
        return {**report, "portal": self.name, "crm": self.crm, "error": self.error}


def play(config: Config, *, once: bool, as_json: bool) -> int:
    """Play it; `once` ends after the main job instead of serving the pages.

    Returns 0, 1 when records were refused, 3 when a portal failed (the others are done all the same).
    """
    config = replace(config, public_url=None) if once else _at_home(config)
    with _terminate_as_interrupt(), ExitStack() as running:
        _migrate(config)
        offers = _still_running(config)
        if offers is None:
            _say("starting the sandbox portals")
            offers = running.enter_context(sandbox_portals(config.public_url))
            _forget_earlier(config)
        allowed = with_apps(config, offers)
        with assemble(allowed) as service:
            outcomes = _run_all(service, offers)
            cards = _best_cards(service, outcomes)
            is_worked_on = not once and _listens(service, offers)
        emit(_result(outcomes, cards), as_json=as_json, text=_text(outcomes, cards))
        sys.stdout.flush()
        if is_worked_on:
            running.enter_context(background(environment(allowed)))
        if not once:
            server.serve(allowed, ready=lambda address: _say(f"open {address} (Ctrl-C stops everything)"))
    return _status(outcomes)


def _at_home(config: Config) -> Config:
    """The address that the portals are told: of this computer. A taken port is better known now than after the work."""
    with server.listen(replace(config, public_url=None)) as probe:
        port = probe.getsockname()[1]
    return replace(config, port=port, public_url=f"http://127.0.0.1:{port}")


def _listens(service: Service, offers: Sequence[Offer]) -> bool:
    """Whether a worker shall listen to these portals.

    Not to those of another demo, which has one; and not beside portals of yours, which it would work on as well.
    """
    if not any(offer.app for offer in offers):
        return False
    with service.database.session() as session:
        everyone = portals.all_portals(session)
    if not all(_is_ours(portal) for portal in everyone):
        _say("other portals are connected here: start `rfm-connector worker` to have all of them worked on")
        return False
    open_apps(service, offers)
    ask_for_webhooks(service, [portal.portal_id for portal in everyone])
    return True


def name_of(offer: Offer) -> str:
    """What a demo portal is called."""
    return f"sandbox-{offer.crm.value}"


def _migrate(config: Config) -> None:
    database = open_database(config)
    try:
        database.migrate()
    finally:
        database.close()


def _still_running(config: Config) -> list[Offer] | None:
    """The portals of another demo that is running on this database at this moment."""
    with assemble(config) as service:
        with service.database.session() as session:
            known = [portal for portal in portals.all_portals(session) if _is_ours(portal)]
        known = [portal for portal in known if not (service.has_grant(portal) and answers(portal.host))]
        offers = [offer for portal in known if (offer := _reached(service, portal)) is not None]
    return offers if known and len(offers) == len(known) else None


def _reached(service: Service, portal: Portal) -> Offer | None:
    """How the portal was connected, if it still lets us in there."""
    if portal.access is None or service.has_grant(portal) or not answers(portal.host):
        return None
    access = service.access_of(portal)
    allowed = replace(service.config, allowed_crm_hosts=frozenset({portal.host}))
    try:
        with replace(service, config=allowed).open(access) as opened:
            opened.adapter.portal()
    except (CRMError, ConnectorError):
        return None
    kept = service.vault.open(portal.access)
    return Offer(access.crm, kept["url"], kept["token"])


def _forget_earlier(config: Config) -> None:
    with assemble(config) as service:
        with service.database.session() as session:
            names = [portal.name for portal in portals.all_portals(session) if _is_ours(portal)]
        for name in names:
            connecting.disconnect(service, name, purge=True)


def _is_ours(portal: Portal) -> bool:
    return portal.name == f"sandbox-{portal.crm}" and is_sandbox(portal)


def _run_all(service: Service, offers: Sequence[Offer]) -> list[Outcome]:
    """The main job on every portal, side by side: each has limits of its own. Ctrl-C stops at the next wait."""
    outcomes: dict[str, Outcome] = {}
    stopping = Event()
    service = replace(service, sleep=lambda seconds: _sleep(seconds, stopping))
    with board([name_of(offer) for offer in offers]) as shown:

        def work(offer: Offer) -> None:
            outcomes[offer.crm] = _run_one(service, offer, shown, stopping)

        threads = [Thread(target=work, args=(offer,), name=name_of(offer), daemon=True) for offer in offers]
        for thread in threads:
            thread.start()
        try:
            _wait(threads)
        except KeyboardInterrupt:
            stopping.set()
            _say("stopping")
            deadline = monotonic() + _GRACE_S
            for thread in threads:
                thread.join(max(0.0, deadline - monotonic()))
            raise
    return [outcomes[offer.crm] for offer in offers]


def _sleep(seconds: float, stopping: Event) -> None:
    """Wait for a limit of the CRM, but not beyond Ctrl-C."""
    if stopping.wait(seconds):
        raise Interruption("stopped")


def _wait(threads: Sequence[Thread]) -> None:
    for thread in threads:
        while thread.is_alive():
            thread.join(_WAIT_S)  # in short waits, so that Ctrl-C is heard


def _run_one(service: Service, offer: Offer, shown: Board, stopping: Event) -> Outcome:
    name = name_of(offer)

    def progress(step: str, done: int, total: int | None = None) -> None:
        if stopping.is_set():
            raise Interruption("stopped")
        shown.advance(name, step, done, total)

    try:
        connecting.connect(service, offer.crm, name, url=offer.url, token=offer.token)
        report = loop.run_portal(service, name, progress=progress)
    except (ConnectorError, CRMError) as error:
        outcome = Outcome(name, offer.crm.value, None, str(error))
    except Exception as error:  # one portal's fault must not hide the others' results
        logging.getLogger("rfm").debug("unexpected error", exc_info=True)
        outcome = Outcome(name, offer.crm.value, None, f"unexpected {type(error).__name__}")
    else:
        outcome = Outcome(name, offer.crm.value, report, None)
    if not stopping.is_set():
        shown.finish(name, outcome.error)
    return outcome


def _best_cards(service: Service, outcomes: Sequence[Outcome]) -> dict[str, str]:
    """The card with the largest sum of each portal that was run."""
    cards: dict[str, str] = {}
    with service.database.session() as session:
        for outcome in outcomes:
            portal = overview.portal_named(session, outcome.name) if outcome.report is not None else None
            if portal is None:
                continue
            for customer in overview.best_customers(session, [portal.portal_id], 1)[portal.portal_id]:
                cards[outcome.name] = card_url(portal, customer.kind, customer.external_id) or ""
    return cards


def _result(outcomes: Sequence[Outcome], cards: dict[str, str]) -> dict[str, Any]:
    return {"portals": [{**outcome.as_json(), "card": cards.get(outcome.name)} for outcome in outcomes]}


def _text(outcomes: Sequence[Outcome], cards: dict[str, str]) -> str:
    header = ("crm", "customers", "orders", "scored", "cards written", "tasks", "requests", "seconds")
    rows = []
    for outcome in outcomes:
        report = outcome.report
        figures = (
            [report.customers, report.orders, report.scored, report.written, report.tasks_created, report.requests]
            if report is not None
            else ["–"] * 6
        )
        seconds = f"{report.seconds:.1f}" if report is not None else "–"
        rows.append([outcome.crm, *(str(figure) for figure in figures), seconds])
    lines = [table(rows, header)]
    lines += [f"{outcome.name} failed: {outcome.error}" for outcome in outcomes if outcome.error is not None]
    lines += [
        f"{outcome.name}: the CRM refused {len(outcome.report.refused)} records"
        for outcome in outcomes
        if outcome.report is not None and outcome.report.refused
    ]
    lines += ["cards with the largest sums:", *(f"  {url}" for url in cards.values())] if cards else []
    return "\n".join(lines)


def _status(outcomes: Sequence[Outcome]) -> int:
    if any(outcome.error is not None for outcome in outcomes):
        return _FAILED
    return _REFUSED if any(outcome.report is not None and outcome.report.refused for outcome in outcomes) else 0


@contextmanager
def _terminate_as_interrupt() -> Iterator[None]:
    """SIGTERM unwinds as Ctrl-C does, so that nothing we started stays behind."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - lines for people
