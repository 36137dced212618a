"""Comparisons for tests of what is made of them: rows straight from reports, without any judgement of what differs."""

from __future__ import annotations

import random
from collections.abc import Sequence

import msgspec
from report_material import HOSTILE, report, result

from torchprobes.model import Figure, Report, Result, Verdict
from torchprobes.reports import digest
from torchprobes.reports.comparison.model import Cause, Cell, Comparison, Outlier, Platform, Row, Said


def platforms(reports: Sequence[Report], labels: Sequence[str]) -> tuple[Platform, ...]:
    """Reports as columns."""
    return tuple(
        Platform(
            label=label,
            report=each,
            devices=tuple(str(gpu.get("name")) for gpu in each.machine.gpus),
            device=", ".join(str(gpu.get("name")) for gpu in each.machine.gpus) or "CPU",
        )
        for each, label in zip(reports, labels, strict=True)
    )


def comparison_of(columns: Sequence[Platform], **more: object) -> Comparison:
    """A row a probe, in the order of the first report that has it."""
    names = dict.fromkeys(r.name for column in columns for r in column.report.results)
    rows = [_row(name, columns) for name in names]
    fields = {"uncovered": ("storage: nothing was read from a file system of the network",), **more}
    ordered = tuple(sorted(rows, key=lambda row: row.change == "same"))
    return Comparison(platforms=tuple(columns), rows=ordered, **fields)  # type: ignore[arg-type]


def _row(name: str, columns: Sequence[Platform]) -> Row:
    there = [next((r for r in column.report.results if r.name == name), None) for column in columns]
    verdicts = dict.fromkeys(r.verdict for r in there if r is not None)
    said = " and ".join(verdict.value for verdict in verdicts)
    differ = len(verdicts) > 1
    return Row(
        name=name,
        group=name.partition(".")[0],
        cells=tuple(map(_cell, there)),
        change="lost" if differ else "same",
        words=(f"{said}",) if differ else (),
        weight=float(differ),
    )


def _cell(one: Result | None) -> Cell:
    if one is None:
        return Cell()
    shares = {id(measured.figure): measured.share for measured in digest.measured(one)}
    figures = tuple(_said(figure, shares.get(id(figure))) for figure in one.figures)
    return Cell(one.verdict, one.reason, figures, (), tuple(finding.id for finding in one.findings))


def _said(figure: Figure, share: float | None) -> Said:
    labels = "".join(f" {name}={value}" for name, value in figure.labels.items())
    of = "" if share is None else "its expectation"
    return Said(f"{figure.name}{labels}", figure.value, figure.unit, figure.n, figure.spread, share, of)


def hostile_comparison(many: int = 3) -> Comparison:
    """Hostile text in every field of a comparison."""
    dice = random.Random(7)

    def text() -> str:
        return "".join(dice.choice(HOSTILE) for _ in range(dice.randrange(1, 3)))

    def one(index: int) -> Report:
        figures = (Figure(name=text(), value=dice.uniform(0.1, 9), unit=text(), labels={text(): text()}),)
        verdict = dice.choice(list(Verdict))
        base = report((result(reason=text(), figures=figures, verdict=verdict),))
        machine = msgspec.structs.replace(base.machine, host=text(), driver=text(), gpus=({"name": text()},))
        return msgspec.structs.replace(base, machine=machine, started=text(), tier=text())

    columns = platforms([one(index) for index in range(many)], [f"{index}{text()}" for index in range(many)])

    def cell() -> Cell:
        said = Said(text(), 1.5, text(), 3, 0.5, 0.7, text())
        return Cell(dice.choice([*Verdict, None]), text(), (said,), ((text(), text()),), (text(),))

    cells = tuple(cell() for _ in range(many))
    row = Row(name=text(), group=text(), cells=cells, change="worse", words=(text(), text()))
    cause = Cause(kind=text(), name=text(), values=tuple(dice.choice([None, "", text()]) for _ in range(many)),
                  words=text(), explains=(text(),), why=text(), sure=True)  # fmt: skip
    outlier = Outlier(platform=columns[0].label, row=row.name, key=row.cells[0].figures[0].key, value=1.0, unit=text(),
                      median=2.0, z=9.0, of=many)  # fmt: skip
    return Comparison(platforms=columns, rows=(row,), causes=(cause,), outliers=(outlier,), uncovered=(text(),),
                      notes=(text(),))  # fmt: skip
