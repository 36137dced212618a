"""NCCL RAS: recorded answers, those of its source's other branches, and a server that speaks both forms."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from torchprobes.distributed import RankIdentity
from torchprobes.jobs.collect.surroundings import surroundings
from torchprobes.jobs.ras import BadAnswer, NoRas, address_of, ask, parse_json, parse_text
from torchprobes.jobs.ras.client import is_of
from torchprobes.jobs.ras.namespace import ask_in
from torchprobes.rank_evidence import Ras

RECORDED = Path(__file__).parent / "ras"
JSON, TEXT = (RECORDED / "ras_hang.json").read_bytes(), (RECORDED / "ras_hang.txt").read_bytes()


def length(data: bytes) -> str:
    """The name of a test with such data."""
    return str(len(data))


def parsed(name: str) -> Ras:
    return parse_json(JSON, 5) if name == "json" else parse_text(TEXT, 5)


# --- recorded: two H200s, rank 1 asleep before an all_reduce ---------------------------------------------------------


@pytest.mark.parametrize("name", ["json", "text"])
def test_both_forms_name_the_ranks_their_processes_gpus_and_counts(name: str) -> None:
    ras = parsed(name)
    assert (ras.how, ras.t_ns, ras.nccl_version, ras.note) == (name, 5, "2.28.9", "")
    (one,) = ras.communicators
    assert (one.id, one.size, one.missing) == ("12d2a42908777599", 2, ())
    assert [(rank.rank, rank.pid, rank.host, rank.nvml_device) for rank in one.ranks] == [
        (0, 652, "192.0.2.2", 0),
        (1, 653, "192.0.2.2", 1),
    ]
    assert [rank.counts["AllReduce"] for rank in one.ranks] == [3403, 3402]
    assert any("MISMATCH" in complaint and "AllReduce" in complaint for complaint in one.complaints)


def test_json_tells_the_states_too() -> None:
    rank = parsed("json").communicators[0].ranks[0]
    assert (rank.init_state, rank.async_error, rank.aborted, rank.finalized) == (0, 0, False, False)
    assert rank.counts["Broadcast"] == 0


# --- the other branches of its source --------------------------------------------------------------------------------


def document(*ranks: dict[str, Any], missing: tuple[dict[str, Any], ...] = ()) -> bytes:
    one = {"hash": "0xab", "size": 4, "ranks": list(ranks), "missing_ranks": list(missing)}
    return json.dumps({"nccl_version": "2.30.7", "communicators": [one], "later": [1, 2]}).encode()


def a_rank(rank: int, count: int = 5, **status: Any) -> dict[str, Any]:
    base = {"init_state": 0, "async_error": 0, "finalize_called": False, "destroy_flag": False, "abort_flag": False}
    return {
        "rank": rank, "host": "10.0.0.1", "pid": 100 + rank, "cuda_dev": 0, "nvml_dev": rank,
        "status": {**base, **status}, "collective_counts": {"AllReduce": count},
    }  # fmt: skip


def complaints(data: bytes) -> tuple[str, ...]:
    return parse_json(data, 0).communicators[0].complaints


def test_equal_counts_are_no_complaint() -> None:
    assert complaints(document(a_rank(0), a_rank(1))) == ()


def test_a_rank_that_gives_no_answer_and_one_that_is_dead() -> None:
    silent = {"rank": 2, "host": "10.0.0.2", "pid": 7, "status": {"unresponsive": True, "considered_dead": False}}
    dead = {"rank": 3, "host": "unknown", "pid": -1, "status": {"unresponsive": True, "considered_dead": True}}
    data = document(a_rank(0), a_rank(1), missing=(silent, dead))
    assert parse_json(data, 0).communicators[0].missing == (2, 3)
    assert complaints(data) == ("INCOMPLETE: rank 2 gives no answer", "INCOMPLETE: rank 3 is considered dead")


def unfinished(text: str) -> bytes:
    """An answer as NCCL 2.28.9 lays it out, and without the comma that it forgets in a missing rank."""
    told = json.loads(document(a_rank(0), missing=({"rank": 1, "nvml_dev": 7, "status": {"considered_dead": True}},)))
    whole = json.dumps({**told, "nccl_version": "2.28.9"}, indent=2)
    return whole.replace(text, text.rstrip(",")).encode()


@pytest.mark.parametrize("text", ['"nvml_dev": 7,', '"nccl_version": "2.28.9",', '"finalize_called": false,'])
def test_a_comma_that_is_wanting_is_put_in(text: str) -> None:
    ras = parse_json(unfinished(text), 0)
    (one,) = ras.communicators
    assert (one.missing, one.complaints[0]) == ((1,), "INCOMPLETE: rank 1 is considered dead")
    assert ras.note == "JSON of NCCL 2.28.9 lacks a comma here; it was put in"


def test_a_rank_that_left_the_communicator() -> None:
    gone = {"rank": 1, "status": {"unresponsive": False, "considered_dead": False}}
    assert complaints(document(a_rank(0), missing=(gone,))) == ("MISMATCH: rank 1 knows nothing of the communicator",)


def test_errors_and_different_states() -> None:
    found = complaints(document(a_rank(0, async_error=6), a_rank(1, abort_flag=True), a_rank(2, init_state=7)))
    assert "ERROR: rank 0 reported asynchronous error 6" in found
    assert "MISMATCH: ranks have different status (ABORT, INIT, RUNNING)" in found


VERBOSE = b"""\
NCCL version 2.27.5 compiled with CUDA 12.9
CUDA runtime version 12090, driver version 12080

Communicators... (2.013s)
=============

Group     Comms     Nodes     Ranks     Ranks     Ranks    Status  Errors
    #  in group  per comm  per node  per comm  in group
    0         1         2         4         8         8   RUNNING  INCOMPLETE,MISMATCH
    1         4         1       1-2         2         8   RUNNING      OK

Errors
======

INCOMPLETE
  Missing communicator data from 1 job process
  Process 77 on node 10.0.0.2 managing GPU 3 (NVML 7)

#0-0 (00000000000000aa) INCOMPLETE
  Missing communicator data from 1 rank
  Rank 7 -- GPU 3 (NVML 7) managed by process 77 on node 10.0.0.2

#0-0 (00000000000000aa) ERROR
  Asynchronous error on 1 rank
  Rank 2 reported Remote process error -- GPU 2 managed by process 72 on node 10.0.0.1

Warnings
========

TIMEOUT
  Encountered 1 communication timeout while gathering communicator data

#0-0 (00000000000000aa) MISMATCH
  Communicator ranks have different status
  6 ranks have status RUNNING
  Rank 3 has status ABORT -- GPU 3 managed by process 73 on node 10.0.0.1
  Communicator ranks have different AllReduce operation counts
  5 ranks have launched up to operation 12
  2 ranks have launched up to operation 11
  Rank 4 -- GPU 0 managed by process 74 on node 10.0.0.2
  Rank 5 -- [process information not found]

  Communicator ranks have different Broadcast operation counts
  6 ranks have launched up to operation 1
  Rank 6 has not launched any operations -- GPU 2 managed by process 76 on node 10.0.0.2

"""


def test_the_text_of_a_larger_job() -> None:
    ras = parse_text(VERBOSE, 0)
    (one,) = ras.communicators
    assert (one.id, one.missing) == ("00000000000000aa", (7,))
    by_rank = {rank.rank: rank for rank in one.ranks}
    assert sorted(by_rank) == [2, 3, 4, 5, 6]
    assert by_rank[4].counts == {"AllReduce": 11}
    assert by_rank[5].counts == {"AllReduce": 11}
    assert by_rank[5].pid is None
    assert by_rank[6].counts == {"Broadcast": 0}
    assert by_rank[3].aborted
    assert "ERROR: Rank 2 reported Remote process error -- GPU 2 managed by process 72 on node 10.0.0.1" in (
        one.complaints
    )
    assert ras.text.startswith("NCCL version 2.27.5")


def test_a_healthy_text_names_no_rank_and_no_complaint() -> None:
    text = VERBOSE.split(b"\nErrors\n")[0].replace(b"INCOMPLETE,MISMATCH", b"OK")
    found = parse_text(text, 0).communicators
    assert [(one.size, one.ranks, one.complaints) for one in found] == [(8, (), ()), (2, (), ())]


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"communicators": 5}', b"\xff" * 100, b"[" * 100_000], ids=length)
def test_what_is_no_json_is_refused(data: bytes) -> None:
    with pytest.raises(BadAnswer):
        parse_json(data, 0)


@pytest.mark.parametrize("data", [b"", b"HTTP/1.1 400 Bad Request\r\n", b"\xff" * 100_000], ids=length)
def test_what_is_no_text_is_refused(data: bytes) -> None:
    with pytest.raises(BadAnswer):
        parse_text(data, 0)


# --- the conversation ------------------------------------------------------------------------------------------------


class FakeRas:
    """Speaks the protocol of src/ras/client_support.cc. `answers` are the statuses of one connection after another."""

    def __init__(self, answers: list[bytes], json_too: bool = True, greeting: str = "SERVER PROTOCOL 2") -> None:
        self.commands: list[str] = []
        self._answers, self._json, self._greeting = answers, json_too, greeting
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self.hangs = False
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        number = 0
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            with client, client.makefile("rwb") as talk:
                self._talk(talk, self._answers[min(number, len(self._answers) - 1)])
            number += 1

    def _talk(self, talk: Any, status: bytes) -> None:
        for line in talk:
            command = line.decode().strip()
            self.commands.append(command)
            word = command.upper()
            if word.startswith("CLIENT PROTOCOL"):
                talk.write(f"{self._greeting}\n".encode())
            elif word.startswith("TIMEOUT"):
                talk.write(b"OK\n")
            elif word == "SET FORMAT JSON":
                talk.write(b"OK\n" if self._json else b"ERROR: Unknown command SET FORMAT json\n")
            elif word == "VERBOSE STATUS":
                if self.hangs:
                    time.sleep(30)
                talk.write(status)
                talk.flush()
                return
            talk.flush()

    def close(self) -> None:
        self._socket.close()


Serve = Callable[..., FakeRas]


@pytest.fixture
def serve() -> Iterator[Serve]:
    servers: list[FakeRas] = []

    def start(*answers: bytes, **options: Any) -> FakeRas:
        servers.append(FakeRas(list(answers), **options))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def test_it_asks_for_json_within_its_patience_and_sends_nothing_else(serve: Serve) -> None:
    server = serve(JSON)
    assert ask(server.address, 5, {652, 653}).how == "json"
    assert server.commands == ["CLIENT PROTOCOL 2", "TIMEOUT 2", "SET FORMAT json", "VERBOSE STATUS"]


def test_one_that_knows_no_json_answers_in_text(serve: Serve) -> None:
    ras = ask(serve(TEXT, json_too=False).address, 5, {653})
    assert (ras.how, len(ras.communicators)) == ("text", 1)


def test_json_that_cannot_be_mended_is_asked_for_again_as_text(serve: Serve) -> None:
    server = serve(JSON[: len(JSON) // 2], TEXT)
    ras = ask(server.address, 5, {653})
    assert (ras.how, ras.note) == ("text", "JSON of NCCL 2.28.9 is malformed here; read as text")
    assert server.commands[4:] == ["CLIENT PROTOCOL 2", "TIMEOUT 2", "VERBOSE STATUS"]


def test_an_answer_for_another_job_is_thrown_away_and_asked_again(serve: Serve) -> None:
    """All ranks of a user's jobs on a node listen on one port, and the kernel chooses."""
    other = JSON.replace(b'"pid": 652', b'"pid": 900').replace(b'"pid": 653', b'"pid": 901')
    server = serve(other, other, JSON)
    assert ask(server.address, 10, {652, 653}).communicators[0].ranks[0].pid == 652
    with pytest.raises(NoRas, match=r"answers for another job.*900, 901"):
        ask(serve(other).address, 5, {652, 653})


def test_a_pid_counts_only_on_this_host() -> None:
    ras = parsed("json")
    assert is_of(ras, {652})
    assert is_of(ras, {652}, {"192.0.2.2", "127.0.0.1"})
    assert not is_of(ras, {652}, {"192.0.2.9"})
    assert not is_of(ras, set())


def test_a_text_that_names_no_process_cannot_be_told_from_anothers(serve: Serve) -> None:
    healthy = VERBOSE.split(b"\nErrors\n")[0]
    with pytest.raises(NoRas, match="names no process"):
        ask(serve(healthy, json_too=False).address, 5, {1})


def test_a_text_that_names_no_process_counts_if_one_of_the_job_serves_it(serve: Serve) -> None:
    healthy = VERBOSE.split(b"\nErrors\n")[0].replace(b"INCOMPLETE,MISMATCH", b"OK")
    server = serve(healthy, json_too=False)
    assert ask(server.address, 5, {1}, servers=[os.getpid()]).communicators[0].size == 8
    with pytest.raises(NoRas, match="names no process"):
        ask(server.address, 5, {1}, servers=[1, os.getppid()])


ELSEWHERE = """
import ctypes, fcntl, os, socket, struct, sys
if ctypes.CDLL(None).unshare(0x40000000):  # CLONE_NEWNET
    print("refused", flush=True); sys.exit()
with socket.socket() as s:  # lo, up and running
    fcntl.ioctl(s, 0x8914, struct.pack("16sh", b"lo", 0x41))
status = sys.argv[1].encode().replace(b"652", str(os.getpid()).encode())
server = socket.create_server(("127.0.0.1", 28028))
print("ready", flush=True)
while True:
    client, _ = server.accept()
    with client, client.makefile("rwb") as talk:
        for line in talk:
            talk.write(status if b"STATUS" in line else b"SERVER PROTOCOL 2\\n" if b"CLIENT" in line else b"OK\\n")
            talk.flush()
            if b"STATUS" in line:
                break
"""


def test_a_job_in_another_network_namespace_is_asked_from_there() -> None:
    command = [sys.executable, "-S", "-c", ELSEWHERE, JSON.decode()]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as rank:
        try:
            assert rank.stdout is not None
            if rank.stdout.readline() != b"ready\n":
                pytest.skip("a network namespace needs root")
            identity = RankIdentity(rank=0, pid=rank.pid, start_ticks=0)
            around = surroundings(identity)
            assert around.foreign_network
            assert around.addresses >= {"127.0.0.1"}
            assert not surroundings(RankIdentity(rank=0, pid=os.getpid(), start_ticks=0)).foreign_network
            found = ask_in(rank.pid, "localhost:28028", 10, {rank.pid}, {"192.0.2.2"})
            assert found.communicators[0].ranks[0].pid == rank.pid
            with pytest.raises(NoRas):
                ask("localhost:28028", 5, {rank.pid})
            with pytest.raises(NoRas, match="another network namespace"):
                ask_in(1 << 30, "localhost:28028", 5, {rank.pid}, ())
        finally:
            rank.kill()


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        free = taken.getsockname()[1]
    with pytest.raises(NoRas, match="nobody listens"):
        ask(f"127.0.0.1:{free}", 5, {1})


def test_one_that_hangs_costs_its_deadline_only(serve: Serve) -> None:
    server = serve(JSON)
    server.hangs = True
    begun = time.monotonic()
    with pytest.raises(NoRas, match="within its deadline"):
        ask(server.address, 0.2, {652})
    assert time.monotonic() - begun < 5


def test_something_else_on_the_port(serve: Serve) -> None:
    with pytest.raises(NoRas, match="is not RAS"):
        ask(serve(b"", greeting="SSH-2.0-OpenSSH_9.6").address, 5, {1})


@pytest.mark.parametrize("status", [b"{", b"", b"ERROR: no\n"])
def test_a_status_that_is_not_understood(serve: Serve, status: bytes) -> None:
    with pytest.raises(NoRas, match="not understood"):
        ask(serve(status).address, 5, {1})


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [("localhost:28028", "localhost", 28028), ("[::1]:5", "::1", 5), (" 10.0.0.1:7 ", "10.0.0.1", 7)],
)
def test_addresses(text: str, host: str, port: int) -> None:
    assert address_of(text) == (host, port)


@pytest.mark.parametrize("text", ["", "localhost", "host:", "host:0", "host:99999", "host:http", "::"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(NoRas, match="no address"):
        address_of(text)
