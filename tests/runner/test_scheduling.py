"""A check as a whole: order, overlap, cancelling, letting go, and what the next console makes of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest
from harness import DEADLINE_S, finish, left_of, make, over, probe, until

import torchprobes
from torchprobes import rundir
from torchprobes.model import Target, Verdict
from torchprobes.reports import write
from torchprobes.rundir import RunDir
from torchprobes.runner import recovery
from torchprobes.runner.check import Check, Options
from torchprobes.runner.command import PLAIN
from torchprobes.runner.results import runs_again
from torchprobes.runner.snapshot import ProbeState

FOUR = ("hangs", "hangs_deaf", "stops", "leaves_children")
PATIENT = Options(device="cpu", slots=4, grace_s=600.0)
ROOTS = [str(Path(torchprobes.__file__).parents[1]), str(Path(__file__).parent)]


def running(check: Check) -> bool:
    return all(view.state is ProbeState.RUNNING for view in check.view().probes)


def test_progress_and_processes_are_seen_while_it_runs(tmp_path: Path) -> None:
    check = make(tmp_path, probe("hangs"), options=PATIENT)
    assert check.view().probes[0].state is ProbeState.QUEUED
    check.start()
    until(lambda: running(check) and check.view().probes[0].pids, "a running probe with its pid")
    first = check.view()
    assert first.probes[0].started_s is not None
    until(lambda: check.view().revision != first.revision, "the clock of a running probe")
    check.cancel()
    assert check.wait(DEADLINE_S)
    assert check.view().finished


def test_cancelling_one_leaves_the_others(tmp_path: Path) -> None:
    check = make(tmp_path, probe("hangs"), probe("sound"), options=PATIENT)
    check.start()
    until(lambda: check.view().probes[1].result, "the sound one")
    check.cancel("fault.hangs")
    assert check.wait(DEADLINE_S)
    hung, sound = (view.result for view in check.view().probes)
    assert hung is not None
    assert hung.verdict is Verdict.ERROR
    assert hung.reason.startswith("cancelled")
    assert runs_again(hung)
    assert sound is not None
    assert sound.verdict is Verdict.PASS


def test_what_is_timed_on_a_cpu_runs_alone(tmp_path: Path) -> None:
    rows = [probe("sound", timed=True), probe("raises"), probe("exits_3", timed=True)]
    finish(check := make(tmp_path, *rows, options=PATIENT))
    spans = []
    for row in rows:
        records = recovery.read_records(check._run.probe(row.name))
        spans.append((records[0]["m_ns"], records[-1]["m_ns"], row.timed))
    for begin, end, timed in spans:
        others = [span for span in spans if span != (begin, end, timed)]
        assert not timed or all(b >= end or e <= begin for b, e, _ in others), spans


def test_letting_go_of_four_probes_is_a_matter_of_milliseconds_and_leaves_nothing(tmp_path: Path) -> None:
    check = make(tmp_path, *(probe(fault) for fault in FOUR), options=PATIENT)
    check.start()
    until(lambda: running(check), "four running probes")
    begin = time.monotonic()
    check.abandon()
    assert time.monotonic() - begin < 0.5
    until(lambda: not left_of(check.view().run), f"the end of {left_of(check.view().run)}")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_killed_console_leaves_no_probe_and_the_next_does_the_rest(tmp_path: Path, number: int) -> None:
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(ROOTS)}
    with subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("console.py")), str(tmp_path)],
        stdout=subprocess.PIPE,
        env=environ,
        text=True,
    ) as console:
        assert console.stdout is not None
        run = RunDir(Path(console.stdout.readline().strip()))
        try:
            assert left_of(run.path)
            console.send_signal(number)
            console.wait(DEADLINE_S)
        finally:
            console.kill()
    until(lambda: not left_of(run.path), f"the end of {left_of(run.path)}")
    results = {r.name: r for r in write.collect(run).results}
    assert results["fault.sound"].verdict is Verdict.PASS
    rest = [r for r in results.values() if runs_again(r)]
    assert sorted(r.name for r in rest) == sorted(f"fault.{fault}" for fault in FOUR)
    assert all(r.reason.startswith("interrupted") for r in rest)
    run.write_info(msgspec.structs.replace(run.info, owner=rundir.this_owner()))
    recovery.recover(run, [r.name for r in rest])
    finish(over(run, probe("hangs", limit_s=0.5)))
    again = {r.name: r for r in write.collect(run).results}
    assert again["fault.hangs"].reason.startswith("no end within its limit")
    assert again["fault.sound"] == results["fault.sound"]


def test_a_killed_guardian_is_told_and_its_probe_is_ended_by_the_runner(tmp_path: Path) -> None:
    check = make(tmp_path, probe("hangs_deaf"), options=PATIENT)
    check.start()
    until(lambda: running(check), "a running probe")
    (one,) = check._ones
    assert one._guard is not None
    os.kill(one._guard.pid, signal.SIGKILL)
    assert check.wait(DEADLINE_S)
    (view,) = check.view().probes
    assert view.result is not None
    assert view.result.verdict is Verdict.ERROR
    assert "guardian" in view.result.reason
    assert left_of(check.view().run) == []


def test_a_refused_target_is_not_run(tmp_path: Path) -> None:
    run = rundir.create(tmp_path, "check", probes=("fault.sound",))
    target = Target(python=sys.executable, refusal="not run as root: it belongs to uid 4242")
    check = Check(run, target, [probe("sound")], PATIENT, PLAIN)
    check.start()
    assert check.wait(DEADLINE_S)
    (view,) = check.view().probes
    assert view.result is not None
    assert (view.result.verdict, view.result.reason) == (Verdict.SKIP, target.refusal)
    assert not run.probe("fault.sound").exists()


def test_a_full_disk_is_one_clear_line_and_nothing_is_lost(tmp_path: Path) -> None:
    place = tmp_path / "small"
    place.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96k", "tmpfs", place]).returncode:
        pytest.skip("LOUD: a full disk needs a small tmpfs, and that needs root")
    try:
        check = make(place, probe("sound"), probe("floods"), probe("raises"), options=Options(device="cpu", slots=2))
        results = finish(check)
        assert results["floods"].verdict is Verdict.ERROR
        assert "full" in results["floods"].reason
        assert set(results) == {"sound", "floods", "raises"}
        assert left_of(check.view().run) == []
    finally:
        subprocess.run(["umount", "-l", place], check=True)
