"""What `method …` and `history` say to people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from connector.cli.output import table

_FIRST = 12


def listed(found: Mapping[str, Any]) -> str:
    """Methods that ship, then versions and releases."""
    lines = [f"{one['method']:14} {one['bins']} bins, {len(one['segments'])} segments" for one in found["shipped"]]
    for row in found["versions"]:
        mark = " ← in force" if row["in_force"] else ""
        day = row["published_at"] or row["drafted_at"]
        lines.append(f"{row['method']:14} {row['state']:10} {day[:10]}  {row['approver'] or row['author'] or ''}{mark}")
    out = [one for one in found["releases"] if one["state"] != "over" and one["scope"] != "all"]
    out += [one for one in found["releases"] if one["state"] == "waiting" and one["scope"] == "all"]
    for one in out:
        who = f"{one['scope']} {', '.join(one['ids'])}".strip()
        lines.append(f"{one['method']:14} released to {who} from {one['effective_from']} ({one['state']})")
    return "\n".join(lines)


def fitted(found: Mapping[str, Any]) -> str:
    """Thresholds by axis."""
    lines = [f"{found['method']} on {found['customers']} customers as of {found['as_of']}"]
    return "\n".join([*lines, *_thresholds(found)])


def drafted(found: Mapping[str, Any]) -> str:
    """The draft and what to do with it."""
    label, portal = found["method"], found["portal"]
    lines = [f"{label} is a draft by {found['author']}", *_thresholds(found)]
    return "\n".join([*lines, f"next: method simulate {portal} {label}, then method publish {portal} {label}"])


def published(found: Mapping[str, Any]) -> str:
    """Who gets the version and when."""
    label, replaced = found["method"], found["replaced"] or "nothing"
    if found["begins"] == "waiting":
        what = f"{label} waits for {found['effective_from']}; until then {found['in_force'] or 'nothing'} is in force"
    elif found["scope"] == "all":
        what = f"{label} is in force; it replaced {replaced}"
    elif found["scope"] == "shadow":
        what = f"{label} scores beside {found['in_force']}; no card shows it (see `method stability`)"
    else:
        what = f"{label} scores the customers of {found['scope']} {', '.join(found['ids'])}; the others keep {replaced}"
    return f"{what}\nscores and cards follow at the next run: rfm-connector {found['next']}"


def rolled_back(found: Mapping[str, Any]) -> str:
    """What was called back."""
    return (
        f"{found['called_back']} is called back; in force is {found['in_force'] or 'nothing'}"
        f"\nscores and cards follow at the next run: rfm-connector {found['next']}"
    )


def proven(found: Mapping[str, Any]) -> str:
    """A sound table, with its oddities."""
    lines = [f"{found['file']}: each of {found['codes']} codes has exactly one segment"]
    for one in found["inversions"]:
        better, worse = (f"{one['code']} ({one['segment']})", f"{one['lower_code']} ({one['lower_segment']})")
        lines.append(f"  odd: {better} is a better code than {worse}, but ranks lower")
    return "\n".join(lines)


def refused(found: Mapping[str, Any]) -> str:
    """Why a table is not sound, in one sentence."""
    parts = []
    if found["missing"]:
        parts.append(f"without a segment: {_some(found['missing'])}")
    if found["overlaps"]:
        doubled = [f"{code} ({' + '.join(owners)})" for code, owners in found["overlaps"].items()]
        parts.append(f"with several: {_some(doubled)}")
    if found["unknown"]:
        parts.append(f"not on the grid: {_some(found['unknown'])}")
    return f"{found['file']}: the segment table is refused; codes {'; '.join(parts)}"


def differences(found: Mapping[str, Any]) -> str:
    """One line for each place."""
    lines = [f"{row['where']}: {_word(row['one'])} → {_word(row['other'])}" for row in found["differences"]]
    return "\n".join(lines) or f"{found['one']} and {found['other']} are the same"


def simulated(found: Mapping[str, Any]) -> str:
    """The what-if report."""
    cards, work = found["cards"], found["work"]
    contacts = work["contacts_a_week"]
    head = f"{found['draft']} against {found['live']} as of {found['as_of']}"
    quota = f"{_or_unknown(cards['requests'])} requests, {_or_unknown(cards['minutes_of_quota'])} minutes of quota"
    hours = f"{work['hours_at_once']} hours at {work['task_minutes']} minutes each"
    lines = [
        f"{head}: {found['moved']} of {found['customers']} customers would change segment",
        flows([flow for flow in found["flows"] if flow["from"] != flow["to"]]),
        f"cards to write: {cards['cards']} ({cards['only_version_changes']} only show the new version); {quota}",
        f"tasks at once: {work['tasks_at_once']} ({hours})",
        f"contacts a week: {contacts['live']} → {contacts['draft']}; the daily budget allows {work['budget_a_week']}",
    ]
    lines += [f"  {rule}: {count}" for rule, count in work["by_rule"].items()]
    lines += [f"weak fit: {reason}" for reason in found["weak"]]
    if found["movers"]:
        lines.append("the largest of those who would move:")
        lines += [f"  {one['customer']}: {_step(one)}, sum {one['m']}" for one in found["movers"]]
    if "html" in found:
        lines.append(f"page: {found['html']}")
    return "\n".join(line for line in lines if line)


def stability(found: Mapping[str, Any]) -> str:
    """Flapping, held and shadow."""
    head = f"{found['customers']} customers changed segment {found['least']} times or more in {found['days']} days"
    lines = [f"{head}; {found['changes']} changes, {found['wasted_tasks']} tasks raised by them"]
    lines += [
        f"  {one['customer']}: {' → '.join(one['segments'])} ({one['changes']} changes, {one['tasks']} tasks)"
        for one in found["worst"]
    ]
    if found["held"]:
        lines += ["held by the method's rules (segment, and what the scores alone give):", flows(found["held"])]
    if found["shadow"]:
        lines += ["shadow (segment in force, and what the shadow gives):", flows(found["shadow"])]
    return "\n".join(lines)


def flows(rows: Sequence[Mapping[str, Any]]) -> str:
    """From, to, customers, as a table."""
    cells = [[row["from"] or "–", row["to"] or "–", str(row["customers"])] for row in rows]
    return table(cells, ("from", "to", "customers")) if cells else "nobody moves"


def history(found: Mapping[str, Any]) -> str:
    """A line for each change."""
    if not found["scores"]:
        day = f" on {found['on']}" if found["on"] else ""
        return f"{found['customer']} had no score{day}"
    header = ("since", "segment", "code", "R", "F", "M", "version")
    keys = ("since", "segment", "code", "r", "f", "m", "method")
    return table([[str(row[key]) for key in keys] for row in found["scores"]], header)


def _thresholds(found: Mapping[str, Any]) -> list[str]:
    lines = [f"  {axis}: {', '.join(map(str, borders))}" for axis, borders in found["thresholds"].items()]
    return lines + [f"  weak: {reason}" for reason in found["weak"]]


def _step(one: Mapping[str, Any]) -> str:
    was = f"{one['was']} {one['code_was']}" if one["was"] else "no score"
    now = f"{one['now']} {one['code_now']}" if one["now"] else "no score"
    return f"{was} → {now}"


def _or_unknown(value: float | None) -> str:
    return "an unknown number of" if value is None else str(value)


def _some(words: Sequence[str]) -> str:
    more = f" and {len(words) - _FIRST} more" if len(words) > _FIRST else ""
    return f"{', '.join(words[:_FIRST])}{more}"


def _word(value: Any) -> str:
    if isinstance(value, list):
        return _some([str(one) for one in value]) or "none"
    return "–" if value is None else str(value)
