"""Explanation, quality and backtest for all customers of a shop at once, beside scoring the same shop.

    python -m tests.benchmarks.bench_analysis [--full]

`--full` is 1,000,000 customers: 10,000,000 orders to explain, 5,000,000 on six days to replay. Times are the best of
some rounds; the ratio is to scoring with history and flags in the same run.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np

from scoring.backtest import Contender, backtest
from scoring.drift import foresee
from scoring.explain import explain
from scoring.features import summarise
from scoring.frames import Orders
from scoring.methods import MethodVersion, apply, fit, load_method
from scoring.quality import Facts, assess
from scoring.repair import Doubts, copies, repaired
from scoring.sufficiency import Base, verdicts

AS_OF, SPAN, WINDOW, HORIZON = 19_000, 1_000, 365, 90
DATES = [AS_OF - HORIZON - 30 * month for month in range(5, -1, -1)]
ROUNDS = 3


def shop(customers: int, each: int) -> Orders:
    """Sorted by customer and day, as a store gives them."""
    random = np.random.default_rng(7)
    orders = customers * each
    customer = random.integers(0, customers, orders)
    customer[:customers] = np.arange(customers)
    day = random.integers(AS_OF - SPAN + 1, AS_OF + 1, orders)
    keys = np.sort(customer << 32 | day)
    amount = random.integers(100, 10_000_000, orders)
    return Orders(keys >> 32, (keys & 0xFFFFFFFF).astype(np.int32), amount)


def best(run: Callable[[], object]) -> float:
    times = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        run()
        times.append(time.perf_counter() - started)
    return min(times)


def line(name: str, seconds: float, beside: float) -> None:
    print(f"{name:<58}{seconds * 1000:>10.0f} ms{seconds / beside:>8.2f}")


def explaining(customers: int) -> None:
    orders = shop(customers, 10)
    method = load_method("sales5")

    def scored():
        summary = summarise(orders, as_of=AS_OF, window=WINDOW)
        version = MethodVersion("sales5", 1, method, fit(method, summary).thresholds)
        return version, summary, apply(version, summary)

    version, summary, found = scored()
    beside = best(scored)
    print(f"\n{customers:,} customers, {len(orders):,} orders{'':<20}{'best':>20}{'ratio':>9}")
    line("scoring with history and flags", beside, beside)
    line("explain: borders, single changes, an order today", best(lambda: explain(version, found)), beside)
    line("drift: when time alone changes it", best(lambda: foresee(version, summary, found, orders)), beside)
    total = summary.history.orders_total
    some = np.minimum(total, (summary.number % 7 == 0).astype(np.int32))
    facts = Facts(
        orders_total=total,
        days_since_first=summary.as_of - summary.history.first_day,
        amounts_absent=some,
        without_rate=some,
        duplicates=some,
        dates_missing=some,
        long_open=some,
        manager_missing=some > 0,
        manager_inactive=some > 0,
    )
    line("quality: scores and causes", best(lambda: assess(facts)), beside)
    line(
        "quality: orders that repeat another", best(lambda: copies(orders.customer, orders.day, orders.amount)), beside
    )
    absent = orders.amount % 20 == 0
    doubts = Doubts(absent, np.zeros(len(orders), np.bool_), copies(orders.customer, orders.day, orders.amount))
    line("quality: orders as repaired, one in 20 doubtful", best(lambda: repaired(orders, doubts)), beside)
    line("are there data enough", best(lambda: verdicts(Base.of(summary, 0))), beside)


def replaying(customers: int) -> None:
    orders = shop(customers, 5)
    names = ("sales5", "customer360", "octolis6")
    method = load_method("sales5")

    def scored():
        summary = summarise(orders, as_of=AS_OF, window=WINDOW)
        return apply(MethodVersion("sales5", 1, method, fit(method, summary).thresholds), summary)

    beside = best(scored)
    print(f"\n{customers:,} customers, {len(orders):,} orders, {len(DATES)} days{'':<12}{'best':>20}{'ratio':>9}")
    line("scoring once with history and flags", beside, beside)
    for count in (1, len(names)):
        contenders = [Contender(name, load_method(name)) for name in names[:count]]
        words = f"backtest of {count} method{'s' if count > 1 else ''}, {len(DATES)} days"
        line(words, best(lambda some=contenders: backtest(orders, some, dates=DATES, horizon=HORIZON)), beside)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="1,000,000 customers instead of 100,000")
    wanted = parser.parse_args(argv)
    customers = 1_000_000 if wanted.full else 100_000
    explaining(customers)
    replaying(customers)


if __name__ == "__main__":
    main()
