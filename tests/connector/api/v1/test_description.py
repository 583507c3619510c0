"""Every route says who may call it and stands in the description, with all that a script has to know."""

from __future__ import annotations

import re

import pytest

from connector.store.api_tokens import SCOPES

METHODS = {"GET", "POST", "PUT", "PATCH", "DELETE"}


@pytest.fixture
def description(app):
    return app.test_client().get("/api/v1/openapi.json").json


@pytest.fixture
def operations(description):
    return {
        (method.upper(), path): operation
        for path, methods in description["paths"].items()
        for method, operation in methods.items()
        if method != "parameters"
    }


def test_every_route_declares_its_scope_and_is_described(app, operations):
    routes = {
        (method, re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)): app.view_functions[rule.endpoint]
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/api/")
        for method in rule.methods & METHODS
    }
    assert set(routes) == set(operations)
    for key, view in routes.items():
        assert view.scope in {*SCOPES, None}, key
        assert operations[key]["security"] == ([{"token": [view.scope]}] if view.scope else []), key
    assert [key for key, view in routes.items() if view.scope is None] == [("GET", "/api/v1/openapi.json")]


def test_what_changes_something_asks_for_more_than_read(operations):
    thought_only = {"/fit", "/simulate", "/prove", "/backtest"}
    for (method, path), operation in operations.items():
        if method != "GET" and not path.endswith(tuple(thought_only)):
            assert operation["security"] not in ([], [{"token": ["read"]}]), (method, path)


def test_every_operation_is_named_described_and_tells_its_refusals(operations):
    names = [operation["operationId"] for operation in operations.values()]
    assert len(names) == len(set(names))
    for key, operation in operations.items():
        assert operation["summary"], key
        assert {"503"} <= set(operation["responses"]), key
        if operation["security"]:
            assert {"401", "403", "429"} <= set(operation["responses"]), key
        if "{" in key[1]:
            assert "404" in operation["responses"], key
        for status, answer in operation["responses"].items():
            if status >= "400":
                assert list(answer["content"]) == ["application/problem+json"], key
        for parameter in operation.get("parameters", []):
            assert parameter["description"], key


def test_every_field_is_described_and_every_path_has_an_example(description):
    for name, schema in description["components"]["schemas"].items():
        for field, told in schema.get("properties", {}).items():
            assert told.get("description"), f"{name}.{field}"
    for path, methods in description["paths"].items():
        for parameter in methods.get("parameters", []):
            assert parameter["description"], path
            assert parameter["example"], path


def test_it_says_how_to_show_a_token_and_is_of_version_3_1(description):
    assert description["openapi"] == "3.1.0"
    scheme = description["components"]["securitySchemes"]["token"]
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")


def test_making_it_again_gives_the_same(app):
    one, other = (app.test_client().get("/api/v1/openapi.json") for _ in range(2))
    assert one.data == other.data
    again = app.test_client().get("/api/v1/openapi.json", headers={"If-None-Match": one.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
