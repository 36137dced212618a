"""The table of sources: each cause with the command that would obtain it, from facts; and real ranks looked at."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from torchprobes import rundir
from torchprobes.distributed import RankIdentity, SourceState
from torchprobes.jobs.sources import SYS_PTRACE, Facts, Reader, Seen, all_sources, rows, sources

ROOT_CAPABILITIES = (1 << 41) - 1
DEADLINE_S = 30.0

RANK = RankIdentity(rank=2, pid=4711, start_ticks=1, uid=1001, user="ada", stdout="/l/out", stderr="/l/err")
READER = Reader(uid=1001, pyspy="/x/py-spy", python="/x/python", devices=True, kmsg="Permission denied", journal=True)
SEEN = Seen(seen=True, there=True, state="S", environ={}, memory=True, nccl="2.28.9", torch="2.11.0", libraries=True,
            logs={"/l/out": True, "/l/err": True}, ras=True, done=True)  # fmt: skip
INJECTED = {"TORCHDOCTOR_NODE": "/r/nodes/h", "TORCHDOCTOR_INJECT": "/i", "TORCHDOCTOR_EVENTS": "/r/events"}


def table(rank: dict[str, Any] | None = None, reader: dict[str, Any] | None = None, **seen: Any) -> dict[str, Any]:
    facts = Facts(
        rank=msgspec.structs.replace(RANK, **(rank or {})),
        reader=msgspec.structs.replace(READER, **(reader or {})),
        seen=msgspec.structs.replace(SEEN, **seen),
        me="ada",
    )
    return {row.source: row for row in rows(facts)}


def test_one_s_own_rank_with_nothing_in_the_way() -> None:
    found = table(environ=INJECTED)
    assert [name for name, row in found.items() if not row.available] == []
    assert {(row.why, row.command) for row in found.values()} == {("", "")}


OTHER = {"uid": 0, "user": "root"}
ME_ROOT = {"uid": 0, "capabilities": ROOT_CAPABILITIES, "kmsg": ""}
CASES: list[tuple[str, dict[str, Any], str, str]] = [
    # source, what is so, a piece of why, a piece of the command
    ("process", {"seen": False, "there": True, "reader": {"hidepid": "invisible"}}, "hidepid=invisible", "sudo torchd"),
    ("process", {"seen": False, "there": False}, "it has ended", ""),
    ("exit", {"seen": False, "there": False}, "nobody watched it", ""),
    ("exit", {"reader": {"pidfd": False}}, "no pidfd", ""),
    ("kernel", {"reader": {"journal": False, "dmesg_restrict": 1}}, "dmesg_restrict=1", "systemd-journal ada"),
    ("kernel", {"reader": {"journal": False, "container": True}}, "a container has none", "on the host"),
    ("kernel", {"reader": {"journal": False}}, "/dev/kmsg: Permission denied", "sudo torchdoctor diagnose 4711"),
    ("gpu", {"reader": {"devices": False}}, "no device of a GPU driver on this node", ""),
    ("gpu", {"reader": {"devices": False, "container": True}}, "in this container", "--gpus all"),
    ("log", {"rank": {"stdout": "", "stderr": "", "log_why": "its output goes to a pipe: start it through torchdoctor "
                      "to keep it"}}, "goes to a pipe", "torchdoctor launch"),
    ("log", {"logs": {"/l/out": True, "/l/err": False}}, "/l/err may not be read", ""),
    ("log", {"logs": {}, "done": False}, "no answer in time", ""),
    ("log", {"namespaces": {"mnt": True}}, "another mount namespace", "nsenter --target 4711 --mount"),
    ("events", {}, "only ranks that torchdoctor launched", "torchdoctor launch"),
    ("events", {"environ": None, "denied": "owner", "rank": OTHER}, "root's to read", "sudo -u root torchdoctor"),
    ("events", {"environ": None, "done": False}, "stuck in the kernel", ""),
    ("ras", {"nccl": ""}, "no NCCL is in it", ""),
    ("ras", {"nccl": "2.21.5"}, "NCCL 2.21.5 has no RAS", "pip install --upgrade torch"),
    ("ras", {"environ": {"NCCL_RAS_ENABLE": "0"}}, "NCCL_RAS_ENABLE=0", "unset NCCL_RAS_ENABLE"),
    ("ras", {"environ": {"NCCL_RAS_ADDR": "localhost:12345"}, "ras": False}, "listens on localhost:12345", "export"),
    ("ras", {"namespaces": {"net": True}}, "another network namespace", "nsenter --target 4711 --net"),
    ("ras", {"ras": None, "done": False}, "no answer in time", ""),
    ("flight", {}, "dumped only at a timeout: no pipe", "export TORCH_NCCL_DEBUG_INFO_PIPE_FILE"),
    ("flight", {"environ": {"TORCH_FR_DUMP_TEMP_FILE": "/d/fr_"}}, "at a timeout, to /d/fr_2", "env --diagnosable"),
    ("flight", {"environ": {"TORCH_NCCL_TRACE_BUFFER_SIZE": "0"}}, "is off", "TORCH_FR_BUFFER_SIZE"),
    ("flight", {"torch": "2.1.2"}, "torch 2.1.2 has no flight recorder", "pip install"),
    ("flight", {"environ": None, "denied": "owner", "rank": OTHER}, "root's to read", "sudo -u root"),
    ("py-spy", {"reader": {"pyspy": ""}}, "not installed", "/x/python -m pip install py-spy"),
    ("py-spy", {"state": "D"}, "uninterruptible sleep", "sudo cat /proc/4711/stack"),
    ("py-spy", {"memory": None, "done": False}, "no answer in time", ""),
    ("py-spy", {"memory": False, "rank": OTHER}, "it belongs to root", "sudo -u root torchdoctor diagnose 4711"),
    ("py-spy", {"memory": False, "reader": {"yama": 1}}, "ptrace_scope=1", "sudo sysctl kernel.yama.ptrace_scope=0"),
    ("py-spy", {"memory": False, "reader": {"yama": 2}}, "wants CAP_SYS_PTRACE", "sudo torchdoctor diagnose 4711"),
    ("py-spy", {"memory": False, "reader": {"yama": 3}}, "until the next boot", ""),
    ("py-spy", {"memory": False, "reader": {"yama": 1, "no_new_privs": True}}, "scope=1", "no_new_privs is set here"),
    ("py-spy", {"memory": False, "reader": {"container": True}}, "no CAP_SYS_PTRACE", "--cap-add SYS_PTRACE"),
    ("py-spy", {"memory": False, "reader": {"container": True, "kubernetes": True}}, "CAP_SYS_PTRACE",
     "--profile=sysadmin"),
    ("py-spy", {"memory": False, "reader": {"uid": 0}}, "even root needs CAP_SYS_PTRACE", "SYS_PTRACE"),
    ("py-spy", {"memory": False, "reader": ME_ROOT, "namespaces": {"user": True}}, "another user namespace", ""),
    ("py-spy", {"memory": False}, "undumpable", "sudo torchdoctor diagnose 4711"),
    ("faulthandler", {}, "nothing of ours is in it", "torchdoctor launch"),
    ("faulthandler", {"environ": {"TORCHDOCTOR_NODE": "/n"}}, "--no-inject", "without --no-inject"),
    ("server", {"environ": INJECTED, "torch": "2.1.2"}, "torch 2.1.2 has no worker server", ""),
]  # fmt: skip


@pytest.mark.parametrize(("source", "facts", "why", "command"), CASES)
def test_what_is_denied_says_why_and_what_would_obtain_it(
    source: str, facts: dict[str, Any], why: str, command: str
) -> None:
    row: SourceState = table(**facts)[source]
    assert not row.available
    assert why in row.why
    assert command in row.command
    assert bool(command) == bool(row.command), row


def test_every_source_has_a_case() -> None:
    assert {source for source, *_ in CASES} == set(table())


def test_root_is_never_told_to_become_root() -> None:
    for source, facts, _, _ in CASES:
        reader = {**facts.get("reader", {}), "uid": 0}
        assert "sudo torchdoctor" not in table(**{**facts, "reader": reader})[source].command


def test_the_end_of_another_s_rank_is_seen_but_not_its_code() -> None:
    row = table(rank=OTHER)["exit"]
    assert row.available
    assert "not its exit code" in row.why
    assert "sudo -u root" in row.command
    assert table(rank=OTHER, reader={"capabilities": 1 << SYS_PTRACE})["exit"].why == ""


@pytest.mark.parametrize(
    "seen", [{"dump": "/d/fr_2"}, {"environ": {"TORCH_NCCL_DEBUG_INFO_PIPE_FILE": "/p"}}, {"environ": INJECTED}]
)
def test_a_flight_recorder_that_answers_on_call(seen: dict[str, Any]) -> None:
    assert table(**seen)["flight"].available


# --- looked at for real --------------------------------------------------------------------------------------------


@pytest.fixture
def rank(tmp_path: Path) -> Iterator[RankIdentity]:
    """A process with a log, an environment of ours, and something that listens where RAS would."""
    with socket.create_server(("127.0.0.1", 0)) as server, (tmp_path / "log").open("wb") as log:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        environ = {**os.environ, **INJECTED, "NCCL_RAS_ADDR": address}
        program = [sys.executable, "-S", "-c", "import time; print('here', flush=True); time.sleep(600)"]
        process = subprocess.Popen(program, env=environ, stdout=log, stderr=log)
        ticks = rundir.start_ticks(process.pid)
        assert ticks is not None
        path = str(tmp_path / "log")
        try:
            yield RankIdentity(rank=0, pid=process.pid, start_ticks=ticks, uid=os.getuid(), stdout=path, stderr=path)
        finally:
            process.kill()
            process.wait()


def test_a_real_rank_and_one_that_is_gone(rank: RankIdentity) -> None:
    gone = msgspec.structs.replace(rank, start_ticks=1)
    here, lost = ({r.source: r for r in t} for t in all_sources((rank, gone), DEADLINE_S))
    for name in ("process", "exit", "log", "events", "faulthandler", "server"):
        assert here[name].available, here[name]
    assert "no NCCL is in it" in here["ras"].why, "it listens, but not by NCCL: the process has none"
    assert here["py-spy"].available or here["py-spy"].command
    assert not any(lost[name].available for name in ("process", "events", "ras", "py-spy"))
    assert lost["process"].why == "it has ended"


def test_no_answer_in_time_is_a_table_too(rank: RankIdentity) -> None:
    found = sources(rank, deadline_s=0.0)
    assert len(found) == 11
    assert not any(row.available for row in found)
    assert all("was not found out" in row.why for row in found)
