"""Every mechanism is produced by its program and named by its card, and by no other; a plain program by none."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from mechanism_corpus import Examined, examine
from mechanism_rows import HEALTHY, ON_A_GPU, ROWS, VERSIONS, Row

from torchprobes.judge.cards import card
from torchprobes.judge.registry import RULES

pytestmark = [
    pytest.mark.compiles,
    pytest.mark.skipif(shutil.which("g++") is None, reason="NO C++ COMPILER (g++): no mechanism was tried at all"),
]

HERE = "2.13"
FEW = ("mlp", "training")
"""Healthy models that CI compiles with Inductor; all of them are a trial."""

TOGETHER = tuple(row for row in ROWS if not row.environ)
"""Programs that one process can examine, each in a fork of it."""


@pytest.fixture(scope="module")
def examined(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Examined]:
    """Programs of mechanisms on a backend that costs nothing, where theirs is not Inductor; a few sound models."""
    programs = [*(row.program for row in TOGETHER), "plain", *FEW]
    return examine(tmp_path_factory.mktemp("mechanisms") / "run", programs)


@pytest.mark.parametrize("row", TOGETHER, ids=lambda row: row.program)
def test_a_mechanism_is_named_once_and_alone(examined: dict[str, Examined], row: Row) -> None:
    found = examined[row.program]
    assert set(found.cards) == row.expected(HERE), found.readings
    assert found.cards[row.card]


def test_a_plain_program_has_no_finding_and_enters_its_code(examined: dict[str, Examined]) -> None:
    readings = examined["plain"].readings
    assert examined["plain"].cards == {}
    assert readings.number("compiled_calls_per_step") == 1


@pytest.mark.parametrize("model", FEW)
def test_a_sound_model_raises_no_alarm(examined: dict[str, Examined], model: str) -> None:
    assert_sound(examined[model])


def assert_sound(found: Examined) -> None:
    """Compiled code is entered, and no rule warns: only findings of severity info may hold."""
    calls = found.readings.number("compiled_calls_per_step")
    assert calls is not None, found.readings
    assert calls >= 1, found.readings
    assert found.alarms == {}, found.readings


def test_every_mechanism_has_a_row_and_every_card_a_rule() -> None:
    assert {row.number for row in ROWS} | set(ON_A_GPU) == set(range(1, 29))
    cards = {row.card for row in ROWS} | set(ON_A_GPU.values())
    assert cards <= {rule.card for rule in RULES}
    assert all(set(row.not_on) <= set(VERSIONS) for row in ROWS)


def test_a_fix_is_told_for_all_but_what_only_hardware_can_cure() -> None:
    assert {row.card for row in ROWS if card(row.card).fix is None} <= {"TD-CMP-008", "TD-CMP-035", "TD-CMP-039"}


# --- the whole table, by hand --------------------------------------------------------------------------------------


def _pythons() -> list[str]:
    """Interpreters of other versions: TORCHDOCTOR_MATRIX_PYTHON, paths separated by a colon; else this one alone."""
    return [path for path in os.environ.get("TORCHDOCTOR_MATRIX_PYTHON", sys.executable).split(":") if path]


def _version(python: str) -> str:
    code = "import json, torch; print(json.dumps(torch.__version__))"
    told = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True, timeout=120).stdout
    return ".".join(str(json.loads(told)).split(".")[:2])


EVERY_PYTHON = pytest.mark.parametrize("python", _pythons(), ids=lambda path: Path(path).parent.parent.name)


@pytest.mark.trials
@EVERY_PYTHON
def test_twenty_sound_models_raise_no_alarm(python: str, tmp_path: Path) -> None:
    """All sound models with Inductor; prints calls and graphs of each."""
    found = examine(tmp_path / "run", HEALTHY, "inductor", python=python)
    for name, examined in found.items():
        calls, graphs = (examined.readings.number(figure) for figure in ("compiled_calls_per_step", "graphs"))
        print(f"{_version(python):>5} {name:<26} {calls} calls a step, {graphs} graphs; {dict(examined.cards) or '-'}")
    assert len(found) == 20
    for examined in found.values():
        assert_sound(examined)


@pytest.mark.trials
@EVERY_PYTHON
def test_mechanism_matrix(python: str, tmp_path: Path) -> None:
    """All programs with Inductor; prints the column of this version and holds it against the table."""
    version = _version(python)
    found = examine(tmp_path / "together" / "run", [row.program for row in TOGETHER], "inductor", python=python)
    wrong = []
    for index, row in enumerate(ROWS):
        if row.environ:
            folder = tmp_path / "together" / f"alone{index}"
            examined = examine(folder, [row.program], "inductor", row.environ, python)[row.program]
        else:
            examined = found[row.program]
        seen = frozenset(examined.cards)
        ok = seen == row.expected(version)
        word = ("occurs" if row.card in seen else "does not occur") + (" (emulated)" if row.how == "emulated" else "")
        print(f"{version:>5} {row.number:>2} {row.program:<26} {word:<24} {', '.join(sorted(seen)) or '-'}")
        wrong += [] if ok else [(row.program, seen, row.expected(version))]
    assert wrong == []
