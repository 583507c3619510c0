import numpy as np
import pytest

from scoring.errors import BadMethod
from scoring.fitness import Finding, examine
from scoring.methods import MethodVersion, fit, load_method, score
from scoring.scales import Thresholds
from tests.scoring.test_methods import summary


def examined(name, counted, thresholds=None):
    method = load_method(name)
    version = MethodVersion(name, 1, method, thresholds or fit(method, counted).thresholds)
    return examine(version, counted, score(version, counted))


def spread(size=100, window=365):
    """Each value once, so that every score and every segment has its share."""
    random = np.random.default_rng(3)
    return summary(
        r=list(range(size)),
        f=(random.permutation(size) + 1).tolist(),
        m=(random.permutation(size) * 100).tolist(),
        window=window,
    )


def test_even_base_is_healthy_and_every_criterion_has_its_fifth():
    found = examined("sales5", spread())
    assert (found.healthy, found.method, found.customers, found.advised_bins) == (True, "sales5@1", 100, 3)
    assert [c.share for c in found.criteria] == [0.2] * 15


def test_criteria_state_ranges_and_reasons_from_the_best_score_down():
    r, f, m = (examined("sales5", spread()).criteria[place] for place in (0, 5, 10))
    assert (r.axis, r.score, r.low, r.high) == ("r", 5, 0, 19)
    assert r.reason("en") == "the smallest value that at least 20 % of the customers do not exceed"
    assert (f.axis, f.score, f.low, f.high) == ("f", 5, 81, None)
    assert f.reason("ru") == "всё за последней границей"
    assert (m.axis, m.low, m.high) == ("m", 7901, None)
    lowest = examined("sales5", spread()).criteria[-1]
    assert (lowest.score, lowest.low, lowest.high, lowest.percent) == (1, None, 1900, 20)


def test_stated_borders_say_that_they_are_stated():
    found = examined("customer360", spread())
    assert {c.why for c in found.criteria} == {"fixed", "outermost"}
    mixed = examined("six3", spread(window=730))
    assert [c.why for c in mixed.criteria[:4]] == ["fixed", "fixed", "outermost", "outermost"]


def test_ranges_of_a_scale_lie_side_by_side_and_cover_everybody():
    for name in ("sales5", "customer360", "octolis6", "binary"):
        counted = spread()
        for axis, values in (("r", counted.recency), ("f", counted.frequency), ("m", counted.monetary)):
            criteria = [c for c in examined(name, counted).criteria if c.axis == axis]
            for one in criteria:
                low = values >= one.low if one.low is not None else np.ones(len(values), dtype=bool)
                high = values <= one.high if one.high is not None else True
                assert (low & high).sum() == one.customers
            assert sum(c.customers for c in criteria) == 100


def test_everybody_buying_once_is_told_axis_by_axis():
    counted = summary(r=range(100), f=[1] * 100, m=range(100))
    kinds = {(finding.kind, finding.subject) for finding in examined("sales5", counted).findings}
    assert {("score_crowded", "F1"), ("score_empty", "F2"), ("score_empty", "F5"), ("segment_empty", "vip")} <= kinds


def test_window_too_narrow_for_the_base_is_told():
    counted = summary(r=range(100), f=[0] * 51 + [1] * 49, m=range(100))
    (finding,) = (f for f in examined("sales5", counted).findings if f.kind == "window_narrow")
    assert finding == Finding("window_narrow", "365", 0.51)
    assert finding.text("en") == "51 % of the customers have no order in 365 days: take a longer window"
    assert finding.text("ru").startswith("у 51 % клиентов нет заказов за 365 дней")


def test_segment_that_holds_most_of_the_base_is_told():
    lenient = Thresholds((1000, 2000, 3000, 4000), (0, 0, 0, 0), (0, 0, 0, 0))
    found = examined("sales5", summary(r=range(100), f=[1] * 100, m=[1] * 100), lenient)
    assert Finding("segment_crowded", "vip", 1.0) in found.findings
    assert not found.healthy


def test_nobody_cannot_be_examined():
    version = MethodVersion("customer360", 1, load_method("customer360"), load_method("customer360").limits)
    nobody = summary(r=[], f=[], m=[])
    with pytest.raises(BadMethod, match="nobody is scored"):
        examine(version, nobody, score(version, nobody))
