"""serving.fastapi: against a fake of FastAPI and uvicorn with an event loop that can stall; the real ones if there."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from payload_modules import load
from payload_process import Said, run_payload
from test_data_files import hidden, package

from torchprobes.model import Verdict

# Routes by path. An `async def` handler holds the loop while it runs; a `def` handler runs in the connection's thread.
FAKE_FASTAPI = """
__version__ = "0.fake"

class FastAPI:
    def __init__(self):
        self.routes = {}
    def get(self, path):
        return lambda function: self.routes.setdefault(path, function)
"""

FAKE_UVICORN = """
import asyncio, http.server, inspect, json, threading, urllib.parse
__version__ = "0.fake"

class Config:
    def __init__(self, app, **options):
        self.app = app

class Server:
    def __init__(self, config):
        self.app = config.app

    def run(self, sockets):
        routes, loop = self.app.routes, threading.Lock()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                url = urllib.parse.urlsplit(self.path)
                given = {k: int(v[0]) for k, v in urllib.parse.parse_qs(url.query).items()}
                status, body = 200, None
                try:
                    body = ANSWER(call(routes[url.path], given))
                except Exception as error:
                    status, body = 500, repr(error)
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *words):
                pass

        def call(function, given):
            if not inspect.iscoroutinefunction(function):
                return function(**given)
            with loop:
                return asyncio.run(function(**given))

        server = http.server.ThreadingHTTPServer(sockets[0].getsockname(), Handler, bind_and_activate=False)
        server.socket.close()
        server.socket = sockets[0]
        server.socket.listen(64)
        START()
        server.serve_forever()

ANSWER = lambda body: body
START = lambda: None
"""

WRONG = "ANSWER = lambda body: {'values': [v + 1 for v in body['values']]} if 'values' in body else body\n"


def serve(tmp_path: Path, more: str = "", device: str = "cpu") -> Said:
    place = package(tmp_path / "place", "fastapi", __init__=FAKE_FASTAPI)
    package(place, "uvicorn", __init__=FAKE_UVICORN + more)
    environ, short = {"PYTHONPATH": str(place)}, {"params": {"load_s": 0.4}}
    return run_payload(tmp_path / "run", "serving.fastapi", device, environ=environ, more=short)


def test_answers_are_compared_and_health_is_asked_for_under_load(tmp_path: Path) -> None:
    said = serve(tmp_path)
    assert said.judgement.verdict in (Verdict.PASS, Verdict.DEGRADED), (said.judgement, said.stderr)
    assert set(said.ids) <= {"TD-SRV-005", "TD-SRV-006"}  # how long the loop waits depends on this machine
    answers, threads = said.readings.fact("serving.answers"), said.readings.fact("serving.versions")
    assert answers is not None
    assert (answers.value, threads is not None) == ("right", True)
    served = {(f.name, f.labels["handler"]) for f in said.readings.figures if "handler" in f.labels}
    assert {("request_p99_us", "def"), ("health_p99_us", "def"), ("request_p50_us", "async def")} <= served
    assert all(f.value > 0 for f in said.readings.figures)


@pytest.mark.trials
def test_other_answers_than_the_models_are_told(tmp_path: Path) -> None:
    said = serve(tmp_path, WRONG)
    assert (said.judgement.verdict, said.ids) == (Verdict.FAIL, ["TD-SRV-004"]), said.judgement
    assert "0 of " in said.judgement.reason


def test_absent_packages_are_named(tmp_path: Path) -> None:
    place = hidden(tmp_path / "place", "uvicorn", "fastapi")
    said = run_payload(tmp_path / "run", "serving.fastapi", environ={"PYTHONPATH": str(place)})
    assert said.judgement.verdict is Verdict.SKIP
    assert said.judgement.reason == "not in this Python: fastapi and uvicorn; pip install fastapi uvicorn"


def test_an_answer_counts_as_right_by_its_relative_distance(monkeypatch: pytest.MonkeyPatch) -> None:
    serving: Any = load(monkeypatch, "serving", "collectives", "measure")
    tally = serving._Tally([[3.0, 4.0]])
    for values in ([3.0, 4.0], [3.009, 4.0], [3.02, 4.0], [3.0], []):
        tally.take(0, values)
    assert (tally.answered, tally.right) == (5, 2)


REAL = importlib.util.find_spec("fastapi") is not None and importlib.util.find_spec("uvicorn") is not None


@pytest.mark.skipif(not REAL, reason="fastapi and uvicorn are not in this environment")
def test_the_real_server_answers(tmp_path: Path) -> None:
    said = run_payload(tmp_path / "run", "serving.fastapi")
    assert said.judgement.verdict in (Verdict.PASS, Verdict.DEGRADED), said.judgement
