"""What is asked of a graph's file before it runs, and how it comes to its payload."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from torchprobes.catalogue import PROBES
from torchprobes.runner import graphs
from torchprobes.runner.graphs import GraphFileError

GRAPH = "class Repro(Module): pass\nif __name__ == '__main__':\n    run_repro(mod, load_args)\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "fx_graph_runnable.py"
    path.write_text(GRAPH)
    return path


def test_a_graph_is_taken_by_its_content(file: Path) -> None:
    assert graphs.checked(os.path.relpath(file), as_root=True) == str(file)
    file.write_text("print('mine')\n")
    with pytest.raises(GraphFileError, match="no graph"):
        graphs.checked(str(file), as_root=True)


def test_root_runs_no_strangers_graph_unless_told_to(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(graphs, "why_foreign", lambda paths: f"{paths[0]} belongs to eve")
    with pytest.raises(GraphFileError, match=r"belongs to eve: as root .* --as-root"):
        graphs.checked(str(file))
    assert graphs.checked(str(file), as_root=True) == str(file)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert graphs.checked(str(file)) == str(file)


def test_a_graph_without_a_gpu_runs_on_the_host_whatever_the_gpus_do(file: Path) -> None:
    (probe,) = graphs.of_file(str(file))
    assert probe.place == "device"
    assert [p.place for p in graphs.placed((probe,), str(file))] == ["host"]
    file.write_text(GRAPH + "device(type='cuda', index=0)\n")
    assert [p.place for p in graphs.placed((probe,), str(file))] == ["device"]
    file.unlink()
    assert [p.place for p in graphs.placed((probe,), str(file))] == ["device"]
    others = tuple(p for p in PROBES if not p.graph)
    assert graphs.placed(others, "") == others


def test_the_file_travels_with_its_text_only_where_it_is_not(file: Path) -> None:
    assert graphs.params(str(file), far=False) == {"file": str(file)}
    assert graphs.params(str(file), far=True) == {"file": str(file), "source": GRAPH}
    with pytest.raises(OSError, match="No such file"):
        graphs.params("/no/such/file", far=True)


def test_a_probe_that_is_bound_to_no_file_says_where_to_choose_one(file: Path) -> None:
    (row,) = (p for p in PROBES if p.graph)
    assert graphs.file_of(graphs.of_file(str(file))) == str(file)
    assert graphs.file_of([p for p in PROBES if not p.graph]) == ""
    with pytest.raises(GraphFileError, match="Logs pane"):
        graphs.file_of([row])
