"""`launch`, `stop` and `env` with nothing started: what stops a launch, what reaches its plan, whom `stop` refuses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from torchdoctor.cli import run
from torchdoctor.commands import _job_headless, _job_launch, _job_shown, env, stop
from torchprobes import rundir
from torchprobes.distributed import JobVerdict, JobView
from torchprobes.jobs.node import node_folder
from torchprobes.model import Finding, Severity, Target
from torchprobes.rundir import RunDir

pytestmark = pytest.mark.usefixtures("place")


def own_run(place: Path, *, over: bool) -> RunDir:
    """A run of ours with a view and a supervisor that is gone."""
    made = rundir.create(place, "job", target=Target(python="/p/python"))
    folder = node_folder(made, "n1")
    folder.path.mkdir(parents=True)
    rundir.write_atomically(folder.view, msgspec.json.encode(JobView(job="torchrun:abc", state="running")))
    end = '{"ev":"end","exit_code":1}\n' if over else ""
    folder.supervisor.write_text('{"ev":"start","pid":1,"start":0,"boot_id":"x"}\n' + end)
    return made


# --- stop --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["torchrun:abc", "1", "4242"])
def test_nobody_elses_job_is_ever_stopped(what: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["stop", what, "--yes"]) == 2
    assert "is no job that torchdoctor launched" in capfd.readouterr().err


def test_stop_asks_first_and_read_only_refuses(
    place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    made = own_run(place, over=False)
    calls: list[RunDir] = []

    def stopped(which: RunDir, _: float) -> str:
        calls.append(which)
        return "stopped; nothing is left of it"

    monkeypatch.setattr(stop.control, "stop", stopped)
    assert run(["stop", made.name, "--read-only"]) == 2
    assert run(["stop", made.name]) == 2
    assert "say --yes to stop" in capfd.readouterr().err
    assert calls == []
    assert run(["stop", made.name, "--yes"]) == 0
    assert calls == [made]
    assert f"{made.name}: stopped; nothing is left of it" in capfd.readouterr().out


def test_a_run_that_has_ended_needs_no_answer(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    made = own_run(place, over=True)
    assert run(["stop", made.name]) == 0
    assert "it has ended already" in capfd.readouterr().out


# --- env ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("torch", "nccl", "name"),
    [("2.6.0+cu124", "2.21.5", "TORCH_NCCL_TRACE_BUFFER_SIZE"), ("2.13.0+cu130", "2.28.9", "TORCH_FR_BUFFER_SIZE")],
)
def test_env_is_valid_for_the_target(
    torch: str, nccl: str, name: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(env, "chosen_target", lambda _: Target(python="/p/python", torch=torch))
    monkeypatch.setattr(env, "nccl_of", lambda _: nccl)
    assert run(["env", "--diagnosable", "--folder", "/scratch/a b"]) == 0
    said = capfd.readouterr()
    assert f"export {name}=2000" in said.out.splitlines()
    assert "mkdir -p -m 700 '/scratch/a b'" in said.out
    assert torch in said.err
    assert nccl in said.err
    assert run(["env", "--diagnosable", "--pod"]) == 0
    assert f"- name: {name}" in capfd.readouterr().out
    assert run(["env", "--diagnosable", "--slurm"]) == 0
    assert "SLURM_JOB_NUM_NODES" in capfd.readouterr().out


def test_env_alone_says_what_it_can_do(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["env"]) == 2
    assert "--diagnosable" in capfd.readouterr().err


# --- launch ------------------------------------------------------------------------------------------------------


@pytest.fixture
def launching(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Any]]:
    """A launch whose pre-flight finds what is given; what is started is kept and not started."""
    started: list[Any] = []

    def given(*findings: Finding) -> list[Any]:
        monkeypatch.setattr(_job_headless, "LAST_VIEW_S", 0.05)
        monkeypatch.setattr(_job_launch, "preflight", lambda *_: findings)
        monkeypatch.setattr(_job_launch, "chosen_target", lambda _: Target(python="/p/python", torch="2.13.0"))
        monkeypatch.setattr(_job_launch.launch, "check", lambda _: None)
        monkeypatch.setattr(_job_launch.launch, "start", lambda run, plan: started.append((run, plan)))
        return started

    return given


TAKEN = Finding(
    id="TD-JOB-003", severity=Severity.CRITICAL, seen="port 29500 is taken by pid 7", why="somebody listens"
)
SMALL = Finding(id="TD-JOB-007", severity=Severity.WARNING, seen="/dev/shm has 64 MiB", why="too small")


def test_a_critical_finding_stops_a_launch_before_anything_is_made(
    launching: Callable[..., list[Any]], place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    started = launching(TAKEN, SMALL)
    assert run(["launch", "--headless", "--", "t.py"]) == 2
    said = capfd.readouterr().err
    assert "port 29500 is taken by pid 7" in said
    assert "/dev/shm has 64 MiB" in said
    assert said.splitlines()[-1].startswith("torchdoctor: not launched: TD-JOB-003; --force")
    assert started == []
    assert rundir.list_runs(place) == []


@pytest.mark.parametrize("words", [["--force"], ["--skip-preflight"]], ids=" ".join)
def test_it_goes_on_when_told_to(
    words: list[str], launching: Callable[..., list[Any]], capfd: pytest.CaptureFixture[str]
) -> None:
    started = launching(TAKEN)
    # The supervisor was never started: nothing is seen of the job, which is said and is no success.
    assert run(["launch", "--headless", *words, "--", "t.py"]) == 4
    ((made, plan),) = started
    assert plan.argv[-1] == "t.py"
    assert made.info.kind == "job"
    assert "nothing was seen of the job" in capfd.readouterr().err


def test_switches_reach_the_plan(launching: Callable[..., list[Any]], capfd: pytest.CaptureFixture[str]) -> None:
    started = launching()
    words = ["--no-inject", "--compile-debug", "--torch-logs", "graph_breaks", "--nccl-debug", "INFO",
             "--distributed-debug", "DETAIL", "--nproc-per-node", "3"]  # fmt: skip
    run(["launch", "--headless", "--skip-preflight", *words, "--", "-m", "pkg.train", "--lr", "1"])
    plan = started[0][1]
    assert plan.env["TORCH_COMPILE_DEBUG"] == "1"
    assert plan.env["TORCH_LOGS"] == "graph_breaks"
    assert plan.env["NCCL_DEBUG"] == "INFO"
    assert plan.env["TORCH_DISTRIBUTED_DEBUG"] == "DETAIL"
    assert "TORCHDOCTOR_INJECT" not in plan.env
    assert plan.argv[plan.argv.index("--nproc-per-node") :][:2] == ("--nproc-per-node", "3")
    assert plan.argv[-4:] == ("-m", "pkg.train", "--lr", "1")
    capfd.readouterr()


# --- a hang ----------------------------------------------------------------------------------------------------------

STUCK = JobView(
    job="k", state="stuck", verdict=JobVerdict(ranks=(1,), cause="hung-in-collective", sure=True, line="rank 1 hangs")
)
UNSURE = msgspec.structs.replace(STUCK, verdict=msgspec.structs.replace(STUCK.verdict, sure=False))
STOPPED = msgspec.structs.replace(STUCK, state="stopped")


@pytest.mark.parametrize(
    ("shown", "stop_on_hang", "asked"),
    [(STUCK, True, 1), (UNSURE, True, 0), (STUCK, False, 0)],
    ids=["a sure hang is stopped", "an unsure one is waited for", "wait is the default"],
)
def test_on_hang(
    shown: JobView, stop_on_hang: bool, asked: int, place: Path, monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    made = own_run(place, over=False)
    views = [shown, shown, shown, STOPPED]
    calls: list[RunDir] = []
    for reader in (_job_shown, _job_headless):
        monkeypatch.setattr(reader, "merged_view", lambda _: views.pop(0) if len(views) > 1 else views[0])
    monkeypatch.setattr(_job_headless.control, "stop", lambda run, _: calls.append(run) or "stopped")
    monkeypatch.setattr(_job_headless.control, "supervisor", lambda _: None if len(views) == 1 else object())
    headless = _job_headless.Headless(None, stop_on_hang)
    assert headless.follow_own(made, node_folder(made, "n1")) == 1
    said = capfd.readouterr()
    assert len(calls) == asked
    assert ("stopping: rank 1 hangs" in said.err) is bool(asked)
    assert "rank 1 hangs" in said.out
