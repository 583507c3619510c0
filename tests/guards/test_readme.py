"""The project's texts keep up with the code: table, settings, commands, links, and nothing of anyone's machine."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connector.cli.main import COMMANDS
from connector.config import from_environment
from tests.capabilities import BEGIN, CAPABILITIES, END, README, Capability, table, with_table

ROOT = README.parent
TEXTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
LATER = {
    "AMOCRM_CLIENT_ID",
    "AMOCRM_CLIENT_SECRET",
    "AMOCRM_OAUTH_URL",
    "BITRIX24_CLIENT_ID",
    "BITRIX24_CLIENT_SECRET",
    "BITRIX24_OAUTH_URL",
    "HUBSPOT_APP_ID",
    "HUBSPOT_CLIENT_ID",
    "HUBSPOT_CLIENT_SECRET",
    "HUBSPOT_OAUTH_URL",
}
FOREIGN = re.compile(
    "|".join(
        [
            rf"(?<![\w.:-])/(?:{'wo' + 'rk'}|{'ro' + 'ot'})/",
            rf"(?<![\w.:-])/{'ho' + 'me'}/\w",
            r"\b" + "py" + r"pi\.org",
            "python" + r"hosted\.org",
            "npm" + r"js\.(?:org|com)",
        ]
    )
)
LINK = re.compile(r"\]\(([^)\s]+)\)")


class Asked(dict[str, str]):
    """An empty environment that remembers what it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def get(self, key: str, default: Any = None) -> Any:
        self.names.add(key)
        return default


def settings() -> set[str]:
    asked = Asked()
    from_environment(asked)
    return asked.names


def project_files() -> Iterator[Path]:
    listing = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True
    )
    for name in listing.stdout.decode().split("\0"):
        path = ROOT / name
        if name and path.is_file():
            yield path


def section(title: str) -> str:
    text = README.read_text(encoding="utf-8")
    return text.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def test_the_capability_table_is_fresh():
    text = README.read_text(encoding="utf-8")
    assert with_table(text) == text, "run python -m tests.capabilities"


@pytest.mark.parametrize("row", CAPABILITIES, ids=lambda row: row.id)
def test_every_claim_names_tests_that_exist(row: Capability):
    assert row.proof
    for path in row.proof:
        assert (ROOT / path).is_file(), path
        assert "def test_" in (ROOT / path).read_text(encoding="utf-8"), path


def test_no_capability_is_claimed_twice():
    ids = [row.id for row in CAPABILITIES]
    assert len(ids) == len(set(ids))


def test_a_row_is_done_only_when_nothing_is_missing():
    shown = table([Capability("X-1", "a", ("t.py",)), Capability("X-2", "b", ("t.py",), "c")])
    assert "| X-1 | a | done | [t](t.py) |" in shown
    assert "| X-2 | b | partly; missing: c | [t](t.py) |" in shown


def test_a_readme_without_the_markers_is_refused():
    with pytest.raises(ValueError, match="needs the lines"):
        with_table(f"# Product\n{BEGIN}\n")
    with pytest.raises(ValueError, match="needs the lines"):
        with_table(f"# Product\n{END}\n")


def test_every_setting_is_in_the_example_and_in_the_readme():
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    in_example = set(re.findall(r"^#?([A-Z0-9_]+)=", example, re.MULTILINE))
    in_readme = set(re.findall(r"^\| `([A-Z0-9_]+)` \|", section("Settings"), re.MULTILINE))
    assert settings() == in_example
    assert settings() == in_readme


def test_settings_of_later_versions_are_marked_as_such():
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    marked = set(re.findall(r"^# later: ([A-Z0-9_]+)=$", example, re.MULTILINE))
    assert marked == LATER - settings()


def test_every_command_is_in_the_readme_and_no_other():
    shown = {word.strip("`").split()[0] for word in re.findall(r"^\| (`[^`]+`)", section("Commands"), re.MULTILINE)}
    assert shown == set(COMMANDS)


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_link_between_texts_leads_somewhere(path: Path):
    for target in LINK.findall(path.read_text(encoding="utf-8")):
        if "://" in target or target.startswith("mailto:"):
            continue
        name, _, anchor = target.partition("#")
        found = (path.parent / name).resolve() if name else path
        assert found.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", found.read_text(encoding="utf-8"), re.MULTILINE)
            anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor in anchors, target


def test_no_file_names_a_place_of_somebodys_machine_or_a_package_registry():
    files = list(project_files())
    assert README in files
    found = [
        f"{path.relative_to(ROOT)}: {hit.group()}"
        for path in files
        if (hit := FOREIGN.search(path.read_bytes().decode("utf-8", errors="ignore")))
    ]
    assert found == []
