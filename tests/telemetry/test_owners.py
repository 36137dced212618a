"""Whose a process is, on a /proc of our own making and on the real one; its end; and what hangs."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_driver import absent, until
from proc_tree import ProcTree

from torchprobes.cells import UNREAD
from torchprobes.samples import KernelEvent, ProcessSample
from torchprobes.telemetry.owners import owner, owners, processes
from torchprobes.telemetry.owners.owners import Owners, with_jobs
from torchprobes.telemetry.owners.slow_reads import SlowReads

PID = 4711


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything at a pace for tests."""
    monkeypatch.setattr(owners, "PACE_S", 0.02)
    monkeypatch.setattr(owners, "TURN_S", 0.01)
    monkeypatch.setattr(owners, "UNLISTED_S", 0.2)


@pytest.fixture
def tree(tmp_path: Path) -> ProcTree:
    return ProcTree(tmp_path)


def listed(*pids: int, gpu: str = "GPU-0") -> tuple[ProcessSample, ...]:
    return tuple(ProcessSample(pid=pid, gpu_uuid=gpu, gpu_memory_bytes=7) for pid in pids)


def started(tree: ProcTree) -> Owners:
    found = Owners(tree.proc)
    found.start()
    return found


def look(who: Owners, pid: int = PID) -> ProcessSample:
    who.fill(listed(pid))
    who.wait(20)
    return who.fill(listed(pid))[0]


def when(who: Owners, holds: Callable[[ProcessSample], bool], pid: int = PID) -> ProcessSample:
    """The process as soon as something holds of it; it is listed all the while."""

    def found() -> ProcessSample | None:
        row = who.fill(listed(pid))[0]
        return row if holds(row) else None

    return until(found)


def test_a_process_is_told_with_all_that_proc_knows(tree: ProcTree) -> None:
    tree.process(PID, command=b"python3\0train.py\0--token\0hunter2 and more\0", cgroup="0::/docker/" + "ab" * 32)
    row = look(started(tree))
    assert (row.gpu_memory_bytes, row.user, row.state, row.parent, row.started) == (7, "root", "sleeping", 1, 1000)
    assert row.command == "python3 train.py --token ***"
    assert row.container == "docker abababababab"
    assert row.host_memory_bytes == 10 * os.sysconf("SC_PAGESIZE")
    assert absent(row.job).state.value == "n/s"


def test_a_job_of_the_cgroup_wins_over_the_environment(tree: ProcTree) -> None:
    tree.process(PID, cgroup="4:memory:/slurm/uid_0/job_12/step_0\n0::/\n", environment=b"SLURM_JOB_ID=99\0")
    assert look(started(tree)).job == "slurm 12.0"


def test_a_job_and_an_image_of_the_environment_are_found(tree: ProcTree) -> None:
    tree.process(PID, environment=b"A=b\0\xff\0SLURM_JOB_ID=99\0SLURM_STEP_ID=3\0APPTAINER_CONTAINER=/x/t.sif\0=\0\0")
    row = look(started(tree))
    assert (row.job, row.container) == ("slurm 99.3", "apptainer t.sif")


def test_a_pod_has_its_name_too(tree: ProcTree) -> None:
    uid = "a8697f49-441d-4d4f-90d2-6d8e1fa3bbe7"
    tree.process(
        PID,
        cgroup=f"0::/kubepods/pod{uid}/{'ab' * 32}\n",
        environment=b"KUBERNETES_SERVICE_HOST=1\0HOSTNAME=trainer-0\0",
    )
    assert look(started(tree)).job == f"pod {uid} trainer-0"


def test_the_share_of_a_cpu_is_what_was_used_between_two_readings(tree: ProcTree) -> None:
    hertz = os.sysconf("SC_CLK_TCK")
    who, memory = owner.Owner(PID, processes.Stat("x", "running", 1, 0, 1000, 1)), SlowReads()
    shares = []
    for now_s, cpu_s in ((100.0, 50), (102.0, 53), (104.0, 53), (106.0, 10)):
        who.measure(processes.Stat("x", "running", 1, cpu_s * hertz, 1000, 1), now_s, tree.proc, memory)
        shares.append(who.cells["cpu_percent"])
    assert shares == [UNREAD, 150.0, 0.0, 0.0]


def test_a_pid_of_another_namespace_is_never_dropped(tree: ProcTree) -> None:
    row = when(started(tree), lambda row: getattr(row.command, "why", "").endswith("namespace"))
    assert absent(row.command).why == f"pid {PID}, another namespace"
    assert row.gpu_memory_bytes == 7


def test_hidepid_is_not_taken_for_another_namespace(tree: ProcTree) -> None:
    tree.end(1)
    cell = absent(look(started(tree)).command)
    assert (cell.state.value, "hidepid" in cell.why) == ("perm", True)


def test_a_namesake_in_a_container_is_not_taken_for_the_process(tmp_path: Path) -> None:
    tree = ProcTree(tmp_path, kernel=False)
    (tree.dev / "nvidiactl").touch()
    tree.process(PID, "bash", opens=("/dev/null",))
    tree.process(PID + 1, "python3", opens=("/dev/null", "/dev/nvidia0"))
    who = started(tree)
    assert absent(look(who).command).why == f"pid {PID}, another namespace"
    assert look(who, PID + 1).command == "python3 train.py"
    when(who, lambda row: bool(absent(row.command)))
    assert who.take_exits() == ()


def test_a_process_that_ends_is_told_once_and_remembered(tree: ProcTree) -> None:
    tree.process(PID, cgroup="0::/system.slice/slurmstepd.scope/job_5/step_0/user/task_0\n")
    who = started(tree)
    look(who)
    tree.end(PID)
    row = when(who, lambda row: row.state == "ended")
    assert row.command == "python3 train.py"
    (event,) = until(who.take_exits)
    assert (event.kind, event.source, event.pid, event.process) == ("exit", "sampler", PID, "python3")
    assert (event.job, event.gpu_uuid) == ("slurm 5.0", "GPU-0")
    assert event.text == f"pid {PID} ended: python3 train.py"
    who.want(())
    until(lambda: who.want(()) or not who._listed or None)
    assert who.take_exits() == ()
    assert who.job_of(PID) == "slurm 5.0"
    assert who.job_of(PID, time.time_ns() + 10**12) == ""


def test_an_end_is_told_for_each_gpu_that_was_held(tree: ProcTree) -> None:
    tree.process(PID)
    who = started(tree)
    rows = (*listed(PID, gpu="GPU-0"), *listed(PID, gpu="GPU-1"))
    who.fill(rows)
    who.wait(20)
    tree.end(PID)
    events: list[KernelEvent] = []
    until(lambda: (who.fill(rows) and (events.extend(who.take_exits()) or len(events) >= 2)) or None)
    assert sorted(event.gpu_uuid for event in events) == ["GPU-0", "GPU-1"]


def test_one_that_lets_go_of_its_gpu_and_lives_on_has_not_ended(tree: ProcTree) -> None:
    tree.process(PID)
    who = started(tree)
    look(who)
    until(lambda: who.want(()) or not who._listed or None)
    assert who.take_exits() == ()
    assert who.job_of(PID) == "root: python3 train.py"


def test_one_of_another_namespace_that_is_listed_no_more_has_left(tree: ProcTree) -> None:
    who = started(tree)
    look(who)
    until(lambda: who.want(()) or not who._listed or None)
    (event,) = who.take_exits()
    assert event.text == f"pid {PID} left its GPU, of another namespace"


def test_a_zombie_has_ended_when_no_driver_lists_it(tree: ProcTree) -> None:
    tree.process(PID, state="Z")
    who = started(tree)
    assert look(who).state == "zombie"
    until(lambda: who.want(()) or not who._listed or None)
    assert [event.pid for event in who.take_exits()] == [PID]


def test_a_pid_that_is_used_again_is_another_process(tree: ProcTree) -> None:
    tree.process(PID, cgroup="0::/slurm/uid_0/job_1/step_0\n", started=1000)
    who = started(tree)
    look(who)
    before = time.time_ns()
    ticks = int((time.clock_gettime(time.CLOCK_BOOTTIME) + 100) * os.sysconf("SC_CLK_TCK"))
    tree.process(PID, cgroup="0::/slurm/uid_0/job_2/step_0\n", started=ticks)
    when(who, lambda row: row.job == "slurm 2.0")
    assert [event.job for event in until(who.take_exits)] == ["slurm 1.0"]
    assert who.job_of(PID, before) == "slurm 1.0"
    assert who.job_of(PID, before + 100 * 10**9) == "slurm 2.0"
    assert who.job_of(PID) == "slurm 2.0"


def test_events_are_given_the_job_of_their_process(tree: ProcTree) -> None:
    tree.process(PID, cgroup="0::/slurm/uid_0/job_1/step_0\n")
    who = started(tree)
    look(who)
    now = time.time_ns()
    events = (
        KernelEvent(t_ns=now, kind="xid", source="kmsg", code=43, pid=PID),
        KernelEvent(t_ns=now, kind="oom", source="kmsg", pid=PID, job="pod x"),
        KernelEvent(t_ns=now, kind="xid", source="kmsg", code=79),
        KernelEvent(t_ns=1, kind="xid", source="kmsg", code=43, pid=PID),
        KernelEvent(t_ns=now, kind="xid", source="kmsg", code=43, pid=999),
    )
    assert [event.job for event in with_jobs(events, who)] == ["slurm 1.0", "pod x", "", "", ""]


def test_one_that_nobody_listed_is_looked_up_at_once(tree: ProcTree) -> None:
    tree.process(PID, cgroup="0::/slurm/uid_0/job_1/step_0\n")
    assert Owners(tree.proc).look_up(PID) == "slurm 1.0"
    assert Owners(tree.proc).look_up(PID + 1) == ""


def test_control_groups_are_named_once(tree: ProcTree) -> None:
    tree.process(PID, cgroup="4:memory:/slurm/uid_0/job_1/step_0\n2:cpu:/slurm/uid_0/job_1\n0::/\n")
    tree.process(PID + 1, cgroup="4:memory:/slurm/uid_0/job_1/step_0\n")
    tree.process(PID + 2, cgroup="0::/\n")
    who = started(tree)
    rows = listed(PID, PID + 1, PID + 2, PID + 3)
    who.fill(rows)
    who.wait(20)
    assert who.groups(rows) == (("/slurm/uid_0/job_1/step_0", "slurm 1.0", PID), ("/", "", PID + 2))


def test_hostile_text_stays_text(tree: ProcTree) -> None:
    tree.process(PID, "a) R (b", command=b"\x1b[31m\xff\0" + b"x" * 100_000 + b"\0", cgroup="\x1b\n:::\n0::/a\x07b\n")
    row = look(started(tree))
    assert isinstance(row.command, str)
    assert len(row.command) == processes.MAX_COMMAND
    assert row.command.isprintable()
    assert row.state == "sleeping"


@pytest.mark.parametrize(
    "stat",
    [b"", b"no brackets", b"1 (x) S", b"1 (x) S " + b"x " * 40, b"\xff" * 5000],
    ids=["empty", "no brackets", "short", "no numbers", "not text"],
)
def test_a_stat_that_is_not_understood_costs_nobody_else(tree: ProcTree, stat: bytes) -> None:
    tree.process(PID)
    tree.process(PID + 1)
    (tree.proc / str(PID) / "stat").write_bytes(stat)
    who = started(tree)
    assert absent(look(who).command).why.startswith(f"pid {PID}, another namespace")
    assert look(who, PID + 1).command == "python3 train.py"


def test_a_process_that_dies_between_list_and_read_is_told(tree: ProcTree) -> None:
    folder = tree.process(PID)
    for name in ("cmdline", "environ", "status", "cgroup"):
        (folder / name).unlink()
    row = look(started(tree))
    assert absent(row.command).why == "it has just ended"
    assert absent(row.user).why == "it has just ended"


def test_memory_that_cannot_be_read_holds_up_nobody_else(tree: ProcTree, monkeypatch: pytest.MonkeyPatch) -> None:
    stuck = tree.process(PID, state="D") / "cmdline"
    stuck.unlink()
    os.mkfifo(stuck)  # opening it blocks for ever, as a read of a stuck process's memory does
    tree.process(PID + 1)
    who = Owners(tree.proc)
    monkeypatch.setattr(who, "_memory", SlowReads(patience_s=0.05))
    who.start()
    row = when(who, lambda row: getattr(row.command, "why", "").startswith("no answer"))
    assert absent(row.command).state.value == "hung"
    assert "python3, uninterruptible" in absent(row.command).why
    assert (row.user, row.state) == ("root", "uninterruptible")
    assert look(who, PID + 1).command == "python3 train.py"
    stuck.write_bytes(b"late\0")  # whoever waited for it comes back
    when(who, lambda row: row.command == "late")


def test_a_directory_server_that_hangs_costs_only_names(tree: ProcTree, monkeypatch: pytest.MonkeyPatch) -> None:
    hang = threading.Event()
    monkeypatch.setattr(owner, "_user_name", lambda uid: hang.wait(60))
    for pid in range(PID, PID + 8):
        tree.process(pid, uid=1000 + pid)
    who = Owners(tree.proc)
    monkeypatch.setattr(who, "_names", SlowReads(patience_s=0.05, most_lost=1))
    who.start()
    rows = listed(*range(PID, PID + 8))
    who.fill(rows)
    who.wait(20)
    filled = who.fill(rows)
    assert {row.user for row in filled} == {str(1000 + pid) for pid in range(PID, PID + 8)}
    assert {row.command for row in filled} == {"python3 train.py"}
    assert who._names.lost == 1
    hang.set()


def test_another_users_environment_is_told_as_forbidden(tree: ProcTree, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(proc: Path, pid: int) -> dict[str, str]:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(processes, "environment", refuse)
    tree.process(PID)
    cell = absent(look(started(tree)).job)
    assert (cell.state.value, cell.why) == ("perm", "its environment may be read by its owner and root only")


def test_more_processes_than_can_be_followed_are_kept_in_the_list(
    tree: ProcTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owners, "MOST", 3)
    who = started(tree)
    rows = listed(*range(100, 110))
    assert [row.pid for row in who.fill(rows)] == list(range(100, 110))
    assert len(who._listed) == 3


# --- the real /proc -----------------------------------------------------------------------------------------------


def real() -> Owners:
    found = Owners()
    found.start()
    return found


def sleeper(*words: str, **environment: str) -> subprocess.Popen[bytes]:
    code = "import sys, time; print('up', flush=True); time.sleep(600)"
    process = subprocess.Popen(
        [sys.executable, "-c", code, *words], env={**os.environ, **environment}, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    return process


def test_a_real_process_is_followed_to_its_end() -> None:
    words = ("\x1b]0;owned\x07", "a\nb", "--password", "two words", "\udcff")
    process = sleeper(*words, SLURM_JOB_ID="77", SLURM_STEP_ID="1")
    who = real()
    row = look(who, process.pid)
    assert isinstance(row.command, str)
    assert row.command.isprintable()
    assert row.command.endswith("--password *** �")
    assert row.parent == os.getpid()
    assert isinstance(row.host_memory_bytes, int)
    assert row.host_memory_bytes > 1 << 20
    assert row.job == "slurm 77.1" or "slurm" not in str(row.job)  # a cgroup of a job that runs us wins
    process.kill()
    process.wait()
    events: list[KernelEvent] = []
    until(lambda: (look(who, process.pid) and (events.extend(who.take_exits()) or events)) or None)
    assert [event.pid for event in events] == [process.pid]
    assert who.job_of(process.pid) == row.job


def test_a_busy_process_uses_a_cpu() -> None:
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        when(real(), lambda row: isinstance(row.cpu_percent, float) and row.cpu_percent > 5, process.pid)
    finally:
        process.kill()
        process.wait()


def test_following_many_costs_little(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounded by count, not by the clock: a refresh reads one small file a process."""
    monkeypatch.setattr(owners, "PACE_S", 3600.0)
    reads: list[str] = []
    really = processes._read

    def counted(path: str, most: int) -> bytes:
        if path.startswith(f"/proc/{os.getpid()}/"):  # others are still read for the tests before
            reads.append(path.rpartition("/")[2])
        return really(path, most)

    monkeypatch.setattr(processes, "_read", counted)
    who = real()
    look(who, os.getpid())
    assert sorted(reads) == ["cgroup", "cmdline", "environ", "stat", "status"]
    reads.clear()
    who._refreshed = float("-inf")
    who._turn(dict(who._listed), time.monotonic())
    assert reads == ["stat"]


def test_slow_reads_are_refused_when_too_many_hang() -> None:
    hang, answers = threading.Event(), []
    reads = SlowReads(patience_s=0.01, most_lost=2)

    def settle(answer: Any) -> None:
        answers.append(answer)

    for number in range(4):
        reads.ask(f"read {number}", lambda: hang.wait(60), settle)
    until(lambda: reads.turn() or not reads.busy() or None)
    assert reads.lost == 2
    assert [absent(answer).why for answer in answers] == [f"no answer in 0.01 s: read {n}" for n in range(4)]
    hang.set()
    until(lambda: reads.lost == 0 or None)
    reads.ask("one more", lambda: "read", settle)
    until(lambda: reads.turn() or not reads.busy() or None)
    assert answers[-1] == "read"
