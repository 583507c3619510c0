"""The table of addresses in docs/api.md, made from the application's own description.

`python -m tests.connector.api.v1.reference` writes it anew.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from connector.app import create_app
from connector.config import Config

PAGE = Path(__file__).parents[4] / "docs" / "api.md"
BEGIN, END = "<!-- addresses: begin -->\n", "<!-- addresses: end -->"
_ORDER = ("get", "post", "patch", "delete")


def table(description: dict[str, Any]) -> str:
    """Address, scope and what it does, one line each."""
    lines = ["| | scope | |", "|---|---|---|"]
    for path, operations in sorted(description["paths"].items()):
        for method in (one for one in _ORDER if one in operations):
            told = operations[method]
            scope = f"`{told['security'][0]['token'][0]}`" if told["security"] else "none"
            address = path.removeprefix("/api/v1")
            lines.append(f"| `{method.upper()} {address}` | {scope} | {told['summary']} |")
    return "\n".join(lines) + "\n"


def with_table(page: str, wanted: str) -> str:
    """The page with the table put in its place."""
    head, _, rest = page.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}{wanted}{END}{tail}"


def described() -> dict[str, Any]:
    """The description of an application that has no database yet."""
    client = create_app(Config(database_url="postgresql://nobody@127.0.0.1:1/none")).test_client()
    found: dict[str, Any] = json.loads(client.get("/api/v1/openapi.json").data)
    return found


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8"), table(described())), encoding="utf-8")
