"""The matrix is right in every cell: held against the reports' own JSON, read here with nothing of ours."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import msgspec
import planted
import pytest

from torchprobes.model import Report
from torchprobes.reports.comparison import compared, platforms
from torchprobes.reports.comparison.model import Cell, Comparison, Row

Json = dict[str, Any]

REAL = {name: planted.real(name) for name in planted.REAL}
WITH_TWO = {**REAL, "two": planted.two_gpus(), "worse": planted.pair("power limit")[1]}
TOGETHER = {
    "real": REAL,
    "all": WITH_TWO,
    **{name: dict(zip("ab", planted.pair(name), strict=True)) for name in planted.PLANTED},
}
"""What is compared, by a name."""

CIRCUMSTANCES = {"threads", "fewer", "path"}
"""Labels that say how it was on one machine (its cores, its folders), and not which figure it is."""

SOLD = {"bf16": 989.5e12, "fp16": 989.5e12, "tf32": 494.7e12, "fp8": 1979e12, "int8": 1979e12, "fp32": 67e12}
"""An H200's peaks without sparsity, NVIDIA's data sheet (H200 SXM)."""


def as_json(report: Report) -> Json:
    """What a reader of the file sees."""
    found: Json = json.loads(msgspec.json.encode(report))
    return found


def results(document: Json) -> dict[str, Json]:
    return {result["name"]: result for result in document["results"]}


def key_of(figure: Json) -> str:
    labels = figure["labels"]
    apart = CIRCUMSTANCES | ({"bytes"} if figure["name"].startswith("copy_") else set())
    return " ".join([figure["name"], *(f"{key}={labels[key]}" for key in sorted(labels) if key not in apart)])


def last_figures(result: Json) -> dict[str, Json]:
    return {key_of(figure): figure for figure in result["figures"]}


def of(reports: Iterable[Report], names: Iterable[str]) -> Comparison:
    return compared(platforms(list(zip(names, reports, strict=True))))


@pytest.fixture(scope="module", params=TOGETHER)
def told(request: pytest.FixtureRequest) -> tuple[list[Json], Comparison]:
    reports = TOGETHER[request.param]
    return [as_json(report) for report in reports.values()], of(reports.values(), reports)


def cells(told: tuple[list[Json], Comparison]) -> Iterable[tuple[Row, Cell, Json | None]]:
    """Every cell with the result that it must tell, None where the report has none."""
    documents, comparison = told
    read = [results(document) for document in documents]
    for row in comparison.rows:
        assert len(row.cells) == len(documents)
        for cell, found in zip(row.cells, read, strict=True):
            yield row, cell, found.get(row.name)


def test_every_probe_of_every_report_is_a_row_once(told: tuple[list[Json], Comparison]) -> None:
    documents, comparison = told
    asked = {name for document in documents for name in results(document)}
    assert sorted(row.name for row in comparison.rows) == sorted(asked)


def test_every_cell_has_the_verdict_the_reason_and_the_findings_of_its_report(
    told: tuple[list[Json], Comparison],
) -> None:
    seen = 0
    for row, cell, result in cells(told):
        if result is None:
            assert (cell.verdict, cell.figures, cell.findings, cell.ways) == (None, (), (), ()), row.name
            continue
        seen += 1
        assert cell.verdict is not None
        assert (cell.verdict.value, cell.reason) == (result["verdict"], result["reason"]), row.name
        assert sorted(cell.findings) == sorted(finding["id"] for finding in result["findings"]), row.name
    assert seen == sum(len(results(document)) for document in told[0])


def test_every_figure_in_a_cell_is_that_of_its_report_and_none_is_left_out(
    told: tuple[list[Json], Comparison],
) -> None:
    seen = 0
    for row, cell, result in cells(told):
        wanted = last_figures(result) if result else {}
        assert {said.key for said in cell.figures} == set(wanted), row.name
        for said in cell.figures:
            figure = wanted[said.key]
            got = (said.value, said.unit, said.n, said.spread)
            assert got == (figure["value"], figure["unit"], figure["n"], figure["spread"]), (row.name, said.key)
            seen += 1
    assert seen > 300


def test_the_share_of_a_product_is_of_what_the_device_is_sold_for(told: tuple[list[Json], Comparison]) -> None:
    documents, comparison = told
    for row in (row for row in comparison.rows if row.name == "compute.gemm"):
        for document, cell in zip(documents, row.cells, strict=True):
            rates = {said.key: said for said in cell.figures if said.key.startswith(("gemm_rate", "gemm_best_rate"))}
            for key, said in rates.items():
                sold = SOLD[key.split("dtype=")[1].split()[0]]
                if document["machine"]["gpus"]:
                    assert said.share == pytest.approx(said.value / sold, rel=0.01), key
                else:  # a CPU is not sold for a rate
                    assert said.share is None, key


def test_attention_takes_the_way_that_the_report_tells(told: tuple[list[Json], Comparison]) -> None:
    for _, cell, result in cells(told):
        for fact in result["facts"] if result else ():
            name = fact["name"]
            if name.startswith("sdpa.") and name.endswith(".default"):
                assert (f"sdpa {name.split('.')[1]}", fact["value"]) in cell.ways


def test_a_row_changes_as_its_verdicts_do(told: tuple[list[Json], Comparison]) -> None:
    documents, comparison = told
    read = [results(document) for document in documents]
    for row in comparison.rows:
        verdicts = [found[row.name]["verdict"] for found in read if row.name in found]
        if len(verdicts) == 1:
            assert row.change == "alone"
        elif "pass" in verdicts and set(verdicts) & {"fail", "degraded"}:
            assert row.change == ("lost" if verdicts[0] == "pass" else row.change)
            assert row.change in ("lost", "gained")
        elif len({told_by(found[row.name]) for found in read if row.name in found}) == 1:
            assert (row.change, row.words) == ("same", ())
        assert (row.change == "same") == (row.words == ())
    weights = [row.weight for row in comparison.rows]
    assert weights == sorted(weights, reverse=True)


def told_by(result: Json) -> str:
    """All that a result says of what works and how fast."""
    return json.dumps([result[key] for key in ("verdict", "reason", "figures", "facts", "findings")], sort_keys=True)


def test_a_report_held_against_itself_differs_in_nothing() -> None:
    for name, report in WITH_TWO.items():
        comparison = of((report, planted.on_host(report, "another")), (name, f"{name}-again"))
        assert (comparison.differing, comparison.causes, comparison.outliers) == ((), (), ())
        assert comparison.uncovered
