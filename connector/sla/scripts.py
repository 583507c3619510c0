"""What a manager may say to a customer of each class, and what never; in Russian and English.

Pure. The words are in `scripts_ru.toml` and `scripts_en.toml`. They are for the manager's eyes; no script names a
segment, and none invents a deadline.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from connector.sla.policy import WorkClass
from connector.wording import Language


@dataclass(frozen=True, slots=True)
class Script:
    """The five parts of a talk."""

    goal: str
    opening: str
    proof: str
    offer: str
    next_step: str


@dataclass(frozen=True, slots=True)
class Never:
    """What not to say, by the rule behind it, and what to say or do instead."""

    rule: str
    instead_of: str
    say: str


def script_for(work_class: WorkClass, language: str) -> Script:
    """The script of a class. Raises `ValueError` for a language without one."""
    return Script(**_book(Language(language))[work_class.value])


def never_say(language: str) -> tuple[Never, ...]:
    """The anti-scripts, the same for every class. Raises `ValueError` for a language without any."""
    return tuple(Never(**item) for item in _book(Language(language))["never"])


@cache
def _book(language: Language) -> Mapping[str, Any]:
    return tomllib.loads((files("connector.sla") / f"scripts_{language}.toml").read_text(encoding="utf-8"))
