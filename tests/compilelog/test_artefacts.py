"""The tree of a run: folders of graphs and payloads of traces by compile; what is missing says something."""

from __future__ import annotations

import itertools

import pytest

from torchprobes.compilelog.artefacts import ProcessNode, groups
from torchprobes.compilelog.events import Artefact, Folder, Place, Source
from torchprobes.compilelog.explanation import NOTHING, Compile, Explanation, Process
from torchprobes.compilelog.kinds import kind_of
from torchprobes.compilelog.tree import FileView, Tree
from torchprobes.compilelog.whose import Pieces

RUN = "run_2026_11_23_06_15_03_373024-pid_42"
ALL = (
    "fx_graph_runnable.py", "fx_graph_readable.py", "fx_graph_transformed.py", "ir_pre_fusion.txt",
    "ir_post_fusion.txt", "output_code.py",
)  # fmt: skip


def tree(*folders: tuple[str, int], run: str = RUN, others: tuple[str, ...] = ()) -> Tree:
    """Folders of graphs, each with so many of its files, and other files."""
    names = [f"{run}/torchinductor/{folder}/{name}" for folder, count in folders for name in ALL[:count]]
    files = [FileView(f"/d/{name}", name, kind_of(name), 10) for name in (*names, *others)]
    return Tree("/d", 1, tuple(files))


def explained(*compiles: Compile, pid: int | None = 42, rank: int | None = None, key: str = "42") -> Explanation:
    return Explanation(processes=(Process(key, pid, rank, "2.13.0"),), compiles=compiles)


def compiled(compile_id: str, state: str = "compiled", ops: int | None = 3) -> Compile:
    return Compile(compile_id, "42", "forward", state=state, ops=ops)


def told(*events: Artefact | Folder) -> Pieces:
    pieces = Pieces()
    for event in events:
        pieces.wrote(event.source)
        pieces.take(event)
    return pieces


def source(compile_id: str, pid: int | None = 42, path: str = "/d/trace.log", offset: int = 0) -> Source:
    return Source(Place(path, offset, 100), pid, compile_id=compile_id, trace=True)


def rows(node: ProcessNode) -> list[tuple[str, str, str]]:
    """(compile id, words, what its pieces are of) of each compile."""
    return [
        (one.compile_id, one.words, ",".join(sorted({piece.graph for piece in one.pieces}))) for one in node.compiles
    ]


def test_the_line_of_the_log_joins_a_folder_and_its_compile_though_the_paths_are_anothers() -> None:
    said = Folder(source("3/1", path="/d/stderr.log"), "/workspace/x/model__6_inference_6.6", "model__6_inference_6")
    (node,) = groups(tree(("model__6_inference_6.6", 6)), explained(compiled("3/1")), told(said))
    assert rows(node) == [("3/1", "compiled", "model__6_inference_6")]
    assert [piece.kind for piece in node.compiles[0].pieces][-1] == "output_code"
    assert node.words == "pid 42, torch 2.13.0"


def test_the_trace_joins_them_by_the_aot_id_forward_and_backward() -> None:
    code = Artefact(source("0/0", offset=7), "inductor_output_code", "model__0_forward")
    folders = tree(("model__0_forward_1.0", 6), ("model__0_backward_3.1", 6))
    (node,) = groups(folders, explained(compiled("0/0"), compiled("1/0", ops=0)), told(code))
    assert rows(node) == [
        ("0/0", "compiled", "model__0_backward_3,model__0_forward,model__0_forward_1"),
        ("1/0", "nothing to compile", ""),
    ]
    payload = node.compiles[0].pieces[-1]
    assert (payload.path, payload.offset, payload.size, payload.kind) == (
        "/d/trace.log",
        7,
        100,
        "inductor_output_code",
    )


def test_without_either_the_order_joins_them_only_where_it_can_mean_one_thing() -> None:
    two = tree(("model__0_inference_0.0", 6), ("model__1_inference_1.1", 6))
    (node,) = groups(two, explained(compiled("0/0"), compiled("1/0")), Pieces())
    assert rows(node) == [("0/0", "compiled", "model__0_inference_0"), ("1/0", "compiled", "model__1_inference_1")]
    (node,) = groups(two, explained(compiled("0/0")), Pieces())
    assert rows(node) == [
        ("0/0", "compiled, no artefacts of Inductor", ""),
        ("", "compiled", "model__0_inference_0"),
        ("", "compiled", "model__1_inference_1"),
    ]


@pytest.mark.parametrize(
    ("state", "files", "words"),
    [
        ("compiled", 6, "compiled"),
        ("failed", 3, "lowering failed"),
        ("failed", 5, "code generation failed"),
        ("failed", 6, "failed"),
        ("killed", 1, "killed before the graph was written"),
        ("killed", 3, "killed while it was lowered"),
        ("killed", 5, "killed before its code was written"),
        ("killed", 6, "killed before its kernels were compiled"),
        ("compiling", 3, "lowering"),
        ("compiling", 6, "compiling its kernels"),
    ],
)
def test_what_is_missing_means_something(state: str, files: int, words: str) -> None:
    code = Artefact(source("0/0"), "dynamo_output_graph", "model__0_inference")
    (node,) = groups(tree(("model__0_inference_0.0", files)), explained(compiled("0/0", state)), told(code))
    assert node.compiles[0].words == words


def test_a_cache_hit_is_said_to_be_one_and_a_failure_before_inductor_too() -> None:
    code = Artefact(source("0/0"), "inductor_output_code", "model__0_inference")
    there = tree(("model__0_inference_0.0", 6))
    made = explained(compiled("0/0"), compiled("0/1", "cached"), compiled("1/0", "failed"), compiled("2/0", "eager"))
    (node,) = groups(there, made, told(code))
    assert [one.words for one in node.compiles] == [
        "compiled", "cache hit: no artefacts", "failed before Inductor", "left to eager",
    ]  # fmt: skip
    (node,) = groups(Tree(), explained(compiled("0/1", "cached")), Pieces())
    assert node.compiles[0].words == "cache hit", "without a debug tree no folder is expected"


def test_what_nothing_explains_is_listed_all_the_same() -> None:
    there = tree(("model___54.0", 6), ("model__1_inference_1.1", 3), others=("x.txt",))
    node, files = groups(there, NOTHING, Pieces())
    assert node.key == RUN
    assert node.words == "pid 42, 2026-11-23 06:15:03, nothing tells of its compiles"
    assert rows(node) == [
        ("", "compiled", "model___54"),
        ("", "no IR: lowering failed or was cut off", "model__1_inference_1"),
    ]
    assert (files.key, files.files) == ("", ("/d/x.txt",))


def test_a_process_without_a_pid_owns_the_only_run_folder_and_no_other() -> None:
    one = Explanation(processes=(Process("stderr.log"),), compiles=(Compile("0/0", "stderr.log", "f", ops=1),))
    said = Folder(source("0/0", None, "/d/stderr.log"), "/cache/ce6b.debug", "model___54")
    (node,) = groups(tree(("model___54.0", 6)), one, told(said))
    assert rows(node) == [("0/0", "being compiled", "model___54")]
    both = tree(("model___54.0", 6)).files + tree(("model___54.0", 6), run=RUN.replace("42", "43")).files
    assert [node.key for node in groups(Tree("/d", 1, both), one, told(said))] == [
        "stderr.log",
        RUN,
        RUN.replace("42", "43"),
    ]


def test_two_ranks_with_one_pid_share_no_folder() -> None:
    ranks = Explanation(processes=(Process("r0:42", 42, 0), Process("r1:42", 42, 1)))
    assert [node.key for node in groups(tree(("model__0_inference_0.0", 6)), ranks, Pieces())] == [
        "r0:42",
        "r1:42",
        RUN,
    ]


def test_compile_ids_that_begin_again_keep_their_pieces_with_the_last() -> None:
    code = Artefact(source("0/0"), "inductor_output_code", "model__0_inference")
    (node,) = groups(Tree(), explained(compiled("0/0"), compiled("0/0")), told(code))
    assert [len(one.pieces) for one in node.compiles] == [0, 1]


def test_pieces_outside_of_any_compile_are_there() -> None:
    (node,) = groups(Tree(), explained(), told(Artefact(source(""), "backward_prologue")))
    assert [(one.words, len(one.pieces)) for one in node.compiles] == [("outside of any compile", 1)]


def test_files_of_one_process_stand_with_it_and_those_of_several_with_none() -> None:
    pieces = Pieces()
    for pid, path in itertools.product((42, 43), ("/d/stderr.log",)):
        pieces.wrote(source("", pid, path))
    pieces.wrote(source("", 43, "/d/own.log"))
    known = Explanation(processes=(Process("42", 42), Process("43", 43)))
    nodes = groups(tree(others=("stderr.log", "own.log", f"{RUN}/torchdynamo/debug.log")), known, pieces)
    assert {node.key: node.files for node in nodes} == {
        "42": (f"/d/{RUN}/torchdynamo/debug.log",), "43": ("/d/own.log",), "": ("/d/stderr.log",),
    }  # fmt: skip


def test_a_backward_that_is_not_finished_is_said() -> None:
    process = Process("42", 42, open_phases=("entire_backward_compile", "compile_file"), open_id="0/0")
    (node,) = groups(Tree(), Explanation(processes=(process,), compiles=(compiled("0/0"), compiled("1/0"))), Pieces())
    assert [one.words for one in node.compiles] == ["forward compiled, backward not finished", "compiled"]
