"""A batch that fails is halved until the bad one stands alone, and each item has its outcome in its place."""

from __future__ import annotations

import pytest

from adapters.batches import chunks, settle_each
from adapters.contract import Outcome
from adapters.errors import BatchRefused, Gone, InvalidValue, Malformed, Unavailable


class Wire:
    """Sends lists of numbers; `rule` raises for those it does not like."""

    def __init__(self, rule):
        self.rule = rule
        self.sent = []

    def __call__(self, items):
        self.sent.append(list(items))
        self.rule(items)
        return [Outcome(ok=True, external_id=str(item)) for item in items]


def oks(outcomes):
    return [outcome.ok for outcome in outcomes]


def test_a_good_batch_is_one_call():
    wire = Wire(lambda items: None)
    assert [outcome.external_id for outcome in settle_each([1, 2, 3], wire)] == ["1", "2", "3"]
    assert wire.sent == [[1, 2, 3]]
    assert settle_each([], wire) == []
    assert len(wire.sent) == 1


@pytest.mark.parametrize("bad", [{0}, {7}, {3, 4}, {0, 1, 2, 3, 4, 5, 6, 7}, set()])
@pytest.mark.parametrize("error", [BatchRefused("no"), InvalidValue("no", field="f")])
def test_the_bad_ones_are_found_by_halving_and_all_others_are_sent(bad, error):
    def rule(items):
        if bad & set(items):
            raise error

    outcomes = settle_each(list(range(8)), Wire(rule))
    assert oks(outcomes) == [item not in bad for item in range(8)]
    assert all(outcome.reason == "no" for outcome in outcomes if not outcome.ok)
    if isinstance(error, InvalidValue):
        assert all(outcome.field == "f" for outcome in outcomes if not outcome.ok)


def test_one_bad_among_many_costs_a_few_calls_only():
    def rule(items):
        if 77 in items:
            raise BatchRefused("no")

    wire = Wire(rule)
    settle_each(list(range(100)), wire)
    assert len(wire.sent) <= 15


def test_those_that_the_refusal_names_are_left_out_at_once():
    def rule(items):
        bad = {at: ("f", f"bad {item}") for at, item in enumerate(items) if item in {2, 5}}
        if bad:
            raise BatchRefused("no", bad=bad)

    wire = Wire(rule)
    outcomes = settle_each(list(range(8)), wire)
    assert wire.sent == [list(range(8)), [0, 1, 3, 4, 6, 7]]
    assert [(at, outcome.field, outcome.reason) for at, outcome in enumerate(outcomes) if not outcome.ok] == [
        (2, "f", "bad 2"),
        (5, "f", "bad 5"),
    ]
    assert [outcome.external_id for outcome in outcomes if outcome.ok] == ["0", "1", "3", "4", "6", "7"]


def test_a_single_named_item_has_its_field_and_reason():
    def rule(_):
        raise BatchRefused("whole", bad={0: ("f", "too long")})

    assert settle_each([1], Wire(rule)) == [Outcome(ok=False, field="f", reason="too long")]


@pytest.mark.parametrize("status", [413, 504])
def test_a_batch_that_is_too_large_is_halved(status):
    def rule(items):
        if len(items) > 2:
            raise Unavailable("too large", status=status)

    wire = Wire(rule)
    assert oks(settle_each(list(range(5)), wire)) == [True] * 5
    assert max(len(sent) for sent in wire.sent[1:]) <= 3


@pytest.mark.parametrize("error", [Unavailable("down", status=502), Malformed("odd")])
def test_other_errors_pass_through(error):
    def rule(_):
        raise error

    with pytest.raises(type(error)):
        settle_each([1, 2], Wire(rule))


def test_a_single_item_that_is_too_large_is_the_vendors_trouble_and_a_vanished_one_is_refused():
    def too_large(_):
        raise Unavailable("too large", status=413)

    with pytest.raises(Unavailable):
        settle_each([1], Wire(too_large))

    def gone(_):
        raise Gone("deleted")

    assert settle_each([1], Wire(gone)) == [Outcome(ok=False, reason="deleted")]


@pytest.mark.parametrize(("count", "sizes"), [(0, []), (1, [1]), (5, [2, 2, 1]), (4, [2, 2])])
def test_chunks_are_consecutive_and_no_longer_than_asked(count, sizes):
    found = chunks(list(range(count)), 2)
    assert [len(piece) for piece in found] == sizes
    assert [item for piece in found for item in piece] == list(range(count))
