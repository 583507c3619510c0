"""One order's way from the CRM to the card, with its parts: real web and worker processes, a sandbox over HTTP.

Moments are noted by triggers inside PostgreSQL, so that the product is measured as it is.

    python -m tests.benchmarks.bench_latency [--crm amocrm] [--orders 10]
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from sqlalchemy import text

from connector.store.database import Database
from tests.acceptance.life import Life, living, until
from tests.acceptance.stage import CRMS
from tests.benchmarks.database import fresh_database, postgres

PARTS = ("accepted", "picked up", "fetched", "rescored", "written")
ENDED = "SELECT count(*) FROM runs WHERE kind = 'run' AND state = 'done'"
_WAIT_S = 60.0

_MARKS = """
CREATE TABLE marks (part text, at double precision);
CREATE FUNCTION note_mark() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO marks VALUES (TG_ARGV[0], extract(epoch FROM clock_timestamp()));
  RETURN NULL;
END $$;
CREATE TRIGGER mark AFTER INSERT ON arrivals FOR EACH ROW EXECUTE FUNCTION note_mark('accepted');
CREATE TRIGGER mark AFTER INSERT ON inbox FOR EACH ROW EXECUTE FUNCTION note_mark('picked up');
CREATE TRIGGER mark AFTER INSERT OR UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION note_mark('fetched');
CREATE TRIGGER mark AFTER INSERT ON changes FOR EACH ROW EXECUTE FUNCTION note_mark('rescored');
CREATE TRIGGER written AFTER UPDATE ON changes FOR EACH ROW WHEN (NEW.state = 'written')
  EXECUTE FUNCTION note_mark('written');
"""


@contextmanager
def alive(crm: str, server: str) -> Iterator[Life]:
    """An installed portal after its first run."""
    with fresh_database(server) as url, tempfile.TemporaryDirectory(prefix="rfmbench") as home:
        database = Database(url)
        with living(crm, database, url, Path(home), workers=1) as life:
            assert life.install().status == 200
            until(lambda: life.rows(ENDED)[0] > 0 and life.is_idle(), _WAIT_S)
            with database.session() as session:
                session.execute(text(_MARKS))
            yield life
        database.close()


def buyer(life: Life) -> int:
    """A contact whose card holds a score."""
    sql = "SELECT external_id FROM customers WHERE kind = 'contact' AND card ? 'segment' AND NOT gone ORDER BY number"
    return int(life.rows(sql)[0])


def one_order(life: Life, contact: int, amount: int) -> dict[str, float]:
    """Seconds after a deal was won at which each part was first done, and the whole at which the card was right."""
    with life.database.session() as session:
        session.execute(text("TRUNCATE marks"))
    before = life.stage.card("contact", contact)["f"]
    began, clock, pause = time.time(), time.perf_counter(), threading.Event()
    life.win_deal(contact, amount)
    while life.stage.card("contact", contact)["f"] == before:
        assert time.perf_counter() - clock < _WAIT_S
        pause.wait(0.005)
    whole = time.perf_counter() - clock
    until(life.is_idle, _WAIT_S)
    found = {part: at - began for part, at in life.rows("SELECT part, min(at) FROM marks GROUP BY part")}
    return {**found, "card": whole}


def bench(crm: str, server: str, orders: int) -> None:
    with alive(crm, server) as life:
        contact = buyer(life)
        found = [one_order(life, contact, 100 + number) for number in range(orders)]
        whole = sorted(one["card"] for one in found)
        print(f"\n{crm}: {orders} orders one by one, from the deal that is won to the card that says so")
        print(f"on the card after {median(whole):.2f} s (median), {whole[-1]:.2f} s at most; of that")
        last = 0.0
        for part in PARTS:
            at = median(one[part] for one in found)
            print(f"  {part:<10} +{at - last:>6.2f} s")
            last = at


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--crm", nargs="+", choices=CRMS, default=["amocrm"])
    parser.add_argument("--full", action="store_true", help="every CRM")
    parser.add_argument("--orders", type=int, default=8)
    wanted = parser.parse_args(argv)
    logging.disable(logging.INFO)
    with postgres() as server:
        for crm in CRMS if wanted.full else wanted.crm:
            bench(crm, server, wanted.orders)


if __name__ == "__main__":
    main()
