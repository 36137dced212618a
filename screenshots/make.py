"""Make screenshots/*.svg from real runs: the real sampler, real probes on this machine's CPU, the real console.

    python screenshots/make.py

Nothing in them is drawn by hand. State goes to a temporary folder; the host's name and paths are shown as they are,
so look at the pictures before you publish them from a machine with a telling name.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tui"), str(ROOT / "probes")]

from torchdoctor.app import TorchDoctor  # noqa: E402
from torchdoctor.settings import Settings  # noqa: E402
from torchdoctor.terminal import Capabilities  # noqa: E402
from torchdoctor.widgets.lines import Lines  # noqa: E402
from torchprobes.catalogue import PROBES  # noqa: E402

SIZE = (120, 36)
SAMPLES = 20
"""Samples that a plot needs to show something."""

READY_S, CHECK_S = 60.0, 900.0
SHOWN = "compile.default"


async def until(pilot: Any, test: Callable[[], object], deadline_s: float, what: str) -> None:
    """Wait for an event; fail where it does not come."""
    end = time.monotonic() + deadline_s
    while not test():
        if time.monotonic() > end:
            raise SystemExit(f"{what} did not come in {deadline_s:.0f} s")
        await pilot.pause(0.1)


async def picture(pilot: Any, name: str, *keys: str) -> None:
    """Press keys and keep what is on the screen."""
    await pilot.press(*keys)
    for _ in range(2):
        pilot.app.tick()
        await pilot.pause()
    path = Path(__file__).parent / f"{name}.svg"
    path.write_text(pilot.app.export_screenshot(title="torchdoctor"))
    print(path.relative_to(ROOT))


async def make(state: str) -> None:
    """Run every probe once and take the pictures on the way."""
    capabilities = Capabilities(ascii=False, ansi=False, no_colour=False, mouse=False, screen_hz=5.0)
    app = TorchDoctor(Settings(out=state, device="cpu", rate_hz=4.0), capabilities)
    async with app.run_test(size=SIZE) as pilot:
        snapshot = app.sources.snapshot
        await until(pilot, lambda: snapshot().target, READY_S, "a Python with torch")
        await pilot.press("2")
        app.run_probes(PROBES)
        await until(pilot, lambda: _running(snapshot()), READY_S, "a running probe")
        await until(pilot, lambda: SHOWN in snapshot().probes and snapshot().probes[SHOWN].result, CHECK_S, SHOWN)
        await picture(pilot, "running")
        await picture(pilot, "gpus", "1")
        await until(pilot, lambda: not snapshot().busy and snapshot().report, CHECK_S, "the end of the check")
        await pilot.press("2")
        app.pane.query_one("#probe-list", Lines).select(SHOWN)
        await picture(pilot, "probes")
        await pilot.press("3")
        await until(pilot, lambda: snapshot().ranks, READY_S, "the ranks")
        await picture(pilot, "jobs")
        await picture(pilot, "report", "5")
        await pilot.press("2")
        await pilot.press("z", "enter")
        await until(
            pilot, lambda: app.here == "logs" and "debug" in str(app.pane.plain_text), READY_S, "the logs"
        ) if hasattr(app.pane, "plain_text") else None
        await asyncio.sleep(1)
        await picture(pilot, "logs")
        await picture(pilot, "help", "2", "question_mark")


def _running(snapshot: Any) -> bool:
    return any(view.result is None and view.progress for view in snapshot.probes.values())


def main() -> None:
    """All of them."""
    os.environ.pop("NO_COLOR", None)
    with tempfile.TemporaryDirectory(prefix="torchdoctor-shots-") as state:
        asyncio.run(make(state))


if __name__ == "__main__":
    main()
