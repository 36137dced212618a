"""Nodes asked over a prefix: what comes of every way in which a node can fail to answer, and its clock."""

from __future__ import annotations

import os
import stat
import sys
import time
from pathlib import Path

import msgspec
import pytest

from torchprobes.distributed import JobIdentity, RankIdentity
from torchprobes.jobs.nodes import Via, ask_nodes
from torchprobes.jobs.nodes.asking import ViaError
from torchprobes.jobs.nodes.clock import UNKNOWN, Exchange, Offset, offset_of
from torchprobes.jobs.nodes.wire import PINGS, answer_of, answer_pings, stamp_of
from torchprobes.model import SCHEMA
from torchprobes.rank_evidence import NodeEvidence, RankEvidence

ROOT = Path(__file__).parents[2]
MS = 1_000_000

NODE = f"""\
import os, sys, time
sys.path[:1] = [{str(ROOT / "probes")!r}]
import msgspec
from torchprobes.jobs.nodes import wire
from torchprobes.rank_evidence import NodeEvidence
SKEW = int(os.environ.get("SKEW_NS", "0"))
real = time.time_ns
time.time_ns = lambda: real() + SKEW
wire.answer_pings(0, 1)
evidence = msgspec.json.decode(os.environ["EVIDENCE"], type=NodeEvidence)
print(msgspec.json.encode({{"schema": 1, "host": "inside", "jobs": [evidence]}}).decode(), flush=True)
"""
"""A node whose clock is SKEW_NS ahead: the real far end of the wire, with evidence given to it."""


def evidence(host: str = "node1") -> NodeEvidence:
    rank = RankEvidence(identity=RankIdentity(rank=3, pid=77, start_ticks=5, host=host))
    job = JobIdentity(key="torchrun:x", launcher="torchrun", host=host, ranks=(rank.identity,))
    return NodeEvidence(host=host, t_ns=10**18, job=job, ranks=(rank,))


def program(folder: Path, text: str, name: str = "via") -> str:
    """A prefix made of a shell script; it gets the node as its first word."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return f"{path} {{node}}"


@pytest.fixture
def node(tmp_path: Path) -> str:
    """A prefix that runs NODE whatever it is told."""
    (tmp_path / "node.py").write_text(NODE)
    return program(tmp_path, f"exec {sys.executable} -B {tmp_path}/node.py", "answers")


# --- clocks --------------------------------------------------------------------------------------------------------


def test_offset_is_ntps_formula_for_one_exchange() -> None:
    """There 500 ms ahead, 30 ms on the way there, 10 ms back: the middle is wrong by 10 ms, and says within 20."""
    found = offset_of([Exchange(there_ns=1530 * MS, sent_ns=1000 * MS, received_ns=1040 * MS)])
    assert found == Offset(-510 * MS, 20 * MS)


def test_more_exchanges_can_only_narrow_it() -> None:
    wide = Exchange(there_ns=1530 * MS, sent_ns=1000 * MS, received_ns=1400 * MS)
    tight = Exchange(there_ns=1601 * MS, sent_ns=1100 * MS, received_ns=1102 * MS)
    assert offset_of([wide, tight]) == Offset(-500 * MS, 1 * MS)


@pytest.mark.parametrize(
    "exchanges",
    [
        [],
        [Exchange(there_ns=5, sent_ns=1)],
        [Exchange(there_ns=5, received_ns=9)],
        [Exchange(there_ns=0, sent_ns=10, received_ns=20), Exchange(there_ns=0, sent_ns=100, received_ns=110)],
    ],
    ids=["none", "only sent", "only received", "a clock was set in between"],
)
def test_what_bounds_no_side_is_unknown_and_not_0(exchanges: list[Exchange]) -> None:
    assert offset_of(exchanges) is UNKNOWN
    assert UNKNOWN.error_ns is None


def test_a_node_whose_clock_is_500_ms_ahead_is_measured_by_pings(node: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKEW_NS", str(500 * MS))
    monkeypatch.setenv("EVIDENCE", msgspec.json.encode(evidence()).decode())
    (found,) = ask_nodes(["a"], Via(node), "torchrun:x")
    assert (found.state, found.ranks[0].identity.pid) == ("ok", 77)
    assert found.clock_error_ns is not None
    assert found.clock_error_ns < 100 * MS, "pings answer at once: the start of an interpreter is not in the error"
    assert abs(found.clock_offset_ns + 500 * MS) <= found.clock_error_ns


def test_without_stdin_the_clock_is_known_less_well_and_still_rightly(
    tmp_path: Path, node: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`kubectl exec` without -i: the first stamp alone, which holds the start of the interpreter in its error."""
    monkeypatch.setenv("SKEW_NS", str(-500 * MS))
    monkeypatch.setenv("EVIDENCE", msgspec.json.encode(evidence()).decode())
    deaf = program(tmp_path, f"exec {node.split()[0]} </dev/null", "deaf")
    (found,) = ask_nodes(["a"], Via(deaf), "torchrun:x")
    assert found.clock_error_ns is not None
    assert abs(found.clock_offset_ns - 500 * MS) <= found.clock_error_ns


# --- a node that gives no answer -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("kill -STOP $$", "no answer in time"),
        ("exec sleep 60", "no answer in time"),
        ("echo Permission denied >&2; exit 255", "ended with 255 and gave no answer: Permission denied"),
        ("exec torchdoctor-that-is-not-there", "torchdoctor is not there: name it with --program"),
        ("kill -9 $$", "was ended by SIGKILL"),
        ("echo welcome to the cluster", "ended and gave no answer: welcome to the cluster"),
        ('echo \'{"schema":1,"jobs":7}\'', "its answer cannot be read: Expected `array`"),
        ('echo \'{"schema":99,"jobs":[]}\'', f"has schema 99, this torchdoctor reads up to {SCHEMA}"),
        ('echo \'{"schema":1,"jobs":[]}\'', "there is no job torchrun:x on it"),
        ("head -c 40000000 /dev/zero", "it says more than 32 MiB"),
        ('yes \'{"torchdoctor_node":1,"t_ns":5}\' | head -c 40000000', "it says more than 32 MiB"),
    ],
)
def test_a_node_that_fails_is_a_row_that_says_why(tmp_path: Path, script: str, words: str) -> None:
    (found,) = ask_nodes(
        ["a"], Via(program(tmp_path, script)), "torchrun:x", deadline_s=0.3 if words == "no answer in time" else 20
    )
    assert words in found.why
    assert found.host == "a"
    assert found.ranks == ()
    assert found.state == ("ok" if "there is no job" in words else "no answer")


def test_dead_and_stopped_nodes_hold_up_nothing(tmp_path: Path, node: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Forty nodes, every other one stopped: all rows in their order, within a deadline for each sixteen at once."""
    monkeypatch.setenv("EVIDENCE", msgspec.json.encode(evidence()).decode())
    answer = msgspec.json.encode({"schema": 1, "jobs": [evidence()]}).decode()
    (tmp_path / "answer.json").write_text(answer + "\n")
    script = f"case $1 in *[02468]) kill -STOP $$;; *) exec cat {tmp_path}/answer.json;; esac"
    names, begun = [f"n{number}" for number in range(40)], time.monotonic()
    found = ask_nodes(names, Via(program(tmp_path, script)), "torchrun:x", deadline_s=3.0)
    took = time.monotonic() - begun
    assert [one.state for one in found] == ["no answer", "ok"] * 20
    assert [one.host for one in found if one.state != "ok"] == names[::2]
    assert took < 20 * 3.0, "sixteen at once, not a deadline for each that is stopped"


def test_what_a_command_started_is_gone_when_the_answer_is_not_waited_for(tmp_path: Path) -> None:
    script = f"sleep 600 & echo $! > {tmp_path}/child; echo $$ > {tmp_path}/self; wait"
    ask_nodes(["a"], Via(program(tmp_path, script)), "k", deadline_s=0.5)
    for name in ("child", "self"):
        pid = int((tmp_path / name).read_text())
        deadline = time.monotonic() + 5
        while _lives(pid):
            assert time.monotonic() < deadline, name
            time.sleep(0.01)


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] != b"Z"
    except OSError:
        return False


# --- what may not reach a shell --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "prefix", "key", "words"),
    [
        (["-oProxyCommand=x"], "ssh {node}", "k", "is no name of a node"),
        (["a b"], "ssh {node}", "k", "is no name of a node"),
        (["a"], "ssh {node}", "torchrun:$(rm -rf ~)", "a shell on the node could take apart"),
        (["a"], "ssh {node}", "torchrun:a;b", "a shell on the node could take apart"),
        (["a"], "", "k", "--via is empty"),
        (["a"], "ssh '{node}", "k", "cannot be split into words"),
        ([], "ssh {node}", "k", "no node was named"),
    ],
)
def test_words_that_could_do_harm_start_nothing(names: list[str], prefix: str, key: str, words: str) -> None:
    with pytest.raises(ViaError, match=words.replace("(", r"\(")):
        ask_nodes(names, Via(prefix), key)


def test_the_command_has_node_and_job_in_their_places() -> None:
    via = Via("srun --overlap --jobid={job} -w {node}", program=("/opt/td/bin/torchdoctor",), job="42")
    assert via.command("n7", "slurm:42.0") == [
        "srun", "--overlap", "--jobid=42", "-w", "n7", "/opt/td/bin/torchdoctor",
        "snapshot", "--json", "--only-jobs", "--ping", "--job", "slurm:42.0",
    ]  # fmt: skip


# --- the wire ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [b"", b"{", b'{"pong":1}', b'{"pong":1,"t_ns":"5"}', b'{"pong":1,"t_ns":-5}', b'{"pong":1,"t_ns":true}',
     b'{"pong":1,"t_ns":99999999999999999999999}', b'{"pong":[' + b"[" * 200, b"\xff\xfe", b'{"pong"' + b" " * 600],
)  # fmt: skip
def test_hostile_lines_are_no_stamps(line: bytes) -> None:
    assert stamp_of(line) is None


def test_hostile_answers_are_words() -> None:
    assert answer_of(b"motd") is None
    assert isinstance(answer_of(b'{"schema":1,"jobs":[{"host":3}]}'), str)
    assert isinstance(answer_of(b'{"schema":1,"x":' + b"[" * 100_000), str)


def test_the_far_end_answers_a_bounded_number_of_pings_and_does_not_wait_for_ever() -> None:
    ours, theirs = os.pipe()
    read, write = os.pipe()
    os.write(theirs, b"".join(b"%d\n" % number for number in range(PINGS + 5)))
    answer_pings(ours, write, limit_s=0.5)
    lines = os.read(read, 1 << 16).splitlines()
    assert len(lines) == 1 + PINGS
    stamps = [stamp for stamp in map(stamp_of, lines) if stamp is not None]
    assert [number for number, _ in stamps] == [None, *range(PINGS)]
    begun = time.monotonic()
    answer_pings(os.pipe()[0], write, limit_s=0.1)
    assert time.monotonic() - begun < 2
