"""Markdown of reports and comparisons: one page in the order of a person's questions, and nobody else's markup."""

from __future__ import annotations

import re
import unicodedata

import msgspec
import pytest
from comparison_material import comparison_of, hostile_comparison, platforms
from report_material import HOSTILE, finding, random_report, report, result

from torchprobes.model import Evidence, Expectation, Fact, Figure, Severity, Verdict
from torchprobes.reports.comparison.model import Cause, Outlier, Platform
from torchprobes.reports.markdown import comparison_markdown, to_markdown

GEMM = result(
    "compute.gemm",
    figures=(
        Figure(name="gemm_best_rate", value=751e12, unit="FLOP/s", n=100, spread=5e12, labels={"dtype": "bf16"}),
        Figure(name="sm_clock", value=1425, unit="MHz", labels={"when": "gemm.bf16"}),
        Figure(name="sm_clock_max", value=1980, unit="MHz", labels={"when": "gemm.bf16"}),
        Figure(name="power", value=681, unit="W", labels={"when": "gemm.bf16"}),
    ),
    facts=(Fact(name="clocks.held.gemm.bf16", value="software power cap"),),
    expectations=(
        Expectation(
            name="gemm_best_rate", value=794e12, unit="FLOP/s", limit=675e12, labels={"dtype": "bf16"}, source="a book"
        ),
    ),
    command="env A=1 python -m probe",
    cache_state="cold",
    evidence=(Evidence(kind="neighbours", text="nobody else's process on GPU 0"),),
)


def rendered(text: str) -> str:
    """The text without code spans and escaped signs: what is left could be markup."""
    outside_code = re.sub(r"(?<!`)(`+) .*? \1(?!`)", "", text)
    return re.sub(r"\\[\\`*\[\]<>|~&$_#=.)+-]", "", outside_code)


@pytest.mark.parametrize("seed", range(20))
def test_a_report_carries_no_markup_of_others(seed: int) -> None:
    text = to_markdown(random_report(seed), "public: masked <b>3</b> hosts")
    assert not re.search(r"[`\[\]<>&]", rendered(text))
    assert all(unicodedata.category(char)[0] != "C" or char == "\n" for char in text)
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in tables} <= {6, 7, 8}


@pytest.mark.parametrize("many", [1, 3, 12])
def test_a_comparison_carries_no_markup_of_others(many: int) -> None:
    text = comparison_markdown(hostile_comparison(many), HOSTILE[2])
    assert not re.search(r"[`\[\]<>&]", rendered(text))
    assert all(unicodedata.category(char)[0] != "C" or char == "\n" for char in text)
    assert "<script" not in rendered(text)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("- a list", "\\- a list"),
        ("-11", "-11"),
        ("1. a list", "1\\. a list"),
        ("1.5 ms", "1.5 ms"),
        ("# a title", "\\# a title"),
        ("===", "\\==="),
        ("a_b __c__", "a_b \\_\\_c\\_\\_"),
        ("max-autotune (no gain)", "max-autotune (no gain)"),
        ("a $x$ | b", "a \\$x\\$ \\| b"),
    ],
)
def test_only_what_is_markup_is_escaped(text: str, written: str) -> None:
    lines = to_markdown(report((result(findings=(finding(Severity.WARNING, text),)),))).splitlines()
    assert written in lines


def test_a_report_answers_in_the_order_of_questions() -> None:
    bad = result(
        "env.abi", Verdict.FAIL, findings=(finding(Severity.CRITICAL, "broken"), finding(Severity.INFO, "known"))
    )
    text = to_markdown(report((GEMM, bad)), "public: masked 3 hosts")
    order = ["# torchdoctor: fail", "## What needs somebody", "broken (env.abi)", "` do broken `", "## Features",
             "| ✘ fail | env.abi |", "| ✔ pass | compute.gemm |", "### Figures against expectation", "## Notes",
             "## The machine", "## How it was measured", "Redaction: public: masked 3 hosts"]  # fmt: skip
    places = [text.index(part) for part in order]
    assert places == sorted(places)


def test_a_report_holds_the_means_to_believe_its_figures() -> None:
    text = to_markdown(report((GEMM,)))
    for part in (
        "| compute.gemm bf16 gemm_best_rate | 751 TFLOP/s | 794 TFLOP/s | 95 % | 100 | 5 TFLOP/s |",
        "Expected by: a book",
        "| compute.gemm bf16 | 1,425 MHz of 1980 | not read | not read | 681 W | not read | software power cap |",
        "caches cold: compute.gemm",
        "others on the device: nobody else's process on GPU 0: compute.gemm",
        "compute.gemm: ` env A=1 python -m probe `",
        "torch: 2.6.0 on Python 3.11.7",
    ):
        assert part in text


def test_what_was_not_recorded_says_so_and_is_never_nobody() -> None:
    text = to_markdown(report((result(),)))
    assert "others on the device: not recorded" in text
    assert "Figures against expectation" not in text
    assert "not read: library: " in text


def test_a_latency_is_a_share_the_other_way_round() -> None:
    expected = Expectation(name="launch", value=4.0, unit="us", limit=8.0, higher_is_better=False)
    slow = result("compute.launch", figures=(Figure(name="launch", value=10.0, unit="us"),), expectations=(expected,))
    assert "| 10 µs | 4 µs | 40 %, below the limit | 1 | not measured |" in to_markdown(report((slow,)))


def pair() -> tuple[Platform, ...]:
    good = report((GEMM, result("env.abi")))
    bad = report((msgspec.structs.replace(GEMM, verdict=Verdict.DEGRADED), result("env.abi")))
    return platforms((good, bad), ("node6", "node7"))


def test_a_comparison_says_causes_then_rows_and_ends_with_what_nobody_covered() -> None:
    cause = Cause(
        kind="gpu", name="power limit", values=("700 W", "350 W"), words="power limit: 700 W on node6, 350 W on node7",
        explains=("compute.gemm",), why="less power, lower clocks", sure=True,
    )  # fmt: skip
    text = comparison_markdown(comparison_of(pair(), causes=(cause,), notes=("a.json: no report",)))
    order = [
        "1 of 2 features differ: 1 lost",
        "1. **power limit: 700 W on node6, 350 W on node7**\\\n   may explain compute.gemm (evidence in the",
        "| feature | node6 | node7 |",
        "| compute.gemm (lost) | ✔ pass; gemm best rate · bf16: 751 TFLOP/s, 95 % of its expectation | ▲ degraded;",
        "The same everywhere: env.abi.",
        "## Platforms",
        "a.json: no report",
        "## What no probe covered",
        "storage:",
    ]
    places = [text.index(part) for part in order]
    assert places == sorted(places)


def test_a_crowd_is_told_by_how_many_and_names_the_few() -> None:
    good, bad = report((GEMM,)), report((msgspec.structs.replace(GEMM, verdict=Verdict.FAIL),))
    columns = platforms([bad if n == 4 else good for n in range(30)], [f"node{n}" for n in range(30)])
    odd = Outlier(platform="node4", row="compute.gemm", key="gemm_best_rate dtype=bf16", value=6e14, unit="FLOP/s",
                  median=7.5e14, z=-9.25, of=30)  # fmt: skip
    text = comparison_markdown(comparison_of(columns, outliers=(odd,)))
    assert "| compute.gemm (lost) | 1 fail (node4), 29 pass |" in text
    assert "| node4 | compute.gemm | gemm best rate · bf16 | 600 TFLOP/s | 750 TFLOP/s | -9.2 | 30 |" in text
    assert "node29" not in text


def test_without_a_difference_it_says_so() -> None:
    same = platforms((report((GEMM,)), report((GEMM,))), ("a", "b"))
    text = comparison_markdown(comparison_of(same))
    assert "None of 1 feature differs." in text
    assert "Nothing that was asked on more than one." in text
    assert "The reports say of nothing that differs." in text
