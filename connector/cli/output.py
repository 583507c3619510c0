"""How the command line speaks: results on standard output, everything else on standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from connector.jobs import steps

_STEPS = {
    "managers": "managers",
    "customers:contact": "contacts",
    "customers:company": "companies",
    "orders:deals": "deals",
    "orders:orders": "orders",
    "cards": "cards written",
    "tasks": "tasks",
}


def emit(result: Mapping[str, Any], *, as_json: bool, text: str) -> None:
    """The result: one JSON object on the last line, or text for people."""
    if as_json:
        print(json.dumps(result, ensure_ascii=False, default=str))
    else:
        print(text)


def complain(message: str) -> None:
    """One line on standard error."""
    print("rfm-connector: " + " ".join(message.split()), file=sys.stderr)


def table(rows: Sequence[Sequence[str]], header: Sequence[str]) -> str:
    """Columns aligned with spaces."""
    widths = [max(len(row[at]) for row in (header, *rows)) for at in range(len(header))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (header, *rows)
    )


@contextmanager
def progress() -> Iterator[steps.Progress]:
    """Progress bars on standard error when it is a terminal, silence otherwise."""
    if not sys.stderr.isatty():
        yield steps.silent
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description:16}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        known: dict[str, Any] = {}

        def show(step: str, done: int, total: int | None = None) -> None:
            if step not in known:
                known[step] = bars.add_task(_STEPS.get(step, step), total=total)
            if total is not None:
                bars.update(known[step], total=total)
            bars.advance(known[step], done)

        yield show


def describe(report: steps.Report) -> str:
    """A run in words."""
    lines = [f"{report.portal}: {report.customers} customers, {report.orders} orders"]
    if report.method:
        lines.append(f"scored {report.scored} as of {report.as_of} with {report.method}")
        lines += [f"  {segment:28} {count:>8}" for segment, count in report.segments.items()]
    lines += [f"  weak fit: {reason}" for reason in report.weak]
    lines += [f"  thin data: {reason}" for reason in report.thin]
    if report.plan is not None:
        lines += _plan_lines(report.plan)
    if not report.dry_run and report.run_id:
        lines.append(
            f"cards: {report.written} written, {report.unchanged} unchanged, {len(report.refused)} refused;"
            f" tasks: {report.tasks_created}"
        )
        lines += [
            f"  refused {row['customer']}: {row['reason']} ({row['field'] or 'record'})" for row in report.refused
        ]
        lines += [f"  not sent {row['customer']}: {row['field']} {row['reason']}" for row in report.invalid]
        lines.append(f"run {report.run_id}")
    lines.append(f"{report.requests} requests, {report.throttled} throttled, {report.seconds:.1f} s")
    return "\n".join(lines)


def _plan_lines(plan: Mapping[str, Any]) -> list[str]:
    lines = []
    if "fields" in plan:
        lines.append(
            f"plan: {plan['cards']} cards ({plan['contacts']} contacts, {plan['companies']} companies),"
            f" {plan['fields']} fields, {plan['requests']} requests, {plan['minutes_of_quota']} minutes of quota"
        )
        lines += [f"  new {step['kind']} field: {step['key']} ({step['detail']})" for step in plan["new_fields"]]
        for card in plan["sample"]:
            lines.append(f"  {card['customer']}")
            lines += [f"    {key}: {_shown(old)} → {_shown(new)}" for key, (old, new) in card["change"].items()]
        if plan["cards"] > len(plan["sample"]):
            lines.append(f"  … and {plan['cards'] - len(plan['sample'])} more cards")
    if "left_alone" in plan:
        lines.append(f"undo of {plan['run']}: {plan['cards']} cards to restore, {plan['left_alone']} left as they are")
    if "tasks" in plan:
        lines.append(f"tasks that would be created: {plan['tasks']}")
    return lines


def _shown(value: Any) -> str:
    return "–" if value is None else str(value)
