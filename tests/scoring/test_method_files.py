"""Methods as files: every key read, every mistake named with file, key and what is allowed; defaults leave no trace."""

from datetime import date
from decimal import Decimal
from importlib.resources import files
from pathlib import Path

import pytest

from scoring.axes import Scale
from scoring.errors import BadMethod, SegmentGap
from scoring.files import read_method, read_spec
from scoring.hints import hint
from scoring.methods import MethodVersion, load_method, method_names, parse_method
from scoring.parsing import KEYS
from scoring.scales import Thresholds
from scoring.stability import Margin

TOP = """
name = "mine"
bins = 4
window = 180
direction = "high_is_best"
upsell = ["r >= 3", "m <= 2"]
"""
SEGMENTS = """
[[segments]]
value = "good"
label = { ru = "Хорошие", en = "Good" }
work = "vip"
where = ["r >= 3"]

[[segments]]
value = "bad"
label = { ru = "Плохие", en = "Bad" }
work = "sleeping"
at_risk = true
where = ["r <= 2"]
"""
PLAIN = TOP + SEGMENTS

ADDITIONS = """
customer = "company"
currency = "RUB"
market = "b2b"
cycle = "monthly"
sla = "calendar"
refit = "half_yearly"
dwell = 14
hold = true
hysteresis = { r = 3, f = "50%", m = "99.50" }
churn = { times = 2.5, days = 4 }
notes = { ru = "Границы пересмотрены.", en = "The borders were revised." }

[scales]
r = { kind = "interval" }
f = { kind = "fixed", borders = [1, 2, 5] }

[filters]
sources = ["deals", "import"]
pipelines = ["7", "12"]
stages = ["142"]
products = ["A-1"]
without_products = ["POSTAGE"]
min_amount = 100
max_amount = 9999.50
without_periods = [{ first = 2026-03-01, last = 2026-03-31, reason = "sale" }]
without_seasons = [{ first = "12-25", last = "01-08" }]
"""
FULL = TOP + ADDITIONS + SEGMENTS


def write(tmp_path, text, name="mine.toml"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_full_file_says_what_it_says(tmp_path):
    method = read_method(write(tmp_path, FULL))
    assert (method.scales.r, method.scales.m) == (Scale("interval", percentiles=(50, 75, 90)), Scale())
    assert method.scales.f == Scale("fixed", (1, 2, 5))
    assert method.limits is None
    assert method.filters.pipelines == ("7", "12")
    assert (method.filters.min_amount, method.filters.max_amount) == (Decimal(100), Decimal("9999.5"))
    assert method.filters.without_periods[0].last == date(2026, 3, 31)
    assert method.filters.without_seasons[0].first == (12, 25)
    assert method.stability.hysteresis == {"r": Margin(3), "f": Margin(percent=50), "m": Margin(9950)}
    assert (method.stability.dwell, method.stability.hold) == (14, True)
    assert (method.churn.times, method.churn.days) == (2.5, 4)
    assert (method.terms.customer, method.terms.currency, method.terms.refit) == ("company", "RUB", "half_yearly")
    assert method.terms.notes["en"] == "The borders were revised."


def test_full_method_survives_being_published_and_read_again(tmp_path):
    method = read_method(write(tmp_path, FULL))
    first = MethodVersion("mine", 3, method, Thresholds((30, 60, 90), (1, 2, 5), (1, 2, 3)))
    again = MethodVersion.from_json(first.to_json())
    assert again.method == method
    assert again.digest() == first.digest()


def test_defaults_written_out_leave_the_digest_as_it_is(tmp_path):
    spoken = 'refit = "quarterly"\ndwell = 0\nhold = false\nhysteresis = { r = 0 }\nchurn = { times = 2, days = 3 }\n'
    spoken += "filters = { sources = [] }\nderived = {}\n" + PLAIN + '[scales]\nf = { kind = "quantile" }\n'
    plain = read_method(write(tmp_path, PLAIN))
    assert read_method(write(tmp_path, spoken, "spoken.toml")).digest() == plain.digest()
    assert set(plain.spec()) == {"name", "bins", "window", "direction", "upsell", "derived", "limits", "segments"}


def test_layout_and_comments_do_not_change_the_digest_but_rules_do(tmp_path):
    plain = read_method(write(tmp_path, PLAIN)).digest()
    assert read_method(write(tmp_path, "# mine\n\n" + PLAIN)).digest() == plain
    assert read_method(write(tmp_path, PLAIN.replace("180", "181"))).digest() != plain
    assert read_method(write(tmp_path, "dwell = 1\n" + PLAIN)).digest() != plain


def test_fixed_scales_on_all_axes_are_the_same_as_limits(tmp_path):
    scales = '[scales]\nr = {kind = "fixed", borders = [1, 2, 3]}\nf = {kind = "fixed", borders = [1, 2, 3]}\n'
    scales += 'm = {kind = "fixed", borders = [1, "2.50", 3.25]}\n'
    limits = '[limits]\nr = [1, 2, 3]\nf = [1, 2, 3]\nm = ["1", "2.5", "3.25"]\n'
    stated, limited = (read_method(write(tmp_path, PLAIN + tail)) for tail in (scales, limits))
    assert stated == limited
    assert limited.limits == Thresholds((1, 2, 3), (1, 2, 3), (100, 250, 325))


@pytest.mark.parametrize("name", method_names())
def test_shipped_method_read_as_a_file_is_the_shipped_method(name, tmp_path):
    text = files("scoring").joinpath("tables", f"{name}.toml").read_text(encoding="utf-8")
    assert read_method(write(tmp_path, text)) == load_method(name)


MISTAKES = [
    ("window = 180", "windw = 180", "windw: there is no such key; allowed are .*; did you mean 'window'?"),
    ("window = 180", "window = 0", "window: must be a whole number from 1 to 36500, not 0"),
    ("window = 180", 'window = "180"', "window: must be a whole number from 1 to 36500, not '180'"),
    ("window = 180", "window = true", "window: must be a whole number from 1 to 36500, not True"),
    ("bins = 4", "bins = 11", "bins: must be a whole number from 2 to 10, not 11"),
    ("bins = 4", "bins = 2", "bins: must be 3 to 10; 2 only where limits fix every axis"),
    ("bins = 4", "", "bins: is missing; needed is a whole number"),
    ('name = "mine"', 'name = "Моя"', "name: must be lower-case latin"),
    ('"high_is_best"', '"low_is_best"', "direction: must be 'high_is_best'"),
    ('"r >= 3", "m <= 2"', '"r >= 3", "q <= 2"', r"upsell\[1\]: there is no axis 'q'; axes are r, f, m"),
    ('value = "bad"', 'value = "good"', r"segments\[1\]\.value: two segments have the value 'good'"),
    ('work = "vip"', 'work = "king"', r"segments\[0\]\.work: must be one of vip, loyal, .*, not 'king'"),
    ('en = "Bad"', 'de = "Schlecht"', r"segments\[1\]\.label\.de: there is no such key; allowed are ru, en"),
    (', en = "Bad"', "", r"segments\[1\]\.label\.en: is missing"),
    ("at_risk = true", "at_risk = 1", r"segments\[1\]\.at_risk: must be true or false, not 1"),
    (
        'where = ["r <= 2"]',
        "ranges = { r = [1] }",
        r"segments\[1\]\.ranges\.r: must be the lowest and the highest digit",
    ),
    ('where = ["r <= 2"]', "ranges = { r = [0, 2] }", r"segments\[1\]\.ranges\.r\[0\]: must be .* from 1 to 4, not 0"),
    ('where = ["r <= 2"]', 'unless = ["nobody"]', r"segments\[1\]\.unless\[0\]: there is no segment 'nobody'"),
    ("window = 180", 'window = 180\ncurrency = "rub"', "currency: must be three capital letters such as RUB"),
    ("window = 180", 'window = 180\nmarket = "b2g"', "market: must be one of b2b, b2c, not 'b2g'"),
    ("window = 180", "window = 180\ndwell = 400", "dwell: must be a whole number from 0 to 365"),
    ("window = 180", 'window = 180\nhysteresis = { r = "x%" }', "hysteresis.r: must be days such as 3, or a share"),
    ("window = 180", "window = 180\nhysteresis = { r = 1.5 }", "hysteresis.r: must be days such as 3"),
    ("window = 180", "window = 180\nchurn = { times = 0 }", "churn.times: must be a number from 1 to 100, not 0"),
    ("window = 180", "window = 180\nscales = { r = { kind = 'log' } }", r"scales\.r\.kind: must be one of quantile, f"),
    ("window = 180", "window = 180\nscales = { f = { kind = 'interval' } }", r"scales\.f\.kind: an interval scale is"),
    ("window = 180", "window = 180\nscales = { f = { borders = [1] } }", r"scales\.f\.borders: only a scale of kind"),
    ("window = 180", "window = 180\nlimits = { r = [1, 2], f = [1], m = [] }", "limits.r: 4 bins have 3 borders, but"),
    ("window = 180", "window = 180\nlimits = { r = [2, 1, 3] }", "limits.r: borders must ascend"),
    (
        "window = 180",
        "window = 180\nlimits = { r = [1, 2, 3], f = [1, 2, 3], m = [1, 2, 3.005] }",
        r"limits\.m\[2\]: has more than two decimals: 3\.005",
    ),
    ("window = 180", "window = 180\nfilters = { sources = ['mail'] }", r"filters\.sources\[0\]: must be one of deals"),
    ("window = 180", "window = 180\nfilters = { min_amount = -1 }", "filters.min_amount: must be 0 or more"),
    ("window = 180", "window = 180\nfilters = { min_amount = 2, max_amount = 1 }", "filters.max_amount: must not be b"),
    (
        "window = 180",
        "window = 180\nfilters = { without_seasons = [{ first = '02-30', last = '03-01' }] }",
        r"filters\.without_seasons\[0\]\.first: there is no day 02-30 in a year",
    ),
    (
        "window = 180",
        "window = 180\nfilters = { without_periods = [{ first = 2026-03-02, last = 2026-03-01 }] }",
        r"filters\.without_periods\[0\]\.last: must not be before first",
    ),
]


@pytest.mark.parametrize(("old", "new", "message"), MISTAKES, ids=[case[2][:40] for case in MISTAKES])
def test_mistake_is_named_with_file_key_and_what_is_allowed(tmp_path, old, new, message):
    assert old in PLAIN
    with pytest.raises(BadMethod, match="^mine.toml: " + message) as caught:
        read_method(write(tmp_path, PLAIN.replace(old, new, 1)))
    assert caught.value.file == "mine.toml"
    assert caught.value.key


def test_gap_in_the_table_lists_the_codes(tmp_path):
    with pytest.raises(SegmentGap, match="without a segment: 111, 112") as caught:
        read_method(write(tmp_path, PLAIN.replace("r <= 2", "r == 2")))
    assert len(caught.value.missing) == 16


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"name = ", "is no TOML"), (b"\xff\xfe", "is no TOML"), (b"#" * 1_000_001, "is larger than")],
    ids=["broken", "not text", "huge"],
)
def test_what_is_no_method_file_is_refused_by_name(tmp_path, content, message):
    path = tmp_path / "odd.toml"
    path.write_bytes(content)
    with pytest.raises(BadMethod, match=rf"^odd\.toml: {message}"):
        read_method(path)


def test_missing_file_is_refused_by_name(tmp_path):
    with pytest.raises(BadMethod, match=r"^none\.toml: cannot be read: No such file"):
        read_method(tmp_path / "none.toml")


def test_example_of_the_reference_is_read_and_shows_every_key(tmp_path):
    reference = (Path(__file__).parents[2] / "docs" / "scoring-methods.md").read_text(encoding="utf-8")
    example = reference.split("```toml\n")[1].split("```")[0]
    method = read_method(write(tmp_path, example))
    assert {code: method.segment_of(code).value for code in ("333", "321", "222", "112")} == {
        "333": "core", "321": "growing", "222": "fading", "112": "gone",
    }  # fmt: skip
    shown = read_spec(write(tmp_path, example))
    assert set(KEYS) - set(shown) == {"limits", "precedence"}


def test_segment_may_bring_its_own_words(tmp_path):
    own = '[segments.words.en]\ntitle = "T"\nmeaning = "Mine."\nfirst_step = "Call."\noffer = "Offer."\n'
    method = read_method(write(tmp_path, PLAIN + own))
    assert hint(method, "bad", "en") == "Mine. Call. Offer."
    assert hint(method, "bad", "ru") == hint(load_method("sales5"), "sleeping", "ru")
    assert hint(method, "good", "en") == hint(load_method("sales5"), "vip", "en")
    assert parse_method(method.spec()) == method
    with pytest.raises(BadMethod, match=r"segments\[1\]\.words\.en: .* have 273 characters; at most 250 fit"):
        read_method(write(tmp_path, PLAIN + own.replace("Mine.", "M" * 260)))


def test_markets_give_defaults_that_the_file_may_overrule():
    spec = {
        "name": "mine", "bins": 3, "direction": "high_is_best", "market": "b2b",
        "segments": [{"value": "all", "label": {"ru": "В", "en": "A"}, "work": "vip", "where": ["r >= 1"]}],
    }  # fmt: skip
    method = parse_method(spec)
    assert (method.window, method.terms.runs, method.terms.counts_hours) == (730, "weekly", "business")
    other = parse_method(spec | {"market": "b2c", "cycle": "monthly", "window": 90})
    assert (other.window, other.terms.runs, other.terms.counts_hours) == (90, "monthly", "calendar")
    unsaid = parse_method({key: value for key, value in spec.items() if key != "market"})
    assert (unsaid.window, unsaid.terms.runs, unsaid.terms.counts_hours) == (365, None, None)
    assert not unsaid.upsell_table.any()


@pytest.mark.parametrize(
    ("refit", "published", "due"),
    [
        ("quarterly", date(2026, 1, 15), date(2026, 4, 15)),
        ("quarterly", date(2026, 11, 30), date(2027, 2, 28)),
        ("monthly", date(2028, 1, 31), date(2028, 2, 29)),
        ("half_yearly", date(2026, 9, 1), date(2027, 3, 1)),
        ("yearly", date(2028, 2, 29), date(2029, 2, 28)),
        ("never", date(2026, 1, 1), None),
    ],
)
def test_next_fit_is_due_after_whole_months(tmp_path, refit, published, due):
    method = read_method(write(tmp_path, f'refit = "{refit}"\n' + PLAIN))
    assert method.terms.refit_on(published) == due
