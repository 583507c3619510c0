"""Payload ↔ value: what is read exactly, what stays text, and what is malformed and where."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from adapters import fields
from adapters.errors import Malformed

MOMENT = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "hours"),
    [
        ("Europe/Moscow", 3),
        ("UTC", 0),
        ("UTC+03:00", 3),
        ("UTC-09:30", -9.5),
        ("UTC+00:00", 0),
        ("Asia/Kathmandu", 5.75),
    ],
)
def test_a_zone_is_a_name_or_a_fixed_offset(name, hours):
    assert MOMENT.astimezone(fields.zone(name)).utcoffset() == timedelta(hours=hours)


@pytest.mark.parametrize(
    "name", ["", "Mars/Olympus", "UTC+3", "UTC+aa:00", "UTC+25:00", "../etc/passwd", "UTC+03:00:00:00"]
)
def test_what_is_no_zone_is_malformed(name):
    with pytest.raises(Malformed) as caught:
        fields.zone(name)
    assert caught.value.path == "time_zone"


@pytest.mark.parametrize(
    "text",
    ["2026-03-01T09:30:00Z", "2026-03-01T12:30:00+03:00", "2026-03-01T09:30:00.000Z", "2026-03-01 09:30:00+00:00"],
)
def test_a_time_with_an_offset_becomes_utc(text):
    assert fields.aware(text, "x") == MOMENT


@pytest.mark.parametrize("empty", [None, "", 0, "0"])
def test_an_empty_time_is_none(empty):
    assert fields.aware(empty, "x") is fields.from_epoch(empty, "x") is None


@pytest.mark.parametrize("bad", ["2026-03-01T09:30:00", "yesterday", "2026-02-31T00:00:00Z", 17])
def test_a_time_without_an_offset_or_sense_is_malformed_by_its_path_and_not_repeated(bad):
    with pytest.raises(Malformed) as caught:
        fields.aware(bad, "deals.0.closedate")
    assert caught.value.path == "deals.0.closedate"
    assert str(bad) not in str(caught.value)


def test_unix_times_come_in_seconds_or_milliseconds():
    seconds = fields.epoch(MOMENT)
    assert fields.from_epoch(seconds, "x") == fields.from_epoch(str(seconds), "x") == MOMENT
    assert fields.from_epoch(seconds * 1000 + 250, "x", per_second=1000) == MOMENT + timedelta(milliseconds=250)
    assert fields.epoch(MOMENT + timedelta(milliseconds=999)) == seconds


@pytest.mark.parametrize("bad", ["soon", "1.5", [], 10**20])
def test_what_is_no_unix_time_is_malformed(bad):
    with pytest.raises(Malformed):
        fields.from_epoch(bad, "x")


@pytest.mark.parametrize(
    ("value", "number"),
    [("10.50", "10.50"), (10, "10"), (0.1, "0.1"), ("-3", "-3"), ("1e3", "1000"), (None, None), ("", None), ("0", "0")],
)
def test_money_is_exact(value, number):
    assert fields.decimal(value, "x") == (None if number is None else Decimal(number))


@pytest.mark.parametrize("bad", ["ten", "NaN", "Infinity", "1,5", [], True])
def test_what_is_no_money_is_malformed(bad):
    with pytest.raises(Malformed):
        fields.decimal(bad, "x")


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("5", 5),
        (5, 5),
        ("5.0", 5),
        ("5.00", 5),
        (5.0, 5),
        ("5.5", "5.5"),
        ("five", "five"),
        ("", None),
        (None, None),
        ("inf", "inf"),
    ],
)
def test_a_cards_whole_number_or_its_text(value, found):
    assert fields.whole(value) == found
    assert type(fields.whole(value)) is type(found)


@pytest.mark.parametrize(
    ("value", "found"),
    [("12.50", Decimal("12.5")), (12.5, Decimal("12.5")), ("NaN", "NaN"), ("a lot", "a lot"), ("", None), (None, None)],
)
def test_a_cards_sum_or_its_text(value, found):
    assert fields.amount(value) == found


@pytest.mark.parametrize("yes", ["true", "True", "1", 1, True, "Y", "yes"])
@pytest.mark.parametrize("no", ["false", "0", 0, False, "N", "no"])
def test_a_flag_in_every_spelling(yes, no):
    assert fields.flag(yes) is True
    assert fields.flag(no) is False


@pytest.mark.parametrize(("value", "found"), [("maybe", "maybe"), ("", None), (None, None), (2, "2")])
def test_a_flag_that_is_none_stays_text(value, found):
    assert fields.flag(value) == found


def test_a_number_is_written_without_exponent():
    assert [fields.plain(Decimal(text)) for text in ("1E+3", "0.00000001", "12.50")] == ["1000", "0.00000001", "12.50"]


@pytest.mark.parametrize(
    ("value", "found"), [(5, "5"), ("5", "5"), (0, None), ("0", None), (None, None), ("", None), (False, None)]
)
def test_an_identifier_or_nobody(value, found):
    assert fields.identifier(value) == found
