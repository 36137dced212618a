"""`gpus` as a process beside a driver that is healthy, ill or not there: always a document, never a traceback."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cli_process import Said, environment, torchdoctor
from fake_driver import FakeDriver  # pyright: ignore[reportMissingImports]

from torchdoctor import early
from torchdoctor.commands import _look
from torchprobes import child
from torchprobes.samples import GpuSample, HostSample, Sample

KEYS = {"schema", "findings", "verdict", "line", *Sample.__struct_fields__}


def gpus(home: Path, *arguments: str) -> Said:
    passed = {name: value for name, value in os.environ.items() if name.startswith(("FAKE_NVML", "LD_LIBRARY"))}
    return torchdoctor(home, "gpus", *arguments, environ={**environment(home), **passed})


def document(said: Said) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(said.out)
    assert found.keys() >= KEYS
    assert found["host"].keys() == set(HostSample.__struct_fields__)
    for row in found["gpus"]:
        assert row.keys() == set(GpuSample.__struct_fields__)
    assert "safe" not in said.out
    return found


def test_eight_healthy_gpus(driver: FakeDriver, tmp_path: Path) -> None:
    driver.gpus(8)
    found = document(gpus(tmp_path, "--json"))
    assert [row["index"] for row in found["gpus"]] == list(range(8))
    assert {row["state"] for row in found["gpus"]} == {"ok"}
    assert found["driver_state"] == "ok"


_ILL: dict[str, Callable[[FakeDriver], None]] = {
    "no library": lambda d: d._set("LD_LIBRARY_PATH", "/nonexistent"),
    **{f"init {code}": (lambda d, code=code: d.init(code)) for code in (4, 9, 12, 15, 18, 28, 999)},  # type: ignore[misc]
    "no GPU": lambda d: d.gpus(0),
    "lost": lambda d: d.rules("1:*:15"),
    "everything lost": lambda d: d.rules("*:*:15"),
    "bare": lambda d: d._set("FAKE_NVML_BARE", "*"),
    "segfault": lambda d: d.rules("*:nvmlDeviceGetUtilizationRates:segv"),
}


@pytest.mark.parametrize("ill", _ILL)
def test_a_document_for_every_error(ill: str, driver: FakeDriver, tmp_path: Path) -> None:
    _ILL[ill](driver)
    said = gpus(tmp_path, "--json")
    found = document(said)
    assert said.code in (0, 1, 3, 4)
    assert found["line"]
    well = ("lost", "bare", "everything lost")
    assert (found["driver_state"] == "ok") == (ill in well) or not found["driver_state"].startswith("ok")


@pytest.mark.parametrize("hangs", ["init", "one call", "every call"])
def test_a_driver_that_hangs_is_told_within_its_time(hangs: str, driver: FakeDriver, tmp_path: Path) -> None:
    if hangs == "init":
        driver.init("hang")
    else:
        driver.rules("*:*:hang" if hangs == "every call" else "1:nvmlDeviceGetUtilizationRates:hang")
    began = time.monotonic()
    said = gpus(tmp_path, "--json")
    took = time.monotonic() - began
    found = document(said)
    assert "hung" in said.out
    assert said.code in (1, 4)
    assert found["verdict"] in ("fail", "unsure")
    assert took < 12  # far above its 3.2 s, far below a command that waits for the driver
    if hangs == "one call":
        assert [row["state"] for row in found["gpus"]] == ["ok", "hung"]


@pytest.mark.parametrize("words", [("/nonexistent/python",), ("sh", "-c", "exit 3"), ("sh", "-c", "echo nonsense")])
def test_a_sampler_that_cannot_start_is_a_document_too(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from torchdoctor.cli import run
    from torchprobes.telemetry import source

    monkeypatch.setattr(source, "sampler_command", lambda _: words)
    assert run(["gpus", "--json"]) == 4
    found = json.loads(capfd.readouterr().out)
    assert found.keys() >= KEYS
    assert found["verdict"] == "unsure"
    assert "sampler" in found["driver_state"]


def test_the_text_has_a_line_for_each_gpu_and_says_why_without_one(driver: FakeDriver, tmp_path: Path) -> None:
    driver.gpus(8)
    rows = gpus(tmp_path).out.splitlines()
    assert [row.split()[:2] for row in rows[:8]] == [["gpu", str(index)] for index in range(8)]
    driver.init(9)
    assert "driver" in gpus(tmp_path).out.splitlines()[0]


# --- the child that starts early -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "screen", "wanted"),
    [
        (["gpus", "--json"], False, 0.0),
        (["gpus"], True, 0.0),
        (["--read-only", "status"], True, 0.0),
        (["snapshot", "--json"], False, 0.0),
        ([], True, 1.0),
        ([], False, 0.0),
        (["--rate", "4"], True, 4.0),
        (["--rate=0.5", "--ascii"], True, 0.5),
        (["--rate", "nonsense"], True, 2.0),
        (["--rate", "99"], True, 1.0),
        (["logs", "/x"], True, 2.0),
        (["check", "quick"], True, None),
        (["replay", "x"], True, None),
        (["--help"], True, None),
        (["gpus", "-h"], True, None),
    ],
)
def test_which_command_lines_start_a_sampler_early(arguments: list[str], screen: bool, wanted: float | None) -> None:
    environ = {"TORCHDOCTOR_RATE": "2"} if wanted == 2.0 else {}
    assert early.wanted_by(arguments, environ, screen=screen) == wanted


def test_an_early_child_is_taken_for_its_own_rate_only(monkeypatch: pytest.MonkeyPatch) -> None:
    program = "import sys; print('{}', flush=True); sys.stdin.read()"
    import sys

    monkeypatch.setattr(child, "sampler_command", lambda _: (sys.executable, "-c", program))
    monkeypatch.setattr(early, "has_screen", lambda _: True)
    early.begin([], {})
    first = early._early
    assert first is not None
    assert early.take(3.0)() is None
    process = first.wait()
    assert process is not None
    assert process.wait(10) == 0  # it was let go
    early.begin([], {})
    taken = early.take(1.0)()
    assert taken is not None
    assert taken.stdout is not None
    assert taken.stdin is not None
    assert taken.stdout.readline() == b"{}\n"  # what was looked at is still there for its reader
    assert early.take(1.0)() is None
    taken.stdin.close()
    assert taken.wait(10) == 0


def test_a_child_that_cannot_be_started_early_is_nobodys_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "sampler_command", lambda _: ("/nonexistent/python",))
    assert early.Early(None).wait() is None
    assert early.first_line() == b"" or early._seen is not None


def test_a_threshold_that_names_nothing_is_told(tmp_path: Path) -> None:
    config = tmp_path / ".config" / "torchdoctor" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text("[thresholds]\nTD-XYZ-999 = 3\n")
    said = gpus(tmp_path, "--json")
    assert said.lines == ["torchdoctor: thresholds: 'TD-XYZ-999' is no limit of a check"]
    assert json.loads(said.out)["schema"] == 1


def test_the_deadline_of_a_look_is_that_of_a_dead_sampler_only() -> None:
    assert _look.DEADLINE_S > 5
