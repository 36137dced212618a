"""`replay` and `diagnose --at`: what a recording says, in text and as JSON, and what it cannot say."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cli_process import ROOT, environment
from recording_material import BEGAN_NS, at, moving, seconds, write, xid  # pyright: ignore[reportMissingImports]
from sample_material import CELL_LOST, gpu, host  # pyright: ignore[reportMissingImports]

from torchdoctor.cli import run
from torchdoctor.commands import _flight
from torchprobes.samples import GpuSample, KernelEvent, ProcessSample, Sample

TOLD = {
    0: (xid(-4000, 43),),
    100: (xid(100, pid=131),),
    101: (KernelEvent(t_ns=at(101), kind="oom", source="kmsg", pid=7, process="python", text="Out of memory"),),
}
JOB = ProcessSample(pid=131, gpu_uuid="GPU-0", user="alice", command="train.py --token hunter2", job="slurm 12.0")


def story() -> list[Sample]:
    """GPU 0 is lost at second 100, when its job's process was there."""
    told = []
    for second in range(200):
        rows = [gpu(0, throttle_reasons=0x40 if second > 60 else 0, pcie_replays=second // 40), gpu(1)]
        if second > 100:
            lost = {"state": "lost", "utilization_percent": CELL_LOST, "memory_used_bytes": CELL_LOST}
            rows[0] = gpu(0, **lost)
        changes = {"host": host(oom_kills=int(second > 100)), "processes": (JOB,) if second < 110 else ()}
        one = moving(second, events=TOLD.get(second, ()), **changes)
        told.append(msgspec.structs.replace(one, gpus=tuple(rows)))
    return told


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    return write(tmp_path / "r.jsonl.gz", story(), chunk=70)


def said(capfd: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = run(arguments)
    out, err = capfd.readouterr()
    return code, out, err


def document(capfd: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    code, out, err = said(capfd, *arguments)
    assert err == ""
    found: dict[str, Any] = json.loads(out)
    return code, found


def iso(second: float) -> str:
    whole = BEGAN_NS // 10**9 + int(second)
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(whole))


# --- replay ------------------------------------------------------------------------------------------------------


def test_a_summary(recording: Path, capfd: pytest.CaptureFixture[str]) -> None:
    code, out, _ = said(capfd, "replay", str(recording))
    assert code == 0
    for words in ("node7", "200 at 1 Hz", "2: NVIDIA Fake", "events     2", "xid 79", "oom", "slurm 12.0"):
        assert words in out
    assert "xid 43" not in out  # it was before: history of this boot
    _, found = document(capfd, "replay", str(recording), "--json")
    assert (found["samples"], found["broken"], found["gaps"]) == (200, 0, [])
    assert [event["kind"] for event in found["events"]] == ["xid", "oom"]


@pytest.mark.parametrize("text", ["+150s", "-49s", "@150"])
def test_one_sample_as_gpus_says_it(text: str, recording: Path, capfd: pytest.CaptureFixture[str]) -> None:
    when = iso(150) if text == "@150" else text
    code, found = document(capfd, "replay", str(recording), "--at", when, "--json")
    assert code == 1
    assert {"schema", "driver", "gpus", "processes", "host", "findings", "verdict"} <= found.keys()
    assert found["t_ns"] == at(150)
    assert found["gpus"][0]["utilization_percent"]["state"] == "lost"
    assert found["gpus"][1].keys() == set(GpuSample.__struct_fields__)
    assert found["verdict"] == "fail"
    code, out, _ = said(capfd, "replay", str(recording), "--at", when)
    assert code == 1
    assert out.splitlines()[1].startswith("gpu 0")
    assert "lost" in out.splitlines()[1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["/nonexistent/r"], "cannot be read: No such file"),
        (["--demo", "x"], "--demo is a recording of its own"),
        (["RECORDING", "--at", "soon"], "'soon' is no time"),
        (["RECORDING", "--at", "2001-01-01"], "the recording begins only"),
        (["EMPTY"], "holds no recording"),
    ],
)
def test_what_cannot_be_played_is_one_line(
    arguments: list[str], words: str, recording: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    places = {"RECORDING": str(recording), "EMPTY": str(tmp_path / "empty")}
    code, out, err = said(capfd, "replay", *(places.get(word, word) for word in arguments))
    assert (code, out) == (2, "")
    assert words in err
    assert len(err.splitlines()) == 1


# --- diagnose --at -----------------------------------------------------------------------------------------------


def test_what_happened_is_told_with_whose_it_was(recording: Path, capfd: pytest.CaptureFixture[str]) -> None:
    code, found = document(capfd, "diagnose", "--at", iso(105), "--ring", str(recording), "--window", "90s", "--json")
    assert code == 1
    assert (found["gap"], found["verdict"], found["host"]) == ("", "fail", "node7")
    assert found["sample"]["t_ns"] == at(105)
    assert [(event["kind"], event["job"]) for event in found["events"]] == [("xid", "slurm 12.0"), ("oom", "")]
    changed = {(change["where"].split()[0], change["cell"]): change["after"] for change in found["changes"]}
    assert changed["GPU", "state"] == "lost"
    assert changed["host", "oom_kills"] == 1
    assert found["sample"]["processes"][0]["job"] == "slurm 12.0"


def test_the_same_for_a_person(recording: Path, capfd: pytest.CaptureFixture[str]) -> None:
    _, out, _ = said(capfd, "diagnose", "--at", iso(105), "--ring", str(recording), "--window", "90s")
    for words in (
        "node7",
        "gpu 0",
        "lost",
        "xid 79",
        "events within 90 s of it: 2",
        "worse than 90 s before",
        "pid 131",
    ):
        assert words in out
    assert "hunter2" not in out
    assert "safe" not in out
    assert "\x1b" not in out


def test_a_quiet_time_says_so(recording: Path, capfd: pytest.CaptureFixture[str]) -> None:
    _, found = document(capfd, "diagnose", "--at", iso(30), "--ring", str(recording), "--window", "20s", "--json")
    assert (found["events"], found["changes"]) == ([], [])
    assert found["verdict"] == "pass"
    _, out, _ = said(capfd, "diagnose", "--at", iso(30), "--ring", str(recording), "--window", "20s")
    assert "events within 20 s of it: none" in out
    assert "worse than 20 s before: nothing" in out


@pytest.mark.parametrize(
    ("second", "words"),
    [(-100, "the recording begins only 100 s later"), (5000, "the recording ends"), (400, "nothing was recorded for")],
)
def test_a_gap_is_said_and_is_no_verdict(
    second: int, words: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "r", [*seconds(100), *(moving(s) for s in range(1000, 1010))])
    code, found = document(capfd, "diagnose", "--at", iso(second), "--ring", str(tmp_path / "r"), "--json")
    assert code == 4
    assert found["gap"].startswith(words)
    assert found["verdict"] == "unsure"
    _, out, _ = said(capfd, "diagnose", "--at", iso(second), "--ring", str(tmp_path / "r"))
    assert f"NOT RECORDED: {words}" in out


def test_the_flight_recorder_of_this_node_is_found_and_only_what_is_needed_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TORCHDOCTOR_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(_flight, "SERVICE", tmp_path / "service")
    code, _, err = said(capfd, "diagnose", "--at", iso(650))
    assert code == 2
    assert "there is no flight recorder here: looked in" in err
    folder = tmp_path / "service"
    folder.mkdir()
    for start in range(0, 6000, 600):
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(BEGAN_NS // 10**9 + start))
        write(folder / f"{stamp}.jsonl.gz", [moving(s) for s in range(start, start + 600, 10)])
    files = sorted(folder.iterdir())
    files[9].write_bytes(b"somebody else's")
    _, found = document(capfd, "diagnose", "--at", iso(1300), "--json")
    assert (found["recording"], found["sample"]["t_ns"]) == (str(folder), at(1300))
    assert found["began_ns"] == at(600)
    assert found["ended_ns"] == at(2390)
    code, out, _ = said(capfd, "replay", str(folder))
    assert code == 0
    assert "unreadable" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "say which job"),
        (["--at", "soon"], "'soon' is no time"),
        (["--at", "-5m", "--window", "0s"], "no span of time"),
        (["--at", "-5m", "--ring", "/nonexistent"], "cannot be read"),
    ],
)
def test_what_cannot_be_diagnosed_is_one_line(
    arguments: list[str], words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    code, out, err = said(capfd, "diagnose", *arguments)
    assert (code, out) == (2, "")
    assert words in err
    assert len(err.splitlines()) == 1


# --- in the console --------------------------------------------------------------------------------------------


def test_the_console_plays_it_and_runs_nothing(recording: Path, tmp_path: Path) -> None:
    import sys

    sys.path.append(str(ROOT / "tests" / "tui"))
    from terminal_process import CONSOLE, Terminal  # pyright: ignore[reportMissingImports]

    words = (*CONSOLE, "replay", str(recording))
    with Terminal(words, (120, 40), {**environment(tmp_path), "TERM": "xterm-256color"}) as terminal:
        terminal.until("REPLAY node ")
        terminal.until("Fake")
        terminal.press("2")
        terminal.until("compile")
        terminal.press("r")
        terminal.until("a recording is shown")
        terminal.press("q")
        assert terminal.end()[0] == 0


def test_the_recording_that_ships_shows_a_rank_asleep_in_a_collective(capsys: pytest.CaptureFixture[str]) -> None:
    """Two real GPUs, recorded by this program; it names no machine."""
    run(["replay", "--demo", "--at", "2026-11-25T23:58:15Z", "--json"])
    told = json.loads(capsys.readouterr().out)
    found = {finding["id"]: finding["seen"] for finding in told["findings"]}
    assert found["TD-GPU-032"].startswith("GPU 1 00000000:00:07.0: the odd GPU of its job")
    assert "of the same job GPU 1 does not wait" in found["TD-GPU-031"]
    assert told["host"]["host"] == "gpu-node"
    assert {gpu["serial"] for gpu in told["gpus"]} == {"masked"}
