"""The words for people: the hint on the card, and the pieces of a task, by segment and language.

They are written for the manager. Titles and offers describe the situation and never use the segment's name,
so that it cannot slip into a talk with the client.
"""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files

from scoring.methods import Language, Method
from scoring.wording import LONGEST_HINT, Words

__all__ = ["LONGEST_HINT", "Words", "hint", "words"]

_FALLBACK = "sales5"  # its segments are named like the classes of work


def words(method: Method, segment: str, language: Language) -> Words:
    """The words for a segment of a method.

    The method file's own come first, then those shipped for a method of this name, then those of the segment's
    class of work. `KeyError` for a value that the method does not have.
    """
    found = method.segment(segment)
    shipped = _written(language).get(method.name, {})
    return found.words.get(language) or shipped.get(segment) or _written(language)[_FALLBACK][found.work]


def hint(method: Method, segment: str, language: Language) -> str:
    """The text for the card's field `hint`, at most `LONGEST_HINT` characters."""
    return words(method, segment, language).hint


@cache
def _written(language: Language) -> dict[str, dict[str, Words]]:
    text = files("scoring").joinpath("tables", f"hints_{language}.toml").read_text(encoding="utf-8")
    return {
        method: {segment: Words(**entry) for segment, entry in segments.items()}
        for method, segments in tomllib.loads(text).items()
    }
