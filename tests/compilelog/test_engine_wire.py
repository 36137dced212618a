"""What the engine's child says is put together again: rows that changed and no others, whatever they hold."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest

from torchprobes.compilelog.artefacts import CompileNode, ProcessNode
from torchprobes.compilelog.engine import Assembly, LogsView
from torchprobes.compilelog.engine_child import Teller
from torchprobes.compilelog.events import Line, Place
from torchprobes.compilelog.explanation import (
    NOTHING,
    Break,
    Compile,
    Explanation,
    Failure,
    FallbackKernel,
    Piece,
    Process,
    Tuned,
)
from torchprobes.compilelog.kinds import kind_of
from torchprobes.compilelog.marks import Mark
from torchprobes.compilelog.tree import FileView, Tree
from torchprobes.compilelog.wire import PATCH_ROWS, ROW_TYPES, Commit, Frames, Patch


class Source:
    """A gatherer whose findings are given."""

    def __init__(self, explanation: Explanation, tree: Tree, nodes: tuple[ProcessNode, ...] = ()) -> None:
        self._found, self._tree, self._nodes = explanation, tree, nodes

    def explanation(self, now_s: float | None = None, limit: int | None = None) -> Explanation:
        return self._found

    def tree(self) -> Tree:
        return self._tree

    def groups(self, explanation: Explanation) -> tuple[ProcessNode, ...]:
        return self._nodes


class Line_:
    """A teller and the console's side of it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._said = bytearray()
        monkeypatch.setattr("torchprobes.compilelog.engine_child.say", lambda data, _: self._said.extend(data))
        self._teller, self._assembly = Teller(-1), Assembly("/d")
        self.patched: dict[str, list[int]] = {}

    def tell(self, source: Source) -> LogsView:
        self._said.clear()
        self._teller.tell(source)  # type: ignore[arg-type]
        self.patched.clear()
        for frame in Frames(io.BytesIO(bytes(self._said))):
            if isinstance(frame, Patch):
                assert len(frame.at) <= PATCH_ROWS
                self.patched.setdefault(frame.section, []).extend(frame.at)
                self._assembly.take(frame)
            elif isinstance(frame, Commit):
                return self._assembly.view(frame)
        raise AssertionError("no commit was said")


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> Line_:
    return Line_(monkeypatch)


def tree(*names: str, size: int = 3) -> Tree:
    counts = ((Mark.ERROR, 2),)
    files = (FileView(f"/d/{n}", n, kind_of(n), size, 1.5, n == "gone.log", "why", counts) for n in names)
    return Tree("/d", len(names) + size, tuple(files), 7, "a cause")


FULL = Explanation(
    root="/d",
    processes=(Process("r0:42", 42, 0, "2.13.0", True, ("dynamo", "compile_file"), "0/0", Line("/w/a.py", 3)),),
    breaks=(Break("/w/a.py", 3, "Data-dependent branching", "why \udcff", 2, places=(Place("/d/t", 5, 6),)),),
    recompiles=(),
    limits=None,
    fatal=Failure("f", "/w/a.py", 3, "0/0", "Error", "why", Line("/w/a.py", 3, "f", "x = 1")),
    tuned=(Tuned("mm", "4x4", "", float("inf"), (("a", 0.5), ("b", float("inf")))),),
    compiles=(Compile("0/0", "r0:42", phases=(("dynamo", 1.5, None),)),),
    notes=("a note",),
    exit_code=3,
)  # fmt: skip


def test_everything_comes_through_as_it_was(line: Line_) -> None:
    nodes = (
        ProcessNode("r0:42", "rank 0", (CompileNode("0/0", "f", "compiled", (Piece("output_code", "/d/o.py"),)),)),
        ProcessNode("", "files of the run", files=("/d/stderr.log",)),
    )
    clean = replace(FULL, breaks=tuple(replace(one, reason="why") for one in FULL.breaks or ()))
    view = line.tell(Source(clean, tree("stderr.log", "gone.log"), nodes))
    assert view.explanation == clean
    assert view.tree == tree("stderr.log", "gone.log")
    assert view.groups == nodes


def test_a_surrogate_does_not_end_the_child(line: Line_) -> None:
    view = line.tell(Source(FULL, tree("bad\udcff.log")))
    assert view.tree.files[0].path == "/d/bad\udcff.log", "a file's name comes through as it is"
    assert view.explanation.breaks is not None
    assert view.explanation.breaks[0].reason.startswith("why ")


def test_only_rows_that_changed_are_said(line: Line_) -> None:
    rows = tuple(FallbackKernel(f"aten.op{number}.default", "0/0") for number in range(500))
    first = line.tell(Source(replace(NOTHING, fallbacks=rows), tree("a.log")))
    assert line.patched["fallbacks"] == list(range(500))
    changed = (*rows[:7], replace(rows[7], harmless=True), *rows[8:], FallbackKernel("aten.last", "0/1"))
    second = line.tell(Source(replace(NOTHING, fallbacks=changed), tree("a.log")))
    assert line.patched == {"fallbacks": [7, 500]}
    assert second.explanation.fallbacks == changed
    assert first.explanation.fallbacks == rows, "a snapshot that was given out does not change"
    assert second.tree is first.tree
    third = line.tell(Source(replace(NOTHING, fallbacks=rows[:3]), tree("a.log")))
    assert third.explanation.fallbacks == rows[:3]


def test_none_and_none_at_all_are_told_apart(line: Line_) -> None:
    assert line.tell(Source(NOTHING, Tree())).explanation.limits is None
    assert line.tell(Source(replace(NOTHING, limits=()), Tree())).explanation.limits == ()
    assert line.tell(Source(replace(NOTHING, limits=None), Tree())).explanation.limits is None


def test_every_list_of_rows_has_a_section() -> None:
    assert set(ROW_TYPES) == {
        "processes", "breaks", "recompiles", "limits", "suppressed", "fallbacks", "skips", "caches", "tuned",
        "kernels", "compiles", "functions",
    }  # fmt: skip


@pytest.mark.parametrize("data", [b"\x00", b"\x00\x00\x00\x09ab", b"\xff\xff\xff\xffab"])
def test_what_is_no_frame_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="cut off"):
        list(Frames(io.BytesIO(data)))
