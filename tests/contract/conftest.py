"""The suite is a module of its own; its assertions shall speak as those of a test module do."""

import pytest

pytest.register_assert_rewrite("tests.contract.suite", "tests.contract.work")
