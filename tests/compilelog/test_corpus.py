"""The corpus: real runs of torch 2.1 to 2.15, on CPUs and an H200, each explained as it was."""

from __future__ import annotations

import tarfile
from collections import Counter
from pathlib import Path

import pytest
from corpus_expected import RUNS, Run  # pyright: ignore[reportMissingImports]

from torchprobes.compilelog.engine import explain
from torchprobes.compilelog.explanation import Explanation, Failure
from torchprobes.compilelog.ledger import document

CORPUS = Path(__file__).with_name("corpus")


@pytest.fixture(scope="module", params=sorted(RUNS))
def explained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Explanation]:
    root = tmp_path_factory.mktemp("run")
    with tarfile.open(CORPUS / f"{request.param}.tar.xz") as archive:
        archive.extractall(root, filter="data")
    return RUNS[request.param], explain(str(root))


def test_every_archive_is_expected() -> None:
    assert {path.name.removesuffix(".tar.xz") for path in CORPUS.glob("*.tar.xz")} == set(RUNS)


def test_the_run_is_explained(explained: tuple[Run, Explanation]) -> None:
    run, found = explained
    assert (found.graphs, found.frames_compiled) == (run.graphs, run.frames)
    assert (len(found.processes), found.ranks) == (run.processes, run.ranks)
    assert _recompiles(found) == (None if run.recompiles is None else Counter(run.recompiles))
    assert _limits(found) == (None if run.limits is None else sorted(run.limits))
    assert [_failure(failure) for failure in found.suppressed or ()] == run.suppressed
    assert (found.backward_s is not None) == run.backward


def test_breaks_are_all_there_and_no_other(explained: tuple[Run, Explanation]) -> None:
    run, found = explained
    if run.breaks is None:
        assert found.breaks is None
        return
    assert found.breaks is not None
    told = {(Path(one.file).name, one.line): one for one in found.breaks}
    assert len(told) == len(found.breaks)
    assert {place: one.occurrences for place, one in told.items()} == {place: n for place, (_, n) in run.breaks.items()}
    for place, (kind, _) in run.breaks.items():
        assert kind in told[place].kind
        assert told[place].hints
    assert [one.foreign for one in found.breaks] == sorted(one.foreign for one in found.breaks)


def test_the_end_and_what_was_open(explained: tuple[Run, Explanation]) -> None:
    run, found = explained
    assert found.fatal_known
    if run.fatal is None:
        assert found.fatal is None
    else:
        assert found.fatal is not None
        assert found.fatal.user is not None
        assert (found.fatal.user.line, found.fatal.type.rpartition(".")[2]) == run.fatal
    assert [p.open_phases[-1] for p in found.processes if p.open_phases] == ([run.open_phase] if run.open_phase else [])
    assert any("says nothing after" in note for note in found.notes) == bool(run.open_phase)


def test_kernels_and_cuda_graphs(explained: tuple[Run, Explanation]) -> None:
    run, found = explained
    assert _set(found.fallbacks, "op") == run.fallbacks
    assert {one.op for one in found.fallbacks or () if not one.harmless} == run.harmful
    assert _set(found.skips, "kind") == run.skips


def test_the_document_says_the_same(explained: tuple[Run, Explanation]) -> None:
    run, found = explained
    said = document(found)
    assert said["graphs"] == run.graphs
    assert (said["graph_breaks"] is None) == (run.breaks is None)
    assert sum(row["occurrences"] for row in said["graph_breaks"] or ()) == sum(
        n for _, n in (run.breaks or {}).values()
    )
    assert (said["recompiles"] is None) == (run.recompiles is None)
    assert (said["fatal_error"] is None) == (run.fatal is None)
    assert all(row["line"] == line for row, (_, line, _) in zip(said["suppressed_errors"], run.suppressed, strict=True))


def _recompiles(found: Explanation) -> Counter[tuple[str, str, str]] | None:
    if found.recompiles is None:
        return None
    return Counter((one.compile_id, one.function, one.kind) for one in found.recompiles)


def _limits(found: Explanation) -> list[tuple[str, int, int | None]] | None:
    return None if found.limits is None else sorted((one.function, one.line, one.limit) for one in found.limits)


def _failure(failure: Failure) -> tuple[str, int, str]:
    return failure.function, failure.user.line if failure.user else failure.line, failure.type.rpartition(".")[2]


def _set(rows: tuple[object, ...] | None, name: str) -> set[str] | None:
    return None if rows is None else {getattr(row, name) for row in rows}


def test_functions_count_towards_their_limit(tmp_path: Path) -> None:
    name = "03_graph_breaks.debug_only"
    with tarfile.open(CORPUS / f"{name}.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    (function,) = explain(str(tmp_path)).functions
    assert (function.function, function.compiles, function.limit) == ("forward", 2, 8)
