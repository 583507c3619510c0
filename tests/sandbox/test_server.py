from __future__ import annotations

import socket

import pytest
import requests

from sandbox.clock import RealClock
from sandbox.server import serve
from sandbox.web import Answer, CutConnection, Request, RequestLog, as_wsgi, html_answer, json_answer


def _handle(request: Request) -> Answer:
    match request.path:
        case "/cut":
            raise CutConnection
        case "/echo":
            data = {"method": request.method, "query": request.query(), "length": len(request.body)}
            return json_answer({**data, "type": request.headers.get("content-type")})
        case "/strange":
            return Answer(477)
        case _:
            return html_answer(502, request.path)


@pytest.fixture
def log():
    return RequestLog()


@pytest.fixture
def server(log):
    with serve(as_wsgi(_handle, log, RealClock())) as running:
        yield running


def test_one_session_uses_one_connection(server):
    with requests.Session() as session:
        seen = set()
        for _ in range(5):
            answer = session.get(f"{server.url}/echo", stream=True)
            seen.add(answer.raw._connection.sock.getsockname()[1])
            assert answer.json()["method"] == "GET"
    assert len(seen) == 1


def test_bodies_queries_and_headers_arrive(server):
    answer = requests.patch(f"{server.url}/echo?a=1&a=2&b=", data=b"x" * 70_000, headers={"Content-Type": "x/y"})
    assert answer.json() == {
        "method": "PATCH",
        "query": {"a": ["1", "2"], "b": [""]},
        "length": 70_000,
        "type": "x/y",
    }


def test_a_cut_connection_gives_the_client_no_answer_and_the_next_call_works(server, log):
    with requests.Session() as session:
        with pytest.raises(requests.ConnectionError):
            session.post(f"{server.url}/cut", json={})
        assert session.get(f"{server.url}/echo").status_code == 200
    assert [entry.status for entry in log.entries] == [0, 200]


def test_the_log_has_method_path_status_and_time_but_no_query(server, log):
    requests.get(f"{server.url}/Ошибка?secret=1")
    entry = log.entries[0]
    assert (entry.method, entry.path, entry.status) == ("GET", "/Ошибка", 502)
    assert entry.at.tzinfo is not None
    assert log.count == log.answered(502) == log.calls("GET", "ка") == 1
    log.clear()
    assert log.count == len(log.entries) == 0


def test_statuses_that_python_does_not_know_pass(server):
    assert requests.get(f"{server.url}/strange").status_code == 477


def test_it_listens_on_loopback_only(server):
    assert server.url == f"http://127.0.0.1:{server.port}"


def test_after_stop_nothing_answers_not_even_on_an_open_connection(log):
    server = serve(as_wsgi(_handle, log, RealClock()))
    with requests.Session() as session:
        session.get(f"{server.url}/echo")
        server.stop()
        with pytest.raises(requests.ConnectionError):
            session.get(f"{server.url}/echo")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port))
