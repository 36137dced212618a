"""Tables of a comparison name only what there is: probes, findings, ways and kinds."""

from __future__ import annotations

from fnmatch import fnmatchcase

import pytest

from torchprobes.catalogue import PROBES
from torchprobes.judge.cards import CARDS
from torchprobes.reports.comparison.knowledge import RULES
from torchprobes.reports.comparison.uncovered import AREAS
from torchprobes.reports.comparison.ways import WAYS
from torchprobes.reports.inventory import KINDS

ASKED = {probe.name for probe in PROBES} | {"telemetry"}


@pytest.mark.parametrize("pattern", sorted({p for rule in RULES for p in rule.rows}))
def test_a_rule_s_rows_are_probes_that_there_are(pattern: str) -> None:
    assert any(fnmatchcase(name, pattern) for name in ASKED)


@pytest.mark.parametrize("pattern", sorted({way.probes for way in WAYS} | {p for area in AREAS for p in area.probes}))
def test_a_way_s_and_an_area_s_probes_are_there(pattern: str) -> None:
    assert any(fnmatchcase(name, pattern) for name in ASKED)


@pytest.mark.parametrize("pattern", sorted({p for rule in RULES for p in rule.findings}))
def test_a_rule_s_findings_have_cards(pattern: str) -> None:
    assert pattern in {card.id for card in CARDS}


@pytest.mark.parametrize("pattern", sorted({p for rule in RULES for p in rule.signs}))
def test_a_rule_s_signs_are_ways(pattern: str) -> None:
    told = ("0-1", "libcublas.so.13", "libcudnn.so.9", "cudnn.allow_tf32", "float32_matmul_precision")
    assert any(fnmatchcase(way.name.format(each), pattern) for way in WAYS for each in told)


@pytest.mark.parametrize("kind", sorted({kind for rule in RULES for kind in rule.kinds}))
def test_a_rule_s_kinds_are_those_of_the_inventory(kind: str) -> None:
    assert kind in KINDS
