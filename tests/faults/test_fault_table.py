"""Faults put in for real, each told as one root cause by its card; the card's fix applied, it is gone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from fault import Fault, alarms
from fault_table import FAMILIES, FAULTS

from torchprobes.judge.cards import card
from torchprobes.model import Verdict

_LEAST = 25

IN_CI = 5
"""Faults of each family that every run of the tests puts in; the others are trials, run by hand with `-m ""`."""


def _rows() -> list[object]:
    rows = []
    for faults in FAMILIES.values():
        quick = [fault for fault in faults if not fault.marks][:IN_CI]
        for fault in faults:
            marks = fault.marks if fault.marks or fault in quick else (pytest.mark.trials,)
            rows.append(pytest.param(fault, id=f"{fault.probe}: {fault.name}", marks=_by_hand(marks)))
    return rows


def _by_hand(marks: tuple[pytest.MarkDecorator, ...]) -> tuple[pytest.MarkDecorator, ...]:
    """What compiles for real is a trial too."""
    compiles = any(mark.name == "compiles" for mark in marks)
    return (*marks, pytest.mark.trials) if compiles else marks


@pytest.fixture(scope="session")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of all faults, in which runs of what was not touched are shared."""
    return tmp_path_factory.mktemp("ward")


@pytest.mark.parametrize("fault", _rows())
def test_a_fault_is_one_root_cause_and_its_fix_cures_it(ward: Path, fault: Fault) -> None:
    folder = ward / re.sub(r"\W+", "-", f"{fault.probe} {fault.name}")
    folder.mkdir()
    before = fault.told(folder, fault.inject, "before")
    assert [finding.id for finding in alarms(before)] == [fault.card], (before.judgement, before.stderr[-3000:])
    assert before.judgement.verdict is fault.verdict, before.judgement
    assert fault.verdict is Verdict.PASS or before.judgement.reason.startswith(card(fault.card).title)
    assert fault.says in before.judgement.reason
    after = fault.told(folder, fault.cure, "after")
    assert alarms(after) == [], after.judgement
    assert after.judgement.verdict is Verdict.PASS, (after.judgement, after.stderr[-3000:])


def test_the_table_holds_enough_faults_and_each_card_has_the_fix_that_is_applied() -> None:
    """With -s, the table: family, fault, probe, verdict, card, and what of its fix cures it."""
    assert len({(fault.probe, fault.name) for fault in FAULTS}) == len(FAULTS)
    assert len({fault.card for fault in FAULTS}) >= _LEAST
    for family, faults in FAMILIES.items():
        for fault in faults:
            fix = card(fault.card).fix
            assert fix is not None, fault.card
            assert fault.fix in fix.command, (fault.card, fix.command)
            by_hand = " (trials)" * any(mark.name == "trials" for mark in fault.marks)
            print(f"{family:<12} {fault.name + by_hand:<46} {fault.probe:<18} {fault.card}  {fix.command}")
