"""What the Probes pane says, as text: the list, one probe in full, and two runs side by side."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from console_app import page_text
from fakes import (
    COMPILED,
    FINDINGS,
    REPORT,
    TARGET,
    VIEWS,
    FakeHistory,
    FakePast,
    sample,
)
from fixed_catalogue import FIXED

from torchdoctor.paint import Page
from torchdoctor.panes.probes_views import earlier_page, repeat, summary_page
from torchdoctor.sources import Snapshot
from torchdoctor.widgets.figure_rows import expectation_of, expected_rows, figure_rows, misses
from torchdoctor.widgets.probe_rows import Look, Order, list_page, rows_of
from torchdoctor.widgets.repeat import by_hand
from torchdoctor.widgets.result_rows import probe_page
from torchprobes.catalogue import OFFERED
from torchprobes.model import Expectation, Figure, Target, Tier, Verdict


def changed(snapshot: Snapshot, **changes: Any) -> Snapshot:
    """The snapshot with other fields."""
    return replace(snapshot, **changes)


PROBE = {probe.name: probe for probe in OFFERED}
SEEN = {one.name: one for one in VIEWS}
FULL = Snapshot(sample=sample(), findings=FINDINGS, verdict="GPU 5 is lost", target=TARGET, probes=SEEN, report=REPORT,
                history=FakeHistory(), past=FakePast())  # fmt: skip


def _page(rows: list[Any]) -> Page:
    return Page(rows)


def _row(text: str, beginning: str) -> str:
    return next(row for row in text.splitlines() if row.strip().startswith(beginning))


# --- probes: the list --------------------------------------------------------------------------------------------

OPENED = Look(height=1000)
"""A screen on which the whole list fits."""


def test_the_list_has_every_probe_with_a_sign_a_word_and_its_seconds() -> None:
    page = list_page(SEEN, OPENED, 79, reasons=True)
    text = page_text(page)
    assert set(PROBE) <= set(page.keys.values())
    assert "▲ degraded" in _row(text, "▲ degraded   ".rstrip())
    assert "180.0 s" in next(row for row in text.splitlines() if "timeout: no end" in row)
    assert "38 %  capturing graph 3 of 8" in text
    assert "· queued" in text
    assert "○ not run" in text


def test_marks_of_the_list_are_those_that_are_not_well() -> None:
    page = list_page(SEEN, Look(), 79, reasons=True)
    assert {page.keys[y] for y in page.marks} == {"compile.default", "cudagraph.replay", "ddp.allreduce"}


@pytest.mark.usefixtures("fixed_catalogue")
def test_a_closed_group_shows_what_is_not_well_what_runs_and_where_the_cursor_stands() -> None:
    keys = [row.key for row in rows_of(Look(cursor="env.abi"), SEEN)]
    assert [key for key in keys if key.startswith(("compile", "env", "cudagraph"))] == [
        "env", "env.abi", "compile", "compile.default", "compile.reduce-overhead", "cudagraph",
        "cudagraph.replay",
    ]  # fmt: skip
    opened = [row.key for row in rows_of(Look(folds={"compile": True}), SEEN)]
    assert len([key for key in opened if key.startswith("compile.")]) == 13
    assert [row.key for row in rows_of(OPENED, {})][:3] == ["all", "env", "env.identity"]


@pytest.mark.usefixtures("fixed_catalogue")
def test_a_group_row_counts_what_its_probes_came_to_and_says_what_runs() -> None:
    text = page_text(list_page(SEEN, Look(), 100, reasons=True))
    row = next(row for row in text.splitlines() if "▸" in row and " compile " in row)
    assert row.split()[:3] == ["▸", "●", "running"]
    assert "▲ 1   1 of 3" in row
    assert "38 %  capturing graph 3 of 8" in _row(text, "● running    reduce-overhead")
    everything = _row(text, "● running  all of tier standard")
    assert "✘ 1  ! 1  ▲ 1  ✔ 2  – 1   6 of 8" in everything


@pytest.mark.usefixtures("fixed_catalogue")
def test_a_group_row_says_how_many_of_its_probes_the_tier_takes() -> None:
    text = page_text(list_page({}, Look(tier=Tier.QUICK), 79, reasons=True))
    rows = {row.split()[4]: row for row in text.splitlines() if "▸" in row}
    assert rows["compile"].endswith("1 of 13 probes")
    assert rows["env"].endswith("  9 probes")
    assert rows["data"].endswith("3 probes"), "a group without a quick probe runs whole when it is asked for by name"


@pytest.mark.usefixtures("fixed_catalogue")
def test_worst_first_has_every_probe_once() -> None:
    rows = rows_of(Look(order=Order.WORST), SEEN)
    assert [row.key for row in rows[1:9]] == [
        "cudagraph.replay", "ddp.allreduce", "compile.default", "compile.reduce-overhead", "env.identity",
        "export.signature", "compile.max-autotune", "data.loader",
    ]  # fmt: skip
    assert len({row.key for row in rows}) == len(rows) == 1 + len(FIXED)


def test_a_group_of_several_has_a_row_of_its_own() -> None:
    groups = {row.key: row for row in rows_of(Look(), {})}
    assert next(iter(groups)) == "all"
    assert {p.name for p in groups["compile"].probes} <= {n for n in PROBE if n.startswith("compile.")}
    for row in groups.values():
        assert row.single or row.key == "all" or len([p for p in OFFERED if p.group == row.key]) > 1


# --- probes: one in full -----------------------------------------------------------------------------------------


def test_a_result_shows_figures_with_spread_findings_evidence_and_the_command() -> None:
    text = page_text(probe_page(PROBE["compile.default"], SEEN["compile.default"], "and judged again", 90))
    flat = " ".join(text.split())
    assert "speedup 1.03× ± 0.0213× n 40" in flat
    assert "eager_ms 1.27 ms batch=64 ± 20 µs n 40" in flat
    for part in ("why", "fix", "cudagraph_skips is 2, 0 is expected", "TD-CMP-012", "batch=64", "counters.json",
                 COMPILED.command, COMPILED.log, "touches this process only", "and judged again"):  # fmt: skip
        assert part in text, part
    order = [text.index(word) for word in ("is expected", "speedup", "counters.json", "regions_entered", "by hand")]
    assert order == sorted(order), "findings, figures, evidence, facts, how to repeat it"


def test_a_running_probe_shows_how_far_it_is() -> None:
    text = page_text(probe_page(PROBE["compile.reduce-overhead"], SEEN["compile.reduce-overhead"], "again", 79))
    assert "capturing graph 3 of 8" in text
    assert "38 %" in text
    assert "again" in text


def test_a_probe_that_was_not_run_says_what_it_needs() -> None:
    text = page_text(probe_page(PROBE["cudagraph.replay"], None, "again", 79))
    assert "needs torch, a CUDA device" in text


def test_a_summary_has_the_worst_first() -> None:
    row = rows_of(Look(), {})[0]
    rows = page_text(summary_page(row, FULL, Look(), 79)).splitlines()
    assert [text.split()[1] for text in rows[3:9]] == ["fail", "error", "degraded", "running", "pass", "pass"]
    assert rows[11].strip() == "2 to go"


@pytest.mark.parametrize(("value", "unit", "shown"), [
    (478e6, "B", "456 MiB"), (3 * 1024.0**3, "bytes", "3 GiB"), (2.5, "ms", "2.5 ms"), (1.798e5, "us", "180 ms"),
    (1.0, "calls", "1 call"), (794e12, "FLOP/s", "794 TFLOP/s"), (0.37, "share", "37 %"),
])  # fmt: skip
def test_figures_are_said_in_the_units_of_people(value: float, unit: str, shown: str) -> None:
    assert shown in page_text(_page(figure_rows([Figure(name="f", value=value, unit=unit)], 80)))


# --- figures and what is expected of them ------------------------------------------------------------------------

RATE = Figure(name="rate", value=512e12, unit="FLOP/s", labels={"dtype": "bf16", "n": "8192"}, n=20, spread=3e12)
HELD = Expectation(name="rate", value=800e12, unit="FLOP/s", limit=680e12, labels={"dtype": "bf16"}, source="a sheet")


def _result(*figures: Figure, expectations: tuple[Expectation, ...]) -> Any:
    return msgspec.structs.replace(COMPILED, figures=figures, expectations=expectations)


def test_an_expectation_belongs_to_the_figure_whose_labels_include_its_own() -> None:
    other = msgspec.structs.replace(RATE, labels={"dtype": "fp16"})
    exact = msgspec.structs.replace(HELD, labels={"dtype": "bf16", "n": "8192"}, value=1.0)
    assert expectation_of(RATE, (HELD,)) is HELD
    assert expectation_of(other, (HELD,)) is None
    assert expectation_of(RATE, (HELD, exact)) is exact
    assert expectation_of(msgspec.structs.replace(RATE, name="time"), (HELD,)) is None


@pytest.mark.parametrize(("value", "higher", "missed"), [
    (679e12, True, True), (681e12, True, False), (679e12, False, False), (681e12, False, True),
])  # fmt: skip
def test_the_limit_counts_from_the_side_that_is_worse(value: float, higher: bool, missed: bool) -> None:
    figure = msgspec.structs.replace(RATE, value=value)
    expected = msgspec.structs.replace(HELD, higher_is_better=higher)
    assert misses(figure, expected) is missed
    roles = [role for row in expected_rows(_result(figure, expectations=(expected,)), 80)[0] for _, role in row]
    assert ("warn" in roles) is missed
    assert ("ok" in roles) is not missed


def test_a_figure_stands_on_a_bar_with_its_limit_and_what_is_expected() -> None:
    rows, others = expected_rows(_result(RATE, expectations=(HELD,)), 80)
    assert others == []
    text = page_text(_page(rows))
    assert all(len(row) < 80 for row in text.splitlines())
    bar = next(row for row in text.splitlines() if "━" in row)
    assert bar.index("━") < bar.index("╎") < bar.index("│")
    assert "64 %" in bar
    assert "512 TFLOP/s" in bar
    for part in ("of 800 TFLOP/s, limit 680 TFLOP/s", "± 3 TFLOP/s", "n 20", "expected: a sheet"):
        assert part in text
    filled, of = bar.count("━"), len(bar) - bar.index("━") - len(" 64 %")
    assert abs(filled / of - 512 / (800 * 1.1)) < 0.08


def test_a_latency_over_its_expectation_reaches_over_the_mark() -> None:
    late = Figure(name="launch", value=30.0, unit="us")
    expected = Expectation(name="launch", value=8.0, unit="us", limit=20.0, higher_is_better=False)
    bar = next(row for row in page_text(_page(expected_rows(_result(late, expectations=(expected,)), 80)[0]))
               .splitlines() if "━" in row)  # fmt: skip
    assert bar.index("│") < bar.index("╎") < bar.rindex("━")
    assert "375 %" in bar


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf"), 1e300])
@pytest.mark.parametrize("expected", [0.0, -1.0, float("nan"), float("inf"), 1.0])
def test_no_number_breaks_a_bar(value: float, expected: float) -> None:
    figure = Figure(name="f", value=value, unit="us")
    held = Expectation(name="f", value=expected, unit="us", limit=expected)
    rows, _ = expected_rows(_result(figure, expectations=(held,)), 80)
    assert rows


def test_what_misses_its_limit_comes_first() -> None:
    good = msgspec.structs.replace(RATE, value=790e12, labels={"dtype": "bf16", "n": "1"})
    rows, _ = expected_rows(_result(good, RATE, expectations=(HELD,)), 90)
    text = page_text(_page(rows))
    assert text.index("512 TFLOP/s") < text.index("790 TFLOP/s")


# --- how to repeat a probe ---------------------------------------------------------------------------------------


def test_a_secret_is_left_out_of_the_line_and_named() -> None:
    token = "hf_" + "a" * 24
    exact = by_hand(f"cd '/runs/a b' && env HF_TOKEN={token} A='x y' docker run -e API_KEY=zzz python -m x")
    assert exact.line == "cd '/runs/a b' && env 'A=x y' docker run -e API_KEY python -m x"
    assert "HF_TOKEN, API_KEY" in exact.notes[0]
    plain = "cat /run/program.py - | env CUDA_VISIBLE_DEVICES=GPU-1 apptainer exec x.sif python -c 'import sys;x()'"
    assert by_hand(plain).line == plain
    assert by_hand(plain).notes == ()
    url = by_hand("env A=1 python --index https://user:pw@host/simple")
    assert "pw@" not in url.line
    assert url.notes
    assert by_hand("env 'unclosed").line == "env 'unclosed"


def test_the_command_names_the_target_and_its_launcher() -> None:
    far = Target(python="python3", prefix=("apptainer", "exec", "my image.sif"))
    assert repeat(PROBE["env.identity"], changed(FULL, target=far)) == (
        "torchdoctor check env.identity --target 'apptainer exec '\"'\"'my image.sif'\"'\"' python3'"
    )
    assert repeat(PROBE["env.identity"], changed(FULL, target=None)) == "torchdoctor check env.identity"


# --- two runs side by side ---------------------------------------------------------------------------------------

FASTER = msgspec.structs.replace(
    COMPILED, verdict=Verdict.PASS, reason="it helps", findings=(),
    figures=(Figure(name="speedup", value=2.0, unit="x", n=40, spread=0.02), *COMPILED.figures[1:]),
)  # fmt: skip
BEFORE = msgspec.structs.replace(REPORT, results=(FASTER, *(r for r in REPORT.results if r.name != FASTER.name)))


def test_earlier_runs_are_listed_with_what_they_came_to() -> None:
    listed = earlier_page(changed(FULL, earlier=(("/runs/0", BEFORE),)), "", 90)
    (place,) = listed.keys
    assert listed.keys[place] == "/runs/0"
    assert "2026-01-02 03:04Z" in page_text(listed)
    assert "torch 2.13.0+cu130 · driver 580.159.04" in page_text(listed)
    assert "reading" in page_text(earlier_page(changed(FULL, earlier_note="reading the runs"), "", 90))


def test_a_comparison_says_what_changed_first_and_by_how_much() -> None:
    page = earlier_page(changed(FULL, earlier=(("/runs/0", BEFORE),)), "/runs/0", 90)
    text = page_text(page)
    flat = " ".join(text.split())
    assert "compile.default ✔ pass → ▲ degraded" in flat
    assert "speedup 2× → 1.03× 0.516×" in flat
    assert "first_call_s" not in text, "what did not move is not told"
    assert "then it helps now CUDA graphs were skipped" in flat
    assert text.index("changed") < text.index("the same in both") < text.index("env.identity")
    assert len(page.marks) == 1


def test_without_results_of_this_session_the_last_report_is_compared() -> None:
    snapshot = changed(FULL, probes={}, earlier=(("/runs/0", BEFORE),))
    text = page_text(earlier_page(snapshot, "/runs/0", 90))
    assert "the last run here" in text
    assert "compile.default" in text
