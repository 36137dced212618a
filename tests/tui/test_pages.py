"""What the panes say, as text: no screen is needed to read a page."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
from console_app import page_text
from fakes import (
    COMPILED,
    FINDINGS,
    GIB,
    HOSTILE,
    REPORT,
    TARGET,
    VIEWS,
    FakeHistory,
    FakePast,
    gpu,
    sample,
    view,
)

from torchdoctor.paint import Page
from torchdoctor.panes.gpus_overview import overview
from torchdoctor.panes.probes_views import earlier_page
from torchdoctor.sources import Snapshot
from torchdoctor.widgets.cells import cell_span
from torchdoctor.widgets.probe_rows import Look, list_page
from torchdoctor.widgets.report_rows import report_page
from torchdoctor.widgets.result_rows import probe_page
from torchdoctor.widgets.top_rows import tally, top_rows
from torchprobes.catalogue import PROBES
from torchprobes.model import Expectation, Figure


def changed(snapshot: Snapshot, **changes: Any) -> Snapshot:
    """The snapshot with other fields."""
    return replace(snapshot, **changes)


PROBE = {probe.name: probe for probe in PROBES}
SEEN = {one.name: one for one in VIEWS}
FULL = Snapshot(sample=sample(), findings=FINDINGS, verdict="GPU 5 is lost", target=TARGET, probes=SEEN, report=REPORT,
                history=FakeHistory(), past=FakePast())  # fmt: skip


def _page(rows: list[Any]) -> Page:
    return Page(rows)


def _row(text: str, beginning: str) -> str:
    return next(row for row in text.splitlines() if row.strip().startswith(beginning))


# --- report ---------------------------------------------------------------------------------------------------------


def test_a_finding_of_several_probes_is_told_once() -> None:
    twice = tuple(msgspec.structs.replace(COMPILED, name=name) for name in ("compile.default", "compile.max-autotune"))
    text = page_text(report_page(msgspec.structs.replace(REPORT, results=twice, findings=()), "/runs/1", 90))
    assert text.count("An input is changed in place") == 1
    assert "(compile.default)" in text
    assert "(compile.max-autotune)" in text


# --- report, top -------------------------------------------------------------------------------------------


def test_a_report_says_verdict_counts_findings_results_and_where() -> None:
    text = page_text(report_page(REPORT, "/runs/20260102T030405Z-gpu-node-07-abcdef", 79))
    assert "✘ fail   1 fail · 1 error · 1 degraded · 2 pass · 1 skip" in text
    assert "this machine" in text
    assert "compile.default" in text
    assert "20260102T030405Z-gpu-node-07-abcdef" in text
    assert "Ubuntu 24.04, x86_64, Xeon Platinum 8480C, 96 cores" in text
    assert "1007 GiB" in text


def test_the_top_names_host_driver_cuda_torch_and_why() -> None:
    identity, verdict = ("".join(text for text, _ in row) for row in top_rows(FULL))
    assert identity.split(" · ") == [
        " gpu-node-07", "driver 580.159.04", "CUDA 13.0", "torch 2.13.0+cu130  $VIRTUAL_ENV: /opt/train/bin/python",
    ]  # fmt: skip
    assert verdict == " ✘ GPU 5 is lost"
    assert [text for text, _ in tally(FULL)] == ["✘ 1 fail", "! 1 error", "▲ 1 degraded", "✔ 2 pass", "– 1 skip"]


def test_a_refused_target_is_said_at_the_top() -> None:
    refused = msgspec.structs.replace(TARGET, refusal="its code belongs to mara: run as mara, or --as-root")
    text = "".join(part for part, _ in top_rows(changed(FULL, target=refused))[1])
    assert "its code belongs to mara" in text


# --- text from outside -------------------------------------------------------------------------------------------


def test_no_page_lets_text_from_outside_act() -> None:
    evil = msgspec.structs.replace(FINDINGS[0], seen=HOSTILE, why=HOSTILE, id=HOSTILE, source=HOSTILE)
    one = sample(2, driver=HOSTILE, driver_state=HOSTILE)
    one = msgspec.structs.replace(
        one, gpus=tuple(gpu(i, name=HOSTILE, bus_id=HOSTILE, state=HOSTILE, throttle_reasons=HOSTILE) for i in range(3))
    )
    running = view("env.identity", "running", progress=HOSTILE)
    bad = changed(
        FULL, sample=one, findings=(evil,), verdict=HOSTILE, sampler=HOSTILE, probes={running.name: running},
        target=msgspec.structs.replace(TARGET, python=HOSTILE, origin=HOSTILE, torch=HOSTILE, refusal=HOSTILE),
    )  # fmt: skip
    result = msgspec.structs.replace(COMPILED, reason=HOSTILE, command=HOSTILE, log=HOSTILE, findings=(evil,))
    report = msgspec.structs.replace(REPORT, results=(result,), findings=(evil,), started=HOSTILE, tier=HOSTILE)
    figure = Figure(name=HOSTILE, value=1.0, unit=HOSTILE, labels={HOSTILE: HOSTILE})
    held = Expectation(name=HOSTILE, value=2.0, unit=HOSTILE, source=HOSTILE)
    result = msgspec.structs.replace(result, figures=(figure, figure), expectations=(held,), cache_state=HOSTILE)
    other = msgspec.structs.replace(COMPILED, figures=(), device=HOSTILE)
    compared = changed(
        bad,
        probes={COMPILED.name: view(COMPILED.name, result=result)},
        earlier=(("/runs/0", msgspec.structs.replace(report, results=(other,), target=bad.target)),),
    )
    pages = [
        page_text(overview(bad, 99, 30)), page_text(list_page(bad.probes, Look(height=999), 99, reasons=True)),
        page_text(report_page(report, HOSTILE, 99)),
        page_text(probe_page(PROBE["compile.default"], view("compile.default", result=result), HOSTILE, 99)),
        page_text(earlier_page(compared, "", 99)), page_text(earlier_page(compared, "/runs/0", 99)),
        "\n".join("".join(text for text, _ in row) for row in top_rows(bad)),
    ]  # fmt: skip
    for page in pages:
        assert all(char.isprintable() or char == "\n" for char in page), page
        assert "evil" in page


def test_memory_is_in_gib_of_1024() -> None:
    assert cell_span(5 * GIB, " GiB", scale=GIB, digits=1) == ("5.0 GiB", "")
