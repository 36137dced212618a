"""Pictures of the Report pane on fixed data; `pytest --snapshot-update` makes them anew."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from console_app import app_of, screen_text, settled, until
from fake_reports import FakeReportDesk, keep_run, on
from fakes import COMPILED, REPORT, World

from torchdoctor.terminal import Capabilities
from torchprobes.model import Expectation, Figure, Report, Tier, Verdict, worst

pytestmark = pytest.mark.usefixtures("fixed_catalogue")

COLOUR = Capabilities(ascii=False, ansi=False, no_colour=False, mouse=True, screen_hz=20)


def _measured(report: Report, share: float) -> Report:
    """With a figure that something is expected of."""
    gemm = msgspec.structs.replace(
        COMPILED, name="compute.gemm", group="compute", tier=Tier.QUICK, facts=(), findings=(), reason="as expected",
        verdict=Verdict.PASS if share > 0.8 else Verdict.DEGRADED,
        figures=(Figure(name="gemm_best_rate", value=9.0e14 * share, unit="FLOP/s", n=40, spread=2e12,
                        labels={"dtype": "bf16"}),),
        expectations=(Expectation(name="gemm_best_rate", value=9.0e14, unit="FLOP/s", limit=7e14,
                                  source="measured on sound nodes"),),
    )  # fmt: skip
    results = (*report.results, gemm)
    return msgspec.structs.replace(report, results=results, verdict=worst([r.verdict for r in results]))


NODES = (
    _measured(on(REPORT, "node-06", "2026-01-01T22:10:00Z", cudagraph_replay=Verdict.PASS), 0.94),
    _measured(on(REPORT, "node-07", "2026-01-02T03:04:05Z"), 0.61),
    _measured(on(REPORT, "node-08", "2026-01-02T03:05:00Z", cudagraph_replay=Verdict.PASS), 0.93),
)
HISTORY = ("5", "h")
COMPARED = (*HISTORY, "asterisk", "d")
PICTURES: dict[str, tuple[tuple[int, int], tuple[str, ...], str]] = {
    "page-60x16": ((60, 16), ("5",), "Does not work"),
    "history-200x50": ((200, 50), (*HISTORY, "down"), "host          node-07"),
    "compare-80x24": ((80, 24), COMPARED, "platforms compared"),
    "compare-120x40": ((120, 40), COMPARED, "platforms compared"),
}
"""Name -> the terminal, the keys that lead there, and what says that it is there."""


def shown(keys: tuple[str, ...], words: str) -> Callable[[Any], Any]:
    """Press keys, one after another once what they need is there."""

    async def before(pilot: Any) -> None:
        app = pilot.app

        def there(text: str) -> bool:
            app.tick()
            return text in screen_text(app)

        await until(pilot, lambda: settled(app) and app.sources.snapshot().report is not None)
        for key in keys:
            await pilot.press(key)
            if key == "h":
                await until(pilot, lambda: there("kB of"))
        await until(pilot, lambda: there(words))
        for _ in range(2):
            app.tick()
            await pilot.pause()

    return before


def world(folder: Path) -> World:
    for n, report in enumerate(NODES):
        keep_run(folder / "runs", f"2026010{n + 1}T000000Z-node-0{6 + n}-aaaaaa", report, title="as bought" * (n == 0))
    return World(reports=FakeReportDesk(folder / "runs"), report=NODES[1])


@pytest.mark.parametrize("name", PICTURES)
def test_report(snap_compare: Any, tmp_path: Path, name: str) -> None:
    size, keys, words = PICTURES[name]
    assert snap_compare(app_of(world(tmp_path), COLOUR), terminal_size=size, run_before=shown(keys, words))
