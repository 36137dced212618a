"""A node's own end of a fleet: the check that it starts, how it ends it, and that nothing of it stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest
from cli_process import command, environment, until

from torchdoctor import settings
from torchdoctor.commands import _fleet_node
from torchdoctor.commands._fleet_node import Errand, run_errand
from torchprobes import __version__
from torchprobes.model import Machine, Report, Target, Verdict
from torchprobes.reports.fleet.gathering import Gathering, Heard
from torchprobes.reports.fleet.rows import node_of

REPORT = Report(
    torchdoctor=__version__,
    machine=Machine(host="n1", boot_id="", kernel="", arch="", os="", cpu="", cores=1, memory_bytes=1),
    target=Target(python="/env/bin/python", torch="2.6.0"),
    tier="quick",
    started="2026-01-02T03:04:05Z",
    seconds=1.0,
    verdict=Verdict.SKIP,
    results=(),
)
TOKEN = "0123456789abcdef"

CHECK = """\
import pathlib, signal, sys, time
words, mode = sys.argv[1:], {mode!r}
to = pathlib.Path(words[words.index("--json") + 1])
def report(*_):
    to.write_bytes(pathlib.Path({report!r}).read_bytes())
    sys.exit(3)
assert words[:3] == ["check", "env", "--tier=quick"], words
if mode == "reports":
    report()
if mode == "refuses":
    sys.stderr.write("torchdoctor: no interpreter with PyTorch was found: name one\\n")
    sys.exit(2)
signal.signal(signal.SIGINT, report)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
pathlib.Path({begun!r}).touch()
time.sleep(3600)
"""


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Choose what stands for torchdoctor's own check, and what for a snapshot."""
    (tmp_path / "report.json").write_bytes(msgspec.json.encode(REPORT))
    monkeypatch.setattr(_fleet_node, "take_snapshot", lambda _: {"schema": 1, "stands": "for a snapshot"})

    def choose(mode: str) -> None:
        files = {"report": str(tmp_path / "report.json"), "begun": str(tmp_path / "begun")}
        (tmp_path / "check.py").write_text(CHECK.format(mode=mode, **files))
        monkeypatch.setattr(_fleet_node, "own_program", lambda: [sys.executable, "-S", str(tmp_path / "check.py")])

    return choose


def heard(errand: Errand, environ: dict[str, str] | None = None) -> Heard | None:
    """Run an errand with a pipe for stdout, and what an asker hears of it."""
    read, write = os.pipe()
    kept, found = os.dup(1), Gathering(TOKEN)
    os.dup2(write, 1)
    os.close(write)

    def listen() -> None:
        with os.fdopen(read, "rb") as lines:
            for line in lines:
                found.hear(line)

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    before = {number: signal.getsignal(number) for number in _fleet_node.ENDING}
    try:
        assert run_errand(settings.Settings(), errand, environ or {}) == 0
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        for number, handler in before.items():
            signal.signal(number, handler)
    listener.join(60)
    return found.of("n1")


def errand(**fields: object) -> Errand:
    base = {"token": TOKEN, "node": "n1", "jitter_s": 0.0, "deadline_s": 60.0, "check": ("env", "--tier=quick")}
    return Errand(**{**base, **fields})  # type: ignore[arg-type]


def test_the_report_of_a_check_comes_whole(check: Callable[[str], None]) -> None:
    check("reports")
    found = heard(errand())
    node = node_of("n1", found, "")
    assert (node.row.state, node.row.kind) == ("report", "check")
    assert node.report == REPORT


def test_a_check_that_is_refused_is_said_and_a_snapshot_is_taken_all_the_same(check: Callable[[str], None]) -> None:
    check("refuses")
    found = heard(errand())
    assert found is not None
    assert not isinstance(found.answer, str | None)
    assert found.answer.kind == "snapshot"
    assert found.answer.why == "no check: no interpreter with PyTorch was found: name one"
    assert msgspec.json.decode(found.answer.document)["stands"] == "for a snapshot"


def test_a_check_past_its_deadline_is_told_to_end_and_its_report_still_comes(
    check: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its time is over as soon as it heeds the signal that it is told by."""
    check("hangs")
    begun = tmp_path / "begun"
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + 3600 * begun.exists(), sleep=time.sleep)
    monkeypatch.setattr(_fleet_node, "time", clock)
    monkeypatch.setattr(_fleet_node, "ALIVE_S", 0.05)
    node = node_of("n1", heard(errand(deadline_s=600.0)), "")
    assert (node.row.state, node.report) == ("report", REPORT)
    assert "the check was ended at its deadline of 600 s" in node.row.why


def test_of_several_tasks_on_a_node_one_speaks(check: Callable[[str], None]) -> None:
    check("reports")
    assert heard(errand(), {"SLURM_LOCALID": "1"}) is None


@pytest.mark.parametrize("ending", ["signal", "nobody reads"])
def test_a_node_that_is_ended_takes_its_check_along(ending: str, check: Callable[[str], None], tmp_path: Path) -> None:
    check("hangs")
    program = (
        "import sys; from torchdoctor.commands import _fleet_node as node; from torchdoctor.settings import Settings; "
        f"node.own_program = lambda: [{sys.executable!r}, '-S', {str(tmp_path / 'check.py')!r}]; node.ALIVE_S = 0.1; "
        f"node.run_errand(Settings(), node.Errand({TOKEN!r}, 'n1', 1, 0.0, 3600.0, ('env', '--tier=quick')))"
    )
    process = subprocess.Popen(
        [command()[0], "-B", "-c", program], env=environment(tmp_path), stdout=subprocess.PIPE, start_new_session=True
    )
    try:
        until((tmp_path / "begun").exists, "the check to begin")
        assert process.stdout is not None
        if ending == "signal":
            process.terminate()
        process.stdout.close()
        process.wait(60)
        assert left_of(process.pid) == []
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


def left_of(session: int) -> list[str]:
    found = subprocess.run(["pgrep", "-a", "-s", str(session)], capture_output=True, text=True, check=False)
    return found.stdout.splitlines()
