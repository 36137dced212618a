"""A graph that the Logs pane shows, run alone: which rows are one, one within a trace, and what comes of the key."""

from __future__ import annotations

from pathlib import Path

import pytest

from torchdoctor.log_graphs import file_of, is_graph
from torchdoctor.panes.logs_views import Where
from torchdoctor.widgets.probe_rows import Look, rows_of
from torchprobes.compilelog.explanation import Piece
from torchprobes.runner.snapshot import ProbeState, ProbeView

RUN = "/d/run_2026_11_23_06_12_11_794462-pid_13688"


@pytest.mark.parametrize(
    ("path", "one"),
    [
        (f"{RUN}/torchinductor/model__0_inference_0.0/fx_graph_runnable.py", True),
        (f"{RUN}/minifier/minifier_launcher.py", True),
        (f"{RUN}/minifier/checkpoints/12.py", True),
        ("/d/repro.py", True),
        (f"{RUN}/torchinductor/model__0_inference_0.0/output_code.py", False),
        ("/d/checkpoints/train.py", False),
        ("/d/stderr.log", False),
        ("", False),
    ],
)
def test_which_files_can_be_run_alone(path: str, one: bool) -> None:
    assert is_graph(Where("code", path=path)) is one


def test_a_graph_within_a_trace_gets_a_file_of_its_own(tmp_path: Path) -> None:
    trace = tmp_path / "trace.log"
    head, payload = b"V1 {}\n", b"\timport torch\n\tclass Repro(Module):\n\t\tpass\n"
    trace.write_bytes(head + payload + b"V2 {}\n")
    window = (len(head), len(payload))
    where = Where("code", path=str(trace), window=window, piece=Piece("fx_graph_runnable", str(trace), *window))
    assert is_graph(where)
    assert not is_graph(Where("code", path=str(trace), window=window, piece=Piece("inductor_output_code", str(trace))))
    made = file_of(str(trace), window, str(tmp_path))
    assert Path(made).read_text() == "import torch\nclass Repro(Module):\n\tpass\n"
    assert file_of("/x/fx_graph_runnable.py", None, "") == "/x/fx_graph_runnable.py"


def test_a_graph_that_was_run_has_a_row_among_the_probes() -> None:
    view = ProbeView(name="graph.run", state=ProbeState.RUNNING)
    assert "graph.run" in [row.key for row in rows_of(Look(), {"graph.run": view})]
    assert "graph.run" not in [row.key for row in rows_of(Look(), {})]
