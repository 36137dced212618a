"""The merged logs of a job on screen: follow, hold, ranks, search; the desk is a fake."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from console_app import console, screen_text, until
from fake_jobs import HEALTHY, OURS, FakeJobs
from fakes import HOSTILE, World

from torchdoctor.paint import text_of
from torchdoctor.widgets.merged_lines import Got, Wanted, _Window, merged_line, ranks_of, stamp

SECOND = 1_790_000_000 * 10**9


class LogDesk(FakeJobs):
    """A desk with `total` lines of three ranks."""

    total = 1000

    def ask(self, question: str, arguments: Mapping[str, Any], deadline_s: float) -> Any:
        if question == "log":
            self.asked.append((question, arguments))
            return self._page(**arguments)
        if question == "find":
            self.asked.append((question, arguments))
            return 400 if arguments["text"] == "needle" else -1
        return super().ask(question, arguments, deadline_s)

    def _page(self, first: int, count: int, ranks: Any, hold: bool, run: str) -> dict[str, Any]:
        begin = max(0, self.total + first if first < 0 else first)
        numbers = range(begin, min(begin + count, self.total))
        lines = [[SECOND + n * 10**9, n % 3, 0, "err" if n % 2 else "out", f"line {n}" + " needle" * (n == 400),
                  "printed"] for n in numbers]  # fmt: skip
        return {"first": begin, "total": self.total, "lines": lines, "skipped": True, "new": hold, "cause": ""}


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHDOCTOR_STATE", str(tmp_path))
    monkeypatch.delenv("NO_COLOR", raising=False)


async def at_logs(app: Any, pilot: Any) -> None:
    await pilot.press("3")
    await until(pilot, lambda: app.sources.jobs.snapshot().view is not None or app.tick())
    app.tick()
    await pilot.press("l")
    await until(pilot, lambda: app.pane.merged is not None and "line 999" in screen_text(app))


async def test_follow_hold_search_and_back() -> None:
    desk = LogDesk(rows=[OURS], view=HEALTHY)
    async with console(World(report=None, jobs=desk)) as (app, pilot):
        await at_logs(app, pilot)
        assert "FOLLOW" in screen_text(app)
        await pilot.press("up", "pageup")
        await until(pilot, lambda: "HELD, more has come" in screen_text(app))
        await until(pilot, lambda: "line 980" in screen_text(app))
        desk.total = 2000
        await pilot.press("slash", *"needle", "enter")
        await until(pilot, lambda: "line 400 needle" in screen_text(app))
        await pilot.press("G")
        await until(pilot, lambda: "line 1999" in screen_text(app))
        assert "FOLLOW" in screen_text(app)
        await pilot.press("escape")
        await until(pilot, lambda: any(question == "close log" for question, _ in desk.asked))
        await until(pilot, lambda: "steps/s" in screen_text(app))


async def test_lines_of_some_ranks_only() -> None:
    desk = LogDesk(rows=[OURS], view=HEALTHY)
    async with console(World(report=None, jobs=desk)) as (app, pilot):
        await at_logs(app, pilot)
        await pilot.press("F", *"0-1,7", "enter")
        await until(pilot, lambda: desk.asked[-1][1].get("ranks") == (0, 1, 7))
        await until(pilot, lambda: "ranks 0–1, 7" in screen_text(app))


async def test_logs_that_cannot_be_read_say_why() -> None:
    desk = FakeJobs(rows=[OURS], view=HEALTHY, answers={"log": "!no answer to 'log' in 3 s"})
    async with console(World(report=None, jobs=desk)) as (app, pilot):
        await pilot.press("3")
        await until(pilot, lambda: app.sources.jobs.snapshot().view is not None or app.tick())
        app.tick()
        await pilot.press("l")
        await until(pilot, lambda: "no answer to 'log' in 3 s" in screen_text(app))


def test_a_line_says_when_as_exactly_as_it_is_known_and_whose_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    assert stamp(SECOND + 123_456_789, "printed").endswith(".123")
    assert stamp(SECOND + 123_456_789, "±0.1 s").startswith("~")
    assert not stamp(SECOND, "unknown").strip()
    text = text_of(merged_line((SECOND, 12, 0, "err", f"[rank12]: {HOSTILE}", "printed"), 3))
    assert " 12 evil" in text
    assert "rank12" not in text
    assert text.isprintable()


def test_only_what_was_read_is_there() -> None:
    row = (SECOND, 0, 0, "out", "text", "printed")
    window = _Window(Got(10, 20, (row, row), asked=Wanted(10, 2)))
    assert len(window) == 20
    assert [bool(window[at]) for at in (9, 10, 11, 12)] == [False, True, True, False]


def test_ranks_as_a_person_writes_them() -> None:
    assert [ranks_of(text) for text in ("0-2,7", "3", "", "x", "2–3, 1")] == [(0, 1, 2, 7), (3,), None, None, (1, 2, 3)]
    assert len(ranks_of("0-999999") or ()) <= 10_001
