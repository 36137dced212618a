"""The Logs pane: the tree as it grows on the left, one file of it on the right."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from log_app import OneWidgetApp, screen_text, until
from log_tree import DEBUG_RUN, write_tree
from textual.pilot import Pilot

from torchdoctor.panes.logs import LogsPane
from torchdoctor.widgets.file_list import FileList
from torchprobes.compilelog import follow


@pytest.fixture(autouse=True)
def _walk_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "WALK_S", 0.02)


@asynccontextmanager
async def shown(
    path: Path | None, size: tuple[int, int] = (80, 24), *, ascii_signs: bool = False
) -> AsyncIterator[tuple[Pilot[None], LogsPane, Callable[[Callable[[], object]], Awaitable[None]]]]:
    pane = LogsPane()
    app = OneWidgetApp(pane, ascii_signs=ascii_signs)
    async with app.run_test(size=size) as pilot:
        if path is not None:
            pane.show(str(path))
        pane.files.focus()
        try:
            yield pilot, pane, lambda holds: until(pilot, holds, pane.refresh_data)
        finally:
            pane.stop()


def text(pilot: Pilot[None]) -> str:
    return "\n".join(row.rstrip() for row in screen_text(pilot.app))


async def test_without_a_run_it_says_what_to_do() -> None:
    async with shown(None) as (pilot, _, wait):
        await wait(lambda: "torchdoctor logs DIR|FILE" in text(pilot))


async def test_it_opens_on_what_stderr_says_and_lists_what_each_file_is(tmp_path: Path) -> None:
    async with shown(write_tree(tmp_path), (140, 30)) as (pilot, pane, wait):
        await wait(lambda: "1 error" in text(pilot) and "1 graph break" in text(pilot))
        screen = text(pilot)
        for words in (
            "stderr.log",
            "pid 18663 at 06:15:03",
            "2 empty aot logs",
            "output_code.py",
            "Graph break in user",
        ):
            assert words in screen
        assert pane.log_view.lines.follow
        assert "◆1" in screen, "marks stand beside the file in the list"


async def test_moving_in_the_list_shows_the_file_and_enter_goes_to_its_lines(tmp_path: Path) -> None:
    async with shown(write_tree(tmp_path)) as (pilot, pane, wait):
        await wait(lambda: "stderr.log" in text(pilot))
        await pilot.press("G", "k", "k")
        await wait(lambda: "import torch" in text(pilot))
        assert "325 B  kernels and wrapper" in text(pilot)
        assert not pane.log_view.lines.follow
        await pilot.press("enter")
        assert pane.log_view.lines.has_focus
        await pilot.press("right_square_bracket")
        await wait(lambda: "class GraphModule" in text(pilot))


async def test_new_files_appear_and_the_cursor_stays_on_its_file(tmp_path: Path) -> None:
    async with shown(tmp_path / "run") as (pilot, pane, wait):
        await wait(lambda: "not there yet" in text(pilot))
        write_tree(tmp_path / "run")
        await wait(lambda: "output_code.py" in text(pilot))
        await pilot.press("G")
        standing = pane.files.file
        assert standing is not None
        assert standing.name.endswith("ir_post_fusion.txt")
        early = tmp_path / "run" / DEBUG_RUN / "torchinductor" / "a_first.0"
        early.mkdir()
        (early / "output_code.py").write_text("x = 1\n")
        await wait(lambda: "a_first.0" in text(pilot))
        assert pane.files.file is not None
        assert pane.files.file.path == standing.path


async def test_z_gives_the_lines_the_whole_width_and_back(tmp_path: Path) -> None:
    async with shown(write_tree(tmp_path)) as (pilot, pane, wait):
        await wait(lambda: "RuntimeError" in text(pilot))
        await pilot.press("z")
        await wait(lambda: "an illegal memory access was encountered" in text(pilot))
        assert pane.log_view.lines.has_focus
        await pilot.press("z")
        await wait(lambda: "stdout.log" in text(pilot))


async def test_a_single_file_needs_no_list(tmp_path: Path) -> None:
    path = tmp_path / "slurm-1.out"
    path.write_text("epoch 1\n")
    async with shown(path) as (pilot, pane, wait):
        await wait(lambda: "epoch 1" in text(pilot))
        assert not pane.files.display


async def test_another_run_replaces_the_one_that_is_shown(tmp_path: Path) -> None:
    write_tree(tmp_path / "a")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "stdout.log").write_text("the other run\n")
    async with shown(tmp_path / "a") as (pilot, pane, wait):
        await wait(lambda: "RuntimeError" in text(pilot))
        pane.follow_run(str(tmp_path / "b"))
        await wait(lambda: "the other run" in text(pilot))
        assert "output_code.py" not in text(pilot)


async def test_names_from_outside_are_shown_as_text(tmp_path: Path) -> None:
    folder = tmp_path / "\x1b]52;c;eA==\x07"
    folder.mkdir()
    (folder / "[red]\x1b[2J.log").write_text("x\n")
    async with shown(tmp_path, (120, 20)) as (pilot, _, wait):
        await wait(lambda: r"[red]\x1b[2J.log" in text(pilot))
        assert text(pilot).replace("\n", "").isprintable()


async def test_sixty_by_sixteen_shows_the_list_above_the_lines(tmp_path: Path) -> None:
    async with shown(write_tree(tmp_path), (60, 16)) as (pilot, pane, wait):
        await wait(lambda: "RuntimeError" in text(pilot))
        assert pane.files.region.width == pane.size.width == 60
        assert pane.files.region.bottom == pane.log_view.region.y - 1
        assert pane.log_view.lines.size.height >= 6


async def test_ascii_is_ascii(tmp_path: Path) -> None:
    (tmp_path / "näme.log").write_text("naïve\n")
    async with shown(write_tree(tmp_path), (80, 12), ascii_signs=True) as (pilot, _, wait):
        await wait(lambda: "*1" in text(pilot) and "1 error" in text(pilot))
        assert text(pilot).isascii()


async def test_stop_lets_every_thread_end_and_waits_for_none(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    async with shown(write_tree(tmp_path)) as (pilot, pane, wait):
        await wait(lambda: "RuntimeError" in text(pilot))
        ours = {
            thread for thread in set(threading.enumerate()) - before if thread.name.startswith(("follower", "log "))
        }
        assert len(ours) >= 2
        pane.stop()
        await wait(lambda: not any(thread.is_alive() for thread in ours))


def test_every_binding_has_an_id_and_says_what_it_does() -> None:
    bindings = [b for cls in (LogsPane, FileList) for b in cls.BINDINGS if not isinstance(b, tuple)]
    assert len({binding.id for binding in bindings}) == len(bindings)
    assert all(binding.id and binding.tooltip for binding in bindings)
    assert LogsPane.HELP


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
@pytest.mark.parametrize("signs", ["unicode", "ascii"])
@pytest.mark.parametrize("file", ["stderr", "output_code"])
def test_pane_snapshot(snap_compare, tmp_path: Path, size: tuple[int, int], signs: str, file: str) -> None:
    write_tree(tmp_path)
    pane = LogsPane()
    app = OneWidgetApp(pane, ascii_signs=signs == "ascii")

    async def settle(pilot: Pilot[None]) -> None:
        pane.show(str(tmp_path))
        pane.files.focus()
        await until(pilot, lambda: "1 error" in text(pilot), pane.refresh_data)
        if file == "output_code":
            await pilot.press("G", "k", "k")
            await until(pilot, lambda: "triton_poi" in text(pilot), pane.refresh_data)
        else:
            await pilot.press("enter", "g", "e")
        pane.stop()

    assert snap_compare(app, terminal_size=size, run_before=settle)
