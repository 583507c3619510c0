"""What the service is started with keeps up with the code: commands, settings, modules, images."""

from __future__ import annotations

import re
import shlex
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

from connector.cli.main import COMMANDS
from tests.guards.test_readme import settings

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
OURS = ("release", "web", "worker")
OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
NOT_OURS = {"WEB_CONCURRENCY", "POSTGRES_PASSWORD", "POSTGRES_DB", "POSTGRES_USER", "PATH"}
NOT_OURS |= {"PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "PIP_NO_CACHE_DIR", "PIP_DISABLE_PIP_VERSION_CHECK"}
"""Names of gunicorn, PostgreSQL, Python and pip."""


def procfile() -> dict[str, str]:
    lines = (ROOT / "Procfile").read_text(encoding="utf-8").splitlines()
    return dict(line.split(": ", 1) for line in lines if line)


def check(command: list[str]) -> None:
    """A command of ours exists, and gunicorn is told to load what there is."""
    if command[0] == "gunicorn":
        module, _, factory = command[1].removesuffix("()").partition(":")
        assert callable(getattr(import_module(module), factory))
        worker, _, name = command[command.index("--worker-class") + 1].rpartition(".")
        assert hasattr(import_module(worker), name)
        assert int(command[command.index("--timeout") + 1]) > int(command[command.index("--graceful-timeout") + 1])
    else:
        assert command[0] == "rfm-connector"
        assert command[1] in COMMANDS


def shell_of(words: list[str]) -> list[str]:
    """The words of what `sh -c` executes."""
    assert words[:2] == ["sh", "-c"]
    return shlex.split(words[2].removeprefix("exec "))


def docker(instruction: str) -> str:
    """The last of these instructions, its lines joined."""
    found = re.findall(rf"^{instruction} ((?:.*\\\n)*.*)$", DOCKERFILE, re.MULTILINE)
    return str(found[-1]).replace("\\\n", " ")


def test_every_command_of_the_procfile_exists():
    assert set(procfile()) == {"release", "web", "worker"}
    for line in procfile().values():
        check(shlex.split(line))
    assert procfile()["release"] == "rfm-connector migrate"


def test_every_command_of_compose_and_of_the_image_exists():
    for name in OURS:
        command = COMPOSE["services"][name].get("command")
        check(command or shell_of(yaml.safe_load(docker("CMD"))))
    assert shell_of(yaml.safe_load(docker("CMD"))) == shlex.split(procfile()["web"])


def test_every_name_of_the_environment_is_a_known_setting():
    compose = (ROOT / "compose.yaml").read_text(encoding="utf-8")
    named = set(re.findall(r"^\s*([A-Z][A-Z0-9_]+): ", compose, re.MULTILINE))
    named |= set(re.findall(r"\$\{?([A-Z][A-Z0-9_]+)", " ".join([*procfile().values(), str(COMPOSE), DOCKERFILE])))
    named |= set(re.findall(r"([A-Z][A-Z0-9_]+)=", docker("ENV")))
    named |= set(re.findall(r"environ\['(\w+)'\]", DOCKERFILE))
    assert {"DATABASE_URL", "PORT", "VAR_DIR"} <= named
    assert named - NOT_OURS <= settings()


def test_compose_has_a_database_a_release_a_web_process_and_two_workers():
    services = COMPOSE["services"]
    assert set(services) == {"db", *OURS}
    assert services["worker"]["deploy"]["replicas"] == 2
    for name in ("web", "worker"):
        assert services[name]["depends_on"]["release"]["condition"] == "service_completed_successfully"
    assert services["release"]["depends_on"]["db"]["condition"] == "service_healthy"
    assert all(services[name]["environment"]["DATABASE_URL"] for name in OURS)
    assert services["web"]["ports"] == ["127.0.0.1:8000:8000"], "the pages have no sign-in: a proxy stands in front"
    assert services["db"]["volumes"]


def test_images_are_pinned_by_their_major_version():
    images = [*re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE), COMPOSE["services"]["db"]["image"]]
    for image in images:
        assert re.fullmatch(r"(python:3\.\d+-slim|postgres:\d+)", image), image


def test_the_image_runs_without_rights_looks_at_readyz_and_has_nothing_of_the_build():
    last = DOCKERFILE.rsplit("\nFROM ", 1)[1]
    assert re.search(r"^USER rfm$", last, re.MULTILINE)
    assert "/readyz" in docker("HEALTHCHECK")
    assert not re.search(r"apt-get|gcc|build-essential|pip install", last)
    assert "COPY --from=build" in last
    for name in ("cap_drop", "security_opt", "read_only"):
        assert all(COMPOSE["services"][service][name] for service in OURS)


def test_the_build_is_given_what_it_installs_and_no_more():
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in lines
    kept = {line.strip("!/") for line in lines if line.startswith("!")}
    assert {"adapters", "connector", "migrations", "sandbox", "scoring", "webhooks"} <= kept
    assert not kept & {"var", ".env", ".git", "tests"}
    assert all((ROOT / name).exists() for name in kept)


@pytest.mark.parametrize("unit", re.findall(r"```ini\n(.*?)```", OPERATIONS, re.DOTALL))
def test_every_systemd_unit_starts_something_that_exists(unit):
    (started,) = re.findall(r"^ExecStart=(.+)$", unit, re.MULTILINE)
    words = shlex.split(started.replace("${PORT}", "8000"))
    check([words[0].rpartition("/")[2], *words[1:]])
    assert "[Service]" in unit
    assert "User=rfm" in unit


def test_units_are_written_out_for_the_web_process_and_workers():
    assert len(re.findall(r"```ini\n", OPERATIONS)) >= 2


def test_every_alarm_is_explained_with_what_to_do():
    kinds = set()
    for module in ("connector.jobs.watch", "connector.jobs.run_alarms"):
        table = import_module(module).__doc__ or ""
        kinds |= {line.split()[0] for line in table.splitlines() if re.match(r"^[a-z_]+  +\S", line)}
    kinds -= {"kind", "times", "customers"}
    section = OPERATIONS.split("## Alarms", 1)[1].split("\n## ", 1)[0]
    explained = set(re.findall(r"^\| `([a-z_]+)`", section, re.MULTILINE))
    assert {"schedule", "paused", "queue", "refused"} <= kinds
    assert kinds == explained


def test_every_metric_is_explained():
    text = (ROOT / "connector" / "jobs" / "metrics.py").read_text(encoding="utf-8")
    named = set(re.findall(r'"(rfm_[a-z_]+)"', text))
    explained = set(re.findall(r"`(rfm_[a-z_]+)`", OPERATIONS))
    assert named <= explained
