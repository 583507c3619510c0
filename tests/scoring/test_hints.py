from dataclasses import replace

import pytest

from scoring.hints import LONGEST_HINT, hint, words
from scoring.methods import load_method, method_names

SEGMENTS = [(name, segment) for name in method_names() for segment in load_method(name).segments]


@pytest.mark.parametrize("language", ["ru", "en"])
@pytest.mark.parametrize(("name", "segment"), SEGMENTS, ids=[f"{name}.{s.value}" for name, s in SEGMENTS])
class TestEverySegment:
    def test_hint_is_short_and_has_its_three_parts(self, name, segment, language):
        said = words(load_method(name), segment.value, language)
        text = hint(load_method(name), segment.value, language)
        assert len(text) <= LONGEST_HINT
        assert text == f"{said.meaning} {said.first_step} {said.offer}"
        assert all(part.endswith(".") for part in (said.meaning, said.first_step, said.offer))

    def test_words_a_client_may_hear_never_hold_the_label(self, name, segment, language):
        said = words(load_method(name), segment.value, language)
        for text in (said.title, said.offer):
            assert segment.label[language].lower() not in text.lower()

    def test_words_are_its_own_and_not_the_fallback(self, name, segment, language):
        method = load_method(name)
        stranger = replace(method, name="somebody's own")
        own = words(method, segment.value, language)
        fallback = words(stranger, segment.value, language)
        assert (own == fallback) == (name == "sales5")


def test_method_without_words_gets_those_of_the_class_of_work():
    own = replace(load_method("customer360"), name="mine")
    assert hint(own, "lost", "en") == hint(load_method("sales5"), "sleeping", "en")


def test_segment_that_the_method_does_not_have_is_refused():
    with pytest.raises(KeyError):
        hint(load_method("sales5"), "champion", "ru")
