import pytest

from scoring.errors import BadMethod
from scoring.methods import load_method, method_names
from scoring.parsing import Draft
from scoring.proving import prove_draft, prove_file, prove_spec
from scoring.schemes import Inversion, Rule
from tests.scoring import published_tables as published

LABEL = {"ru": "А", "en": "A"}


def of_lists(grid, table, precedence=None, ranks=None):
    rules = tuple(Rule(segment, codes=codes) for segment, codes in table.items())
    return of_rules(grid, rules, precedence, ranks)


def of_rules(grid, rules, precedence=None, ranks=None):
    ranks = ranks or {rule.segment: place for place, rule in enumerate(rules, 1)}
    return prove_draft(Draft(grid, tuple(rules), precedence or {}, ranks))


class TestPublishedTables:
    def test_d1_customer360_as_printed_has_four_double_codes(self):
        report = of_lists(published.RFM4, published.CUSTOMER360)
        assert not report.sound
        assert set(report.proof.overlaps) == {"124", "131", "141", "343"}
        assert (report.proof.missing, sum(report.sizes.values())) == ((), 68)

    def test_d1_customer360_as_shipped_is_sound_and_has_the_two_known_inversions(self):
        report = prove_spec(load_method("customer360").spec())
        assert report.sound
        assert set(report.proof.inversions) == {
            Inversion("314", "new", "313", "promising"),
            Inversion("333", "promising", "323", "potential"),
        }

    def test_d2_klaviyo_and_d4_eleven_and_d5_rf_map_are_partitions_and_ship_as_printed(self):
        for name, table in (("six3", published.KLAVIYO), ("eleven5", published.SQUEEZELY)):
            method = load_method(name)
            shipped = {code: method.segment_of(code).value for code in method.grid.codes}
            assert shipped == {code: segment for segment, codes in table.items() for code in codes}
        method = load_method("rf_map5")
        printed = {rule.segment: rule.claim(published.RF5) for rule in published.RF_REGEX}
        for code in method.grid.codes:
            assert code[:2] in printed[method.segment_of(code).value]

    @pytest.mark.parametrize(
        ("grid", "doubled", "of"), [(published.R_FM_FROM_0, 26, 36), (published.R_FM_FROM_1, 20, 25)]
    )
    def test_d3_putler_doubles_26_of_36_and_20_of_25_cells(self, grid, doubled, of):
        report = of_rules(grid, published.PUTLER)
        assert (report.codes, len(report.proof.overlaps), report.proof.missing) == (of, doubled, ())

    @pytest.mark.parametrize(
        ("rules", "missing", "doubled"), [(published.R_PACKAGE_0_2, 36, 39), (published.R_PACKAGE_0_3, 10, 58)]
    )
    def test_d6_r_package_leaves_36_and_39_then_10_and_58(self, rules, missing, doubled):
        report = of_rules(published.RFM5, rules)
        assert (len(report.proof.missing), len(report.proof.overlaps)) == (missing, doubled)
        assert report.lines("en")[0].endswith(f"of 125 codes {missing} have no segment and {doubled} have several")

    def test_d7_pymc_marketing_leaves_18_codes(self):
        report = of_lists(published.RFM4, published.PYMC_MARKETING)
        assert report.proof.missing == published.PYMC_MARKETING_OTHER
        assert len(report.proof.missing) == 18

    def test_d8_octolis_has_36_cells_and_no_inversion(self):
        report = prove_spec(load_method("octolis6").spec())
        assert (report.sound, report.proof.inversions, len(report.sizes)) == (True, (), 9)


INVERSIONS = {"customer360": 2, "eleven5": 22, "six3": 1}


@pytest.mark.parametrize("name", method_names())
def test_shipped_method_is_sound_and_every_code_can_occur(name):
    report = prove_spec(load_method(name).spec())
    assert report.sound
    assert report.unreachable == ()
    assert len(report.proof.inversions) == INVERSIONS.get(name, 0)


def bare(**changes):
    spec = {
        "name": "mine", "axes": ["r", "fm"], "low": 0, "high": 1,
        "segments": [{"value": "good", "ranges": {"r": [1, 1]}}, {"value": "bad", "ranges": {"r": [0, 0]}}],
    }  # fmt: skip
    return spec | changes


def test_bare_table_of_other_axes_is_proven_without_being_a_method():
    assert prove_spec(bare()).sound
    report = prove_spec(bare(segments=[{"value": "good", "codes": ["11", "77"]}, {"value": "bad", "codes": ["11"]}]))
    assert report.proof.missing == ("00", "01", "10")
    assert report.proof.overlaps == {"11": ("good", "bad")}
    assert report.proof.unknown == ("77",)


def test_report_reads_in_both_languages_and_as_values():
    report = prove_spec(bare(segments=[{"value": "good", "codes": ["11"]}, {"value": "bad", "codes": ["11", "00"]}]))
    assert report.lines("en") == [
        "mine: refused, of 4 codes 2 have no segment and 1 have several",
        "codes by segment: good 1, bad 2",
        "without a segment (2): 01, 10",
        "claimed by several segments (1):",
        "  11 is claimed by good, bad",
        "no better code lies in a worse segment",
    ]
    assert report.lines("ru")[0] == "mine: таблица не принята; кодов 4, без сегмента 2, с несколькими 1"
    assert report.spec()["overlaps"] == {"11": ["good", "bad"]}
    assert report.spec()["sound"] is False


def test_long_list_of_inversions_is_cut_for_people_and_whole_for_scripts():
    report = prove_spec(load_method("eleven5").spec())
    assert report.lines("en")[-1] == "  and 10 more"
    assert len(report.spec()["inversions"]) == 22


def method(limits, window):
    everyone = {"value": "all", "label": LABEL, "work": "vip", "where": ["r >= 1"]}
    return {
        "name": "mine", "bins": 3, "window": window, "direction": "high_is_best", "limits": limits,
        "segments": [everyone],
    }  # fmt: skip


def test_codes_that_limits_and_window_exclude_are_named():
    # Silent for over 90 days in a window of 60: F is 0 and M not above 0, so only 111 is left of the nine codes.
    report = prove_spec(method({"r": [30, 90], "f": [1, 2], "m": ["0", "100"]}, window=60))
    assert report.unreachable == ("112", "113", "121", "122", "123", "131", "132", "133")


def test_scores_between_equal_borders_are_unreachable():
    report = prove_spec(method({"r": [30, 30], "f": [1, 2], "m": ["1", "100"]}, window=60))
    assert {code for code in report.unreachable if code.startswith("2")} == {
        f"2{f}{m}" for f in (1, 2, 3) for m in (1, 2, 3)
    }


def test_who_ordered_within_the_window_is_not_expected_among_those_without_orders():
    # F = 0 has a score of its own; R up to 30 always has an order in a window of 60 days.
    report = prove_spec(method({"r": [30, 90], "f": [0, 2], "m": ["0", "100"]}, window=60))
    assert "311" in report.unreachable
    assert "321" not in report.unreachable


def test_file_that_cannot_be_read_at_all_is_refused_with_its_name(tmp_path):
    path = tmp_path / "table.toml"
    path.write_text('axes = ["r"]\nhigh = 3\nsegments = [{ value = "a", ranges = { q = [1, 2] } }]')
    with pytest.raises(BadMethod, match=r"^table\.toml: segments\[0\]\.ranges\.q: there is no such key; allowed are r"):
        prove_file(path)


def test_unsound_method_file_is_reported_and_not_refused(tmp_path):
    path = tmp_path / "draft.toml"
    path.write_text(
        'name = "draft"\nbins = 3\nwindow = 365\ndirection = "high_is_best"\n'
        'segments = [{ value = "top", ranges = { r = [3, 3] } }]'
    )
    report = prove_file(path)
    assert not report.sound
    assert len(report.proof.missing) == 18
