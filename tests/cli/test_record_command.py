"""`record` as a process: it ends cleanly, keeps to one writer, makes no CUDA context, and ships as a service."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
from cli_process import command, environment, torchdoctor, until
from fake_driver import FakeDriver  # pyright: ignore[reportMissingImports]

from torchdoctor.commands import _when
from torchdoctor.commands.record import RING_HZ, UNIT, _quoted, barred
from torchprobes.telemetry.recording.timeline import Timeline, open_timeline


def environ_of(home: Path) -> dict[str, str]:
    passed = {name: value for name, value in os.environ.items() if name.startswith(("FAKE_NVML", "LD_LIBRARY"))}
    return {**environment(home), **passed}


def has_samples(path: Path, count: int) -> bool:
    try:
        return open_timeline(path).count >= count
    except Exception:
        return False


Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def started(tmp_path: Path, driver: FakeDriver) -> Iterator[Start]:
    """Starts `record ARGUMENTS` beside two GPUs; what is left of it is killed."""
    processes: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> subprocess.Popen[str]:
        words = command("record", *arguments)
        process = subprocess.Popen(words, env=environ_of(tmp_path), cwd=tmp_path, stderr=subprocess.PIPE, text=True)
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait()
        assert process.stderr is not None
        process.stderr.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_a_clean_end(number: signal.Signals, started: Start, tmp_path: Path) -> None:
    process = started("r.jsonl.gz", "--rate", "10")
    until(lambda: has_samples(tmp_path / "r.jsonl.gz", 3), "three samples")
    process.send_signal(number)
    assert process.wait(20) == 0
    timeline = open_timeline(tmp_path / "r.jsonl.gz")
    assert process.stderr is not None
    assert process.stderr.read().splitlines()[-1].startswith(f"{timeline.count} samples in ")
    assert (timeline.broken, timeline.chunks[-1].torn) == (0, False)
    assert [len(one.gpus) for _, one in timeline.samples(0)] == [2] * timeline.count


def test_for_a_time_and_into_a_file_that_is_new(driver: FakeDriver, tmp_path: Path) -> None:
    said = torchdoctor(tmp_path, "record", "r", "--rate", "10", "--for", "1s", environ=environ_of(tmp_path))
    assert said.code == 0
    assert " samples in " in said.lines[-1]
    timeline = open_timeline(tmp_path / "r")
    assert timeline.count >= 2
    assert timeline.ended_ns - timeline.began_ns < 5e9
    again = torchdoctor(tmp_path, "record", "r", "--for", "1s")
    assert (again.code, "is there already: name a new file" in again.one_line()) == (2, True)


def test_the_flight_recorder_has_a_place_of_its_own_and_one_writer(started: Start, tmp_path: Path) -> None:
    process = started("--ring", "24h", "--max", "2MB", "--rate", "10")
    folder = tmp_path / "state" / "flight"
    until(lambda: has_samples(folder, 2), "two samples")
    second = torchdoctor(tmp_path, "record", "--ring", "1h")
    assert (second.code, f"is written by pid {process.pid} already" in second.one_line()) == (2, True)
    said = torchdoctor(tmp_path, "replay")  # found without being named
    assert said.code == 0
    assert str(folder) in said.out
    process.kill()
    process.wait()
    assert open_timeline(folder).count >= 2


def test_a_recorder_without_a_driver_records_that(tmp_path: Path) -> None:
    said = torchdoctor(tmp_path, "record", "r", "--rate", "10", "--for", "1s")
    assert said.code == 0
    assert next(open_timeline(tmp_path / "r").samples(0))[1].driver_state != "ok"


def test_no_cuda_library_is_loaded_by_recorder_or_sampler(started: Start, tmp_path: Path) -> None:
    process = started("r", "--rate", "10")
    until(lambda: has_samples(tmp_path / "r", 2), "two samples")
    family = [process.pid, *_children(process.pid)]
    assert len(family) >= 2
    for pid in family:
        maps = Path(f"/proc/{pid}/maps").read_text()
        assert "libcuda" not in maps
        assert "libtorch" not in maps
    assert "pynvml" not in Path(f"/proc/{process.pid}/maps").read_text()


def _children(pid: int) -> list[int]:
    paths = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(word) for path in paths for word in path.read_text().split()]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "name a file, or keep a flight recorder with --ring 24h"),
        (["x", "--for", "soon"], "'soon' is no span of time"),
        (["--ring", "24h", "--max", "much"], "'much' is no size"),
        (["--ring", "24h", "--max", "1k", "d"], "needs 1 MiB at least"),
        (["/nonexistent/folder/r"], "cannot be written: No such file or directory"),
        (["/"], "is there already"),
    ],
)
def test_what_cannot_be_done_is_one_line(arguments: list[str], words: str, tmp_path: Path) -> None:
    said = torchdoctor(tmp_path, "record", *arguments)
    assert (said.code, words in said.one_line()) == (2, True), said.err


# --- the service -----------------------------------------------------------------------------------------------


def test_the_unit_names_this_program_and_is_a_unit(tmp_path: Path) -> None:
    said = torchdoctor(tmp_path, "record", "--unit")
    assert said.code == 0
    (start,) = [row for row in said.out.splitlines() if row.startswith("ExecStart=")]
    assert start == f"ExecStart={sys.executable} -m torchdoctor record --ring 24h --max 200MB"
    assert "/usr/bin/env" not in said.out
    for row in ("DynamicUser=yes", "Restart=on-failure", "CPUQuota=10%", "StateDirectory=torchdoctor"):
        assert row in said.out.splitlines()
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("LOUD: no systemd-analyze, so nobody parses the unit")
    unit = tmp_path / "torchdoctor-record.service"
    unit.write_text(said.out)
    done = subprocess.run([analyze, "verify", str(unit)], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_folder_that_the_service_cannot_enter_is_told(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    (closed / "bin").mkdir(parents=True)
    closed.chmod(0o700)
    assert closed in barred(closed / "bin" / "python")
    closed.chmod(0o711)
    assert closed not in barred(closed / "bin" / "python")


def test_the_unit_keeps_to_what_the_command_takes() -> None:
    text = UNIT.read_text()
    assert "record --ring 24h --max 200MB" in text
    assert RING_HZ < 1


@pytest.mark.parametrize(
    ("word", "quoted"),
    [("/usr/bin/x", "/usr/bin/x"), ("/a b/x", '"/a b/x"'), ("/100%/$x", "/100%%/$$x"), ('/"/x', '"/\\"/x"')],
)
def test_a_path_is_quoted_as_systemd_wants(word: str, quoted: str) -> None:
    assert _quoted(word) == quoted


# --- spans, sizes and times ------------------------------------------------------------------------------------


def test_spans_and_sizes() -> None:
    units = {"24h": 86400, "10m": 600, "90": 90, "1.5 h": 5400, "2d": 172800, "30s": 30, "5min": 300}
    for text, seconds in units.items():
        assert _when._measured(text, _when._UNITS_S, "span") == seconds
    sizes = {"200MB": 200_000_000, "1GiB": 1 << 30, "5": 5, "3k": 3000}
    for text, count in sizes.items():
        assert _when._measured(text, _when._UNITS_BYTES, "size") == count


NOON = 1_780_000_000_000_000_000


@pytest.mark.parametrize(
    ("text", "seconds"), [("-15m", -900), ("-90", -90), ("-2h", -7200), ("2026-05-28T20:26:40Z", 0)]
)
def test_times_from_the_end_and_absolute(text: str, seconds: int) -> None:
    assert _when.moment_ns(text, None, NOON) == NOON + seconds * 10**9


def test_a_clock_time_is_the_last_of_that_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    import time

    time.tzset()
    try:
        assert _when.moment_ns("20:26:40", None, NOON) == NOON  # 2026-05-28 20:26:40 UTC
        assert _when.moment_ns("20:26", None, NOON) == NOON - 40 * 10**9
        assert _when.moment_ns("20:27", None, NOON) == NOON - (86400 - 20) * 10**9  # today's is still to come
        assert _when.moment_ns("+90s", NOON, NOON) == NOON + 90 * 10**9
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    "text", ["", "soon", "25:99", "-x", "+5s", "2026-13-45", "99999999999-01-01", "-" + "9" * 12 + "d"]
)
def test_what_is_no_time_is_a_line(text: str) -> None:
    with pytest.raises(click.UsageError, match="is no time"):
        _when.moment_ns(text)


def test_lengths_in_words() -> None:
    assert [_when.span_words(s) for s in (0, 41.4, 125, 7500)] == ["0 s", "41 s", "2 min 05 s", "2 h 05 min"]


def test_a_timeline_without_samples_is_empty() -> None:
    empty = Timeline([])
    assert (empty.count, empty.began_ns, empty.ended_ns) == (0, 0, 0)
