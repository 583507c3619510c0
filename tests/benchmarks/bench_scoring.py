"""Scoring from memory against the read bound, the best plain numpy, and the peers that are installed.

    python -m tests.benchmarks.bench_scoring [--orders 1000000 10000000] [--rounds 5] [--no-peers]

Every way gets the same columns (customer, day, amount in hundredths) and must give the same scores. The ways
take turns within a round, so that a busy moment hits all of them. Peers only aggregate; borders and scores
are made for them by the fast numpy code, so that the comparison never favours us.
"""

import argparse
import gc
import importlib.util
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median

import numpy as np
import pandas as pd

from scoring.features import Summary, summarise
from scoring.frames import Orders
from scoring.methods import Method, MethodVersion, apply, fit, load_method, score

AS_OF = 19_000
WINDOW = 365
SPAN = 1_000
ORDERS_PER_CUSTOMER = 10
BOUND = "read bound"
OURS = "ours: R, F, M, thresholds, scores"
OURS_WHOLE = "ours, with history, churn, upsell"


@dataclass(frozen=True)
class Shop:
    orders: Orders
    customers: int

    @property
    def columns(self):
        return self.orders.customer, self.orders.day, self.orders.amount


def shop(orders: int, *, ordered: bool) -> Shop:
    random = np.random.default_rng(7)
    customers = orders // ORDERS_PER_CUSTOMER
    customer = random.integers(0, customers, orders)
    customer[:customers] = np.arange(customers)  # everybody has an order, so that tables need no holes
    day = random.integers(AS_OF - SPAN + 1, AS_OF + 1, orders).astype(np.int32)
    if ordered:
        keys = np.sort(customer << 32 | day)
        customer, day = keys >> 32, (keys & 0xFFFFFFFF).astype(np.int32)
    else:
        random.shuffle(customer)
    return Shop(Orders(customer, day, random.integers(100, 10_000_000, orders)), customers)


# -- plain numpy, several ways: the best of them is the measure --------------------------------------------


def numpy_all_rows(data: Shop):
    customer, day, amount = data.columns
    inside = day > AS_OF - WINDOW
    f = np.bincount(customer, weights=inside, minlength=data.customers)
    m = np.bincount(customer, weights=amount * inside, minlength=data.customers)
    return _numpy_scores(AS_OF - _last_day(data), f.astype(np.int64), m.astype(np.int64))


def numpy_taken_rows(data: Shop):
    customer, day, amount = data.columns
    inside = np.flatnonzero(day > AS_OF - WINDOW)
    taken = customer[inside]
    f = np.bincount(taken, minlength=data.customers)
    m = np.bincount(taken, weights=amount[inside], minlength=data.customers)
    return _numpy_scores(AS_OF - _last_day(data), f, m.astype(np.int64))


def numpy_reduceat(data: Shop):
    customer, day, amount = data.columns
    starts = np.flatnonzero(np.concatenate(([True], customer[1:] != customer[:-1])))
    inside = day > AS_OF - WINDOW
    last = np.maximum.reduceat(day, starts)
    f = np.add.reduceat(inside, starts, dtype=np.int64)
    m = np.add.reduceat(amount * inside, starts)
    return _numpy_scores(AS_OF - last, f, m)


def _last_day(data: Shop):
    last = np.zeros(data.customers, dtype=np.int32)
    np.maximum.at(last, data.orders.customer, data.orders.day)
    return last


def _numpy_scores(r, f, m):
    """Borders by histogram or partition, scores by comparing; codes such as 545."""
    r_score = 5 - _beyond(r, _histogram_borders(r))
    f_score = 1 + _beyond(f, _histogram_borders(f))
    places = [-(-k * len(m) // 5) - 1 for k in range(1, 5)]
    m_score = 1 + _beyond(m, np.partition(m, places)[places])
    return r_score * np.int16(100) + f_score * np.int16(10) + m_score


def _histogram_borders(values):
    up_to = np.cumsum(np.bincount(values))
    return np.searchsorted(up_to, [-(-k * len(values) // 5) for k in range(1, 5)])


def _beyond(values, borders):
    count = np.zeros(len(values), dtype=np.int8)
    for border in borders:
        count += values > border
    return count


# -- peers ---------------------------------------------------------------------------------------------------


def pandas_way(data: Shop):
    frame = pd.DataFrame(dict(zip(("customer", "day", "amount"), data.columns, strict=True)), copy=False)

    def run():
        inside = frame["day"] > AS_OF - WINDOW
        marked = frame.assign(inside=inside, amount=frame["amount"].where(inside, 0))
        found = marked.groupby("customer").agg({"day": "max", "inside": "sum", "amount": "sum"})
        return _numpy_scores(AS_OF - found["day"].to_numpy(), found["inside"].to_numpy(), found["amount"].to_numpy())

    return run


def polars_way(data: Shop):
    import polars as pl  # noqa: PLC0415 - only where installed

    frame = pl.DataFrame(dict(zip(("customer", "day", "amount"), data.columns, strict=True)))
    inside = pl.col("day") > AS_OF - WINDOW
    query = (
        frame.lazy()
        .group_by("customer")
        .agg(pl.col("day").max(), inside.sum().alias("f"), pl.col("amount").filter(inside).sum().alias("m"))
        .sort("customer")
    )

    def run():
        found = query.collect()
        columns = (found[name].to_numpy().astype(np.int64) for name in ("day", "f", "m"))
        day, f, m = columns
        return _numpy_scores(AS_OF - day, f, m)

    return run


def duckdb_way(data: Shop):
    import duckdb  # noqa: PLC0415 - only where installed

    frame = pd.DataFrame(dict(zip(("customer", "day", "amount"), data.columns, strict=True)), copy=False)
    base = duckdb.connect()
    base.register("given", frame)
    base.execute("CREATE TABLE orders AS SELECT * FROM given")
    query = f"""
        SELECT max(day) AS day,
               count(*) FILTER (day > {AS_OF - WINDOW}) AS f,
               coalesce(sum(amount) FILTER (day > {AS_OF - WINDOW}), 0)::BIGINT AS m
        FROM orders GROUP BY customer ORDER BY customer"""

    def run():
        found = base.execute(query).fetchnumpy()
        return _numpy_scores(AS_OF - found["day"], found["f"], found["m"])

    return run


def pymc_way(data: Shop):
    from pymc_marketing.clv.utils import rfm_summary  # noqa: PLC0415 - only where installed

    customer, day, amount = data.columns
    frame = pd.DataFrame(
        {"customer": customer, "day": pd.to_datetime(day, unit="D"), "amount": amount / 100}, copy=False
    )
    return lambda: rfm_summary(frame, "customer", "day", "amount")


PEERS = {
    "pandas groupby": ("pandas", pandas_way),
    "polars": ("polars", polars_way),
    "duckdb": ("duckdb", duckdb_way),
    "pymc-marketing rfm_summary (no scores)": ("pymc_marketing", pymc_way),
}
SLOW = {"pymc-marketing rfm_summary (no scores)"}


# -- ours ----------------------------------------------------------------------------------------------------


def ours(data: Shop, method: Method):
    summary = summarise(data.orders, as_of=AS_OF, window=WINDOW, history=False)
    found = score(_published(method, summary), summary)
    return found.r * np.int16(100) + found.f * np.int16(10) + found.m


def ours_whole(data: Shop, method: Method):
    summary = summarise(data.orders, as_of=AS_OF, window=WINDOW)
    found = apply(_published(method, summary), summary)
    return found.r_score * np.int16(100) + found.f_score * np.int16(10) + found.m_score


def _published(method: Method, summary: Summary) -> MethodVersion:
    return MethodVersion(method.name, 1, method, fit(method, summary).thresholds)


# -- measuring -----------------------------------------------------------------------------------------------


@dataclass
class Way:
    name: str
    run: Callable[[], object]
    times: list[float] = field(default_factory=list)


def ways(data: Shop, *, ordered: bool, peers: bool) -> list[Way]:
    method = load_method("sales5")
    found = [
        Way(BOUND, lambda: [column.max() for column in data.columns]),
        Way("numpy: bincount, all rows", lambda: numpy_all_rows(data)),
        Way("numpy: bincount, rows of the window", lambda: numpy_taken_rows(data)),
    ]
    if ordered:
        found.append(Way("numpy: reduceat", lambda: numpy_reduceat(data)))
    found.append(Way(OURS, lambda: ours(data, method)))
    found.append(Way(OURS_WHOLE, lambda: ours_whole(data, method)))
    if peers:
        installed = {name: build for name, (module, build) in PEERS.items() if importlib.util.find_spec(module)}
        found += [Way(name, build(data)) for name, build in installed.items()]
    return found


def measure(found: list[Way], rounds: int) -> None:
    expected = None
    for turn in range(rounds + 1):
        for way in found:
            if way.name in SLOW and turn > 1:
                continue
            gc.collect()
            started = time.perf_counter()
            result = way.run()
            if turn:
                way.times.append((time.perf_counter() - started) * 1000)
            elif isinstance(result, np.ndarray):
                expected = result if expected is None else expected
                assert np.array_equal(result, expected), f"{way.name} gives other scores"
            del result


def report(found: list[Way], title: str) -> None:
    best = min((way for way in found if way.name.startswith("numpy")), key=lambda way: min(way.times))
    print(f"\n{title}\n{'way':<42}{'min, ms':>10}{'median':>10}{'ratio':>8}{'of medians':>12}")
    for way in found:
        low, middle = min(way.times), median(way.times)
        print(
            f"{way.name:<42}{low:>10.1f}{middle:>10.1f}"
            f"{low / min(best.times):>8.2f}{middle / median(best.times):>12.2f}"
        )
    print(f"ratios are to {best.name!r}")


def bytes_per_order(run: Callable[[], object], orders: int) -> float:
    """Most memory taken beyond the input, by numpy's own accounting."""
    gc.collect()
    tracemalloc.start()
    run()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak / orders


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peers", action=argparse.BooleanOptionalAction, default=True)
    wanted = parser.parse_args(argv)
    for orders in wanted.orders:
        for ordered in (True, False):
            data = shop(orders, ordered=ordered)
            found = ways(data, ordered=ordered, peers=wanted.peers)
            measure(found, wanted.rounds)
            report(found, f"{orders:,} orders, {'sorted by customer and day' if ordered else 'shuffled'}")
            for way in found:
                if way.name in {OURS, OURS_WHOLE}:
                    print(f"{way.name}: {bytes_per_order(way.run, orders):.1f} bytes an order beyond the input")


if __name__ == "__main__":
    main()
