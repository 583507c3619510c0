"""What the product can do so far, and where each claim is proven; writes the table in README.md.

`python -m tests.capabilities` rewrites the table. A row is `done` only when nothing of it is missing; otherwise it
says what is. Rows that have not been begun are not listed. `tests/guards/test_readme.py` keeps table and paths fresh.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- capabilities: begin -->", "<!-- capabilities: end -->"


@dataclass(frozen=True, slots=True)
class Capability:
    """One row. `missing` is empty when the capability is complete; `proof` has paths of tests, as pytest takes them."""

    id: str
    what: str
    proof: tuple[str, ...]
    missing: str = ""

    @property
    def state(self) -> str:
        """`done`, or `partly` with what is missing."""
        return f"partly; missing: {self.missing}" if self.missing else "done"


_LOOP = "tests/acceptance/test_loop.py"
_KILLS = "tests/acceptance/test_kills.py"
_WRITING = ("tests/adapters/bitrix24/test_writing.py", "tests/adapters/hubspot/test_writing.py")
_REPAIRS = "tests/connector/scores/test_repairs.py"
_METHODS = "tests/scoring/test_methods.py"
_ORDERS = "tests/connector/store/test_mirror_orders.py"
_CARDS = "tests/connector/store/test_mirror_customers.py"
_DELIVERING = "tests/connector/jobs/test_delivering.py"
_RUN_ALARMS = "tests/connector/jobs/test_run_alarms.py"
_TELLING = "tests/connector/jobs/test_telling.py"
_CLOCK = "tests/connector/sla/test_clock.py"
_TENDING = "tests/connector/jobs/test_tending.py"
_QUEUEING = "tests/connector/jobs/test_queueing.py"
_DEADLINES = "tests/acceptance/test_deadlines.py"
_FOLLOWUPS = "tests/connector/sla/test_followups.py"
_CALENDARS = "tests/connector/sla/test_calendars.py"
_WORKTIME = "tests/connector/sla/test_worktime.py"

CAPABILITIES: tuple[Capability, ...] = (
    Capability(
        "PH-05",
        "a recommendation for every segment",
        ("tests/scoring/test_hints.py",),
        "promotions of the shop's own; it is one text for each segment",
    ),
    Capability("PH-08", "churn monitoring", (_METHODS, _LOOP), "the right moment of a last call; there is the flag"),
    Capability(
        "PH-15",
        "the manager gets every important change as a readable task in the CRM",
        (_FOLLOWUPS, "tests/connector/sla/test_texts.py"),
        "e-mail; further changes than the three of RS-13",
    ),
    Capability(
        "PH-23",
        "segments from several order sources",
        (_ORDERS,),
        "what the orders contain is mirrored and not used yet",
    ),
    Capability(
        "C3-01",
        "customer, day and amount are enough",
        ("tests/scoring/test_frames.py", "tests/scoring/test_features.py"),
    ),
    Capability("C3-02", "absolute scales of four points, without gaps", (_METHODS,)),
    Capability("C3-03", "nine segments by a list of codes", (_METHODS, "tests/scoring/test_schemes.py")),
    Capability("C3-04", "what each segment means, in a line", ("tests/scoring/test_hints.py",)),
    Capability("RS-04", "bins 1 to 5, five segments", (_METHODS, "tests/scoring/test_scales.py")),
    Capability(
        "RS-05",
        "thresholds are frozen in a version",
        (_METHODS,),
        "the release cycle: further versions, notice, pilot",
    ),
    Capability("RS-06", "definitions of R, F and M", ("tests/scoring/test_features.py", "tests/scoring/test_cdnow.py")),
    Capability("RS-08", "rules for contacts and their companies", (_ORDERS,), "the hunt for duplicates"),
    Capability("RS-09", "fields on the card", (*_WRITING, "tests/adapters/amocrm/test_adapter.py", _LOOP)),
    Capability(
        "RS-11",
        "data quality 0 to 100 with its causes; a poor one softens the SLA",
        ("tests/scoring/test_quality.py", _REPAIRS, "tests/connector/sla/test_policy.py"),
        "orders without a manager and bulk days are weighed, but not looked for in a portal yet",
    ),
    Capability("RS-12", "a short hint on the card", ("tests/scoring/test_hints.py",)),
    Capability(
        "RS-13",
        "only three kinds of news notify",
        ("tests/connector/sla/test_playbook.py", _FOLLOWUPS),
    ),
    Capability(
        "RS-14",
        "SLA by segment, with clocks for what comes after the first contact: need known, showing appointed",
        ("tests/connector/sla/test_policy.py", _CLOCK, _TENDING),
    ),
    Capability(
        "RS-23",
        "who changed segment and why, what was not refreshed, jumps without an event: for each run and day",
        (_DELIVERING, "tests/connector/web/test_delivery_pages.py"),
    ),
    Capability("RS-24", "what became of every field that was written, and who else wrote it", (*_WRITING, _DELIVERING)),
    Capability(
        "RS-25",
        "an alarm when too many scores or cards are old",
        (_RUN_ALARMS, _DELIVERING, _TELLING),
        "sent to a role",
    ),
    Capability(
        "RS-31",
        "every change of settings, methods, fields and cards is in the audit trail; hands on our fields are noticed",
        ("tests/connector/store/test_audit.py", _CARDS, _DELIVERING),
        "write protection in Bitrix24 and HubSpot",
    ),
    Capability(
        "RS-34", "no text tells a client his label", ("tests/connector/sla/test_texts.py",), "the other scripts"
    ),
    Capability("OC-01", "relative scores 1 to 6", (_METHODS, "tests/scoring/test_scales.py")),
    Capability("OC-02", "segments on the plane of R and FxM", (_METHODS,)),
    Capability("P-02", "only what changed is read and sent", (_LOOP,), "an alert that names why everything was read"),
    Capability("P-04", "dry run", (_LOOP,), "a history of dry runs"),
    Capability("P-05", "old → new for each field before a write", (_LOOP,), "more than the first twenty cards"),
    Capability("P-07", "invalid records are stopped before sending, and told apart from refused ones", (_DELIVERING,)),
    Capability(
        "P-08",
        "retries inside the run and at every later run; a refused batch is halved until the bad record stands alone",
        (*_WRITING, _LOOP),
    ),
    Capability(
        "P-09",
        "what could not be written waits in a list with a replay, dry or real; its depth is a metric",
        (_DELIVERING, "tests/connector/cli/test_delivery_commands.py"),
    ),
    Capability("P-10", "alarms against the mean of past runs", (_RUN_ALARMS,)),
    Capability("P-11", "one notice for each change of an alarm's state, and one when it is over", (_TELLING,)),
    Capability(
        "P-12", "limits of refusals, time, rows and moves; several trips are one notice", (_RUN_ALARMS, _TELLING)
    ),
    Capability("P-13", "health of a portal, 0 to 100, with its parts", (_RUN_ALARMS,)),
    Capability(
        "P-14",
        "one request budget for all processes that use a token",
        (_LOOP, "tests/adapters/hubspot/test_client.py"),
        "two tokens of one account have two budgets",
    ),
    Capability(
        "P-17",
        "requests by hour and operation, without payload or personal data",
        ("tests/connector/cli/test_delivery_commands.py",),
        "raw requests and answers, traces",
    ),
    Capability(
        "P-21",
        "a run and the pages say when data are too thin, and what is shown instead; nothing is held back",
        ("tests/scoring/test_sufficiency.py", "tests/connector/web/test_analysis_pages.py", _METHODS),
    ),
    Capability(
        "P-22",
        "gates for lifetime value and churn models, each unmet need told",
        ("tests/scoring/test_sufficiency.py",),
        "the models",
    ),
    Capability("P-24", "fitted or fixed thresholds, three to ten bins", (_METHODS,), "setting them without a file"),
    Capability(
        "N-01",
        "true difference against the cards before any write, with its price in requests and minutes",
        (_LOOP,),
        "approval of a plan by its hash; the managers it touches",
    ),
    Capability(
        "N-04",
        "each customer explained: orders behind the code, borders, an order today, the day it changes by itself",
        ("tests/scoring/test_explain.py", "tests/connector/scores/test_explanation.py"),
        "the card itself has the stable hint only",
    ),
    Capability(
        "N-05",
        "each value on a card has its run, method and value before; a run can be undone; hand edits are noticed",
        (_LOOP, _CARDS, _DELIVERING),
        "undoing one card, or everything",
    ),
    Capability(
        "N-07",
        "backtest without looking ahead: purchase, revenue, churn, order of segments, flags, stability, side by side",
        ("tests/scoring/test_backtest.py", "tests/connector/scores/test_replays.py"),
        "rules of stability are not replayed",
    ),
    Capability("N-09", "segment tables are proven total and disjoint", ("tests/scoring/test_schemes.py",)),
    Capability(
        "N-10",
        "causes of doubt, the list of repairs, and the segment if repaired",
        ("tests/scoring/test_repair.py", _REPAIRS),
    ),
    Capability("N-11", "one method, three CRMs, the same segments", (_LOOP, _METHODS)),
    Capability("N-12", "SLA clocks from a log of events, computed on read", (_CLOCK, _TENDING, _DEADLINES)),
    Capability(
        "N-13",
        "a budget of notifications; a rule nobody acts on falls silent and says so",
        (_FOLLOWUPS, _TENDING, _QUEUEING),
    ),
    Capability(
        "N-14",
        "the list of what to do first, by deadline, class, value and risk",
        ("tests/connector/sla/test_queue.py", _QUEUEING),
        "margins, which no CRM tells",
    ),
    Capability(
        "N-15",
        "a report card of every rule",
        ("tests/connector/sla/test_figures.py", _QUEUEING),
        "customers left alone for comparison",
    ),
    Capability(
        "N-16",
        "no news of silence off-season",
        (_TENDING,),
        "the season out of the portal's own orders; months are named in a setting",
    ),
    Capability(
        "N-17",
        "others who write our fields or use up the account's quota are told",
        (_RUN_ALARMS, _DELIVERING),
        "which program it is: the CRMs do not tell it with the card",
    ),
    Capability(
        "N-18",
        "the three CRMs emulated, with limits and faults",
        (
            "tests/sandbox/test_faults.py",
            "tests/sandbox/test_limits.py",
            "tests/sandbox/test_amocrm_public_client.py",
            "tests/sandbox/test_bitrix24_public_clients.py",
            "tests/sandbox/test_hubspot_official_client.py",
        ),
    ),
    Capability(
        "S-04", "business calendar", (_WORKTIME, _CALENDARS), "one calendar for each team; there is one a portal"
    ),
    Capability("S-05", "holidays, moved working days, shortened days", (_CALENDARS,)),
    Capability("S-06", "several intervals in a day", (_CALENDARS, _WORKTIME)),
    Capability("S-20", "a daily cap for each person", (_FOLLOWUPS,), "rotation, weights, absence"),
    Capability("S-21", "never twice with the CRM's own reminder", ("tests/connector/sla/test_escalation.py", _TENDING)),
    Capability("S-23", "interval arithmetic instead of counting seconds", (_WORKTIME,)),
    Capability("U-01", "which cards and fields will change", (_LOOP,), "more than the first twenty cards"),
    Capability("U-04", "a customer without a score keeps what stands on the card", (_LOOP,)),
    Capability(
        "U-06",
        "429 is handled inside, waiting as told",
        ("tests/adapters/bitrix24/test_client.py", "tests/adapters/hubspot/test_faults.py", _LOOP),
    ),
    Capability(
        "U-08",
        "a field of another type stops before any write",
        (*_WRITING, "tests/adapters/amocrm/test_adapter.py"),
        "it is looked at once a day",
    ),
    Capability("U-10", "deals, order objects or an imported history count", (_ORDERS,), "choosing by pipeline"),
    Capability("U-13", "SLA in working hours only", (_WORKTIME, "tests/connector/sla/test_policy.py")),
    Capability("U-15", "a lunch break inside the working day", (_CALENDARS,)),
)


def table(capabilities: Sequence[Capability] = CAPABILITIES) -> str:
    """The rows as Markdown."""
    lines = ["| id | what | state | proven in |", "|---|---|---|---|"]
    for row in capabilities:
        proof = ", ".join(f"[{Path(path).stem}]({path})" for path in row.proof)
        lines.append(f"| {row.id} | {row.what} | {row.state} | {proof} |")
    return "\n".join(lines)


def with_table(text: str) -> str:
    """A README with the present table between the markers. Raises `ValueError` when they are missing."""
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"README.md needs the lines {BEGIN} and {END}")
    return f"{head}{BEGIN}\n{table()}\n{END}{tail}"


def main() -> int:
    """Rewrite the table in README.md."""
    README.write_text(with_table(README.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
