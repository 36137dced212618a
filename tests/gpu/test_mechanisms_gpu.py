"""Mechanisms that only a real GPU shows, and sound models on it; run by hand with `-m gpu`."""

from __future__ import annotations

import pytest
from mechanism_corpus import Examined, examine

pytestmark = [pytest.mark.gpu, pytest.mark.compiles]

PROGRAMS = {
    "graphs_mutated": {"TD-CMP-031"},
    "graphs_vanish": {"TD-CMP-037"},
    "graphs_moved_weights": {"TD-CMP-038"},
    "graphs_new_shapes": {"TD-CMP-038"},
    "attention_math_on_a_gpu": {"TD-CMP-080"},
}
"""Programs of mechanisms 20 to 23 and 28, and the card that must be found; TF32's beside it is no alarm."""

SOUND = ("graphs_sound", "graphs_with_a_cpu_op", "attention_on_a_gpu")

TOLD = {"TD-CMP-082"}
"""What is told of any float32 model on a GPU that has TF32, and of none else."""


@pytest.fixture(scope="module")
def examined(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Examined]:
    """All programs in one process; their figures are printed."""
    folder = tmp_path_factory.mktemp("mechanisms") / "run"
    found = examine(folder, [*PROGRAMS, *SOUND], "inductor", device="cuda:0", limit_s=400)
    for name, one in found.items():
        figures = ("compiled_calls_per_step", "graphs", "cudagraph_skips", "generated_kernels")
        told = {figure: one.readings.number(figure) for figure in figures}
        told |= {f: one.readings.number(f) for f in ("graph_launches", "graph_captures", "kernel_launches")}
        print(f"{name}: {told} attention {one.readings.number('attention_fused')} -> {dict(one.cards)}")
    return found


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_mechanism_is_named_once_and_alone(examined: dict[str, Examined], program: str) -> None:
    assert set(examined[program].cards) - TOLD == PROGRAMS[program], examined[program].readings


@pytest.mark.parametrize("program", SOUND)
def test_a_sound_program_raises_no_alarm(examined: dict[str, Examined], program: str) -> None:
    assert examined[program].alarms == {}, examined[program].readings
    assert (examined[program].readings.number("compiled_calls_per_step") or 0) >= 1


def test_a_sound_program_launches_its_graphs(examined: dict[str, Examined]) -> None:
    launches = {name: examined[name].readings.number("graph_launches") for name in SOUND[:2]}
    assert launches["graphs_sound"] == 1
    assert (launches["graphs_with_a_cpu_op"] or 0) >= 1
