"""The Logs pane: the overview, the tree as it grows, and one of its files, artefacts or comparisons to read."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from fake_logs import ALL_WRONG, KILLED, FakeEngine, node
from log_app import OneWidgetApp, screen_text, until
from log_tree import write_tree
from textual.pilot import Pilot

from torchdoctor.log_source import tlparse, write_explanation
from torchdoctor.panes.logs import LogsPane
from torchdoctor.panes.logs_whole import WholeRun
from torchdoctor.widgets.artefact_tree import ArtefactTree
from torchdoctor.widgets.code_scroll import CodeScroll
from torchdoctor.widgets.explain_view import ExplainLines
from torchdoctor.widgets.side_by_side import SideBySide
from torchprobes.compilelog.artefacts import CompileNode
from torchprobes.compilelog.engine import Engine, LogsView
from torchprobes.compilelog.events import Line, Place
from torchprobes.compilelog.explanation import Break, Compile, Explanation, Piece
from torchprobes.compilelog.gather import Gatherer
from torchprobes.compilelog.search import Query


class TreeEngine:
    """The files that the engine's child sees, in this process and a step a look."""

    def __init__(self, root: str) -> None:
        self._gatherer = Gatherer(root)

    def view(self) -> LogsView:
        self._gatherer.step(0.05)
        return LogsView(self._gatherer.revision, self._gatherer.tree())

    def stop(self) -> None:
        """There is nothing to let go of."""


Wait = Callable[[Callable[[], object]], Awaitable[None]]


@asynccontextmanager
async def shown(
    path: Path | None, size: tuple[int, int] = (120, 30), *, ascii_signs: bool = False,
    engine: Callable[[str], object] = TreeEngine,
) -> AsyncIterator[tuple[Pilot[None], LogsPane, Wait]]:  # fmt: skip
    pane = LogsPane(engine)  # type: ignore[arg-type]
    app = OneWidgetApp(pane, ascii_signs=ascii_signs)
    async with app.run_test(size=size) as pilot:
        if path is not None:
            pane.show(str(path))
        pane.reader.widget.focus()
        try:
            yield pilot, pane, lambda holds: until(pilot, holds, pane.refresh_data)
        finally:
            pane.stop()


def text(pilot: Pilot[None]) -> str:
    return "\n".join(row.rstrip() for row in screen_text(pilot.app))


NO_TREE = LogsView().tree


def explained(explanation: Explanation, *nodes: CompileNode) -> Callable[[str], FakeEngine]:
    view = LogsView(1, replace(NO_TREE, root="/runs/7"), explanation, (node(*nodes),) if nodes else ())
    return lambda root: FakeEngine(view)


# --- the overview -------------------------------------------------------------------------------------------------


async def test_without_a_run_it_says_what_to_do() -> None:
    async with shown(None) as (pilot, _, wait):
        await wait(lambda: "torchdoctor logs DIR|FILE" in text(pilot))


async def test_it_opens_on_the_overview_worst_first_with_the_selected_line_in_full() -> None:
    async with shown(Path("/runs/7"), (120, 46), engine=explained(ALL_WRONG)) as (pilot, pane, wait):
        await wait(lambda: "suppressed errors" in text(pilot))
        words = ["exit 1", "suppressed errors", "recompile limits", "graph breaks", "recompiles  7", "compile time"]
        places = [text(pilot).index(word) for word in words]
        assert places == sorted(places)
        assert pane.reader.explain.lines.has_focus
        await pilot.press("e", "e", "e")
        await wait(lambda: "Use torch.cond. Move it out." in text(pilot))


async def test_what_compiles_is_shown_as_it_goes_on() -> None:
    engine = FakeEngine(LogsView(1, NO_TREE, replace(KILLED, killed_by="")))
    async with shown(Path("/runs/7"), engine=lambda root: engine) as (pilot, _, wait):
        await wait(lambda: "compile_file" in text(pilot))
        engine.shown = LogsView(2, NO_TREE, KILLED)
        await wait(lambda: "killed by SIGKILL" in text(pilot))
        assert "when it ended, this was compiling" in text(pilot)
        assert "epoch 1 step 20 loss 0.31" in text(pilot)


def traced(root: Path) -> Explanation:
    """An explanation whose break lies in a trace at `root`, of a program that is there too."""
    trace = root / "dedicated_log_torch_trace_abcdefgh.log"
    first = b'V1123 06:12:11.791000 1 torch/x.py:1] {"artifact": {"name": "other"}}\n'
    record = (
        b'V1123 06:12:12.791000 1 torch/x.py:1] {"has_payload": "0"}\n\tGraph break in user code\n\tReason: a print\n'
    )
    trace.write_bytes(first + record + first)
    (root / "train.py").write_text("import torch\n\n\ndef step(x):\n    print(x)  # here\n    return x\n")
    place = Place(str(trace), len(first), len(record))
    broke = Break(str(root / "train.py"), 5, "a print", "a print", 1, code="print(x)", places=(place,))
    return Explanation(1, str(root), first_source="trace", breaks=(broke,))


async def test_enter_leads_to_the_record_of_the_trace_o_to_the_line_of_the_program_and_q_back(tmp_path: Path) -> None:
    async with shown(tmp_path, engine=explained(traced(tmp_path))) as (pilot, pane, wait):
        await wait(lambda: "a print" in text(pilot))
        await pilot.press("enter")
        await wait(lambda: "Reason: a print" in text(pilot))
        assert '"name": "other"' not in text(pilot), "the record alone"
        assert pane.go_back()
        await wait(lambda: "graph breaks" in text(pilot))
        await pilot.press("o")
        await wait(lambda: "print(x)  # here" in text(pilot))
        assert pane.reader.code.cursor == 4
        assert pane.reader.code.lit == {4}
        assert pane.go_back()
        assert not pane.go_back(), "the overview is the end"


async def test_the_real_engine_explains_on_the_screen_what_is_written(tmp_path: Path) -> None:
    traced(tmp_path)
    stderr = tmp_path / "stderr.log"
    stderr.write_text("")
    async with shown(tmp_path, engine=lambda root: Engine(root).start()) as (pilot, _, wait):
        await wait(lambda: "stderr.log" in text(pilot))
        prefix = "V1126 06:15:03.456000 18663 torch/_dynamo/symbolic_convert.py:5124] [0/0] [__graph_breaks] "
        with stderr.open("a") as log:
            log.write(f"{prefix}Graph break in user code at {tmp_path}/train.py:5\n{prefix}Graph Break Reason: odd\n")
        await wait(lambda: "1 distinct" in text(pilot))
        assert "train.py:5" in text(pilot)


async def test_a_break_told_by_a_log_leads_to_its_line_there(tmp_path: Path) -> None:
    log = tmp_path / "stderr.log"
    log.write_bytes(b"".join(b"line %d\n" % n for n in range(5000)))
    place = Place(str(log), log.read_bytes().index(b"line 4321\n"), 0)
    broke = Break("/elsewhere/train.py", 5, "a print", "a print", 1, places=(place,))
    found = Explanation(1, str(tmp_path), first_source="text", breaks=(broke,))
    async with shown(tmp_path, engine=explained(found)) as (pilot, pane, wait):
        await wait(lambda: "a print" in text(pilot))
        await pilot.press("enter")
        await wait(lambda: "line 4321" in text(pilot))
        await wait(lambda: pane.reader.log_view.lines.cursor == 4321)
        await pilot.press("escape", "o")
        await wait(lambda: "it is not on this machine: /elsewhere/train.py" in text(pilot))


async def test_a_program_that_was_moved_is_found_by_its_name_and_its_line(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("a = 1\nprint(x)\n")
    broke = Break("/elsewhere/train.py", 2, "a print", "a print", 1, code="  print(x)")
    other = replace(broke, code="print(y)", line=1)
    found = Explanation(1, str(tmp_path), first_source="text", breaks=(broke, other))
    async with shown(tmp_path, engine=explained(found)) as (pilot, _, wait):
        await wait(lambda: "a print" in text(pilot))
        await pilot.press("o")
        await wait(lambda: "another file of that name with the same line" in text(pilot))
        await pilot.press("escape", "down", "o")
        await wait(lambda: "it is not on this machine" in text(pilot))


# --- compiles, and side by side ------------------------------------------------------------------------------------


GRAPH = 'class GraphModule(torch.nn.Module):\n    def forward(self, x: "f32[{0}, 16]"):\n        return x.sin()\n'


def two_compiles(root: Path) -> tuple[Explanation, tuple[CompileNode, ...]]:
    compiles, nodes = [], []
    for n in range(3):
        path = root / f"graph{n}" / "fx_graph_readable.py"
        path.parent.mkdir()
        path.write_text(GRAPH.format(n + 2))
        (path.parent / "output_code.py").write_text("# AOT ID: ['0_inference']\ncpp_fused_sin_0 = None\n")
        pieces = (Piece("fx readable", str(path)), Piece("output_code", str(path.parent / "output_code.py")))
        compiles.append(Compile(f"0/{n}", "4242", "step", str(root / "train.py"), 14, ops=2, graphs=1, state="compiled",
                                forward_s=1.0, phases=(("inductor_compile", 0.5, 0.4),), pieces=pieces))  # fmt: skip
        nodes.append(CompileNode(f"0/{n}", "step", "2 ops", pieces))
    found = Explanation(1, str(root), first_source="trace", processes=(), compiles=tuple(compiles))
    return found, tuple(nodes)


async def test_a_compile_has_a_page_and_d_sets_its_graph_beside_the_one_before(tmp_path: Path) -> None:
    found, nodes = two_compiles(tmp_path)
    async with shown(tmp_path, (200, 30), engine=explained(found, *nodes)) as (pilot, pane, wait):
        await wait(lambda: "[0/1] step" in text(pilot))
        pane.artefacts.focus()
        pane.artefacts.select("compile:4242:0/1:step")
        await wait(lambda: "seconds by phase" in text(pilot))
        assert "output_code" in text(pilot)
        await pilot.press("d")
        await wait(lambda: "1 rows differ" in text(pilot))
        assert "[0/0] › [0/1]" in text(pilot)
        row = next(row for row in text(pilot).splitlines() if "f32[3, 16]" in row)
        assert "f32[2, 16]" in row, "both sides stand in one row"
        await pilot.press("right_square_bracket")
        await wait(lambda: "[0/1] › [0/2]" in text(pilot))
        assert pane.go_back()
        assert pane.where.view == "compile"


async def test_a_graph_stands_beside_the_code_that_was_made_of_it(tmp_path: Path) -> None:
    found, nodes = two_compiles(tmp_path)
    async with shown(tmp_path, (200, 30), engine=explained(found, *nodes)) as (pilot, pane, wait):
        await wait(lambda: "[0/1] step" in text(pilot))
        pane.artefacts.focus()
        pane.artefacts.select("compile:4242:0/1:step")
        await pilot.press("enter", "down")
        await wait(lambda: "cpp_fused_sin_0 = None" in text(pilot))
        await pilot.press("d")
        await wait(lambda: "fx_graph_readable.py and output_code.py" in text(pilot))
        assert "nothing tells which lines belong together" in text(pilot)
        await pilot.press("d")
        await wait(lambda: "[0/0] › [0/1]" in text(pilot))


async def test_keys_that_would_do_nothing_are_not_offered(tmp_path: Path) -> None:
    async with shown(tmp_path, engine=explained(replace(ALL_WRONG, compiles=()))) as (pilot, _, wait):
        await wait(lambda: "suppressed errors" in text(pilot))
        offered = {b.binding.id for b in pilot.app.screen.active_bindings.values() if b.enabled}
        assert "logs.source" in offered
        assert not {"logs.side", "logs.overview", "logs.back"} & offered


# --- the tree ------------------------------------------------------------------------------------------------------


async def test_the_tree_lists_what_each_file_is_and_tab_goes_there_and_back(tmp_path: Path) -> None:
    async with shown(write_tree(tmp_path), (140, 30)) as (pilot, pane, wait):
        await wait(lambda: "stderr.log" in text(pilot))
        for words in ("pid 18663 at 06:15:03", "2 empty aot logs", "output_code.py"):
            assert words in text(pilot)
        await wait(lambda: "◆1" in text(pilot))
        await pilot.press("tab")
        assert pane.artefacts.has_focus
        await pilot.press("tab")
        assert pane.reader.explain.lines.has_focus


async def test_moving_in_the_tree_shows_the_file_and_enter_goes_to_its_lines(tmp_path: Path) -> None:
    async with shown(write_tree(tmp_path), (80, 24)) as (pilot, pane, wait):
        await pilot.press("tab")
        await wait(lambda: "stderr.log" in text(pilot))
        await pilot.press("G", "k", "k")
        await wait(lambda: "import torch" in text(pilot))
        assert "325 B  kernels and wrapper" in text(pilot)
        await pilot.press("enter")
        assert pane.reader.code.has_focus
        assert not pane.artefacts.display, "at 80 cells what has the keys has the room"
        await pilot.press("right_square_bracket")
        await wait(lambda: "class GraphModule" in text(pilot))


async def test_a_log_is_followed_and_a_line_of_it_leads_to_the_program(tmp_path: Path) -> None:
    async with shown(write_tree(tmp_path)) as (pilot, pane, wait):
        await pilot.press("tab")
        await wait(lambda: "stderr.log" in text(pilot))
        pane.artefacts.select(f"file:{tmp_path}/stderr.log")
        await wait(lambda: "1 graph break" in text(pilot))
        assert pane.reader.log_view.lines.follow
        await pilot.press("enter", "g", "enter")
        await wait(lambda: "it is not on this machine" in text(pilot))
        assert pane.where.source == Line("train.py", 9)
        assert pane.go_back()
        assert pane.where.view == "log"
        assert pane.reader.log_view.lines.cursor == 0, "the log stands as it was left"


async def test_new_files_appear_and_the_cursor_stays_on_its_file(tmp_path: Path) -> None:
    async with shown(tmp_path / "run") as (pilot, pane, wait):
        await wait(lambda: "not there yet" in text(pilot))
        write_tree(tmp_path / "run")
        await wait(lambda: "output_code.py" in text(pilot))
        await pilot.press("tab", "G")
        standing = pane.artefacts.row
        assert standing is not None
        assert standing.words == "ir_post_fusion.txt"
        (tmp_path / "run" / "a_first.log").write_text("x\n")
        await wait(lambda: "a_first.log" in text(pilot))
        assert pane.artefacts.cursor == standing.key


async def test_z_hides_the_tree_and_shows_it_again(tmp_path: Path) -> None:
    async with shown(write_tree(tmp_path)) as (pilot, _, wait):
        await wait(lambda: "stdout.log" in text(pilot))
        await pilot.press("z")
        await wait(lambda: "stdout.log" not in text(pilot))
        await pilot.press("z")
        await wait(lambda: "stdout.log" in text(pilot))


async def test_a_single_file_needs_no_tree_and_opens_as_itself(tmp_path: Path) -> None:
    path = tmp_path / "slurm-1.out"
    path.write_text("epoch 1\n")
    async with shown(path) as (pilot, pane, wait):
        await wait(lambda: "epoch 1" in text(pilot))
        assert not pane.artefacts.display
        await pilot.press("v")
        await wait(lambda: "the files do not tell" in text(pilot) or "no output of torch.compile yet" in text(pilot))


async def test_another_run_replaces_the_one_that_is_shown(tmp_path: Path) -> None:
    write_tree(tmp_path / "a")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "the_other.log").write_text("the other run\n")
    async with shown(tmp_path / "a") as (pilot, pane, wait):
        await wait(lambda: "output_code.py" in text(pilot))
        pane.follow_run(str(tmp_path / "b"))
        await wait(lambda: "the_other.log" in text(pilot))
        assert "output_code.py" not in text(pilot)


async def test_an_engine_that_cannot_start_is_a_line_on_the_screen(tmp_path: Path) -> None:
    def fails(root: str) -> FakeEngine:
        raise OSError("no more processes")

    async with shown(tmp_path, engine=fails) as (pilot, _, wait):
        await wait(lambda: "no more processes" in text(pilot))


async def test_names_from_outside_are_shown_as_text(tmp_path: Path) -> None:
    folder = tmp_path / "\x1b]52;c;eA==\x07"
    folder.mkdir()
    (folder / "[red]\x1b[2J.log").write_text("x\n")
    async with shown(tmp_path, (120, 20)) as (pilot, _, wait):
        await wait(lambda: r"[red]\x1b[2J.log" in text(pilot))
        assert text(pilot).replace("\n", "").isprintable()


async def test_sixty_by_sixteen_shows_the_tree_above_what_is_read(tmp_path: Path) -> None:
    async with shown(write_tree(tmp_path), (60, 16)) as (pilot, pane, wait):
        await pilot.press("tab")
        await wait(lambda: "stderr.log" in text(pilot))
        assert pane.artefacts.region.width == pane.size.width == 60
        assert pane.artefacts.region.bottom == pane.reader.region.y
        await pilot.press("tab")
        await wait(lambda: "stderr.log" not in text(pilot))
        assert pane.reader.explain.lines.size.height >= 12


async def test_ascii_is_ascii(tmp_path: Path) -> None:
    (tmp_path / "näme.log").write_text("naïve\n")
    async with shown(write_tree(tmp_path), (120, 12), ascii_signs=True) as (pilot, _, wait):
        await wait(lambda: "*1" in text(pilot))
        assert text(pilot).isascii()


async def test_stop_lets_every_thread_end_and_waits_for_none(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    async with shown(write_tree(tmp_path)) as (pilot, pane, wait):
        await wait(lambda: "stderr.log" in text(pilot))
        pane.artefacts.select(f"file:{tmp_path}/stderr.log")
        await wait(lambda: "RuntimeError" in text(pilot))
        ours = {one for one in set(threading.enumerate()) - before if one.name.startswith("log ")}
        assert ours
        pane.stop()
        await wait(lambda: not any(thread.is_alive() for thread in ours))


# --- the run as a whole -----------------------------------------------------------------------------------------------


async def test_a_search_of_all_files_counts_in_the_tree_and_lights_what_is_opened(tmp_path: Path) -> None:
    async with shown(write_tree(tmp_path), (140, 30)) as (pilot, pane, wait):
        await wait(lambda: "stdout.log" in text(pilot))
        pane.search_all(Query("relu"))
        await wait(lambda: "2 lines in 1 of" in " ".join(note.message for note in pilot.app._notifications))
        row = next(row for row in text(pilot).splitlines() if "output_code.py" in row)
        assert " 2 " in row
        await pilot.press("A", *"loss", "enter")
        await wait(lambda: any(row.hits and row.words == "stdout.log" for row in pane.artefacts.rows))
        pane.artefacts.select(f"file:{tmp_path}/stdout.log")
        await wait(lambda: "text /loss" in text(pilot))
        pane.search_all(None)
        await wait(lambda: not any(row.hits for row in pane.artefacts.rows))


async def test_marked_logs_are_shown_as_one_by_their_time(tmp_path: Path) -> None:
    for rank, second in ((0, 3), (1, 2)):
        words = f"[rank{rank}]:I1123 06:12:0{second}.000000 1{rank} torch/x.py:1] said by {rank}\n"
        (tmp_path / f"rank{rank}.log").write_text(words)
    (tmp_path / "other.log").write_text("not marked\n")
    async with shown(tmp_path) as (pilot, pane, wait):
        await wait(lambda: "rank1.log" in text(pilot))
        await pilot.press("tab")
        for rank in (0, 1):
            pane.artefacts.select(f"file:{tmp_path}/rank{rank}.log")
            await pilot.press("m")
        pane.artefacts.select("overview")
        await pilot.press("M")
        await wait(lambda: "said by 0" in text(pilot) and "said by 1" in text(pilot))
        assert text(pilot).index("said by 1") < text(pilot).index("said by 0")
        assert "not marked" not in text(pilot)
        assert "2 logs by time" in text(pilot)


def test_an_explanation_is_exported_as_json_and_text_and_never_over_another(tmp_path: Path) -> None:
    said = write_explanation(str(tmp_path), ALL_WRONG, "the page\n")
    assert said.startswith("exported ")
    found = sorted(path.suffix for path in tmp_path.iterdir())
    assert found == [".json", ".txt"]
    told = json.loads(next(tmp_path.glob("*.json")).read_text())
    assert told["graphs"] == 2
    assert told["recompile_limit_hits"][0]["limit"] == 8
    assert write_explanation(str(tmp_path / "nowhere"), ALL_WRONG, "").startswith("not exported: ")


def test_tlparse_says_what_is_missing_and_where_its_html_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "pip install tlparse" in tlparse("/t.log", str(tmp_path))
    program, text_file = tmp_path / "tlparse", tmp_path / "text"
    text_file.write_text(
        '#!/bin/sh\n[ -f "$1" ] || { echo no such trace >&2; exit 3; }\n/bin/mkdir "$3" && : > "$3/index.html"\n'
    )
    subprocess.run(["/bin/cp", text_file, program], check=True)  # a fork may still hold what we have written ourselves
    program.chmod(0o755)
    assert tlparse("/t.log", str(tmp_path)) == "tlparse ended with 3: no such trace"
    assert tlparse(str(program), str(tmp_path)).endswith("/index.html in a browser")


def test_every_binding_has_an_id_and_says_what_it_does() -> None:
    kinds = (LogsPane, WholeRun, ArtefactTree, ExplainLines, CodeScroll, SideBySide)
    bindings = [b for cls in kinds for b in cls.__dict__["BINDINGS"] if not isinstance(b, tuple)]
    assert len({binding.id for binding in bindings}) == len(bindings)
    assert all(binding.id and binding.tooltip for binding in bindings)
    assert LogsPane.HELP


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
@pytest.mark.parametrize("signs", ["unicode", "ascii"])
def test_pane_snapshot(snap_compare, tmp_path: Path, size: tuple[int, int], signs: str) -> None:
    pane = LogsPane(explained(ALL_WRONG))  # type: ignore[arg-type]
    app = OneWidgetApp(pane, ascii_signs=signs == "ascii")

    async def settle(pilot: Pilot[None]) -> None:
        pane.show("/runs/7")
        await until(pilot, lambda: "suppressed errors" in text(pilot), pane.refresh_data)
        pane.reader.widget.focus()
        await pilot.press("e", "e", "e")
        pane.stop()

    assert snap_compare(app, terminal_size=size, run_before=settle)
