"""Log lines for machines: one JSON object each, with the portal and the run they are about, also from other threads."""

from __future__ import annotations

import io
import json
import logging
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

import pytest

from connector import logs


@pytest.fixture
def lines(_loggers_kept):
    logs.configure("INFO", "json")
    [handler] = logging.getLogger().handlers
    written = io.StringIO()
    handler.setStream(written)
    return lambda: [json.loads(line) for line in written.getvalue().splitlines()]


def test_a_line_is_one_object_with_what_it_is_about(lines):
    with logs.about(portal="shop"), logs.about(run="r1"):
        logging.getLogger("rfm.jobs").warning("written cards=%d\nand more", 3)
    logging.getLogger("rfm.jobs").info("outside")
    first, second = lines()
    assert {key: first[key] for key in ("level", "logger", "message", "portal", "run")} == {
        "level": "WARNING", "logger": "rfm.jobs", "message": "written cards=3\nand more", "portal": "shop", "run": "r1",
    }  # fmt: skip
    assert ("portal" in second, second["at"].endswith("+00:00")) == (False, True)


def test_a_thread_that_is_given_the_context_says_so_too(lines):
    with ThreadPoolExecutor(1) as pool, logs.about(portal="shop"):
        pool.submit(copy_context().run, logging.getLogger("rfm.http").info, "sent").result()
    assert lines()[0]["portal"] == "shop"


def test_an_error_is_still_one_line(lines):
    logging.getLogger("rfm").error("broken", exc_info=ValueError("no"))
    [line] = lines()
    assert "ValueError: no" in line["trace"]
