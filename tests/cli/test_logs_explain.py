"""`logs DIR --explain`: one page, worst first; and the document."""

from __future__ import annotations

import json
import tarfile
from dataclasses import replace
from pathlib import Path

import click
import pytest
from cli_process import torchdoctor

from torchdoctor.commands._explain_text import MOST_LINES, explanation_text
from torchdoctor.commands.logs import logs_
from torchprobes.compilelog.events import Line
from torchprobes.compilelog.explanation import (
    NOTHING,
    Break,
    CacheUse,
    Explanation,
    Failure,
    FallbackKernel,
    Function,
    Limit,
    Process,
    Recompile,
    Skip,
)

CORPUS = Path(__file__).parents[1] / "compilelog" / "corpus"
KEYS = {
    "schema", "graphs", "frames_compiled", "graph_breaks", "recompiles", "recompile_limit_hits", "suppressed_errors",
    "fatal_error", "fallback_kernels", "cudagraph_skips", "cache_hits", "compile_seconds", "processes", "ranks",
    "exit_code", "killed_by",
}  # fmt: skip

WELL = Explanation(
    torch="2.13.0",
    first_source="trace",
    processes=(Process("7", 7, traced=True),),
    graphs=1,
    frames_compiled=1,
    breaks=(),
    recompiles=(),
    limits=(),
    suppressed=(),
    fatal_known=True,
    fallbacks=(),
    skips=(),
    caches=(),
    forward_s=1.25,
)


def run(tmp_path: Path, name: str) -> str:
    root = tmp_path / name
    with tarfile.open(CORPUS / f"{name}.tar.xz") as archive:
        archive.extractall(root, filter="data")
    return str(root)


def page(explanation: Explanation, width: int = 100, ascii_only: bool = False) -> list[str]:
    return explanation_text(explanation, ascii_only=ascii_only, width=width, cwd="/job").splitlines()


def test_four_breaks_and_a_recompile_each_with_its_line_and_its_cure(tmp_path: Path) -> None:
    said = torchdoctor(tmp_path, "logs", "--explain", run(tmp_path, "03_graph_breaks.debug_only"))
    assert said.code == 0
    lines = said.out.splitlines()
    assert lines[1].startswith("7 graphs in 7 compiled frames; compiling took 29.7 s forward")
    for line in (9, 11, 15, 17):
        assert sum(f"graph_breaks.py:{line} in forward: " in row for row in lines) == 1
    assert sum("recompiled: " in row for row in lines) == 1
    assert sum(row.startswith("    do: ") for row in lines) == 5
    assert len(lines) <= MOST_LINES
    assert max(map(len, lines)) <= 100


def test_the_document_has_all_keys(tmp_path: Path) -> None:
    said = torchdoctor(tmp_path, "logs", run(tmp_path, "10_fullgraph_error.debug_only"), "--explain", "--json")
    found = json.loads(said.out)
    assert (said.code, said.err) == (0, "")
    assert found.keys() >= KEYS
    assert (found["fatal_error"]["line"], found["fatal_error"]["function"]) == (5, "f")
    assert (found["processes"], found["ranks"], found["exit_code"], found["killed_by"]) == (1, None, None, None)
    assert found["compile_seconds"]["backward"] is None


def test_an_empty_folder_says_so(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    said = torchdoctor(tmp_path, "logs", "--explain", str(empty))
    assert said.code == 0
    assert "nothing of torch.compile's is told in" in said.out
    assert "torchdoctor capture" in said.out


@pytest.mark.parametrize("arguments", [("--explain", "gone"), ("--json", ".")])
def test_what_cannot_be_asked_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(click.UsageError) as refused:
        logs_.main(arguments, standalone_mode=False)
    assert refused.value.exit_code == 2


def test_a_folder_that_may_not_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A test may run as root, who may read everything: so the system's word is taken in its place."""
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with pytest.raises(click.UsageError, match="cannot be read"):
        logs_.main(["--explain", str(tmp_path)], standalone_mode=False)


def test_nothing_to_mend_is_said_with_what_was_looked_at() -> None:
    assert page(WELL)[3:] == [
        "nothing to mend: no graph breaks, no recompiles, no recompile limits, no suppressed errors, no CUDA",
        "graph skips, no fallback kernels",
    ]


def test_what_the_files_do_not_tell_is_named() -> None:
    lines = page(replace(WELL, breaks=None, graphs=None, fatal_known=False))
    assert "graphs not told" in lines[1]
    told = "not told by these files: graph breaks, graphs, whether torch.compile ended the program"
    assert told in " ".join(lines)
    assert "no graph breaks" not in " ".join(lines)


ILL = replace(
    WELL,
    killed_by="SIGKILL",
    last_user_line="step 41 loss 0.3",
    processes=(Process("7", 7, open_phases=("dynamo", "code_gen"), open_id="3/0", open_at=Line("/job/t.py", 8)),),
    fatal=Failure("f", "/job/t.py", 3, "0/0", "torch._dynamo.exc.Unsupported", "\nno\nway", Line("/job/t.py", 5)),
    suppressed=(Failure("g", "/job/t.py", 13, "1/0", "InductorError", "broken"),),
    limits=(Limit("h", "/job/t.py", 23, 8, "n == 9"),),
    breaks=(
        Break("/job/t.py", 33, "Tensor.item()", "r", 2, "k", hints=("Keep it a tensor.",)),
        Break("/v/lib/python3.11/site-packages/torch/optim/sgd.py", 79, "disable", "r", 4, foreign=True),
    ),
    recompiles=(
        Recompile("2/1", "m", "/job/t.py", 43, "size", "size 0 of x is 5, it was compiled for 4", "g", process="7"),
    ),
    functions=(
        Function("m", "/job/t.py", 43, "7", 2, 8, None, "", 1.5, ("4", "5"), "mark_dynamic(x, 0)"),
        Function("h", "/job/t.py", 23, "7", 8, 8, None, "ended", 9.0, (), "pass n as a tensor"),
    ),
    skips=(Skip("cpu device", "cpu device (y)", "/job/t.py", 53, occurrences=3),),
    fallbacks=(FallbackKernel("aten.nonzero.default", "4/0"), FallbackKernel("aten.convolution.default", "4/0", True)),
    caches=(CacheUse("0/0", "fx_graph", "hit"), CacheUse("0/0", "fx_graph", "bypass", "custom op")),
    warnings=("TensorFloat32 is not enabled",),
    notes=("the last record has no end",),
)


def test_the_worst_is_first_and_nothing_is_left_out() -> None:
    text = "\n".join(page(ILL))
    told = [
        "killed: by SIGKILL; its last line: step 41 loss 0.3",
        "was compiling: process 7, compile 3/0, entered at t.py:8: dynamo > code_gen",
        "the program's end: t.py:5 in f: torch._dynamo.exc.Unsupported: no",
        "suppressed error: t.py:13 in g: InductorError: broken",
        "recompile limit: t.py:23 h runs in eager after 8 compiles: n == 9",
        "do: pass n as a tensor",
        "graph break: t.py:33 in k: Tensor.item() (2 ×)",
        "do: Keep it a tensor.",
        "recompiled: t.py:43 m (1 ×, 2 of 8 compiles, 1.5 s): size 0 of x is 5, it was compiled for 4",
        "do: mark_dynamic(x, 0)",
        "CUDA graphs not used: t.py:53: cpu device (y) (3 ×)",
        "fallback: aten.nonzero.default in 4/0",
        "torch warns: TensorFloat32",
        "breaks in packages: .../optim/sgd.py:79 (4 ×)",
        "cache: 1 hit of 2 lookups",
        "cache not used: fx_graph in 0/0: custom op",
        "the last record has no end",
    ]
    places = [text.find(words) for words in told]
    assert -1 not in places
    assert places == sorted(places)
    assert "convolution" not in text


def test_a_page_is_never_longer_than_forty_lines_and_says_what_it_left_out() -> None:
    many = replace(
        ILL,
        breaks=tuple(Break("/job/t.py", n, "k", "r", 1, "f", hints=("h " * 100,)) for n in range(60)),
        suppressed=tuple(Failure("g", "/job/t.py", n, "1/0", "E", "r") for n in range(50)),
    )
    lines = page(many)
    assert len(lines) <= MOST_LINES
    assert any("more of these" in line for line in lines)


@pytest.mark.parametrize("width", [60, 79, 200])
def test_lines_fit_the_terminal(width: int) -> None:
    assert max(map(len, page(ILL, width))) <= width


def test_plain_ascii_where_asked() -> None:
    assert all(line.isascii() for line in page(replace(ILL, last_user_line="fertig: ✔ ü"), ascii_only=True))


def test_hostile_words_change_nothing_but_their_line_and_secrets_are_masked() -> None:
    bad = "\x1b]52;c;aGk=\x07 \u202e evil\r\nHF_TOKEN=hf_abcdefghijklmnopqrstuvwxyz012345"
    lines = page(replace(ILL, last_user_line=bad, notes=(bad,)))
    text = "\n".join(lines)
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "hf_abcdefghijklmnopqrstuvwxyz012345" not in text


def test_nothing_at_all() -> None:
    assert page(replace(NOTHING, root="/job/x"))[0] == "nothing of torch.compile's is told in /job/x"
