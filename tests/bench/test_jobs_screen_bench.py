"""What the Jobs pane costs: from a replaced view to the screen, and a tick with 512 ranks. Prints figures, no gate."""

from __future__ import annotations

import asyncio
import random
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "tui"))

from console_app import app_of, screen_text, settled, until  # pyright: ignore[reportMissingImports]
from fake_jobs import CRASHED, HEALTHY, OURS, FakeJobs, rank, view  # pyright: ignore[reportMissingImports]
from fakes import World  # pyright: ignore[reportMissingImports]

from torchdoctor import job_files
from torchdoctor.interfaces import JobEngines
from torchdoctor.terminal import Capabilities
from torchprobes.distributed import JobView
from torchprobes.rundir import write_atomically

pytestmark = pytest.mark.bench

USUAL = Capabilities(ascii=False, ansi=False, no_colour=False, mouse=True, screen_hz=5)
TRIALS = 40


class FileJobs(FakeJobs):
    """Views are real files."""

    def engines(self) -> JobEngines:
        made = super().engines()
        return JobEngines(
            desk=self, views=lambda run: job_files.views(run, self), ranks=made.ranks, diagnose=made.diagnose,
            export=made.export,
        )  # fmt: skip


def quantile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


async def opened(app: Any, pilot: Any) -> None:
    await until(pilot, lambda: settled(app))
    await pilot.press("3")
    await until(pilot, lambda: app.sources.jobs.snapshot().view is not None)


def write(path: Path, view: JobView) -> None:
    write_atomically(path, msgspec.json.encode(view))


async def test_from_a_replaced_view_to_the_screen(tmp_path: Path) -> None:
    path = tmp_path / "run" / "nodes" / "host" / "view.json"
    path.parent.mkdir(parents=True)
    write(path, HEALTHY)
    jobs = FileJobs(rows=[{**OURS, "run": str(tmp_path / "run")}])
    app = app_of(World(report=None, jobs=jobs), USUAL)
    took: list[float] = []
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(app, pilot)
        for trial in range(TRIALS):
            wanted, said = (CRASHED, "raised RuntimeError") if trial % 2 == 0 else (HEALTHY, "no fault seen")
            await asyncio.sleep(0.3 + random.random() / 5)  # anywhere between two ticks
            began = time.monotonic()
            write(path, wanted)
            while said not in screen_text(app):
                await asyncio.sleep(0.002)
            took.append(time.monotonic() - began)
    print(f"view.json to screen: p50 {quantile(took, 0.5) * 1e3:.0f} ms, p99 {quantile(took, 0.99) * 1e3:.0f} ms")


async def test_512_ranks(tmp_path: Path) -> None:
    path = tmp_path / "run" / "nodes" / "host" / "view.json"
    path.parent.mkdir(parents=True)
    many = [view(tuple(rank(n, quiet_s=0.1 * k) for n in range(512))) for k in range(2)]
    write(path, many[0])
    jobs = FileJobs(rows=[{**OURS, "run": str(tmp_path / "run")}])
    app = app_of(World(report=None, jobs=jobs), USUAL)
    ticks: list[float] = []
    keys: list[float] = []
    async with app.run_test(size=(200, 50)) as pilot:
        await opened(app, pilot)
        for trial in range(TRIALS):
            before = app.sources.jobs.snapshot().view
            write(path, many[trial % 2])
            while app.sources.jobs.snapshot().view is before and trial:
                await asyncio.sleep(0.005)
            began = time.perf_counter()
            app.tick()
            ticks.append(time.perf_counter() - began)
            began = time.perf_counter()
            await pilot.press("down" if trial % 3 else "pagedown")
            keys.append(time.perf_counter() - began)
    began = time.perf_counter()
    msgspec.json.decode(path.read_bytes(), type=JobView)
    decode = time.perf_counter() - began
    print(f"512 ranks, {path.stat().st_size / 1e3:.0f} kB, decoded in {decode * 1e3:.1f} ms; a tick p50 "
          f"{quantile(ticks, 0.5) * 1e3:.1f} ms, p95 {quantile(ticks, 0.95) * 1e3:.1f} ms; a key p95 "
          f"{quantile(keys, 0.95) * 1e3:.0f} ms")  # fmt: skip
