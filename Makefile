# Everyday commands. Nothing but Python 3.11+ is needed: the first command that wants packages makes .venv itself.
# Another environment: make test VENV=/path (used as it is). A part of the tests: make test T=tests/webhooks

PYTHON ?= python3
T ?= tests
PORT ?= 8000
S ?= 120

ifeq ($(origin VENV), undefined)
VENV := .venv
READY := $(VENV)/.installed
else
READY := $(VENV)/bin/python
endif
PY := $(VENV)/bin/python

.DEFAULT_GOAL := help
.PHONY: help run test lint bench fuzz fmt migrate

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(READY)  ## sandbox portals, the main job on each, and the pages at http://127.0.0.1:8000/
	@PORT=$(PORT) $(PY) -m connector demo

test: $(READY)  ## the tests, or one part with T=path
	$(PY) -m pytest -n 2 $(T)

lint: $(READY)  ## style, format, types, import rules
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(VENV)/bin/lint-imports

bench: $(READY)  ## speed, measured against bounds and peers
	$(PY) -m tests.benchmarks

fuzz: $(READY)  ## hostile requests at every route, for S=120 seconds
	$(PY) -m tests.fuzz --seconds $(S)

fmt: $(READY)  ## put the code in order
	$(PY) -m ruff check --fix-only --quiet .
	$(PY) -m ruff format .

migrate: $(READY)  ## bring the database to this version's schema
	$(PY) -m connector migrate

# The stamp is newer than the lists as long as what they name is installed.
.venv/.installed: requirements.txt requirements-dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	$(PY) -m pip install --quiet --disable-pip-version-check -r requirements.txt -r requirements-dev.txt -e .
	@touch $@

# A given environment that does not exist yet is made; one that exists is left alone.
ifneq ($(VENV), .venv)
$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.txt -r requirements-dev.txt -e .
endif
