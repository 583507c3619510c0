from __future__ import annotations

import time
from dataclasses import dataclass
from random import Random

import pytest

from sandbox.amocrm.ordered import Table


@dataclass
class Row:
    id: int
    updated_at: int


def filled(count, seed=0):
    dice = Random(seed)
    table = Table("updated_at")
    table.load({n: Row(n, dice.randrange(100)) for n in range(1, count + 1)})
    return table


def in_order(table, name, *, falling=False):
    return [row.id for row in table.page(name, 0, 10**6, falling=falling)]


@pytest.mark.parametrize("seed", range(5))
def test_orders_stay_right_under_any_change(seed):
    dice, table = Random(seed), filled(50, seed)
    kept = dict(table.rows)
    for _ in range(300):
        row = kept[dice.choice(sorted(kept))]
        if table.listed(row.id) is None:
            table.add(row)
        elif dice.random() < 0.3:
            table.hide(row)
        else:
            table.move(row, "updated_at", dice.randrange(100))
    listed = sorted((row.updated_at, row.id) for row in kept.values() if table.listed(row.id))
    assert in_order(table, "updated_at") == [one for _, one in listed]
    assert in_order(table, "updated_at", falling=True) == [one for _, one in reversed(listed)]
    assert in_order(table, "id") == sorted(one for _, one in listed)
    assert [row.id for row in table.hidden()] == sorted(set(kept) - {one for _, one in listed})


def test_pages_put_together_are_the_whole():
    table = filled(103)
    for falling in (False, True):
        pages = [table.page("updated_at", start, 10, falling=falling) for start in range(0, 130, 10)]
        assert [row.id for page in pages for row in page] == in_order(table, "updated_at", falling=falling)


def test_a_range_is_closed_on_both_sides():
    table = filled(200)
    found = sorted(row.id for row in table.between("updated_at", 10, 20))
    assert found == sorted(row.id for row in table if 10 <= row.updated_at <= 20)
    assert len(list(table.between("updated_at", None, None))) == 200


def test_every_change_moves_the_version():
    table = filled(3)
    seen = [table.version]
    for act in (
        lambda: table.move(table.rows[1], "updated_at", 7),
        lambda: table.hide(table.rows[1]),
        lambda: table.add(Row(9, 1)),
    ):
        act()
        seen.append(table.version)
    assert len(set(seen)) == 4


def test_an_attribute_set_past_move_is_noticed():
    table = filled(3)
    table.rows[1].updated_at = 1000
    with pytest.raises(LookupError):
        table.move(table.rows[1], "updated_at", 5)


def test_a_page_of_300_000_rows_takes_no_sorting():
    table = filled(300_000)
    began = time.perf_counter()
    for start in (0, 150_000, 299_750):
        assert len(table.page("updated_at", start, 250, falling=True)) == 250
        table.move(table.rows[start + 1], "updated_at", 101)
    assert time.perf_counter() - began < 0.05
