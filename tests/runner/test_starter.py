"""Payloads forked from a starter are as far apart, as watched and as well ended as those started for themselves."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from harness import DEADLINE_S, FAULTS, TARGET, finish, from_here, left_of, lenient, make, probe, until

from torchprobes import rundir
from torchprobes.catalogue import PROBES, Probe
from torchprobes.model import Result, Target, Tier, Verdict
from torchprobes.runner import recovery
from torchprobes.runner.check import Check, Options
from torchprobes.runner.order import PAYLOADS
from torchprobes.runner.snapshot import ProbeState

SHORT = Options(device="cpu", slots=4, grace_s=0.3, kill_s=3.0)


def bare(fault: str, **fields: Any) -> Any:
    return probe(fault, bare=True, **fields)


def start_of(result: Result) -> str:
    """How its payload was started, as its evidence tells."""
    return next((e.text for e in result.evidence if e.kind == "start"), "")


def facts(result: Result) -> dict[str, str]:
    return {fact.name: str(fact.value) for fact in result.facts}


@pytest.fixture
def torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Write a module `torch` that the target finds first: what importing it does."""
    site = tmp_path / "site"
    (site / "torch").mkdir(parents=True)
    monkeypatch.setenv("PYTHONPATH", str(site))

    def write(text: str) -> None:
        body = "class cuda:\n    is_initialized = staticmethod(lambda: False)\n"
        (site / "torch" / "__init__.py").write_text(body + text)

    write("")
    return write


def test_every_fault_in_one_lane_is_told_apart_and_leaves_nothing_to_the_next(tmp_path: Path) -> None:
    causes = [
        ("raises", r"ValueError: bad batch"),
        ("exits_silently", r"exited with 0 without saying its end"),
        ("exits_3", r"exited with 3"),
        ("segfaults", r"SIGSEGV: a segmentation fault"),
        ("killed", r"SIGKILL"),
        ("leaves_children", r"1 process outlived the probe .*time\.sleep\(600\)"),
        ("leaves_daemon", r"outlived the probe and had to be killed"),
        ("hangs", r"no end within its limit of 1 s"),
        ("hangs_deaf", r"no end within its limit of 1 s"),
        ("stops", r"no end within its limit of 1 s"),
        ("floods_events", r"MiB"),
    ]
    short = {"hangs", "hangs_deaf", "stops"}
    rows = [bare(fault, limit_s=1.0 if fault in short else 30.0) for fault, _ in causes]
    options = Options(device="cpu", slots=4, grace_s=0.3, kill_s=3.0, stream_bytes=1 << 20)
    check = make(tmp_path, *rows, bare("sound"), options=options)
    results = finish(check)
    for fault, words in causes:
        assert results[fault].verdict is Verdict.ERROR, results[fault]
        assert re.search(words, results[fault].reason), results[fault].reason
        assert start_of(results[fault]).startswith("forked from an interpreter"), results[fault]
    assert results["sound"].verdict is Verdict.PASS, "the last of the lane"
    assert left_of(check.view().run) == []
    guardians = {recovery.read_records(check._run.probe(row.name))[0]["pid"] for row in rows}
    assert len(guardians) == 1, "one guardian served them all"


def test_a_forked_payload_finds_itself_where_a_started_one_does(tmp_path: Path) -> None:
    check = make(tmp_path, bare("prints_where_it_is"), bare("spawns_by_name"), bare("closes_its_files"))
    results = finish(check)
    said = facts(results["prints_where_it_is"])
    folder = f"{check.view().run}/probes/fault.prints_where_it_is"
    assert said["cwd"] == folder
    assert said["triton"].startswith(f"{folder}/compile/")
    assert said["stdin"] == os.devnull
    assert not [p for p in said["path"].split("|") if p.endswith(("payloads", "tests/runner"))]
    assert [f.value for f in results["spawns_by_name"].figures] == [42.0]
    assert results["closes_its_files"].verdict is Verdict.ERROR
    records = recovery.read_records(check._run.probe("fault.prints_where_it_is"))
    (main,) = [r for r in records if r["ev"] == "process" and r["main"]]
    assert main["session"] == main["pid"], "a session of its own"


def test_one_probe_alone_is_started_for_itself(tmp_path: Path) -> None:
    check = make(tmp_path, bare("sound"), probe("raises"))
    assert start_of(finish(check)["sound"]) == ""
    assert not (check._run.path / "starters").exists()


def test_torch_is_imported_once_and_its_cost_is_told_to_all(tmp_path: Path, torch: Callable[[str], None]) -> None:
    torch("import os\nwith open(os.environ['COUNT'], 'a') as f: f.write('x')\n__version__ = '9'\nprint('noise')\n")
    count = tmp_path / "count"
    options = Options(device="cpu", slots=4, env={"COUNT": str(count)})
    rows = [probe("imports_torch", warm=True), probe("imports_torch_again", warm=True), probe("imports_torch_too")]
    check = make(tmp_path, *rows, options=options)
    results = finish(check)
    assert count.read_text() == "xx", "once by the starter, once by the one that is not warm"
    for name in ("imports_torch", "imports_torch_again"):
        assert results[name].verdict is Verdict.PASS, results[name]
        assert re.match(r"forked from a process that had imported torch in \d+\.\d\d s", start_of(results[name]))
        assert facts(results[name]) == {"torch": "9", "autoload": "None"}, "the environment is the user's again"
    assert start_of(results["imports_torch_too"]) == ""
    assert (check._run.path / "starters/warm/stderr.log").read_text() == "noise\n"
    assert left_of(check.view().run) == []


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("import threading, time\nthreading.Thread(target=time.sleep, args=(600,), daemon=True).start()", "2 threads"),
        ("cuda.is_initialized = staticmethod(lambda: True)", "initialised CUDA"),
        ("import subprocess\nsubprocess.Popen(['cat'], stdin=subprocess.PIPE)", "another process"),
        ("raise ImportError('libcudart.so.99: cannot open')", "raised ImportError: libcudart.so.99"),
        ("import os\nif 'TORCHDOCTOR_REQUEST' not in os.environ: os.kill(os.getpid(), 11)", "SIGSEGV"),
        ("import os\nif 'TORCHDOCTOR_REQUEST' not in os.environ: os._exit(3)", "exit code 3"),
    ],
)
def test_a_starter_that_is_not_like_a_fresh_process_serves_nobody_and_each_is_started_for_itself(
    tmp_path: Path, torch: Callable[[str], None], body: str, words: str
) -> None:
    torch(body)
    rows = [probe(f"imports_torch{which}", warm=True) for which in ("", "_again", "_too")]
    check = make(tmp_path, *rows, options=SHORT)
    for result in finish(check).values():
        start = start_of(result)
        assert start.startswith("started by itself: the warm starter serves nobody"), result
        assert words in start, start
        assert result.verdict is (Verdict.ERROR if "raise" in body else Verdict.PASS), result
    assert left_of(check.view().run) == []


def test_a_starter_that_hangs_in_import_costs_one_probe_its_limit_and_the_rest_nothing(
    tmp_path: Path, torch: Callable[[str], None]
) -> None:
    torch("import os, time\nif 'TORCHDOCTOR_REQUEST' not in os.environ: time.sleep(600)")
    options = Options(device="cpu", slots=4, grace_s=0.3, import_limit_s=1.0)
    check = make(tmp_path, probe("imports_torch", warm=True), probe("imports_torch_again", warm=True), options=options)
    results = finish(check)
    assert results["imports_torch"].reason == "no start (torch not imported) within 1 s"
    assert results["imports_torch_again"].verdict is Verdict.PASS
    assert "had not imported torch within 1 s" in start_of(results["imports_torch_again"])
    assert left_of(check.view().run) == []


def starter_of(check: Check, kind: str = "bare") -> int:
    """The pid of a starter: the guardian's child that says so on its command line."""
    (lane,) = [lane for lane in check._lanes._lanes.values() if lane.kind == kind]
    assert lane.guardian is not None
    children = Path(f"/proc/{lane.guardian}/task/{lane.guardian}/children").read_text().split()
    (found,) = [int(p) for p in children if b"--starter" in Path(f"/proc/{p}/cmdline").read_bytes().split(b"\0")
                and os.getsid(int(p)) == int(p) and not _is_payload(check, int(p))]  # fmt: skip
    return found


def _is_payload(check: Check, pid: int) -> bool:
    return any(pid in view.pids for view in check.view().probes)


def test_a_starter_that_dies_between_two_payloads_harms_neither(tmp_path: Path) -> None:
    check = make(tmp_path, bare("waits_for_a_file"), bare("sound"), options=SHORT)
    check.start()
    first = check.view().probes[0]
    until(lambda: check.view().probes[0].pids, "the first payload")
    os.kill(starter_of(check), signal.SIGKILL)
    until(lambda: check.view().probes[0].state is ProbeState.RUNNING, "the first payload runs on")
    Path(first.folder, "go").touch()
    assert check.wait(DEADLINE_S)
    results = {v.name: v.result for v in check.view().probes}
    one, other = results["fault.waits_for_a_file"], results["fault.sound"]
    assert one is not None
    assert one.verdict is Verdict.PASS, one
    assert other is not None
    assert other.verdict is Verdict.PASS, other
    assert "SIGKILL, after it had served" in start_of(other)
    assert left_of(check.view().run) == []


def test_a_stopped_starter_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check = make(tmp_path, bare("waits_for_a_file"), bare("hangs"), options=SHORT)
    check.start()
    until(lambda: check.view().probes[0].state is ProbeState.RUNNING, "the first payload")
    os.kill(starter_of(check), signal.SIGSTOP)
    Path(check.view().probes[0].folder, "go").touch()
    until(lambda: check.view().probes[0].result, "its end")
    check.cancel()
    assert check.wait(DEADLINE_S)
    (_, other) = check.view().probes
    assert other.result is not None
    assert other.result.reason.startswith("cancelled")
    assert left_of(check.view().run) == []


def test_a_killed_guardian_of_a_lane_costs_its_probe_and_the_next_is_started_for_itself(tmp_path: Path) -> None:
    check = make(tmp_path, bare("hangs_deaf"), bare("sound"), options=SHORT)
    check.start()
    until(lambda: check.view().probes[0].state is ProbeState.RUNNING, "a running probe")
    os.kill(check._ones[0].guardian or 0, signal.SIGKILL)
    assert check.wait(DEADLINE_S)
    lost, sound = (view.result for view in check.view().probes)
    assert lost is not None
    assert "its guardian ended" in lost.reason
    assert sound is not None
    assert sound.verdict is Verdict.PASS
    assert "guardian of the bare starter has ended" in start_of(sound)
    assert left_of(check.view().run) == []


def test_letting_go_ends_the_lanes_and_their_starters(tmp_path: Path) -> None:
    check = make(tmp_path, bare("leaves_daemon"), bare("sound"), options=Options(device="cpu", slots=4, grace_s=600.0))
    check.start()
    until(lambda: len(check.view().probes[0].pids) > 1, "a payload and its daemon")
    begin = time.monotonic()
    check.abandon()
    assert time.monotonic() - begin < 0.5
    until(lambda: not left_of(check.view().run), f"the end of {left_of(check.view().run)}")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_console_leaves_neither_starter_nor_payload_nor_daemon(tmp_path: Path, number: int) -> None:
    argv = [sys.executable, str(Path(__file__).with_name("console.py")), str(tmp_path), "forked"]
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(argv, stdout=subprocess.PIPE, env=environ, text=True) as console:
        try:
            assert console.stdout is not None
            run = console.stdout.readline().strip()
            assert [line for line in left_of(run) if "--starter" in line]
            until(lambda: len(left_of(run)) >= 3, "the starter, the payload and its daemon")
            console.send_signal(number)
            console.wait(DEADLINE_S)
        finally:
            console.kill()
    until(lambda: not left_of(run), f"the end of {left_of(run)}")


def test_console_and_guardian_killed_at_once_and_the_next_start_ends_what_was_left(tmp_path: Path) -> None:
    """A fork bears the environment of its starter: the token in it finds the daemon that nobody is left to end."""
    argv = [sys.executable, str(Path(__file__).with_name("console.py")), str(tmp_path), "forked"]
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(argv, stdout=subprocess.PIPE, env=environ, text=True) as console:
        assert console.stdout is not None
        run = rundir.RunDir(Path(console.stdout.readline().strip()))
        guardian = recovery.read_records(run.probe("fault.holds_daemon"))[0]["pid"]
        os.kill(console.pid, signal.SIGSTOP)
        os.kill(guardian, signal.SIGKILL)
        console.kill()
    assert left_of(run.path), "nothing was left: this test shows nothing"
    assert recovery.recover(run, ["fault.holds_daemon"]) > 0
    assert left_of(run.path) == []


def test_cancelling_one_of_a_lane_leaves_the_next(tmp_path: Path) -> None:
    check = make(tmp_path, bare("hangs"), bare("sound"), options=SHORT)
    check.start()
    until(lambda: check.view().probes[0].state is ProbeState.RUNNING, "the first")
    check.cancel("fault.hangs")
    assert check.wait(DEADLINE_S)
    hung, sound = (view.result for view in check.view().probes)
    assert hung is not None
    assert hung.reason.startswith("cancelled")
    assert sound is not None
    assert start_of(sound).startswith("forked")


def test_behind_a_prefix_on_a_foreign_device_and_for_ranks_there_is_no_lane(tmp_path: Path) -> None:
    far = Target(python=sys.executable, prefix=("env",), torch="")
    rows = [bare("sound"), bare("raises")]
    run = rundir.create(tmp_path, "check", target=far, probes=tuple(r.name for r in rows))
    assert Check(run, far, rows, SHORT, {"plain": from_here}, judge=lenient)._lanes._lanes == {}
    ranks = [bare("sound", launch="torchrun"), bare("raises", launch="torchrun")]
    assert Check(run, TARGET, ranks, SHORT, {"torchrun": from_here}, judge=lenient)._lanes._lanes == {}
    assert FAULTS.is_file()


# --- the catalogue ----------------------------------------------------------------------------------------------

BARE = [row for row in PROBES if row.bare]


@pytest.mark.parametrize("row", BARE, ids=lambda row: row.name)
def test_a_bare_probe_imports_no_torch(row: Probe) -> None:
    """Its starter has none, and its limit runs from the start: an import would be paid by nobody's clock."""
    source = (PAYLOADS / f"{row.payload}.py").read_text()
    assert "kit.started()" in source
    assert not re.search(r"import_torch\(|^\s*(import|from) torch\b", source, re.MULTILINE)


def test_what_is_quick_starts_from_what_is_there_already() -> None:
    assert [row.name for row in PROBES if row.tier is Tier.QUICK and not (row.bare or row.warm)] == []
    assert [row.name for row in BARE if row.warm] == []


def test_what_starts_helpers_on_the_device_says_so() -> None:
    """A GPU in exclusive mode lets in one process at a time: what needs more is skipped there, not failed."""
    helped = {file.stem for file in PAYLOADS.glob("*.py") if re.search(r"kit\.(spawn|start)_self\(", file.read_text())}
    plain = [row for row in PROBES if row.place == "device" and row.launch == "plain" and not (row.entry or row.graph)]
    assert [row.name for row in plain if row.helpers != (row.payload in helped)] == []
