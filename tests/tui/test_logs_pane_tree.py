"""The rows of the tree: compiles with their pieces, files, folds; thousands of them at the cost of what is open."""

from __future__ import annotations

from dataclasses import replace

from fake_logs import ALL_WRONG, COMPILES, HOSTILE, TRACE, node, tree

from torchdoctor.paint import text_of
from torchdoctor.signs import drawn
from torchdoctor.widgets.tree_rows import MANY_COMPILES, MANY_FILES, tree_line, tree_page, tree_rows
from torchprobes.compilelog.artefacts import CompileNode, ProcessNode
from torchprobes.compilelog.engine import LogsView
from torchprobes.compilelog.explanation import Piece
from torchprobes.compilelog.marks import Mark

NODES = tuple(CompileNode(one.compile_id, "step", "12 ops", one.pieces) for one in COMPILES)


def view(*nodes: ProcessNode, files: tuple[str, ...] = ("stderr.log", "a/output_code.py")) -> LogsView:
    return LogsView(1, tree(*files), replace(ALL_WRONG, compiles=COMPILES), nodes)


def words(view: LogsView, *flipped: str, **more: object) -> list[str]:
    return [row.words for row in tree_rows(view, frozenset(flipped), **more)]  # type: ignore[arg-type]


def test_compiles_stand_below_their_process_and_open_to_what_can_be_read() -> None:
    of = view(
        node(*NODES, files=("/runs/7/stderr.log",)), ProcessNode("", "files", files=("/runs/7/a/output_code.py",))
    )
    assert words(of) == ["Overview", "pid 4242", "stderr.log", "[0/0] step", "[0/1] step", "[0/2] step",
                         "files of the run", "a", "output_code.py"]  # fmt: skip
    opened = words(of, "compile:4242:0/1:step")
    assert opened[4:7] == ["[0/1] step", "inductor_output_code", "dynamo_output_graph"]
    assert words(of, "process:4242")[:3] == ["Overview", "pid 4242", "files of the run"]
    row = next(row for row in tree_rows(of, frozenset()) if row.words == "[0/1] step")
    assert row.sign == ("✔", "ok")
    assert row.compile == ("4242", "0/1")


def test_without_processes_all_files_are_listed_as_they_lie() -> None:
    assert words(view()) == ["Overview", "stderr.log", "a", "output_code.py"]


def test_of_many_processes_the_first_stands_open() -> None:
    many = [ProcessNode(f"r{n}:{n}", f"rank {n}", NODES) for n in range(8)]
    shown = words(view(*many))
    assert shown.count("[0/0] step") == 1
    assert shown[:3] == ["Overview", "rank 0", "[0/0] step"]


def test_many_compiles_of_a_function_are_one_row_that_opens() -> None:
    pieces = (Piece("dynamo_output_graph", TRACE, 1, 2),)
    many = tuple(CompileNode(f"{n % 2}/{n // 2}", "fg"[n % 2], "compiled", pieces) for n in range(MANY_COMPILES + 2))
    count = (MANY_COMPILES + 2) // 2
    of = view(node(*many))
    assert words(of)[2:4] == [f"[0] f  {count} compiles", f"[1] g  {count} compiles"]
    assert sum(word.startswith("[0/") for word in words(of, "frame:4242:0:f")) == count


def test_folders_of_many_files_stand_closed_and_a_search_shows_those_with_hits() -> None:
    names = tuple(f"f{n // 10}/x{n}.txt" for n in range(MANY_FILES + 10))
    of = view(files=names)
    closed = words(of)
    assert len(closed) == 1 + (MANY_FILES + 10) // 10
    assert words(of, "folder:f3")[4:7] == ["f3", "x30.txt", "x31.txt"]
    found = tree_rows(of, frozenset(), {"/runs/7/f3/x31.txt": 4})
    assert [(row.words, row.hits) for row in found] == [("Overview", 0), ("f3", 0), ("x31.txt", 4)]


def test_hits_of_a_folded_row_are_those_of_everything_below_it() -> None:
    file = Piece("output_code", "/runs/7/a/output_code.py")
    of = view(node(CompileNode("0/0", "step", "", (file,)), files=("/runs/7/stderr.log",)))
    hits = {"/runs/7/a/output_code.py": 3, "/runs/7/stderr.log": 2}
    rows = {row.key: row.hits for row in tree_rows(of, frozenset(), hits)}
    assert rows["compile:4242:0/0:step"] == 3
    folded = {row.key: row.hits for row in tree_rows(of, frozenset({"process:4242"}), hits)}
    assert folded["process:4242"] == 5


def test_rows_have_their_name_marks_and_size_on_any_width_and_never_act() -> None:
    of = view(files=("stderr.log", f"{HOSTILE}.log"))
    marked = replace(of.tree.files[0], counts=((Mark.ERROR, 3), (Mark.BREAK, 12), (Mark.WARNING, 9)))
    of = replace(of, tree=replace(of.tree, files=(marked, *of.tree.files[1:])))
    for width in (24, 40, 72):
        for row in tree_rows(of, frozenset(), None, frozenset({marked.path})):
            text = text_of(tree_line(row, width))
            assert len(text) <= width
            assert drawn(text, False) == text
        line = text_of(tree_line(tree_rows(of, frozenset())[1], width))
        assert "stderr.log" in line
        assert line.rstrip().endswith("1.0 kB")
        assert ("✘3 ◆12" in line) == (width >= 40)
    page = tree_page(tree_rows(of, frozenset()), 40)
    assert page.marks == {1}, "e goes to the log with an error"
