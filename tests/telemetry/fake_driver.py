"""What the fake driver library is told to do, and waiting for what the sampler makes of it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from torchprobes.samples import Absent, Cell, Sample
from torchprobes.telemetry.source import Sampler

DEADLINE_S = 20.0

T = TypeVar("T")


class FakeDriver:
    """The library's settings, as the environment that the sampler child inherits."""

    def __init__(self, folder: Path, calls: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._calls, self._set = calls, monkeypatch.setenv
        self._set("LD_LIBRARY_PATH", str(folder))
        self._set("FAKE_NVML_CALLS", str(calls))

    def gpus(self, count: int) -> None:
        self._set("FAKE_NVML_GPUS", str(count))

    def init(self, code: int | str) -> None:
        self._set("FAKE_NVML_INIT", str(code))

    def rules(self, *rules: str) -> None:
        self._set("FAKE_NVML_RULES", ",".join(rules))

    def processes(self, *rows: tuple[int, int, int]) -> None:
        self._set("FAKE_NVML_PROCESSES", ",".join(f"{gpu}:{pid}:{size}" for gpu, pid, size in rows))

    def calls(self) -> Counter[str]:
        """How often each "FUNCTION GPU" was called."""
        return Counter(self._calls.read_text().splitlines())


def until(look: Callable[[], T | None], deadline_s: float = DEADLINE_S) -> T:
    """What `look` finds, as soon as it finds something."""
    end = time.monotonic() + deadline_s
    while not (found := look()):
        assert time.monotonic() < end, f"nothing within {deadline_s} s"
        time.sleep(0.01)
    return found


@contextmanager
def sampling(rate_hz: float = 20.0, command: tuple[str, ...] | None = None) -> Iterator[Sampler]:
    """A running sampler."""
    sampler = Sampler(rate_hz, command)
    sampler.start()
    try:
        yield sampler
    finally:
        sampler.stop()


def sample_where(sampler: Sampler, holds: Callable[[Sample], bool], deadline_s: float = DEADLINE_S) -> Sample:
    """The first sample of which something holds."""

    def look() -> Sample | None:
        sample = sampler.latest()[1]
        return sample if sample is not None and holds(sample) else None

    return until(look, deadline_s)


def is_ready(sample: Sample) -> bool:
    return bool(sample.gpus) and all(gpu.state != "starting" for gpu in sample.gpus)


def absent(cell: Cell) -> Absent:
    assert isinstance(cell, Absent), cell
    return cell
