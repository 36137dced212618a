"""The table of environment variables: each row fires on what its reader takes, is silent on what it does not."""

from __future__ import annotations

import pytest
from env_material import FIGURES, VARIABLES
from sound import ids, judged, readings

from torchprobes.judge.cards import card
from torchprobes.judge.env.variable_rows import ROWS, Row
from torchprobes.model import Verdict

FIRES = {
    "NVIDIA_TF32_OVERRIDE": {"TD-ENV-125": "0", "TD-ENV-126": "1"},
    "TORCHINDUCTOR_FX_GRAPH_CACHE": {"TD-ENV-105": "0"},
    "PYTORCH_JIT": {"TD-ENV-114": "0"},
    "TORCH_DEVICE_BACKEND_AUTOLOAD": {"TD-ENV-135": "0"},
    "CUDA_MODULE_LOADING": {"TD-ENV-130": "EAGER"},
    "PYTORCH_CUDA_ALLOC_CONF": {"TD-ENV-133": "backend:cudaMallocAsync"},
    "NCCL_DEBUG": {"TD-ENV-165": "INFO"},
    "TORCH_DISTRIBUTED_DEBUG": {"TD-ENV-168": "DETAIL"},
    "ATEN_CPU_CAPABILITY": {"TD-ENV-182": "default"},
    "PYTHONMALLOC": {"TD-ENV-191": "debug"},
}
"""Values that set a row off, where "1" does not."""


def fired(name: str, value: str, torch: str = "2.11.0+cu130", cores: int = 64) -> list[str]:
    told = {**VARIABLES, "torch.version": torch, "cores": cores, f"environ.{name}": value}
    return ids(judged(readings("env.variables", told, FIGURES["env.variables"])))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.card)
def test_each_row_fires_alone_with_a_card_that_takes_it_away(row: Row) -> None:
    assert fired(row.name, FIRES.get(row.name, {}).get(row.card, "1")) == [row.card]
    known = card(row.card)
    assert known.fix is not None
    assert known.fix.command == f"unset {row.name}"
    assert row.name in known.title


def test_numbers_of_rows_are_unique_and_in_the_tables_range() -> None:
    assert len({row.number for row in ROWS}) == len(ROWS)
    assert all(100 <= row.number < 200 for row in ROWS)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CUDA_LAUNCH_BLOCKING", "0"), ("NCCL_P2P_DISABLE", ""), ("TORCHDYNAMO_SUPPRESS_ERRORS", ""),
        ("TORCHDYNAMO_DISABLE", "0"), ("TORCH_COMPILE_DISABLE", "0"), ("TORCHINDUCTOR_FX_GRAPH_CACHE", "1"),
        ("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True"), ("TORCH_DISTRIBUTED_DEBUG", "INFO"),
        ("CUDA_MODULE_LOADING", "LAZY"), ("NCCL_DEBUG", "WARN"), ("OMP_NUM_THREADS", "8"), ("CUDA_HOME", "/usr/local"),
    ],
)  # fmt: skip
def test_what_does_nothing_is_no_finding(name: str, value: str) -> None:
    assert fired(name, value) == []


def test_suppress_errors_and_the_allocator_take_any_value() -> None:
    assert fired("TORCHDYNAMO_SUPPRESS_ERRORS", "0") == ["TD-ENV-100"]
    assert fired("PYTORCH_NO_CUDA_MEMORY_CACHING", "") == ["TD-ENV-121"]


@pytest.mark.parametrize(("torch", "found"), [("2.6.0+cu124", ["TD-ENV-102"]), ("2.13.0", []), ("", [])])
def test_compile_disable_of_0_disables_up_to_2_6(torch: str, found: list[str]) -> None:
    assert fired("TORCH_COMPILE_DISABLE", "0", torch) == found


def test_one_thread_on_one_core_is_right() -> None:
    assert fired("OMP_NUM_THREADS", "1", cores=1) == []
    assert fired("OMP_NUM_THREADS", "1", cores=2) == ["TD-ENV-180"]


def test_what_costs_is_degraded_and_what_is_good_to_know_passes() -> None:
    slow = judged(readings("env.variables", {**VARIABLES, "environ.CUDA_LAUNCH_BLOCKING": "1"}))
    assert slow.verdict is Verdict.DEGRADED
    assert "CUDA_LAUNCH_BLOCKING=1: every launch waits for its kernel" in slow.reason
    note = judged(readings("env.variables", {**VARIABLES, "environ.NCCL_ALGO": "Ring"}, FIGURES["env.variables"]))
    assert note.verdict is Verdict.PASS
