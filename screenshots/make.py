"""Make screenshots/*.svg from real runs: the real sampler, real probes on this machine, the real console.

    python screenshots/make.py

Nothing in them is drawn by hand. The target is $TORCHDOCTOR_PYTHON, else this environment, linked to below a
temporary folder, so that no path of the machine gets into a picture; the pictures are refused if one does.
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
from torchdoctor.commands.replay import DEMO  # noqa: E402
from torchdoctor.settings import Settings  # noqa: E402
from torchdoctor.terminal import Capabilities  # noqa: E402
from torchprobes.catalogue import select  # noqa: E402
from torchprobes.model import Tier  # noqa: E402

SIZE = (120, 36)
READY_S, CHECK_S = 60.0, 1200.0
WAITING_S = 133.0
"""Where in the recording a rank has slept for more than a minute."""

SHOWN = "compile.default"
LONGER = (SHOWN, "export.roundtrip", "ddp.allreduce", "data.loader")
PRIVATE = tuple(path for path in (str(ROOT), str(Path.home()), sys.base_prefix) if path not in ("/", "/usr"))


async def until(pilot: Any, test: Callable[[], object], deadline_s: float, what: str) -> None:
    """Wait for an event; end where it does not come."""
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
    drawn = pilot.app.export_screenshot(title="torchdoctor")
    shown = [path for path in PRIVATE if path in drawn.replace("&#x27;", "'")]
    if shown:
        raise SystemExit(f"{name} shows a path of this machine: {shown[0]}")
    path = Path(__file__).parent / f"{name}.svg"
    path.write_text(drawn)
    print(path.relative_to(ROOT))


async def make(folder: Path) -> None:
    """Run the quick tier and some that take longer, and take the pictures on the way."""
    (folder / "venv").symlink_to(sys.prefix)
    python = os.environ.get("TORCHDOCTOR_PYTHON") or str(folder / "venv" / "bin" / "python")
    settings = Settings(out=str(folder / "runs"), python=python)
    app = TorchDoctor(settings, Capabilities(False, False, False, False, screen_hz=5.0))
    async with app.run_test(size=SIZE) as pilot:
        snapshot = app.sources.snapshot
        await until(pilot, lambda: snapshot().target, READY_S, "a Python with torch")
        await pilot.press("2")
        app.run_probes((*select((), Tier.QUICK), *select(LONGER, Tier.FULL)))
        await until(pilot, lambda: any(v.result is None and v.progress for v in snapshot().probes.values()), READY_S,
                    "a running probe")  # fmt: skip
        await until(pilot, lambda: SHOWN in snapshot().probes and snapshot().probes[SHOWN].result, CHECK_S, SHOWN)
        await picture(pilot, "running")
        await until(pilot, lambda: not snapshot().busy and snapshot().report, CHECK_S, "the end of the check")
        await pilot.press("2")
        app.pane.lines.select(SHOWN.partition(".")[0])
        await pilot.press("right")
        app.pane.lines.select(SHOWN)
        await picture(pilot, "probes")
        await pilot.press("3")
        await until(pilot, lambda: snapshot().ranks, READY_S, "the ranks")
        await picture(pilot, "jobs")
        await picture(pilot, "report", "5")
        await picture(pilot, "help", "2", "question_mark")
        await pilot.press("escape", "z", "enter")
        await until(pilot, lambda: app.here == "logs" and app.pane.log_view.lines.lines, READY_S, "a log")
        await picture(pilot, "logs")


async def make_from_recording() -> None:
    """The GPUs pane, from the recording of two real GPUs that ships: one rank sleeps, the other waits for it."""
    app = TorchDoctor(Settings(replay=str(DEMO)), Capabilities(False, False, False, False, screen_hz=5.0))
    async with app.run_test(size=SIZE) as pilot:
        snapshot = app.sources.snapshot
        await until(pilot, lambda: app.sources.replay and snapshot().sample, READY_S, "the recording")
        replay = app.sources.replay
        assert replay is not None
        replay.paused = True
        replay.seek(WAITING_S)
        await until(pilot, lambda: any(f.id == "TD-GPU-032" for f in snapshot().findings), READY_S, "the odd rank")
        await picture(pilot, "gpus")


def main() -> None:
    """All of them, or those from the recording alone (`--recording`)."""
    os.environ.pop("NO_COLOR", None)
    os.environ["PATH"] = "/usr/local/bin:/usr/bin:/bin"
    with tempfile.TemporaryDirectory(prefix="td-") as folder:
        if "--recording" not in sys.argv:
            asyncio.run(make(Path(folder)))
        asyncio.run(make_from_recording())


if __name__ == "__main__":
    main()
