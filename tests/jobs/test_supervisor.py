"""The supervisor: what it records, how it ends a job, and that nothing of it is left."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest
from launched_job import Job, cheap_job, until

from torchprobes.jobs import control, launch
from torchprobes.jobs.launch import LaunchError, LaunchOptions
from torchprobes.jobs.node import NodeFolder
from torchprobes.model import Target
from torchprobes.rundir import RunDir, RunError, create
from torchprobes.runner import processes


def command(*words: str, **options: object) -> LaunchOptions:
    return LaunchOptions(launcher="command", command=words, inject=False, **options)  # type: ignore[arg-type]


def ended(job: Job) -> dict[str, object]:
    until(lambda: job.ended)
    end = control.ending(job.node)
    assert end is not None
    return end


LEAVING = """
import os, subprocess, sys
print("said", os.getcwd())
print("err", file=sys.stderr)
subprocess.Popen(["sleep", "600"], start_new_session=True)
sys.exit(7)
"""


def test_a_job_that_ends_by_itself_and_what_it_leaves(tmp_path: Path) -> None:
    job = Job(tmp_path, command(sys.executable, "-c", LEAVING, cwd=str(tmp_path)))
    end = ended(job)
    assert (end["ev"], end["exit_code"], end["signal"], end["stopped"]) == ("end", 7, None, False)
    assert [one["command"] for one in end["left_behind"]] == ["sleep 600"]  # type: ignore[attr-defined]
    assert end["not_ended"] == []
    assert job.all_living() == set()
    assert sorted(job.node.agent_log.read_text().splitlines()) == ["err", f"said {tmp_path}"]
    info = job.run.info
    assert info.owner.pid == job.supervisor
    assert info.seconds is not None
    assert info.argv == job.plan.argv
    until(lambda: not control.is_alive(job.run))
    assert control.stop(job.run, 1.0) == "it has ended already"


def test_a_command_that_is_not_there_ends_at_once(tmp_path: Path) -> None:
    job = Job(tmp_path, command("/nowhere/program"))
    end = ended(job)
    assert end["exit_code"] == 127
    assert "No such file" in job.records("agent-exit")[0]["why"]


def assert_small(job: Job) -> None:
    """Supervisor and warden are small, and have no terminal."""
    start = job.records("start")[0]
    for pid in (start["pid"], start["warden"]):
        entry = processes.read(pid)
        assert entry is not None
        assert entry.session != os.getsid(0)
        assert os.readlink(f"/proc/{pid}/fd/0") == os.readlink(f"/proc/{pid}/fd/1") == "/dev/null"
        status = Path(f"/proc/{pid}/status").read_text()
        resident = int(status.partition("VmRSS:")[2].split()[0]) << 10
        print(f"pid {pid}: {resident / 1e6:.1f} MB")
        assert resident < 20e6


def assert_another_boot_is_nobody(job: Job, copy: Path) -> None:
    """Records of another boot name no process, and nothing is ended for a supervisor that lives."""
    path = copy / "nodes" / "elsewhere"
    path.mkdir(parents=True)
    text = job.node.supervisor.read_text()
    (path / "supervisor.jsonl").write_text(text.replace(job.records("start")[0]["boot_id"], "another"))
    assert not control.is_alive(RunDir(copy))
    before = job.all_living()
    assert control.end_leftovers(NodeFolder(path)) == 0
    assert control.end_leftovers(job.node) == 0
    assert job.all_living() == before


def test_stop_ends_everything_also_peers_that_ignore_sigterm(tmp_path: Path) -> None:
    with cheap_job(tmp_path, 2, "stubborn", grace_s=0.2, term_s=0.2) as job:
        assert control.is_alive(job.run)
        assert_small(job)
        assert_another_boot_is_nobody(job, tmp_path / "copy")
        pids = job.all_living()
        assert len(pids) == 5  # the agent, two ranks, a child each
        assert control.stop(job.run, 30.0) == "stopped; nothing is left of it"
        assert job.all_living() == set()
        end = ended(job)
        assert (end["stopped"], end["signal"]) == (True, "SIGTERM")
        assert {record["pid"] for record in job.records("process")} >= pids
        assert not control.is_alive(job.run)


def test_who_asks_again_waits_less_and_a_file_asks_too(tmp_path: Path) -> None:
    text = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('on', flush=True); time.sleep(600)"
    )
    job = Job(tmp_path, command(sys.executable, "-c", text, grace_s=500.0, term_s=0.2))
    try:
        until(lambda: job.node.agent_log.exists() and job.node.agent_log.read_text() == "on\n")
        said = control.stop(job.run, 0.1)
        assert said.startswith("asked to stop; no end on ")
        until(lambda: job.records("stop"))
        job.node.stop.write_bytes(b"\n\n")
        end = ended(job)
        assert (end["signal"], end["stopped"]) == ("SIGKILL", True)
        assert [record["grace_s"] for record in job.records("stop")] == [500.0, 1.0]
        assert job.records("term")
        assert job.records("kill")
    finally:
        job.clear()


def test_the_watcher_is_restarted_and_is_nobodys_to_kill(tmp_path: Path) -> None:
    with cheap_job(tmp_path, 1, grace_s=0.2, term_s=0.2) as job:
        first = until(lambda: job.records("watcher"))[0]
        os.kill(first["pid"], signal.SIGKILL)
        second = until(lambda: job.records("watcher")[1:])[0]
        assert second["pid"] != first["pid"]
        assert job.records("watcher-exit")[0]["signal"] == "SIGKILL"
        control.stop(job.run, 30.0)
        recorded = {record["pid"] for record in job.records("process")}
        assert not recorded & {first["pid"], second["pid"]}
        until(lambda: _gone(second["pid"]))


def _gone(pid: int) -> bool:
    entry = processes.read(pid)
    return entry is None or entry.dead


def test_in_the_foreground_it_is_the_process_that_was_started(tmp_path: Path) -> None:
    run = create(tmp_path, "job")
    text = (
        "import sys; from pathlib import Path; from torchprobes.rundir import RunDir\n"
        "from torchprobes.model import Target\n"
        "from torchprobes.jobs import launch\n"
        "run = RunDir(Path(sys.argv[1]))\n"
        "options = launch.LaunchOptions(launcher='command', command=(sys.executable, '-c', 'raise SystemExit(5)'))\n"
        "launch.supervise(run, launch.plan(Target(python=sys.executable, torch='2.13.0'), options, run))\n"
    )
    root = str(Path(launch.__file__).parents[2])
    pid = os.posix_spawn(sys.executable, [sys.executable, "-c", text, str(run.path)], os.environ | {"PYTHONPATH": root})
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 5
    assert run.info.finished is not None


def test_a_supervisor_that_cannot_write_says_so(tmp_path: Path) -> None:
    run = create(tmp_path, "job")
    plan = launch.plan(Target(python=sys.executable, torch="2.13.0"), command("true"), run)
    (run.path / "nodes").write_text("in the way")
    with pytest.raises(LaunchError, match=r"cannot write to .*nodes"):
        launch.start(run, plan)
    with pytest.raises(RunError, match="nothing was launched in it"):
        control.stop(run, 0.1)
