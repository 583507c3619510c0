import random

import pytest

from adapters.amocrm.pages import LAG_S, Changes, Echo, Place, drift_of, read_all
from adapters.contract import Cursor, Drift
from adapters.errors import Malformed
from adapters.fields import epoch
from tests.adapters.amocrm.lists import NOW, FakeList, rows


def ids_of(pages) -> list[int]:
    return [row["id"] for some, _ in pages for row in some]


@pytest.mark.parametrize("place", [Place(), Place(7, 1750, 99), Place(0, 0, 99)])
def test_a_cursor_reads_back_as_the_place_it_was_written_for(place):
    assert Place.of(place.cursor()) == place


def test_no_cursor_means_the_beginning():
    assert Place.of(None) == Place()
    assert Place.of(None).is_backfill


@pytest.mark.parametrize("count", [0, 1, 249, 250, 251, 500, 10_000])
def test_everything_is_read_once_and_ends_with_changes_since_the_beginning(count):
    listed = FakeList(rows(range(1, count + 1)))
    pages = list(read_all(listed.read, Place()))
    assert ids_of(pages) == list(range(1, count + 1))
    assert pages[-1][1] == Place(0, 0, epoch(NOW))
    assert all(place.is_backfill for _, place in pages[:-1])


@pytest.mark.parametrize("count", [250, 4_000, 8_000, 50_000])
def test_at_most_a_sixteenth_of_the_pages_is_fetched_in_vain(count):
    listed = FakeList(rows(range(1, count + 1)))
    list(read_all(listed.read, Place()))
    assert len(listed.fetched) <= count / 250 * (1 + 1 / 16)


def test_long_lists_are_fetched_several_pages_at_once():
    sizes = []
    listed = FakeList(rows(range(1, 25_001)))

    def read(numbers):
        sizes.append(len(list(numbers)))
        return listed.read(numbers)

    list(read_all(read, Place()))
    assert sizes[0] == 1
    assert max(sizes) == 4


@pytest.mark.parametrize("stop_after", range(1, 5))
@pytest.mark.parametrize("deleted", [[], [1], [250], [251], [3, 4, 5], list(range(1, 260)), list(range(1, 1001))])
def test_a_resumed_backfill_misses_nothing_though_records_were_deleted_before_its_place(stop_after, deleted):
    listed = FakeList(rows(range(1, 1201)))
    pages = read_all(listed.read, Place())
    seen = set()
    for _ in range(stop_after):
        some, place = next(pages)
        seen.update(row["id"] for row in some)
    listed.drop(*deleted)
    resumed = Place.of(place.cursor())
    seen.update(ids_of(read_all(listed.read, resumed)))
    assert seen >= {row["id"] for row in listed.rows}


def test_a_resumed_backfill_keeps_the_moment_it_began():
    listed = FakeList(rows(range(1, 501)))
    pages = list(read_all(listed.read, Place(2, 250, 1_000)))
    assert pages[-1][1] == Place(0, 0, 1_000)


# --- changes ---------------------------------------------------------------------------------------------------

OLD, FIRST, LAST, LATER = 1_000_000, 2_000_000, 2_000_060, 2_000_500
SINCE = FIRST - 60


def changed(listed: FakeList, echo: Echo | None = None, is_ours=lambda _row: False, threshold: int = SINCE - LAG_S):
    changes = Changes(listed.read, threshold, echo, is_ours)
    pages = list(changes.pages())
    assert [is_last for _, is_last in pages] == [False] * (len(pages) - 1) + [True]
    assert changes.at == epoch(NOW)
    return ids_of(pages)


def account(count: int, *, written: int, newer: int = 0, during: int = 0) -> FakeList:
    """`count` cards: the first `written` carry our echo, others were touched later or during our writing."""
    listed = FakeList(rows(range(1, count + 1), OLD), "updated_at", falling=True)
    for at, row in enumerate(listed.rows):
        if at < written:
            row["updated_at"] = FIRST + at % 61
    for row in listed.rows[written : written + newer]:
        row["updated_at"] = LATER
    for row in listed.rows[written + newer : written + newer + during]:
        row["updated_at"] = FIRST + 30
    return listed


def test_changes_stop_at_the_first_row_older_than_since_and_the_lag():
    listed = FakeList([{"id": at, "updated_at": OLD + at} for at in range(1, 1001)], "updated_at", falling=True)
    assert changed(listed, threshold=OLD + 701) == list(range(1000, 700, -1))
    assert listed.fetched == [1, 2]


def test_a_quiet_list_costs_one_page_and_yields_nothing():
    listed = FakeList(rows(range(1, 1001), OLD), "updated_at", falling=True)
    assert changed(listed) == []
    assert listed.fetched == [1]


def test_an_empty_list_is_one_last_page():
    assert changed(FakeList([], "updated_at", falling=True)) == []


@pytest.mark.parametrize("written", [249, 250, 251, 5_000, 5_001, 9_999, 10_000])
@pytest.mark.parametrize("newer", [0, 1, 249, 250, 251])
def test_the_echo_of_our_writes_is_stepped_over_in_a_handful_of_requests(written, newer):
    listed = account(10_000, written=written, newer=min(newer, 10_000 - written))
    newest = {row["id"] for row in listed.rows if row["updated_at"] == LATER}
    found = changed(listed, Echo(FIRST, LAST, written))
    assert newest <= set(found)
    assert len(listed.fetched) <= 5


def test_changes_on_the_far_side_of_the_echo_are_read_too():
    listed = account(10_000, written=5_000)
    for row in listed.rows[5_000:5_700]:
        row["updated_at"] = FIRST - 10
    assert set(changed(listed, Echo(FIRST, LAST, 5_000))) >= set(range(5_001, 5_701))
    assert len(listed.fetched) <= 6


def test_a_foreign_change_inside_the_echo_makes_it_read_as_a_whole():
    listed = account(3_000, written=2_000, during=1)
    assert 2_001 in changed(listed, Echo(FIRST, LAST, 2_000))
    assert set(range(1, 10)) <= set(listed.fetched)


def test_a_later_edit_of_a_card_we_wrote_is_found_without_reading_the_echo():
    listed = account(3_000, written=2_000)
    listed.rows[700]["updated_at"] = LATER
    found = changed(listed, Echo(FIRST, LAST, 2_000), is_ours=lambda row: row["id"] <= 2_000)
    assert found[0] == 701
    assert len(listed.fetched) <= 3


def test_a_later_edit_that_cannot_be_told_as_ours_costs_the_echo_but_is_found():
    listed = account(3_000, written=2_000)
    listed.rows[700]["updated_at"] = LATER
    assert 701 in changed(listed, Echo(FIRST, LAST, 2_000))


def test_a_wrong_count_never_hides_a_row():
    for count in (1, 700, 1_999, 2_001, 2_600, 9_000):
        listed = account(3_000, written=2_000)
        assert set(changed(listed, Echo(FIRST, LAST, count))) == set(range(1, 2_001))


def test_a_row_without_a_change_time_is_malformed():
    with pytest.raises(Malformed) as caught:
        changed(FakeList([{"id": 1, "updated_at": None}]))
    assert caught.value.path == "updated_at"


# --- what vanished ---------------------------------------------------------------------------------------------


def drift(known: list[int], actual: list[int]) -> tuple[Drift, int]:
    listed = FakeList(rows(actual))
    return drift_of(known, listed.read), len(listed.fetched)


def expected(known: list[int], actual: list[int]) -> Drift:
    return Drift(
        gone=frozenset(str(one) for one in set(known) - set(actual)),
        unseen=frozenset(str(one) for one in set(actual) - set(known)),
    )


@pytest.mark.parametrize("count", [0, 1, 249, 250, 251, 500, 100_000])
def test_where_nothing_vanished_one_page_is_enough(count):
    known = list(range(1, count + 1))
    assert drift(known, known) == (Drift(), 1)


@pytest.mark.parametrize("victim", [1, 2, 250, 251, 499, 500, 501, 49_999, 99_750, 99_751, 100_000])
def test_one_vanished_record_among_many_costs_about_the_logarithm_of_the_pages(victim):
    known = list(range(1, 100_001))
    actual = [one for one in known if one != victim]
    found, cost = drift(known, actual)
    assert found == expected(known, actual)
    assert cost <= 16


@pytest.mark.parametrize("size", [250, 300, 1_000, 1_250])
@pytest.mark.parametrize("dropped", [[1], [250], [251, 252], list(range(1, 200)), list(range(1, 251))])
def test_vanished_records_at_the_edges_of_pages_are_found(size, dropped):
    known = list(range(1, size + 1))
    actual = [one for one in known if one not in set(dropped)]
    assert drift(known, actual)[0] == expected(known, actual)


@pytest.mark.parametrize("left", [0, 1, 3, 250, 251, 40_000])
def test_a_list_much_shorter_than_known_is_found_out(left):
    known = list(range(1, 50_001))
    found, cost = drift(known, known[:left])
    assert found == expected(known, known[:left])
    assert cost <= 220


def test_new_records_at_the_end_are_unseen():
    known, actual = list(range(1, 1_001)), list(range(1, 1_701))
    assert drift(known, actual)[0] == expected(known, actual)


def test_any_mixture_of_gone_and_new_records_is_found_exactly():
    dice = random.Random(7)
    for _ in range(120):
        known = sorted(dice.sample(range(1, 40_000), dice.randrange(1, 9_000)))
        gone = set(dice.sample(known, min(len(known), dice.choice([0, 1, 2, 7, 40, 900]))))
        actual = [one for one in known if one not in gone]
        actual += list(range(40_000, 40_000 + dice.choice([0, 0, 1, 400])))
        assert drift(known, actual)[0] == expected(known, actual)


def test_restored_records_anywhere_are_found_exactly():
    dice = random.Random(8)
    for _ in range(60):
        actual = sorted(dice.sample(range(1, 40_000), dice.randrange(1, 9_000)))
        lacking = set(dice.sample(actual, min(len(actual), dice.choice([1, 3, 300]))))
        known = [one for one in actual if one not in lacking]
        assert drift(known, actual)[0] == expected(known, actual)


def test_a_pair_of_gone_and_restored_on_pages_that_are_read_is_found():
    known = [one for one in range(1, 201) if one != 50]
    actual = [one for one in range(1, 201) if one != 100]
    assert drift(known, actual)[0] == Drift(gone=frozenset({"100"}), unseen=frozenset({"50"}))


def test_what_is_deleted_while_we_look_makes_no_other_record_seem_gone():
    dice = random.Random(9)
    known = list(range(1, 12_001))
    for _ in range(25):
        victims = set(dice.sample(known, dice.randrange(1, 6)))
        later = {dice.randrange(1, 14): dice.sample(known, dice.randrange(1, 300)) for _ in range(2)}
        listed = FakeList(rows(one for one in known if one not in victims))

        def read(numbers, listed=listed, later=later):
            answers = []
            for number in reversed(list(numbers)):
                listed.drop(*later.get(len(listed.fetched), ()))
                answers[:0] = listed.read([number])
            return answers

        found = drift_of(known, read)
        assert not found.gone & {str(row["id"]) for row in listed.rows}
        assert not found.unseen


def test_cursors_are_json_text():
    assert Place(3, 500, 9).cursor() == Cursor('{"phase":"all","page":3,"last_id":500,"since":9}')
