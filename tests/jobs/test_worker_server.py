"""The client of torch's worker server: it takes the word of the rank only, and waits for nobody."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from test_flight import nccl_dump, nccl_entry
from worker_server_fake import FakeServer, myself

from torchprobes.jobs.collect.ranks import flights
from torchprobes.jobs.collect.surroundings import Surroundings
from torchprobes.jobs.told import Told
from torchprobes.jobs.worker_server import NoAnswer, ask, handlers

Serve = Callable[..., FakeServer]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    servers: list[FakeServer] = []

    def start(bodies: Mapping[str, bytes | None], head: str = "HTTP/1.1 200 OK") -> FakeServer:
        servers.append(FakeServer(tmp_path / f"{len(servers)}.sock", bodies, head))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def test_it_asks_one_handler_and_takes_the_whole_body(serve: Serve) -> None:
    body = b"x" * 300_000
    server = serve({"dump_traceback": body})
    assert ask(server.path, "dump_traceback", myself(), 5) == body
    assert server.asked == ["dump_traceback"]


def test_the_list_of_handlers(serve: Serve) -> None:
    assert handlers(serve({"ping": b"pong", "fr_trace_json": b"{}"}).path, myself(), 5) == {"ping", "fr_trace_json"}


def test_a_handler_that_is_not_there(serve: Serve) -> None:
    with pytest.raises(NoAnswer, match="no such handler"):
        ask(serve({}).path, "fr_trace_json", myself(), 5)


def test_one_that_hangs_costs_its_deadline_only(serve: Serve) -> None:
    with pytest.raises(NoAnswer, match="within its deadline"):
        ask(serve({"dump_traceback": None}).path, "dump_traceback", myself(), 0.1)


def test_a_socket_that_another_process_serves_is_refused(serve: Serve) -> None:
    server = serve({"ping": b"pong"})
    with pytest.raises(NoAnswer, match="served by process"):
        ask(server.path, "ping", myself(pid=1), 5)
    assert server.asked == []


def test_a_socket_of_another_user_is_refused(serve: Serve) -> None:
    with pytest.raises(NoAnswer, match="belongs to uid"):
        ask(serve({"ping": b"pong"}).path, "ping", myself(uid=12345), 5)


def test_what_is_no_socket_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    for name, why in (("file", "no socket"), ("link", "no socket"), ("nothing", "No such file")):
        with pytest.raises(NoAnswer, match=why):
            ask(str(tmp_path / name), "ping", myself(), 5)


@pytest.mark.parametrize(
    ("head", "why"), [("HTTP/1.1 500 Oh", "answered 500"), ("SSH-2.0-OpenSSH", "no HTTP"), ("", "no HTTP")]
)
def test_other_answers_are_refused_in_words(serve: Serve, head: str, why: str) -> None:
    with pytest.raises(NoAnswer, match=why):
        ask(serve({"ping": b"pong"}, head).path, "ping", myself(), 5)


def test_an_endless_answer_is_cut(serve: Serve) -> None:
    with pytest.raises(NoAnswer, match="larger than"):
        ask(serve({"ping": b"x" * (3 << 20)}).path, "ping", myself(), 5, most=1 << 20)


def ring(name: str, *states: str) -> bytes:
    entries = [nccl_entry(n, state=s, retired=s == "completed", profiling_name=name) for n, s in enumerate(states, 1)]
    return json.dumps(nccl_dump(*entries)).encode()


@pytest.mark.parametrize(
    ("nccl", "others", "expected"),
    [
        (ring("nccl:all_reduce", "completed", "started"), ring("gloo:barrier", "completed"), "nccl"),
        (ring("nccl:all_reduce", "completed"), ring("gloo:barrier", "completed"), "nccl"),
        (ring("nccl:all_reduce", "completed"), ring("gloo:barrier", "scheduled"), "gloo"),
        (ring("nccl:all_reduce", "scheduled"), ring("gloo:barrier", "scheduled"), "nccl"),
        (ring(""), ring("gloo:barrier", "completed"), "gloo"),
        (ring(""), ring(""), ""),
    ],
)
def test_of_two_recorders_the_one_that_the_rank_waits_in(
    serve: Serve, nccl: bytes, others: bytes, expected: str
) -> None:
    """A build with NCCL has both; a job on GPUs may use gloo beside it (`cpu:gloo,cuda:nccl`)."""
    server = serve({"fr_trace_json": others, "dump_nccl_trace_json": nccl})
    found = flights(myself(), Told(server.path), Surroundings(), None, 0, time.monotonic() + 5).flights
    assert [flight.backend for flight in found] == [expected]
