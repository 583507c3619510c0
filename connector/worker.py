"""The background process: works until SIGTERM or SIGINT, then hands back what it was doing and ends.

Any number of them, on any machines with the same database, share the work. One that dies is replaced by the others
within seconds; one that loses the database waits for it and starts again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import procrastinate
import psycopg
from sqlalchemy.exc import SQLAlchemyError

from connector.config import Config
from connector.errors import ConnectorError, Interruption
from connector.jobs import engine, schedule
from connector.store.jobs import QUICK, SLOW
from connector.wiring import Service, assemble

log = logging.getLogger("rfm.worker")
_QUICK_JOBS = 2
_SPARE_THREADS = 5
_CONNECTIONS_A_JOB = 4
_PATIENCE_S = 20.0
_ATTEMPTS = 3
_LOCK_WAIT_S = 0.5
_HEAL_S, _TICK_S = 2.0, 5.0
_AGAIN_S = 1.0
_TROUBLES = (ConnectorError, SQLAlchemyError, psycopg.Error, OSError, procrastinate.exceptions.ProcrastinateException)


def work(config: Config) -> int:
    """Work until told to stop. Raises `DatabaseAway`, `SchemaBehind` and `Misconfigured` before it starts."""
    at_once = config.workers + _QUICK_JOBS
    with assemble(config, pool_size=_CONNECTIONS_A_JOB * at_once) as service:
        Worker(service).run()
    return 0


class Worker:
    """One process: `workers` portals at once, and quick work beside them."""

    def __init__(self, service: Service) -> None:
        self._stopping = threading.Event()
        self._service = replace(
            service, patience_s=_PATIENCE_S, attempts=_ATTEMPTS, lock_wait_s=_LOCK_WAIT_S, sleep=self._sleep
        )

    def run(self) -> None:
        """Work until SIGTERM, SIGINT or `stop`. A second signal ends the process at once: that is safe too."""
        try:
            asyncio.run(self._run())
        finally:
            self._service.grants.close()

    def stop(self) -> None:
        """End soon: chunks stop after their page or batch. From any thread."""
        self._stopping.set()

    def _sleep(self, seconds: float) -> None:
        if self._stopping.wait(seconds):
            raise Interruption("the worker stops; another one goes on")

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        threads = self._service.config.workers + _QUICK_JOBS + _SPARE_THREADS
        loop.set_default_executor(ThreadPoolExecutor(threads, thread_name_prefix="job"))
        with self._signals(loop):
            keepers = [
                asyncio.create_task(self._keep(self._heal, _HEAL_S)),
                asyncio.create_task(self._keep(self._tick, _TICK_S)),
            ]
            while not self._stopping.is_set():
                try:
                    await self._serve(loop)
                except _TROUBLES as error:
                    log.warning("worker interrupted reason=%s", type(error).__name__)
                await self._wait(_AGAIN_S)
            await asyncio.gather(*keepers)

    async def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        """Work on both queues until told to stop, or until one of the workers breaks."""
        app = engine.application(self._service, self._stopping.is_set)
        broken = asyncio.Event()
        loop.set_exception_handler(lambda _, context: _noticed(context, broken))
        async with app.open_async():
            working = [
                asyncio.create_task(app.run_worker_async(**engine.options(queue, jobs)))
                for queue, jobs in ((QUICK, _QUICK_JOBS), (SLOW, self._service.config.workers))
            ]
            log.info("worker started")
            while not (self._stopping.is_set() or broken.is_set() or any(task.done() for task in working)):
                await self._wait(_AGAIN_S)
            for task in working:
                task.cancel()  # lets running jobs come to their end
            for ended in await asyncio.gather(*working, return_exceptions=True):
                if isinstance(ended, Exception):
                    raise ended

    async def _keep(self, care: Callable[[], Any], every_s: float) -> None:
        """Do something again and again; trouble is the next turn's."""
        while not self._stopping.is_set():
            try:
                await asyncio.to_thread(care)
            except _TROUBLES as error:
                log.warning("%s failed reason=%s", care.__name__, type(error).__name__)
            await self._wait(every_s)

    async def _wait(self, seconds: float) -> None:
        """Wait, but not longer than until the stop."""
        await asyncio.to_thread(self._stopping.wait, seconds)

    def _heal(self) -> None:
        if found := engine.heal(self._service.database, datetime.now(UTC)):
            log.warning("jobs of silent workers taken over count=%d", found)

    def _tick(self) -> None:
        schedule.tick(self._service.database, datetime.now(UTC))

    @contextlib.contextmanager
    def _signals(self, loop: asyncio.AbstractEventLoop) -> Iterator[None]:
        """The first signal stops gently, the second one at once. Only the main thread hears signals."""
        is_main = threading.current_thread() is threading.main_thread()
        signals = (signal.SIGTERM, signal.SIGINT) if is_main else ()

        def heard(number: signal.Signals) -> None:
            loop.remove_signal_handler(number)  # back to the default, which ends the process
            self.stop()

        for number in signals:
            loop.add_signal_handler(number, heard, number)
        try:
            yield
        finally:
            for number in signals:
                loop.remove_signal_handler(number)


def _noticed(context: dict[str, Any], broken: asyncio.Event) -> None:
    """A job whose end could not be stored would stay as running for ever: its worker must go, so that it is healed."""
    log.warning("worker broken reason=%s", type(context.get("exception")).__name__)
    broken.set()
