"""Two hosts in namespaces of one machine: the same command on both, evidence of both merged, clocks that differ.

By hand: `pytest -m trials tests/jobs/test_netns.py`. It needs root.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hosts as hosts_
import pytest
from hosts import Hosts

pytestmark = pytest.mark.trials

ROOT = Path(__file__).parents[2]
WHY_NOT = hosts_.why_not()
PORT = 29866

TRAIN = """\
import os, signal, sys, time
import torch, torch.distributed as dist
dist.init_process_group("gloo")
rank, fault, x = dist.get_rank(), sys.argv[1], torch.ones(4)
print("ready", flush=True)
for step in range(int(sys.argv[2])):
    if step == 5 and rank == 1:
        if fault == "raise": raise ValueError("bad batch on rank 1")
        if fault == "kill": os.kill(os.getpid(), signal.SIGKILL)
        if fault == "hang": time.sleep(3600)
    dist.all_reduce(x)
    time.sleep(0.05)
dist.destroy_process_group()
"""

SKEWED = """\
import json, subprocess, sys
skew = int(sys.argv[1])
stamps = {"t_ns", "log_ns", "created_ns", "started_ns", "completed_ns", "closing_ns", "stop_asked_ns"}
def shifted(found):
    if isinstance(found, dict):
        return {k: v + skew if k in stamps and type(v) is int and v > 10**18 else shifted(v) for k, v in found.items()}
    return [shifted(each) for each in found] if isinstance(found, list) else found
process = subprocess.Popen(sys.argv[2:], stdin=sys.stdin, stdout=subprocess.PIPE)
for line in process.stdout:
    print(json.dumps(shifted(json.loads(line))) if line.startswith(b"{") else line.decode(), flush=True)
sys.exit(process.wait())
"""
"""A host whose wall clock is ahead: every stamp that leaves it is moved, those of its answers to pings too."""


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Hosts]:
    if WHY_NOT:
        pytest.skip(WHY_NOT)
    (tmp_path / "train.py").write_text(TRAIN)
    (tmp_path / "skewed.py").write_text(SKEWED)
    with hosts_.hosts(tmp_path, ["h1", "h2"]) as made:
        yield made


def environ(folder: Path) -> dict[str, str]:
    paths = os.pathsep.join(str(ROOT / name) for name in ("tui", "probes"))
    return {"PATH": os.environ["PATH"], "PYTHONPATH": paths, "HOME": str(folder), "TERM": "dumb",
            "TORCHDOCTOR_STATE": str(folder / "state")}  # fmt: skip


def doctor(*words: str) -> list[str]:
    return [sys.executable, "-B", "-m", "torchdoctor", *words]


def start(pair: Hosts, name: str, *words: str) -> subprocess.Popen[str]:
    """A launch on one host, in the foreground there; its output in a file of the host's."""
    with (pair.folder / f"{name}.out").open("wb") as out:
        return subprocess.Popen(
            pair.command(name, *doctor("launch", *words)), env=environ(pair.folder), cwd=pair.folder, text=True,
            stdin=subprocess.DEVNULL, stdout=out, stderr=out,
        )  # fmt: skip


def launched(pair: Hosts, *script: str, shared: bool = True) -> list[subprocess.Popen[str]]:
    """The same command on both hosts."""
    join = ["--join", str(pair.folder / "state" / "runs" / "20260101T000000Z-pair-00000a")] if shared else []
    (pair.folder / "state" / "runs").mkdir(parents=True, exist_ok=True)
    words = ["--headless", *join, "--nnodes", "2", "--nproc-per-node", "1", "--rdzv-endpoint",
             f"{pair.addresses[0]}:{PORT}", "--", str(pair.folder / "train.py"), *script]  # fmt: skip
    return [start(pair, name, *words) for name in pair.names]


def output(pair: Hosts, name: str) -> str:
    return (pair.folder / f"{name}.out").read_text(errors="replace")


def ended(pair: Hosts, processes: list[subprocess.Popen[str]], deadline_s: float = 90) -> list[int]:
    deadline = time.monotonic() + deadline_s
    try:
        return [process.wait(max(0.1, deadline - time.monotonic())) for process in processes]
    except subprocess.TimeoutExpired:
        pytest.fail("\n".join(f"== {name}\n{output(pair, name)}" for name in pair.names))


def test_the_same_command_on_both_hosts_works(pair: Hosts) -> None:
    """Measured without ours: both agents wait 60 s and give up, because the host's name is nobody's address here."""
    begun = time.monotonic()
    codes = ended(pair, launched(pair, "none", "20"))
    print(f"two hosts, 20 steps: {time.monotonic() - begun:.1f} s")
    assert codes == [0, 0], output(pair, "h1") + output(pair, "h2")
    assert "this node serves the endpoint" in output(pair, "h1")
    assert "this node does not serve the endpoint" in output(pair, "h2")
    assert "GLOO_SOCKET_IFNAME=eth0" in output(pair, "h2")
    assert "2 of 2 ranks  h1, h2" in output(pair, "h1")


def verdicts(pair: Hosts) -> list[str]:
    """The verdict at the end of each host's output: the line above the one that names the job."""
    outputs = [output(pair, name).splitlines() for name in pair.names]
    return [lines[next(at for at, line in enumerate(lines) if line.startswith("torchrun:")) - 1] for lines in outputs]


@pytest.mark.parametrize(("fault", "words"), [("raise", "raised ValueError: bad batch"), ("kill", "SIGKILL")])
def test_both_hosts_name_the_same_rank(pair: Hosts, fault: str, words: str) -> None:
    """Measured of torchrun: each agent prints another root cause, the first host's is a victim."""
    codes = ended(pair, launched(pair, fault, "400"))
    assert all(line.startswith("rank 1 on h") and words in line for line in verdicts(pair)), output(
        pair, "h1"
    ) + output(pair, "h2")
    assert codes == [1, 1]


def diagnose(pair: Hosts, *words: str) -> tuple[dict[str, Any], float]:
    begun = time.monotonic()
    done = subprocess.run(
        doctor("diagnose", *words, "--json"), env=environ(pair.folder), capture_output=True, text=True, timeout=90,
        check=False, cwd=pair.folder,
    )  # fmt: skip
    assert done.stdout, done.stderr
    return json.loads(done.stdout), time.monotonic() - begun


def hanging(pair: Hosts) -> list[subprocess.Popen[str]]:
    """A job that hangs, and its key."""
    processes = launched(pair, "hang", "4000", shared=False)
    deadline = time.monotonic() + 60
    while not (
        said := [path.read_text() for path in pair.folder.glob("state/runs/*/nodes/*/logs/*/*/*/stdout.log")]
    ) or (sum("ready" in text for text in said) < 2):
        assert time.monotonic() < deadline, output(pair, "h1") + output(pair, "h2")
        time.sleep(0.1)
    time.sleep(4)  # five steps, then the hang
    return processes


def key_of(pair: Hosts) -> str:
    done = subprocess.run(
        pair.command("h1", *doctor("jobs", "--json")),
        env=environ(pair.folder),
        capture_output=True,
        text=True,
        check=True,
    )
    (key,) = {job["key"] for job in json.loads(done.stdout)["jobs"] if job["state"] not in ("ended", "failed")}
    return key


def test_clocks_that_differ_by_half_a_second_are_measured_and_a_stopped_host_is_a_row(pair: Hosts) -> None:
    processes = hanging(pair)
    key, program = key_of(pair), " ".join(doctor())
    skewed = f"{sys.executable} {pair.folder}/skewed.py 500000000 {pair.via}"
    view, took = diagnose(pair, key, "--via", skewed, "--nodes", "h1,h2", "--program", program)
    print(f"two hosts over a prefix in {took:.1f} s: {view['verdict']['line']}")
    assert [row["host"] for row in view["ranks"]] == ["h1", "h2"]
    assert view["verdict"]["ranks"] == [1]
    pair.stop("h2")
    view, took = diagnose(pair, key, "--via", pair.via, "--nodes", "h1,h2", "--program", program, "--deadline", "5")
    print(f"one of them stopped, in {took:.1f} s: {view['verdict']['line']}")
    assert took < 12
    assert any("h2: no answer" in each["text"] for each in view["evidence"]), view["evidence"]
    assert not view["verdict"]["sure"]
    for process in processes:
        process.kill()
        process.wait()


def test_offsets_of_hosts_half_a_second_apart(pair: Hosts) -> None:
    """The offsets themselves, with the real far end behind a prefix."""
    from torchprobes.jobs.nodes import Via, ask_nodes

    processes = hanging(pair)
    key = key_of(pair)
    os.environ.update(environ(pair.folder))
    for skew in (500_000_000, -500_000_000, 0):
        via = Via(f"{sys.executable} {pair.folder}/skewed.py {skew} {pair.via}", tuple(doctor()))
        for seen in ask_nodes(["h1", "h2"], via, key):
            assert seen.state == "ok", seen.why
            assert seen.clock_error_ns is not None
            print(f"{seen.host}: {seen.clock_offset_ns / 1e6:+.2f} ms within {seen.clock_error_ns / 1e6:.2f} ms")
            assert abs(seen.clock_offset_ns + skew) <= seen.clock_error_ns < 50_000_000
    for process in processes:
        process.kill()
        process.wait()
