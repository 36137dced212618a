"""`fleet` over stand-ins of a cluster: every node is a row, whatever it does; and two nodes for real."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cli_process import command, environment, torchdoctor, until
from fleet_launcher import write_cluster
from test_machine_commands import gpu, sample

from torchdoctor.cli import run
from torchprobes import __version__
from torchprobes.model import Machine, Report, Target
from torchprobes.reports.fleet import asking
from torchprobes.reports.fleet.gathering import Gathering

NODES = ("ok1", "exits", "ok2", "garbage", "notorch", "missing", "future", "older", "cut", "silent")
ROWS = {
    "ok1": ("report", "snapshot", ""),
    "ok2": ("report", "snapshot", ""),
    "notorch": ("report", "snapshot", "no torch: no interpreter with PyTorch was found"),
    "older": ("report", "snapshot", f"torchdoctor 0.0.9 there, {__version__} here"),
    "future": ("failed", "", "a snapshot of schema 99, this torchdoctor reads up to 1: upgrade torchdoctor"),
    "cut": ("cut off", "", "it had not begun yet; no answer in 60 s"),
    "silent": ("no answer", "", "no answer in 60 s"),
}
BY_ALL = {
    "exits": ("no answer", "", "exited with exit code 7: libcuda.so.1: cannot open"),
    "garbage": ("no answer", "", "no answer in 60 s: bye"),
    "missing": ("no answer", "", "exited with exit code 127: sh: torchdoctor: not found"),
}
BY_EACH = {
    "exits": ("no answer", "", "the command ended with 7 and gave no answer: libcuda.so.1: cannot open"),
    "garbage": ("no answer", "", "the command ended and gave no answer: bye"),
    "missing": ("no answer", "", "torchdoctor is not there: name it with --program: sh: torchdoctor: not found"),
}


@pytest.fixture
def program(tmp_path: Path, place: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The stand-ins on PATH; a node that hangs is late once all that it is after have ended, not by a clock."""
    assert place
    machine = Machine(host="x", boot_id="", kernel="6.1", arch="x86_64", os="", cpu="", cores=8, memory_bytes=1)
    snapshot = {
        "schema": 1, "torchdoctor": __version__, "taken": "2026-01-02T03:04:05Z", "machine": machine,
        "sample": sample(gpu()), "line": "looked", "findings": [],
        "target": {"chosen": Target(python="/env/bin/python", torch="2.6.0"), "candidates": [], "why": ""},
    }  # fmt: skip
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(asking, "_until", until_it_hangs)
    return write_cluster(tmp_path, msgspec.to_builtins(snapshot), __version__)


def until_it_hangs(_: asking.Question, heard: Gathering, begun: float) -> float:
    hangs = heard._only == "silent" or "cut" in heard.nodes
    return 0.0 if hangs else begun + 300


def fleet(folder: Path, *words: str) -> tuple[int, dict[str, Any]]:
    """Run it: exit code, and its JSON document."""
    code = run(["fleet", "--out", str(folder / "fleet"), "--json", str(folder / "fleet.json"), *words])
    return code, json.loads((folder / "fleet.json").read_text())


def rows_of(document: dict[str, Any]) -> dict[str, tuple[str, str, str]]:
    return {row["node"]: (row["state"], row["kind"], row["why"]) for row in document["nodes"]}


def test_no_node_is_lost_over_one_launcher_for_all(
    tmp_path: Path, program: str, capfd: pytest.CaptureFixture[str]
) -> None:
    html, markdown = tmp_path / "fleet.html", tmp_path / "fleet.md"
    code, document = fleet(
        tmp_path, "--program", program, "--html", str(html), "--markdown", str(markdown),
        "--", "srun", f"--nodelist={','.join(NODES)}",
    )  # fmt: skip
    assert rows_of(document) == {**ROWS, **BY_ALL}
    assert code == 4
    said = capfd.readouterr()
    assert "4 of 10 nodes gave a report" in said.err
    assert all(name in said.out for name in NODES)
    reports = {row["node"]: row["file"] for row in document["nodes"] if row["file"]}
    assert reports == {name: f"{name}.json" for name in ("ok1", "ok2", "notorch", "older")}
    for name, file in reports.items():
        path = tmp_path / "fleet" / file
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert msgspec.json.decode(path.read_bytes(), type=Report).machine.host == name
    assert [each["label"] for each in document["comparison"]["platforms"]] == list(reports)
    missing = [name for name in NODES if name not in reports]
    notes = document["comparison"]["notes"]
    assert all(any(note.startswith(f"{name}: ") for note in notes) for name in missing), notes
    for text in (html.read_text(), markdown.read_text().replace("\\", "")):
        assert "no answer in 60 s" in text, "no form leaves a node out"
        assert not any(re.search(rf"\b{name}\b", text) for name in ("ok1", "ok2", "garbage", "silent")), "nor names it"


def test_no_node_is_lost_over_a_launcher_for_each(tmp_path: Path, program: str) -> None:
    code, document = fleet(tmp_path, "--program", program, "--nodes", ",".join(NODES), "--", "on", "{node}")
    assert rows_of(document) == {**ROWS, **BY_EACH}
    assert [row["node"] for row in document["nodes"]] == list(NODES)
    assert code == 4


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "name what starts a command on your nodes after --"),
        (["--"], "name what starts a command on your nodes after --"),
        (["compile", "--", "srun"], "'compile' names a probe: --probe runs it"),
        (["--probe", "compile.defualt", "--", "srun"], "did you mean 'compile.default'?"),
        (["--read-only", "--probe", "--", "srun"], "fleet --probe runs code on every node"),
        (["--nodes", "n[1", "--", "ssh", "{node}"], "is no list of nodes"),
        (["--", "ssh", "{node}"], "no node was named: --nodes"),
        (["--python", "/a b/python", "--nodes", "n1", "--", "ssh", "{node}"], "a shell on the node could take apart"),
        (["--json", "-", "--html", "-", "--", "srun"], "both want stdout"),
    ],
)
def test_what_cannot_be_asked_starts_nothing(
    words: list[str], said: str, place: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert place
    assert run(["fleet", "--out", str(tmp_path / "fleet"), *words]) == 2
    out, err = capfd.readouterr()
    assert (out, said in err, err.count("\n")) == ("", True, 1), err


def test_a_launcher_that_is_not_there_and_one_that_says_no_are_words_and_4(
    tmp_path: Path, place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert place
    for number, (words, said) in enumerate((
        (["there-is-no-such-launcher"], "cannot start there-is-no-such-launcher: No such file"),
        (["sh", "-c", "echo no partition >&2; exit 1"], "the command ended with 1 and gave no answer: no partition"),
    )):  # fmt: skip
        assert run(["fleet", "--out", str(tmp_path / f"fleet{number}"), "--", *words]) == 4
        out, err = capfd.readouterr()
        assert f"no node was heard: {said}" in out, (out, err)


def test_an_interrupt_keeps_what_came_and_leaves_nothing_running(tmp_path: Path) -> None:
    (tmp_path / "on").write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid; touch {tmp_path}/begun; exec sleep 3600\n")
    (tmp_path / "on").chmod(0o755)
    words = command("fleet", "--out", "fleet", "--nodes", "a,b", "--at-once", "1", "--", "./on", "{node}")
    process = subprocess.Popen(words, cwd=tmp_path, env=environment(tmp_path), stdout=subprocess.PIPE, text=True)
    until((tmp_path / "begun").exists, "the first node to be asked")
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted before it answered" in out
    assert "it was not asked: interrupted before its turn" in out
    pid = int((tmp_path / "pid").read_text())
    until(lambda: not Path(f"/proc/{pid}").exists(), "the launcher to be gone")
    assert len((tmp_path / "fleet" / "nodes.jsonl").read_text().splitlines()) == 2


def test_two_nodes_for_real_are_looked_at_kept_and_compared(tmp_path: Path) -> None:
    (tmp_path / "on").write_text('#!/bin/sh\nshift\nexec "$@"\n')
    (tmp_path / "on").chmod(0o755)
    said = torchdoctor(
        tmp_path, "fleet", "--out", "fleet", "--nodes", "a,b", "--program", " ".join(command()), "--", "./on {node}",
        environ=environment(tmp_path),
    )  # fmt: skip
    assert said.code in (0, 1, 3), said
    assert "what no probe covered" in said.out
    for name in ("a", "b"):
        report = msgspec.json.decode((tmp_path / "fleet" / f"{name}.json").read_bytes(), type=Report)
        assert (report.tier, [one.name for one in report.results]) == ("snapshot", ["telemetry"])
        assert report.machine.cores > 0
        assert report.results[0].figures
    assert time.strftime("%Y") in (tmp_path / "fleet" / "a.json").read_text()
