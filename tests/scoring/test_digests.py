"""Published versions are stored with their digest: what was published once must read and hash the same for ever."""

import json

import pytest

from scoring.methods import MethodVersion, load_method
from scoring.scales import Thresholds

PUBLISHED = {
    "sales5": (
        Thresholds((10, 20, 30, 40), (1, 2, 3, 4), (100, 200, 300, 400)),
        "b0f6fbe8f574da1ac80ccadd13ee099a343dd3c3ebc843aee50f34a210d3f053",
        1571,
    ),
    "customer360": (
        Thresholds((30, 61, 91), (2, 3, 4), (9000, 18000, 27000)),
        "149234c00e12d1f3a63ed1bb6229e31de9adcf7c51d5dab2ed669a646214d871",
        1784,
    ),
    "octolis6": (
        Thresholds((7, 21, 45, 90, 200), (0, 1, 1, 2, 5), (-30, 0, 999, 123456, 900000)),
        "a42b25dbe6017e57f87a112c2436463594fb5c578d0c4831542a46526c1620b7",
        2839,
    ),
}
FIRST_KEYS = {"name", "bins", "window", "direction", "upsell", "derived", "limits", "segments"}


@pytest.mark.parametrize("name", PUBLISHED)
def test_version_published_by_the_first_release_keeps_its_digest_label_and_text(name):
    thresholds, digest, length = PUBLISHED[name]
    version = MethodVersion(name, 1, load_method(name), thresholds)
    assert version.label == f"{name}@1"
    assert version.digest() == digest
    assert len(version.to_json()) == length


@pytest.mark.parametrize("name", PUBLISHED)
def test_version_published_by_the_first_release_reads_back_to_the_same_text(name):
    thresholds, digest, _ = PUBLISHED[name]
    text = MethodVersion(name, 1, load_method(name), thresholds).to_json()
    assert MethodVersion.from_json(text).digest() == digest


@pytest.mark.parametrize("name", PUBLISHED)
def test_additions_at_their_defaults_do_not_stand_in_the_json(name):
    thresholds, _, _ = PUBLISHED[name]
    spec = json.loads(MethodVersion(name, 1, load_method(name), thresholds).to_json())
    assert set(spec["method"]) == FIRST_KEYS
