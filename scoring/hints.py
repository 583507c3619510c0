"""The words for people: the hint on the card, and the pieces of a task, by segment and language.

They are written for the manager. Titles and offers describe the situation and never use the segment's name,
so that it cannot slip into a talk with the client.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from scoring.methods import Language, Method

LONGEST_HINT = 250  # characters; amoCRM's plain text fields end at 256
_FALLBACK = "sales5"  # its segments are named like the classes of work


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


def words(method: Method, segment: str, language: Language) -> Words:
    """The words for a segment of a method.

    A method without words of its own gets those of the segment's class of work. `KeyError` for a value that
    the method does not have.
    """
    own = _written(language).get(method.name, {})
    work = method.segment(segment).work
    return own.get(segment) or _written(language)[_FALLBACK][work]


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
