from __future__ import annotations

import json
from decimal import Decimal
from urllib.parse import parse_qsl

import pytest
import responses

from adapters.bitrix24.client import Command, Listing, Pace, php_query
from adapters.budget import Operating, operating_wait, probed
from adapters.errors import Interrupted, Malformed, ScopeMissing, Unavailable
from adapters.hosts import HostRefused
from tests.adapters.bitrix24.wire import BASE, TIME, batches, client

ITEMS = Listing("crm.item.list", {"entityTypeId": 3, "order": {"id": "ASC"}}, "items", uncounted=True)


@pytest.fixture
def mock():
    with responses.RequestsMock() as opened:
        yield opened


@pytest.mark.parametrize(
    ("params", "pairs"),
    [
        ({"id": 5}, [("id", "5")]),
        ({"select": ["id", "title"]}, [("select[0]", "id"), ("select[1]", "title")]),
        (
            {"filter": {">id": 0, "@id": [1, 2]}},
            [("filter[>id]", "0"), ("filter[@id][0]", "1"), ("filter[@id][1]", "2")],
        ),
        ({"a": None, "b": True, "c": False, "d": Decimal("1E+3")}, [("a", ""), ("b", "1"), ("c", "0"), ("d", "1000")]),
        ({"t": "A&B=C+D #1 100% ы"}, [("t", "A&B=C+D #1 100% ы")]),
        ({"since": "2026-11-24T12:00:00+03:00"}, [("since", "2026-11-24T12:00:00+03:00")]),
        ({"f": {"LIST": [{"ID": 7, "VALUE": "x"}]}}, [("f[LIST][0][ID]", "7"), ("f[LIST][0][VALUE]", "x")]),
        ({"none": [], "nothing": {}}, []),
    ],
)
def test_a_query_reads_back_as_php_reads_it(params, pairs):
    assert parse_qsl(php_query(params), keep_blank_values=True) == pairs


def test_every_name_and_value_of_a_query_is_encoded():
    text = Command("crm.item.list", {"filter": {">id": "$result[d0][items][49][id]"}}).text()
    assert text == "crm.item.list?filter%5B%3Eid%5D=%24result%5Bd0%5D%5Bitems%5D%5B49%5D%5Bid%5D"
    assert Command("server.time", {}).text() == "server.time"


class _Shelf:
    """`crm.item.list` over some ids. With `lost` set, references to earlier results come out empty."""

    def __init__(self, ids, *, lost=False):
        self.ids = list(ids)
        self.lost = lost
        self.pages = {}

    def __call__(self, method, params):
        after = params["filter[>id]"]
        if not after.startswith("$result"):
            self.pages = {}
        else:
            page = self.pages.get(after.split("[")[1].rstrip("]"), [])
            after = "" if self.lost or len(page) < 50 else page[49]["id"]
        page = [{"id": number} for number in self.ids if after == "" or number > int(after)][:50]
        self.pages[f"d{len(self.pages)}"] = page
        return {"items": page}


def _walked(line, after=0, pace=None):
    stretches = list(line.walk(ITEMS, after, pace or Pace()))
    return [row["id"] for stretch in stretches for row in stretch.rows], stretches


def test_a_chain_reads_2500_rows_in_one_hit(mock):
    seen = batches(mock, _Shelf(range(1, 2600)))
    ids, stretches = _walked(client())
    assert ids == list(range(1, 2600))
    assert [(len(hit), stretch.done) for hit, stretch in zip(seen, stretches, strict=True)] == [(50, False), (50, True)]


@pytest.mark.parametrize("count", [0, 1, 49, 50, 51, 100, 2500])
def test_a_chain_ends_exactly(mock, count):
    batches(mock, _Shelf(range(1, count + 1)))
    ids, stretches = _walked(client())
    assert ids == list(range(1, count + 1))
    assert stretches[-1].done


def test_a_chain_whose_references_come_out_empty_is_cut_and_loses_nothing(mock):
    batches(mock, _Shelf(range(1, 181), lost=True))
    ids, _ = _walked(client(), pace=Pace(4, 4))
    assert ids == list(range(1, 181))


def test_a_chain_with_a_missing_key_goes_on_after_the_last_row(mock):
    shelf, calls = _Shelf(range(1, 301)), []

    def sometimes(method, params):
        calls.append(params)
        found = shelf(method, params)
        return None if len(calls) == 3 else found

    batches(mock, sometimes)
    ids, stretches = _walked(client())
    assert ids == list(range(1, 301))
    assert [len(stretch.rows) for stretch in stretches] == [100, 200]


def test_a_list_that_never_answers_ends_in_an_error(mock):
    batches(mock, lambda method, params: None)
    with pytest.raises(Unavailable):
        _walked(client())


def test_a_refusal_ends_a_chain_at_once(mock):
    seen = batches(mock, lambda method, params: {"error": "insufficient_scope"})
    with pytest.raises(ScopeMissing):
        _walked(client())
    assert len(seen) == 1


def test_a_batch_cut_off_by_time_is_made_shorter(mock):
    sizes = []

    def reply(request):
        cmd = json.loads(request.body)["cmd"]
        sizes.append(len(cmd))
        if len(cmd) > 10:
            return 504, {}, "<html></html>"
        good = {key: {"items": [{"id": 1}]} for key in cmd}
        return 200, {}, json.dumps({"result": {"result": good}, "time": TIME})

    mock.add_callback(responses.POST, BASE + "batch", reply)
    ids, _ = _walked(client())
    assert ids == [1]
    assert set(sizes) == {50, 10}


def test_a_pace_aims_far_below_the_cut_at_a_minute():
    pace = Pace()
    pace.took(50, 100.0)
    assert pace.length == 12
    pace.took(12, 1.0)
    assert pace.length == 50
    pace.took(50, 0.0)
    assert pace.length == 50


def test_unanswered_and_failing_commands_go_out_again_alone(mock):
    calls = []

    def flaky(method, params):
        calls.append(params["id"])
        if calls.count(params["id"]) > 1 or params["id"] == "0":
            return {"got": params["id"]}
        return None if params["id"] == "1" else {"error": "INTERNAL_SERVER_ERROR"}

    seen = batches(mock, flaky)
    replies = client().batch_all({f"k{at}": Command("x.get", {"id": at}) for at in range(3)})
    assert {key: reply.good()["got"] for key, reply in replies.items()} == {"k0": "0", "k1": "1", "k2": "2"}
    assert [sorted(hit) for hit in seen] == [["k0", "k1", "k2"], ["k1", "k2"]]


def test_a_spent_method_inside_a_batch_waits_for_its_reset(mock):
    clock, calls = [1000.0], []

    def spent_once(method, params):
        calls.append(clock[0])
        return {"error": "OPERATION_TIME_LIMIT"} if len(calls) == 1 else {"done": 1}

    batches(mock, spent_once)
    assert client(clock).batch_all({"k": Command("crm.item.update", {})})["k"].good() == {"done": 1}
    assert calls[1] - calls[0] >= 600.0


def test_paged_lists_are_read_whole_whether_they_tell_totals_or_not(mock):
    rows = [{"ID": str(number)} for number in range(120)]

    def answer(method, params):
        start = int(params["start"])
        return rows if method == "unpaged.list" else rows[start : start + 50]

    batches(mock, answer)
    read = client().read_all({"a": Listing("paged.list", {}), "b": Listing("unpaged.list", {})}, guess={"a": 2})
    assert read["a"].good() == rows
    assert read["b"].good() == rows


def test_a_renamed_portal_is_followed_with_a_post(mock):
    new = "https://renamed.bitrix24.ru/rest/1/hush/"
    method = "crm.contact.userfield.add"
    mock.add(responses.POST, BASE + method, status=302, headers={"Location": new + method})
    mock.add(responses.POST, new + method, json={"result": 7})
    line = client()
    assert line.call(Command(method, {"fields": {}}), repeatable=False).result == 7
    assert line.address.host == "renamed.bitrix24.ru"


def test_a_portal_that_moves_to_a_foreign_host_gets_nothing(mock):
    foreign = "https://evil.example.org/rest/1/hush/batch"
    mock.add(responses.POST, BASE + "batch", status=302, headers={"Location": foreign})
    with pytest.raises(HostRefused):
        client().batch({"k": Command("server.time", {})})


def test_a_redirect_to_a_log_in_page_is_not_followed(mock):
    mock.add(responses.POST, BASE + "batch", status=302, headers={"Location": "https://shop.bitrix24.ru/auth/"})
    line = client()
    with pytest.raises(Unavailable):
        line.batch({"k": Command("server.time", {})})
    assert line.address.base_url == BASE


def test_no_error_and_no_log_line_has_the_secret(mock, caplog):
    caplog.set_level("DEBUG", logger="rfm")
    mock.add(responses.POST, BASE + "crm.x.add", body=responses.ConnectionError(f"cannot reach {BASE}"))
    mock.add(responses.POST, BASE + "server.time", json={"result": "2026-11-24T12:00:00+03:00", "time": TIME})
    line = client()
    line.call(Command("server.time", {}))
    with pytest.raises(Interrupted) as lost:
        line.call(Command("crm.x.add", {}), repeatable=False)
    assert "hush" not in str(lost.value) + caplog.text


def test_the_offset_of_the_portal_is_learned_from_any_answer(mock):
    batches(mock, lambda method, params: 1)
    line = client()
    line.batch({"k": Command("server.time", {})})
    assert str(line.offset) == "UTC+03:00"


def test_operating_time_is_learned_per_method_also_inside_batches(mock):
    clock = [1000.0]
    times = {"a": {"operating": 470.0, "operating_reset_at": 1500}, "b": {"operating": 3.0, "operating_reset_at": 1500}}
    good = {"result": {"result": {"a": 1, "b": 1}, "result_time": times}, "time": TIME}
    mock.add(responses.POST, BASE + "batch", json=good)
    line = client(clock)
    line.batch({"a": Command("crm.item.update", {}), "b": Command("crm.item.list", {})})
    assert line.budget.ask("core", ("batch", "crm.item.list")).wait == 0
    assert line.budget.ask("core", ("batch", "crm.item.update")).wait == 500


def test_after_a_reset_one_call_finds_out_what_was_freed():
    rule = Operating(480.0)
    state = {"used": 440.0, "reset_at": 1000.0, "cost": 15.0}
    state, first = probed(rule, state, 1000.0)
    _, second = probed(rule, state, 1000.0)
    assert (first, second) == (0.0, 60.0)
    assert operating_wait(rule, {**state, "used": 100.0, "reset_at": 1600.0}, 1001.0) == 0


def test_a_reset_that_may_not_have_freed_enough_is_let_pass():
    state = {"used": 460.0, "reset_at": 1000.0, "cost": 15.0}
    assert probed(Operating(480.0), state, 1000.0)[1] == 60.0
    assert probed(Operating(480.0), state, 1060.0)[1] == 0.0


def test_the_bucket_never_holds_more_than_fifty(mock):
    clock = [1000.0]
    batches(mock, lambda method, params: 1)
    line = client(clock)
    for _ in range(48):
        line.batch({"k": Command("server.time", {})})
    assert clock[0] == 1000.0
    line.batch({"k": Command("server.time", {})})
    assert clock[0] == 1000.5


def test_a_row_without_an_id_is_malformed(mock):
    batches(mock, lambda method, params: {"items": [{"title": "x"}]})
    with pytest.raises(Malformed) as broken:
        _walked(client())
    assert broken.value.path == "crm.item.list[].id"
