import pytest

from scoring.errors import BadMethod, SegmentGap
from scoring.schemes import Grid, Inversion, Rule, claims, prove, settle
from tests.scoring import published_tables as published


@pytest.mark.parametrize(
    ("grid", "claimed"),
    [
        (published.RFM3, published.KLAVIYO),
        (published.RFM5, published.SQUEEZELY),
        (published.RF5, claims(published.RF5, published.RF_REGEX)),
    ],
    ids=["klaviyo", "squeezely", "rf_regex"],
)
def test_published_partition_gives_every_code_exactly_one_segment(grid, claimed):
    assert prove(grid, claimed).partition
    assert list(settle(grid, claimed)) == list(grid.codes)


def test_customer360_as_printed_claims_exactly_four_codes_twice():
    proof = prove(published.RFM4, published.CUSTOMER360)
    assert proof.overlaps == {
        "124": ("attention_needed", "at_risk"),
        "131": ("at_risk", "price_sensitive"),
        "141": ("at_risk", "price_sensitive"),
        "343": ("loyal", "potential"),
    }
    assert proof.missing == ()
    assert proof.unknown == ()


def test_customer360_as_printed_is_refused_without_precedence():
    with pytest.raises(SegmentGap, match=r"124 \(attention_needed \+ at_risk\)") as caught:
        settle(published.RFM4, published.CUSTOMER360)
    assert set(caught.value.overlaps) == {"124", "131", "141", "343"}


CUSTOMER360_PRECEDENCE = {
    "124": "attention_needed",
    "131": "price_sensitive",
    "141": "price_sensitive",
    "343": "loyal",
}


def test_customer360_inversions_among_segments_of_different_rank_are_the_two_known_ones():
    ranks = dict.fromkeys(("attention_needed", "at_risk", "price_sensitive"), 6)
    ranks |= {"champion": 1, "loyal": 2, "potential": 3, "promising": 4, "new": 5, "lost": 7}
    proof = prove(published.RFM4, published.CUSTOMER360, precedence=CUSTOMER360_PRECEDENCE, ranks=ranks)
    assert set(proof.inversions) == {
        Inversion("314", "new", "313", "promising"),
        Inversion("333", "promising", "323", "potential"),
    }


def test_customer360_inversions_by_printed_order_include_the_two_known_ones():
    proof = prove(published.RFM4, published.CUSTOMER360, precedence=CUSTOMER360_PRECEDENCE)
    found = {(inversion.code, inversion.lower_code) for inversion in proof.inversions}
    assert {("314", "313"), ("333", "323"), ("231", "221")} <= found


@pytest.mark.parametrize(("grid", "doubled", "of"), [(published.R_FM_FROM_0, 26, 36), (published.R_FM_FROM_1, 20, 25)])
def test_putler_is_no_partition(grid, doubled, of):
    proof = prove(grid, claims(grid, published.PUTLER))
    assert len(grid.codes) == of
    assert len(proof.overlaps) == doubled
    assert proof.missing == ()


def test_putler_has_five_cells_with_one_owner_and_one_cell_with_five():
    grid = published.R_FM_FROM_1
    proof = prove(grid, claims(grid, published.PUTLER))
    assert set(grid.codes) - set(proof.overlaps) == {"13", "34", "35", "42", "52"}
    assert len(proof.overlaps["22"]) == 5


@pytest.mark.parametrize(
    ("rules", "missing", "doubled"), [(published.R_PACKAGE_0_2, 36, 39), (published.R_PACKAGE_0_3, 10, 58)]
)
def test_examples_of_the_r_package_are_refused_with_all_codes_listed(rules, missing, doubled):
    with pytest.raises(SegmentGap) as caught:
        settle(published.RFM5, claims(published.RFM5, rules))
    assert (len(caught.value.missing), len(caught.value.overlaps)) == (missing, doubled)


def test_codes_the_newer_r_package_forgets_are_named():
    proof = prove(published.RFM5, claims(published.RFM5, published.R_PACKAGE_0_3))
    assert proof.missing == published.R_PACKAGE_0_3_MISSING


def test_eighteen_codes_of_pymc_marketing_have_no_segment():
    with pytest.raises(SegmentGap, match="without a segment: 121, 131, 141") as caught:
        settle(published.RFM4, published.PYMC_MARKETING)
    assert caught.value.missing == published.PYMC_MARKETING_OTHER
    assert caught.value.overlaps == {}


def test_code_outside_the_grid_is_refused():
    with pytest.raises(SegmentGap, match="not on the grid: 666") as caught:
        settle(published.RFM4, published.CUSTOMER360 | {"seventh": ("666",)})
    assert caught.value.unknown == ("666",)


@pytest.mark.parametrize(
    "precedence", [{"444": "champion"}, {"124": "lost"}, {"999": "champion"}], ids=["undisputed", "stranger", "off"]
)
def test_precedence_for_what_is_not_in_dispute_is_refused(precedence):
    with pytest.raises(BadMethod, match="not in dispute"):
        prove(published.RFM4, published.CUSTOMER360, precedence=precedence)


def test_unless_leaves_a_claim_to_the_named_segment():
    grid = Grid(("r", "f"), 1, 3)
    rules = [Rule("top", where=("r == 3",)), Rule("rest", where=("r + f >= 2",), unless=("top",))]
    owner = settle(grid, claims(grid, rules))
    assert {code for code, segment in owner.items() if segment == "top"} == {"31", "32", "33"}


def test_unless_naming_an_unknown_segment_is_refused():
    with pytest.raises(BadMethod, match="unknown segment 'nobody'"):
        claims(published.RF5, [Rule("all", where=("r >= 1",), unless=("nobody",))])


@pytest.mark.parametrize("condition", ["r>=3", "r >= x", "r => 3", "3 <= r", "r >= 3 and f >= 3", "__import__"])
def test_condition_outside_the_small_language_is_refused(condition):
    with pytest.raises(BadMethod, match="is not a condition"):
        published.RFM5.holds(condition)


def test_condition_on_an_unknown_axis_lists_those_there_are():
    with pytest.raises(BadMethod, match="axes are r, f, m"):
        published.RFM5.holds("p >= 3")


def test_derived_axis_is_the_mean_rounded_up():
    grid = Grid(("r", "f", "m"), 1, 6, {"fxm": ("f", "m")})
    fxm = dict(zip(grid.codes, grid.digits("fxm").tolist(), strict=True))
    assert [fxm[code] for code in ("111", "112", "121", "145", "136", "166")] == [1, 2, 2, 5, 5, 6]


def test_codes_of_ten_bins_keep_their_digits_apart():
    grid = Grid(("r", "f", "m"), 1, 10)
    assert grid.codes[0] == "1-1-1"
    assert grid.codes[-1] == "10-10-10"
    assert len(set(grid.codes)) == 1000
