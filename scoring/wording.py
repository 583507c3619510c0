"""The words of a segment, written for the manager: in the shipped tables, or in a method file of one's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast, get_args

from scoring.reading import Entry
from scoring.terms import Language

LONGEST_HINT = 250  # characters; amoCRM's plain text fields end at 256
_PARTS = ("title", "meaning", "first_step", "offer")


@dataclass(frozen=True, slots=True)
class Words:
    """What to say about a segment: `title` of a task, what the segment means, the `first_step`, what to `offer`."""

    title: str
    meaning: str
    first_step: str
    offer: str

    @property
    def hint(self) -> str:
        """The text on the card."""
        return f"{self.meaning} {self.first_step} {self.offer}"

    def spec(self) -> dict[str, str]:
        """The written form."""
        return {part: getattr(self, part) for part in _PARTS}


def parse_words(segment: Entry) -> Mapping[Language, Words]:
    """The optional table `words` of a segment, by language. Raises `BadMethod`, also for a hint that is too long."""
    entry = segment.entry("words")
    entry.only(get_args(Language))
    return {cast("Language", language): _words(entry.entry(language)) for language in entry.values}


def words_spec(words: Mapping[Language, Words]) -> dict[str, Any]:
    """The written form of all languages; nothing where there are none."""
    return {"words": {language: said.spec() for language, said in words.items()}} if words else {}


def _words(entry: Entry) -> Words:
    entry.only(_PARTS)
    words = Words(*(entry.text(part) for part in _PARTS))
    if len(words.hint) > LONGEST_HINT:
        told = "meaning, first_step and offer together"
        entry.refuse("", f"{told} have {len(words.hint)} characters; at most {LONGEST_HINT} fit on a card")
    return words
