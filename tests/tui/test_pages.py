"""What the panes say, as text: no screen is needed to read a page."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from console_app import page_text
from fakes import (
    COMPILED,
    FINDINGS,
    GIB,
    HOSTILE,
    RANKS,
    REPORT,
    TARGET,
    VIEWS,
    FakeHistory,
    FakePast,
    gpu,
    rank,
    sample,
    view,
)

from torchdoctor.panes.gpus_overview import overview
from torchdoctor.panes.jobs import jobs_page
from torchdoctor.panes.probes import list_page, rows_of, summary_page
from torchdoctor.panes.report import report_page
from torchdoctor.sources import Snapshot
from torchdoctor.widgets.cells import cell_span
from torchdoctor.widgets.result_rows import probe_page, scaled, value_text
from torchdoctor.widgets.top_rows import tally, top_rows
from torchprobes.catalogue import PROBES
from torchprobes.model import Figure, Tier


def changed(snapshot: Snapshot, **changes: Any) -> Snapshot:
    """The snapshot with other fields."""
    return replace(snapshot, **changes)


PROBE = {probe.name: probe for probe in PROBES}
SEEN = {one.name: one for one in VIEWS}
FULL = Snapshot(sample=sample(), findings=FINDINGS, verdict="GPU 5 is lost", target=TARGET, probes=SEEN, report=REPORT,
                history=FakeHistory(), past=FakePast())  # fmt: skip


def _row(text: str, beginning: str) -> str:
    return next(row for row in text.splitlines() if row.strip().startswith(beginning))


# --- probes ------------------------------------------------------------------------------------------------------


def test_the_list_has_every_probe_with_a_sign_a_word_and_its_seconds() -> None:
    text = page_text(list_page(SEEN, Tier.STANDARD, 79, reasons=True))
    for name in PROBE:
        assert name in text
    assert "▲ degraded" in _row(text, "▲ degraded   ".rstrip())
    assert "180.0 s" in next(row for row in text.splitlines() if "ddp.allreduce" in row)
    assert "38 %  capturing graph 3 of 8" in text
    assert "· queued" in text
    assert "○ not run" in text


def test_marks_of_the_list_are_those_that_are_not_well() -> None:
    page = list_page(SEEN, Tier.STANDARD, 79, reasons=True)
    assert {page.keys[y] for y in page.marks} == {"compile.default", "cudagraph.replay", "ddp.allreduce"}


def test_a_group_of_several_has_a_row_of_its_own() -> None:
    keys = [row.key for row in rows_of(Tier.QUICK)]
    assert keys[0] == "all"
    assert "compile" in keys
    assert "env" not in keys
    groups = {row.key: row for row in rows_of(Tier.STANDARD)}
    assert {p.name for p in groups["compile"].probes} == {n for n in PROBE if n.startswith("compile.")}


def test_a_result_shows_figures_with_spread_findings_evidence_and_the_command() -> None:
    text = page_text(probe_page(PROBE["compile.default"], SEEN["compile.default"], "never shown", 90))
    flat = " ".join(text.split())
    assert "speedup 1.031 x ± 0.0213 n 40" in flat
    assert "eager_ms 1.27 ms batch=64 ± 0.02 n 40" in flat
    assert "1.4e-06" in text
    for part in ("why", "fix", "cudagraph_skips is 2, 0 is expected", "TD-CMP-012", "batch=64", "counters.json",
                 COMPILED.command, COMPILED.log, "touches this process only"):  # fmt: skip
        assert part in text, part
    assert "never shown" not in text


def test_a_running_probe_shows_how_far_it_is() -> None:
    text = page_text(probe_page(PROBE["compile.reduce-overhead"], SEEN["compile.reduce-overhead"], "again", 79))
    assert "capturing graph 3 of 8" in text
    assert "38 %" in text
    assert "again" in text


def test_a_probe_that_was_not_run_says_what_it_needs() -> None:
    text = page_text(probe_page(PROBE["cudagraph.replay"], None, "again", 79))
    assert "needs torch, a CUDA device" in text


def test_a_summary_has_the_worst_first() -> None:
    row = rows_of(Tier.STANDARD)[0]
    rows = page_text(summary_page(row, FULL, Tier.STANDARD, 79)).splitlines()
    assert [text.split()[1] for text in rows[3:9]] == ["fail", "error", "degraded", "pass", "pass", "skip"]
    assert rows[9].strip() == "2 to go"


@pytest.mark.parametrize(("value", "text"), [
    (0.0, "0"), (1.03125, "1.031"), (12345678.9, "1.23e+07"), (12345.6, "12,346"), (3.0, "3"), (1.4e-6, "1.4e-06"),
    (float("nan"), "nan"), (float("inf"), "inf"), (-2.5, "-2.5"),
])  # fmt: skip
def test_numbers_are_shown_without_false_precision(value: float, text: str) -> None:
    assert value_text(value) == text


@pytest.mark.parametrize(("value", "unit", "shown"), [
    (478e6, "B", ("455.9", "MiB", "± 0.9537")), (3 * 1024.0**3, "bytes", ("3", "GiB", "± 0.000931")),
    (100.0, "B", ("100", "B", "± 1,000,000")), (2.5, "ms", ("2.5", "ms", "± 1,000,000")),
])  # fmt: skip
def test_bytes_are_scaled_together_with_their_spread(value: float, unit: str, shown: tuple[str, str, str]) -> None:
    assert scaled(Figure(name="f", value=value, unit=unit, spread=1e6)) == shown


def test_a_finding_of_several_probes_is_told_once() -> None:
    twice = tuple(msgspec.structs.replace(COMPILED, name=name) for name in ("compile.default", "compile.max-autotune"))
    text = page_text(report_page(msgspec.structs.replace(REPORT, results=twice, findings=()), "/runs/1", 90))
    assert text.count("An input is changed in place") == 1
    assert "(compile.default)" in text
    assert "(compile.max-autotune)" in text


# --- jobs, report, top -------------------------------------------------------------------------------------------


def test_ranks_are_rows_and_a_failed_one_says_why() -> None:
    text = page_text(jobs_page(changed(FULL, ranks=RANKS, ranks_run="/runs/1"), 79))
    assert [row.split()[0] for row in text.splitlines() if row[:8].strip().isdigit()] == ["0", "1", "2"]
    assert "its process is gone, and it said no end" in " ".join(text.split())
    assert "412 µs" in text


def test_without_a_job_the_pane_says_how_to_get_one() -> None:
    assert "ddp.allreduce starts one" in page_text(jobs_page(Snapshot(), 79))


def test_a_report_says_verdict_counts_findings_results_and_where() -> None:
    text = page_text(report_page(REPORT, "/runs/20260102T030405Z-gpu-node-07-abcdef", 79))
    assert "✘ fail   1 fail · 1 error · 1 degraded · 2 pass · 1 skip" in text
    assert "this machine" in text
    assert "compile.default" in text
    assert "20260102T030405Z-gpu-node-07-abcdef" in text
    assert "Xeon Platinum 8480C · 96 cores · 1007 GiB" in text


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
    one_rank = rank(0, HOSTILE, why=HOSTILE, host=HOSTILE, device=HOSTILE, phase=HOSTILE, collective=HOSTILE)
    running = view("env.identity", "running", progress=HOSTILE)
    bad = changed(
        FULL, sample=one, findings=(evil,), verdict=HOSTILE, sampler=HOSTILE, probes={running.name: running},
        ranks=(one_rank,),
        target=msgspec.structs.replace(TARGET, python=HOSTILE, origin=HOSTILE, torch=HOSTILE, refusal=HOSTILE),
    )  # fmt: skip
    result = msgspec.structs.replace(COMPILED, reason=HOSTILE, command=HOSTILE, log=HOSTILE, findings=(evil,))
    report = msgspec.structs.replace(REPORT, results=(result,), findings=(evil,), started=HOSTILE, tier=HOSTILE)
    pages = [
        page_text(overview(bad, 99, 30)), page_text(list_page(bad.probes, Tier.FULL, 99, reasons=True)),
        page_text(jobs_page(bad, 99)), page_text(report_page(report, HOSTILE, 99)),
        page_text(probe_page(PROBE["compile.default"], view("compile.default", result=result), HOSTILE, 99)),
        "\n".join("".join(text for text, _ in row) for row in top_rows(bad)),
    ]  # fmt: skip
    for page in pages:
        assert all(char.isprintable() or char == "\n" for char in page), page
        assert "evil" in page


def test_memory_is_in_gib_of_1024() -> None:
    assert cell_span(5 * GIB, " GiB", scale=GIB, digits=1) == ("5.0 GiB", "")
