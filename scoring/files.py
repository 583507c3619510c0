"""Method files from any path. The only place in scoring that opens a file of the user's; nothing is written."""

from __future__ import annotations

import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Any

from scoring.errors import BadMethod
from scoring.parsing import parse_method
from scoring.rules import Method

LARGEST_FILE = 1_000_000  # bytes


def read_method(path: Path) -> Method:
    """The method of a TOML file. `Method.digest()` is its hash: comments and layout do not change it.

    Raises `BadMethod` that names the file, the key and what is allowed, or `SegmentGap` with the codes.
    """
    spec = read_spec(path)
    try:
        return parse_method(spec)
    except BadMethod as error:
        raise error.inside(path.name) from None


def read_spec(path: Path) -> dict[str, Any]:
    """The parsed file, unchecked. Raises `BadMethod` where there is none, or it is no TOML in UTF-8."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise BadMethod(f"is larger than {LARGEST_FILE} bytes: this is no method file", file=path.name)
        return parse_toml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadMethod(f"cannot be read: {error.strerror}", file=path.name) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadMethod(f"is no TOML in UTF-8: {error}", file=path.name) from None


def parse_toml(text: str) -> dict[str, Any]:
    """TOML with exact numbers."""
    return tomllib.loads(text, parse_float=Decimal)
