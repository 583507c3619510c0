"""docs/api.md: its examples work, its table of addresses is fresh, its refusals are all there are."""

from __future__ import annotations

import json
import re
import shlex

import pytest

from connector.api.v1 import problems
from tests.connector.api.v1.reference import PAGE, described, table, with_table

TEXT = PAGE.read_text(encoding="utf-8")
EXAMPLES = [line for block in re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL) for line in block.splitlines()
            if line.startswith("curl")]  # fmt: skip


def test_every_example_works(north):
    assert len(EXAMPLES) > 15
    for line in EXAMPLES:
        words = iter(shlex.split(line)[1:])
        method, body, path = "GET", None, ""
        for word in words:
            if word == "-X":
                method = next(words)
            elif word == "-d":
                body = json.loads(next(words))
            elif word == "-H":
                assert next(words) in {"Authorization: Bearer $TOKEN", "Content-Type: application/json"}
            else:
                path = word.removeprefix("$RFM")
        answer = north(method, path, json=body) if body is not None else north(method, path)
        assert answer.status_code < 300, (line, answer.text)


def test_the_table_of_addresses_is_fresh():
    assert with_table(TEXT, table(described())) == TEXT, "run python -m tests.connector.api.v1.reference"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 415, 422, 429, 502, 503])
def test_every_refusal_is_told(status):
    assert f"`{problems._KINDS[status]}`" in TEXT
    assert str(status) in TEXT
