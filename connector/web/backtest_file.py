"""A backtest as one HTML file that needs no network: sentences, charts, and the same figures as tables. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader
from markupsafe import Markup

from connector.scores.moments import EPOCH
from connector.scores.replays import Contest
from connector.web.plotly_script import plain_script
from connector.web.texts import Texts
from scoring.backtest import Flag, Group, Outcome, Replay, Share

_STEADY = 0.1
_OTHER_POPULATION = 0.25
_DASHES = ("solid", "dash", "dot")


@dataclass(frozen=True, slots=True)
class Figure:
    """A chart with the sentence that says what it shows, and the table of its figures. A chart may be left out."""

    title: str
    sentence: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    chart: Markup | None = None


@dataclass(frozen=True, slots=True)
class Chapter:
    """The figures of one method."""

    title: str
    figures: tuple[Figure, ...]


def backtest_html(contest: Contest, texts: Texts) -> str:
    """The whole page. Colours follow the reader's light or dark setting; without scripts the tables say the same."""
    pages = Environment(loader=PackageLoader("connector.web"), autoescape=True)
    return pages.get_template("backtest.html").render(
        t=texts,
        lang=texts.language.value,
        contest=contest,
        notes=list(_notes(contest, texts)),
        side_by_side=_side_by_side(contest, texts),
        chapters=[_chapter(contest, replay, texts) for replay in contest.replays if replay.snapshots],
        style=Markup(files("connector.web").joinpath("static", "style.css").read_text(encoding="utf-8")),  # noqa: S704
        plotly=Markup(plain_script().decode()),  # noqa: S704 - the installed package's own script
    )


def _notes(contest: Contest, texts: Texts) -> Iterator[str]:
    yield texts("backtest.as_known_now")
    yield texts("backtest.cells")
    for label in contest.seen:
        yield texts("backtest.seen", method=label)
    for label in contest.sifted:
        yield texts("backtest.sifted", method=label)
    for replay in contest.replays:
        if not replay.snapshots:
            yield texts("backtest.nobody", method=replay.contender.label)
        if replay.contender.method.stability.active:
            yield texts("backtest.unsteady", method=replay.contender.label)


def _side_by_side(contest: Contest, texts: Texts) -> Figure:
    found = [(replay, outcome) for replay in contest.replays if (outcome := replay.together) is not None]
    rated = sorted(
        ((outcome.auc, outcome.auc_interval, replay.contender.label) for replay, outcome in found if outcome.auc),
        reverse=True,
    )
    sentence = _best(rated, texts) if rated else texts("backtest.nothing_told")
    header = ("method", "scored", "pairs", "best_rate", "worst_rate", "inversions", "shift")
    rows = tuple(tuple(_compared(contest, replay, outcome, texts)) for replay, outcome in found)
    return Figure(texts("backtest.side_by_side"), sentence, tuple(texts(f"backtest.{key}") for key in header), rows)


def _best(rated: Sequence[tuple[float, tuple[float, float] | None, str]], texts: Texts) -> str:
    """The method that ranks best, and those that are so near that it may be chance."""
    best, interval, label = rated[0]
    told = texts("backtest.best", method=label, pairs=texts.number(100 * best))
    near = [other for area, _, other in rated[1:] if interval is not None and area >= interval[0]]
    return f"{told} {texts('backtest.near', methods=texts.listed(near))}" if near else told


def _compared(contest: Contest, replay: Replay, outcome: Outcome, texts: Texts) -> Iterator[str]:
    filled = [group for group in outcome.segments if group.customers]
    found = [one for one in outcome.violations if one.scale == "segment"]
    yield replay.contender.label
    yield texts.number(outcome.customers)
    interval = outcome.auc_interval
    if outcome.auc is None or interval is None:
        yield texts("site.none")
    else:
        low, high = interval
        yield f"{texts.number(100 * outcome.auc, 1)} ({texts.number(100 * low)}–{texts.number(100 * high)})"
    for group in (filled[0], filled[-1]):
        yield f"{contest.label(replay, group.name, texts.language)}: {_percent(group.bought, texts)}"
    yield f"{texts.number(len(found))} ({texts.number(sum(one.certain for one in found))})"
    yield texts.number(max(replay.stability), 3) if replay.stability else texts("site.none")


def _chapter(contest: Contest, replay: Replay, texts: Texts) -> Chapter:
    outcome = replay.together
    if outcome is None:
        raise ValueError(f"{replay.contender.label} has no day to tell of")
    label = replay.contender.label
    key = "backtest.refitted" if replay.contender.thresholds is None else "backtest.frozen"
    return Chapter(
        texts(key, method=label),
        (
            _rates(contest, replay, outcome, texts),
            _revenue(contest, replay, outcome, texts),
            _over_time(contest, replay, texts),
            _scores(outcome, texts),
            _flags(outcome, texts),
        ),
    )


def _rates(contest: Contest, replay: Replay, outcome: Outcome, texts: Texts) -> Figure:
    groups = [group for group in outcome.segments if group.customers]
    names = [contest.label(replay, group.name, texts.language) for group in groups]
    best, worst = groups[0], groups[-1]
    told = [
        texts(
            "backtest.rates_say", best=names[0], best_rate=_percent(best.bought, texts), worst=names[-1],
            worst_rate=_percent(worst.bought, texts), days=texts.counted("days", contest.horizon),
        )
    ]  # fmt: skip
    found = [one for one in outcome.violations if one.scale == "segment"]
    label = {group.name: name for group, name in zip(groups, names, strict=True)}
    if not found:
        told.append(texts("backtest.in_order"))
    for one in found:
        key = "backtest.inverted_surely" if one.certain else "backtest.inverted_maybe"
        told.append(texts(key, worse=label[one.worse], better=label[one.better]))
    trace = {
        "type": "bar",
        "x": names,
        "y": [group.bought.value for group in groups],
        "error_y": _whiskers([group.bought for group in groups]),
        "marker": {"color": [f"--seg-{_work(replay, group.name)}" for group in groups]},
    }
    rows = tuple(
        (
            name, texts.number(group.customers), _percent(group.bought, texts), _interval(group.bought, texts),
            _percent(group.churned, texts), texts.number(group.orders / group.customers, 2),
        )
        for group, name in zip(groups, names, strict=True)
    )  # fmt: skip
    header = ("segment", "customers", "bought", "interval", "churned", "orders_each")
    return Figure(
        texts("backtest.rates"), " ".join(told), _header(header, texts), rows, _chart([trace], percent="y", texts=texts)
    )


def _revenue(contest: Contest, replay: Replay, outcome: Outcome, texts: Texts) -> Figure:
    groups = [group for group in outcome.segments if group.customers]
    names = [contest.label(replay, group.name, texts.language) for group in groups]
    everybody = outcome.everybody
    most = max(range(len(groups)), key=lambda at: groups[at].revenue)
    sentence = (
        texts(
            "backtest.revenue_say", segment=names[most],
            share=texts.percent(groups[most].customers, everybody.customers),
            money=texts.percent(groups[most].revenue, everybody.revenue),
        )
        if everybody.revenue > 0
        else texts("backtest.no_revenue")
    )  # fmt: skip
    trace = {
        "type": "bar",
        "x": names,
        "y": [group.revenue / 100 / group.customers for group in groups],
        "marker": {"color": [f"--seg-{_work(replay, group.name)}" for group in groups]},
    }
    rows = tuple(
        (
            name,
            _money(group.revenue, contest, texts),
            texts.percent(group.revenue, everybody.revenue) if everybody.revenue > 0 else texts("site.none"),
            _money(group.revenue // group.customers, contest, texts),
        )
        for group, name in zip(groups, names, strict=True)
    )
    header = _header(("segment", "revenue", "revenue_share", "revenue_each"), texts)
    chart = _chart([trace], title=f"{texts('backtest.revenue_each')}, {contest.currency}", texts=texts)
    return Figure(texts("backtest.revenue_title"), sentence, header, rows, chart)


def _over_time(contest: Contest, replay: Replay, texts: Texts) -> Figure:
    days = [EPOCH + timedelta(days=snapshot.as_of) for snapshot in replay.snapshots]
    names = [group.name for group in replay.snapshots[0].outcome.segments]
    traces = []
    for at, name in enumerate(names):
        groups = [snapshot.outcome.segments[at] for snapshot in replay.snapshots]
        traces.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": contest.label(replay, name, texts.language),
                "x": [texts.day(day) for day in days],
                "y": [group.bought.value for group in groups],
                "line": {"color": f"--seg-{_work(replay, name)}", "dash": _DASHES[_shade(replay, name) % 3]},
            }
        )
    most = max(replay.stability, default=0.0)
    key = "steady" if most < _STEADY else "shifted" if most < _OTHER_POPULATION else "other_population"
    sentence = texts(f"backtest.{key}", psi=texts.number(most, 3)) if replay.stability else texts("backtest.one_day")
    shifts = [texts("site.none"), *(texts.number(value, 3) for value in replay.stability)]
    rows = tuple(
        (
            texts.day(day),
            *(
                f"{_percent(group.bought, texts)} · {texts.number(group.customers)}"
                for group in snapshot.outcome.segments
            ),
            shift,
        )
        for day, snapshot, shift in zip(days, replay.snapshots, shifts, strict=True)
    )
    header = (
        texts("backtest.day"),
        *(contest.label(replay, name, texts.language) for name in names),
        texts("backtest.psi"),
    )
    chart = _chart(traces, percent="y", legend=True, texts=texts) if len(days) > 1 else None
    return Figure(texts("backtest.over_time"), sentence, header, rows, chart)


def _scores(outcome: Outcome, texts: Texts) -> Figure:
    """Per axis from the worst score to the best."""
    traces, rows = [], []
    for (axis, groups), colour in zip(
        outcome.scores.items(), ("--seg-loyal", "--seg-vip", "--seg-promising"), strict=True
    ):
        rising = [group for group in reversed(groups) if group.customers]
        traces.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": axis.upper(),
                "x": [int(group.name) for group in rising],
                "y": [group.bought.value for group in rising],
                "error_y": _whiskers([group.bought for group in rising]),
                "line": {"color": colour},
            }
        )
        rows.append(
            (axis.upper(), *(_rate_or_none(group, texts) for group in reversed(groups)))
        )  # fmt: skip
    inverted = sorted({one.scale.upper() for one in outcome.violations if one.scale != "segment" and one.certain})
    sentence = (
        texts("backtest.scores_inverted", axes=texts.listed(inverted))
        if inverted
        else texts("backtest.scores_in_order")
    )
    bins = len(next(iter(outcome.scores.values())))
    header = (texts("backtest.score"), *(str(score) for score in range(1, bins + 1)))
    chart = _chart(traces, percent="y", legend=True, whole_x=True, texts=texts)
    return Figure(texts("backtest.scores"), sentence, header, tuple(rows), chart)


def _flags(outcome: Outcome, texts: Texts) -> Figure:
    names = [texts(f"backtest.flag_{flag.name}") for flag in outcome.flags]
    told = [_flag_says(flag, name, texts) for flag, name in zip(outcome.flags, names, strict=True)]
    traces = [
        {
            "type": "bar",
            "name": texts(f"backtest.{key}"),
            "x": names,
            "y": [share.value for share in shares],
            "error_y": _whiskers(shares),
            "marker": {"color": colour},
        }
        for key, colour, shares in (
            ("precision", "--seg-at_risk", [flag.precision for flag in outcome.flags]),
            ("base", "--seg-sleeping", [flag.base for flag in outcome.flags]),
        )
    ]
    rows = tuple(
        (
            name, texts.number(flag.customers), texts.number(flag.marked), texts.number(flag.true),
            f"{_percent(flag.precision, texts)} ({_interval(flag.precision, texts)})",
            f"{_percent(flag.recall, texts)} ({_interval(flag.recall, texts)})",
            _percent(flag.base, texts),
            texts("site.none") if flag.lift is None else texts.number(flag.lift, 2),
        )
        for flag, name in zip(outcome.flags, names, strict=True)
    )  # fmt: skip
    header = ("flag", "customers", "marked", "true", "precision", "recall", "base", "lift")
    chart = _chart(traces, percent="y", legend=True, texts=texts)
    return Figure(texts("backtest.flags"), " ".join(told), _header(header, texts), rows, chart)


def _flag_says(flag: Flag, name: str, texts: Texts) -> str:
    low, high = flag.precision.interval
    base = flag.base.value
    if not flag.marked or base is None:
        return texts("backtest.flag_unused", flag=name)
    key = "flag_better" if low > base else "flag_worse" if high < base else "flag_as_chance"
    return texts(
        f"backtest.{key}", flag=name, precision=_percent(flag.precision, texts), base=_percent(flag.base, texts)
    )


def _header(keys: Sequence[str], texts: Texts) -> tuple[str, ...]:
    return tuple(texts(f"backtest.{key}") for key in keys)


def _percent(share: Share, texts: Texts) -> str:
    return texts.percent(share.part, share.whole) if share.whole else texts("site.none")


def _interval(share: Share, texts: Texts) -> str:
    low, high = share.interval
    return f"{texts.number(100 * low)}–{texts.number(100 * high)}" if share.whole else texts("site.none")


def _rate_or_none(group: Group, texts: Texts) -> str:
    return f"{_percent(group.bought, texts)} · {texts.number(group.customers)}"


def _money(hundredths: int, contest: Contest, texts: Texts) -> str:
    return texts.money(Decimal(hundredths).scaleb(-2), contest.currency)


def _work(replay: Replay, segment: str) -> str:
    return replay.contender.method.segment(segment).work


def _shade(replay: Replay, segment: str) -> int:
    """Which of its class of work a segment is."""
    of_work = [one.value for one in replay.contender.method.segments if one.work == _work(replay, segment)]
    return of_work.index(segment)


def _whiskers(shares: Sequence[Share]) -> dict[str, Any]:
    ends = [(share.value or 0.0, *share.interval) for share in shares]
    return {
        "type": "data",
        "symmetric": False,
        "array": [high - value for value, _, high in ends],
        "arrayminus": [value - low for value, low, _ in ends],
        "color": "--text-quiet",
        "thickness": 1.2,
        "width": 4,
    }


def _chart(
    traces: Sequence[dict[str, Any]],
    *,
    texts: Texts,
    percent: str | None = None,
    legend: bool = False,
    whole_x: bool = False,
    title: str = "",
) -> Markup:
    axis = {"gridcolor": "--line", "zerolinecolor": "--line-strong", "fixedrange": True, "automargin": True}
    layout: dict[str, Any] = {
        "height": 340,
        "margin": {"l": 10, "r": 10, "t": 20, "b": 10},
        "showlegend": legend,
        "legend": {"orientation": "h", "y": 1.18},
        "dragmode": False,
        "separators": ".," if texts.language.value == "en" else ", ",
        "xaxis": {**axis, **({"dtick": 1} if whole_x else {})},
        "yaxis": {
            **axis,
            "rangemode": "tozero",
            "title": {"text": title},
            **({"tickformat": ".0%"} if percent == "y" else {}),
        },
    }
    text = json.dumps({"traces": traces, "layout": layout}, ensure_ascii=False)
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)  # noqa: S704 - escaped above
