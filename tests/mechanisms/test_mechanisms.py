"""Every mechanism is produced by its program and named by its card, and by no other; a plain program by none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from mechanism_corpus import Examined, examine
from mechanism_rows import ON_A_GPU, ROWS, VERSIONS, Row

from torchprobes.judge import RULES, card

HERE = "2.13"
CHEAP = tuple(row for row in ROWS if not row.environ and not row.inductor)
"""Those that lie before Inductor, which one process examines in seconds."""


@pytest.fixture(scope="module")
def examined(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Examined]:
    """All cheap programs in one process of this interpreter, on a backend that costs nothing."""
    return examine(tmp_path_factory.mktemp("mechanisms") / "run", [*(row.program for row in CHEAP), "plain"])


@pytest.mark.parametrize("row", CHEAP, ids=lambda row: row.program)
def test_a_mechanism_is_named_once_and_alone(examined: dict[str, Examined], row: Row) -> None:
    found = examined[row.program]
    assert set(found.cards) == row.expected(HERE), found.readings
    assert found.cards[row.card]


def test_a_plain_program_has_no_finding_and_enters_its_code(examined: dict[str, Examined]) -> None:
    readings = examined["plain"].readings
    assert examined["plain"].cards == {}
    assert readings.number("compiled_calls_per_step") == 1


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


@pytest.mark.trials
@pytest.mark.compiles
@pytest.mark.parametrize("python", _pythons(), ids=lambda path: Path(path).parent.parent.name)
def test_mechanism_matrix(python: str, tmp_path: Path) -> None:
    """All programs with Inductor; prints the column of this version and holds it against the table."""
    version = _version(python)
    together = [row.program for row in ROWS if not row.environ]
    found = examine(tmp_path / "together" / "run", together, "inductor", python=python)
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
