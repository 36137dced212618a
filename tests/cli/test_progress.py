"""Progress: each thing is said once, plainly; a live line only where a terminal can take it back."""

from __future__ import annotations

import os

import pytest

from torchdoctor.commands._progress import Progress
from torchprobes.model import Result, Tier, Verdict
from torchprobes.runner.snapshot import CheckView, ProbeState, ProbeView


def probe(name: str, state: ProbeState, progress: str = "", verdict: Verdict = Verdict.PASS) -> ProbeView:
    result = Result(
        name=name, group="g", tier=Tier.QUICK, device="cpu", verdict=verdict, reason="r", seconds=1.25
    ) if state is ProbeState.DONE else None  # fmt: skip
    return ProbeView(name=name, state=state, progress=progress, started_s=3.0, done=0.5, result=result)


def view(*probes: ProbeView, note: str = "") -> CheckView:
    return CheckView(revision=1, run="/run", probes=probes, finished=False, interrupted=False, note=note)


def test_a_line_is_said_once_whatever_is_shown_how_often(capfd: pytest.CaptureFixture[str]) -> None:
    progress = Progress(live=False)
    for state in (ProbeState.QUEUED, ProbeState.STARTING, ProbeState.RUNNING, ProbeState.DONE):
        for _ in range(3):
            progress.show(view(probe("a.b", state), probe("c.d", ProbeState.QUEUED), note="the disk is full"))
    assert capfd.readouterr().err.splitlines() == [
        "the disk is full",
        "      runs     a.b",
        "[1/2] pass     a.b  1.2 s",
    ]


def test_the_live_line_is_cut_cleared_and_plain(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    progress = Progress(live=True)
    progress.show(view(probe("a.b", ProbeState.RUNNING, "\x1b[2Jcompiling " + "x" * 99)))
    progress.show(view(probe("a.b", ProbeState.DONE)))
    progress.clear()
    said = capfd.readouterr().err
    first = said.split("\r\x1b[K")[1]
    assert first.startswith("a.b 3 s 50 % \\x1b[2J")
    assert len(first) <= 29
    assert said.endswith("\r\x1b[K")
    assert "[1/1] pass     a.b  1.2 s\n" in said


def test_a_stderr_that_is_gone_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone:
        left = 1

        def write(self, text: str) -> int:
            self.left -= 1
            if self.left < 0:
                raise OSError(5, os.strerror(5))
            return len(text)

        def flush(self) -> None:
            pass

    monkeypatch.setattr("sys.stderr", Gone())
    progress = Progress(live=True)
    progress.show(view(probe("a.b", ProbeState.RUNNING)))
    progress.show(view(probe("a.b", ProbeState.RUNNING), note="a note"))
    progress.show(view(probe("a.b", ProbeState.DONE)))
    progress.clear()


@pytest.mark.parametrize(("term", "live"), [("xterm", True), ("dumb", False), ("", False)])
def test_a_terminal_that_cannot_take_back_gets_no_live_line(
    term: str, live: bool, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", term)
    progress = Progress()
    progress.show(view(probe("a.b", ProbeState.RUNNING, "compiling")))
    assert ("\r\x1b[K" in capfd.readouterr().err) is live
