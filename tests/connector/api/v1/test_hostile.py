"""Bodies and queries that no client sends, with a token that opens everything: refused, never a fault of ours."""

from __future__ import annotations

import copy

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connector.jobs.settings import KNOWN
from scoring.methods import load_method, method_names
from tests.fuzz.hostile import BODIES, DEEP, ENCODED, QUERY

EXAMPLES = 10
REAL = {"portal": "north", "customer": "contact:3", "run": "r1", "version": "sales5@1", "method": "sales5"}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)
WORDS = st.sampled_from(["vip", "deals", "UTC", "09:00", "2026-11-24", "mon", "1", "", "hours", "RU", "work", "Z"])
VALUES = st.one_of(JSON, WORDS, st.lists(WORDS, max_size=3), st.dictionaries(WORDS, st.one_of(JSON, WORDS), max_size=3))
turns = settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))


def test_hostile_bodies_and_queries_at_every_address(app, everything):
    rules = [rule for rule in app.url_map.iter_rules() if rule.rule.startswith("/api/v1/portals/<portal>")]
    assert len(rules) > 30
    for rule in rules:
        path = rule.rule.removeprefix("/api/v1")
        for name, value in REAL.items():
            path = path.replace(f"<{name}>", value)

        _attack(everything, path, sorted(rule.methods or ()))


def _attack(everything, path, methods):
    @settings(turns, max_examples=EXAMPLES // 2)
    @given(body=BODIES | DEEP | ENCODED, query=QUERY, method=st.sampled_from(methods))
    def attack(body, query, method):
        sent = {"data": body, "content_type": "application/json"} if method not in {"GET", "HEAD"} else {}
        pairs = {name.encode(errors="replace"): value.encode(errors="replace") for name, value in query}
        answer = everything(method, path, query_string=pairs, **sent)
        assert answer.status_code < 500, (method, path, body[:200])

    attack()


@pytest.mark.parametrize("key", sorted(KNOWN))
def test_no_value_of_a_setting_is_a_fault_of_ours(everything, key):
    @turns
    @given(value=VALUES)
    def attack(value):
        answer = everything("PATCH", "/portals/north/settings", json={"settings": {key: value}})
        assert answer.status_code < 500, (key, value, answer.text)
        if answer.status_code == 200:
            everything("PATCH", "/portals/north/settings", json={"settings": {key: None}})

    attack()


@st.composite
def spoiled(draw):
    """The rules of a method that ships with one value in them replaced or gone."""
    rules = copy.deepcopy(load_method(draw(st.sampled_from(method_names()))).spec())
    places = []

    def walk(at):
        for key in at if isinstance(at, dict) else range(len(at)):
            places.append((at, key))
            if isinstance(at[key], dict | list):
                walk(at[key])

    walk(rules)
    at, key = draw(st.sampled_from(places))
    if draw(st.booleans()):
        at[key] = draw(VALUES)
    else:
        del at[key]
    return rules


def test_no_rules_of_a_method_are_a_fault_of_ours(everything):
    @settings(turns, max_examples=EXAMPLES * 6)
    @given(rules=spoiled() | VALUES)
    def attack(rules):
        for path in ("/methods/prove", "/portals/north/methods/simulate"):
            answer = everything.post(path, {"rules": rules})
            assert answer.status_code < 500, (path, rules, answer.text)

    attack()
