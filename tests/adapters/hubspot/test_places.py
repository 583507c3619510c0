"""Where a reading stands: pure arithmetic over pages, and the searches that follow from it."""

from datetime import UTC, datetime

import pytest

from adapters.errors import Malformed
from adapters.hubspot.client import Batch
from adapters.hubspot.places import LAG_MS, Mark, Quiet, changes_body

AT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
AT_MS = int(AT.timestamp() * 1000)
LATER = datetime(2026, 11, 22, 13, 0, tzinfo=UTC)
MODIFIED, STAMP = "hs_lastmodifieddate", "rfm_updated_at"


def a_page(after=None, at=AT):
    return Batch([], after, at)


def body(mark, stamp=STAMP):
    return changes_body(mark, MODIFIED, ["amount"], stamp)


def filters(mark, stamp=STAMP):
    return [
        [(one["propertyName"], one["operator"], one.get("value")) for one in group["filters"]]
        for group in body(mark, stamp)["filterGroups"]
    ]


def test_no_cursor_is_the_beginning():
    assert Mark.read(None) == Mark(phase="all", after=None)


def test_a_cursor_survives_being_written():
    mark = Mark("changes", since=5, began=7, last_id=9, quiet=(Quiet(1, 2, 3), Quiet(4, 5, 6)))
    assert Mark.read(mark.text()) == mark


def test_a_list_goes_on_from_its_token_and_keeps_when_it_began():
    first = Mark().listed(a_page(after="102"))
    second = first.listed(a_page(after="203", at=LATER))
    assert (second.phase, second.after, second.began) == ("all", "203", AT_MS)


def test_after_the_last_page_changes_count_from_the_beginning_of_the_list_less_the_lag():
    done = Mark().listed(a_page(after="102")).listed(a_page(at=LATER))
    assert done == Mark("changes", since=AT_MS - LAG_MS)


def test_a_search_goes_on_from_the_newest_change_of_the_page():
    going = Mark("changes", since=100).searched(a_page(after="200"), newest=170, highest_id=9)
    assert (going.since, going.began, going.last_id) == (170, AT_MS, None)


def test_a_finished_search_goes_back_to_its_beginning_less_the_lag():
    going = Mark("changes", since=100).searched(a_page(after="200"), newest=170, highest_id=9)
    assert going.searched(a_page(at=LATER), newest=190, highest_id=9) == Mark("changes", since=AT_MS - LAG_MS)


def test_a_moment_with_more_than_a_page_is_read_by_id_and_then_left():
    flooded = Mark("changes", since=100).searched(a_page(after="200"), newest=100, highest_id=9)
    assert (flooded.since, flooded.last_id) == (100, 0)
    further = flooded.searched(a_page(after="200"), newest=100, highest_id=250)
    assert further.last_id == 250
    left = further.searched(a_page(), newest=100, highest_id=300)
    assert (left.since, left.last_id, left.began) == (101, None, AT_MS)


def test_a_search_that_repeats_itself_is_stopped():
    flooded = Mark("changes", since=100, began=1, last_id=250)
    with pytest.raises(Malformed):
        flooded.searched(a_page(after="200"), newest=100, highest_id=250)


def test_a_search_asks_for_changes_in_order_with_values_as_text():
    asked = body(Mark("changes", since=100))
    assert asked == {
        "filterGroups": [{"filters": [{"propertyName": MODIFIED, "operator": "GTE", "value": "100"}]}],
        "sorts": [{"propertyName": MODIFIED, "direction": "ASCENDING"}],
        "properties": ["amount"],
        "limit": 200,
    }


def test_inside_a_flood_a_search_goes_by_id():
    mark = Mark("changes", since=100, last_id=7)
    assert filters(mark) == [[(MODIFIED, "GTE", "100"), (MODIFIED, "LTE", "100"), ("hs_object_id", "GT", "7")]]
    assert body(mark)["sorts"][0]["propertyName"] == "hs_object_id"


def test_the_echo_of_our_writes_is_left_out_by_stamp_and_time():
    since = (MODIFIED, "GTE", "100")
    assert filters(Mark("changes", since=100, quiet=(Quiet(until=500, first=50, last=60),))) == [
        [since, (STAMP, "NOT_HAS_PROPERTY", None)],
        [since, (STAMP, "LT", "50")],
        [since, (STAMP, "GT", "60")],
        [since, (MODIFIED, "GT", "500")],
    ]


def test_without_a_stamp_to_go_by_the_echo_is_read():
    assert len(filters(Mark("changes", since=100, quiet=(Quiet(500, 50, 60),)), stamp=None)) == 1


def test_writes_that_ended_before_the_place_leave_no_echo():
    assert len(filters(Mark("changes", since=501, quiet=(Quiet(500, 50, 60),)))) == 1


QUIETS = [(), (Quiet(500, 50, 60),), (Quiet(500, 50, 60), Quiet(900, 70, 80))]


@pytest.mark.parametrize("quiet", QUIETS)
@pytest.mark.parametrize("last_id", [None, 7])
def test_a_search_never_has_more_filters_than_hubspot_takes(quiet, last_id):
    groups = filters(Mark("changes", since=100, last_id=last_id, quiet=quiet))
    assert len(groups) <= 5
    assert max(map(len, groups)) <= 6
    assert sum(map(len, groups)) <= 18


def matches(groups, modified, stamp):
    """What HubSpot does with these filters, for a card that changed at `modified` and carries `stamp`."""
    values = {MODIFIED: modified, STAMP: stamp, "hs_object_id": 99}
    return any(all(_holds(values[name], operator, value) for name, operator, value in group) for group in groups)


def _holds(have, operator, value):
    if operator == "NOT_HAS_PROPERTY":
        return have is None
    if have is None:
        return False
    want = int(value)
    return {"GTE": have >= want, "LTE": have <= want, "GT": have > want, "LT": have < want}[operator]


@pytest.mark.parametrize("last_id", [None, 7])
@pytest.mark.parametrize("quiet", QUIETS)
def test_exactly_the_cards_of_our_windows_that_nobody_changed_since_are_left_out(quiet, last_id):
    for since in (100, 500, 600, 900):
        groups = filters(Mark("changes", since=since, last_id=last_id, quiet=quiet))
        for modified in (100, 500, 501, 600, 900, 901):
            inside = modified >= since if last_id is None else modified == since
            for stamp in (None, 49, 50, 55, 60, 61, 70, 80, 81):
                if stamp == 61 and len(quiet) == 2:
                    continue  # between two windows: nobody but us writes stamps, and we wrote none then
                ours = any(one.first <= (stamp or 0) <= one.last and modified <= one.until for one in quiet)
                assert matches(groups, modified, stamp) == (inside and not ours), (since, modified, stamp)


def test_a_window_stays_known_as_long_as_the_lag_would_bring_its_echo_back():
    echo = Quiet(until=AT_MS - LAG_MS, first=50, last=60)
    done = Mark("changes", since=100).hushed(echo).searched(a_page(), newest=100, highest_id=1)
    assert done.quiet == (echo,)
    over = Quiet(until=AT_MS - LAG_MS - 1, first=50, last=60)
    assert Mark("changes", since=100).hushed(over).searched(a_page(), newest=100, highest_id=1).quiet == ()


def test_the_same_window_told_again_and_wider_is_one_window():
    mark = Mark("changes", quiet=(Quiet(500, 50, 60),)).hushed(Quiet(900, 50, 80))
    assert mark.quiet == (Quiet(900, 50, 80),)


def test_more_than_two_windows_join_the_older_ones():
    mark = Mark("changes")
    for window in (Quiet(500, 50, 60), Quiet(900, 70, 80), Quiet(1000, 90, 95)):
        mark = mark.hushed(window)
    assert mark.quiet == (Quiet(900, 50, 80), Quiet(1000, 90, 95))
