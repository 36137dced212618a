"""The table: mechanism × version of PyTorch, as it was seen. Tests hold it; `test_mechanism_matrix` fills it anew.

Numbers are those of the list of mechanisms by which torch.compile silently does not help. A program occurs where its
card is found; where it does not, the reason stands here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

VERSIONS = ("2.1", "2.6", "2.13", "2.14")
"""PyTorch 2.1.2, 2.6.0, 2.13.0 and 2.14.1, on a CPU."""

How = Literal["real", "emulated"]
"""Emulated: PyTorch's own code runs, told of a GPU or a Python that is not here."""


@dataclass(frozen=True)
class Row:
    """One program: the number of its mechanism, its card, and where it does not occur, with the reason.

    `environ` must be set before the process starts, so such a program has a process to itself. `beside` are cards of
    severity info that the program shows as well. `inductor` programs compile with Inductor whatever the test asks.
    """

    number: int
    program: str
    card: str
    how: How = "real"
    environ: Mapping[str, str] = field(default_factory=dict)
    beside: frozenset[str] = frozenset()
    inductor: bool = False
    not_on: Mapping[str, str] = field(default_factory=dict)

    def expected(self, version: str) -> frozenset[str]:
        """The cards that the rules must find on that version."""
        if version in self.not_on:
            return frozenset()
        return frozenset({self.card}) | self.beside


_FROM_2_6 = {"2.1": "torch.compiler.set_stance is in 2.6 and later"}
_POISON = {"2.1": "2.1 compiles under a dispatch mode", "2.14": "repaired"}
_CPU_GRAPHS = frozenset({"TD-CMP-032"})

ROWS = (
    Row(1, "suppressed_error", "TD-CMP-020"),
    Row(1, "suppressed_by_zero", "TD-CMP-020", environ={"TORCHDYNAMO_SUPPRESS_ERRORS": "0"}),
    Row(2, "never_retried", "TD-CMP-027"),
    Row(3, "graph_break", "TD-CMP-030"),
    Row(4, "unsupported_generator", "TD-CMP-026"),
    Row(4, "unsupported_transform", "TD-CMP-026"),
    Row(5, "recompile_limit", "TD-CMP-025"),
    Row(6, "limit_poisons", "TD-CMP-028"),
    Row(7, "recompiles_each_call", "TD-CMP-076"),
    Row(8, "stance_force_eager", "TD-CMP-024", not_on=_FROM_2_6),
    Row(8, "stance_eager_on_recompile", "TD-CMP-024", not_on=_FROM_2_6),
    Row(9, "plain", "TD-CMP-022", environ={"TORCHDYNAMO_DISABLE": "1"}),
    Row(10, "plain", "TD-CMP-023", environ={"TORCH_COMPILE_DISABLE": "1"}),
    Row(11, "disabled_forward", "TD-CMP-070"),
    Row(11, "disabled_inner", "TD-CMP-070"),
    Row(12, "compile_of_a_builtin", "TD-CMP-071", not_on={"2.1": "it compiles", "2.14": "repaired"}),
    Row(13, "wrapper_unused", "TD-CMP-072"),
    Row(13, "forward_called", "TD-CMP-072"),
    Row(13, "other_method_called", "TD-CMP-072"),
    Row(14, "dispatch_mode", "TD-CMP-073"),
    Row(15, "dispatch_mode_once", "TD-CMP-074", not_on=_POISON),
    Row(16, "backend_eager", "TD-CMP-075"),
    Row(16, "backend_aot_eager", "TD-CMP-075"),
    Row(17, "all_extern", "TD-CMP-034", inductor=True),
    Row(18, "no_compiler", "TD-CMP-001", inductor=True),
    Row(18, "no_triton", "TD-CMP-007", how="emulated"),
    Row(19, "old_gpu", "TD-CMP-008", how="emulated"),
    Row(20, "small_gpu", "TD-CMP-035", how="emulated", beside=_CPU_GRAPHS, inductor=True),
    Row(24, "mode_flips", "TD-CMP-039"),
    Row(25, "caches_off", "TD-CMP-061", environ={"TORCHINDUCTOR_FORCE_DISABLE_CACHES": "1"}, inductor=True),
    Row(25, "cache_bypassed", "TD-CMP-063", inductor=True, not_on={"2.1": "there is no cache of graphs"}),
    Row(26, "traced", "TD-CMP-011"),
    Row(27, "old_python", "TD-CMP-009", how="emulated"),
    Row(28, "attention_math", "TD-CMP-080"),
    Row(28, "bf16_emulated", "TD-CMP-081", how="emulated"),
    Row(28, "tf32_off", "TD-CMP-082", how="emulated"),
    Row(28, "cudnn_off", "TD-CMP-083", how="emulated"),
)

ON_A_GPU = {21: "TD-CMP-031", 22: "TD-CMP-037", 23: "TD-CMP-038"}
"""Mechanisms of CUDA graphs, which a CPU does not have: tests/gpu/test_mechanisms_gpu.py, PyTorch 2.11 on an H200."""

HEALTHY = (
    "mlp", "cnn", "transformer_encoder", "rnn", "gru_cell", "dynamic_shapes", "training", "embedding_bag", "residual",
    "norm_chain", "conv_transpose", "attention", "grouped_query_attention", "autocast", "checkpointing", "keywords",
    "several_outputs", "functional", "buffers", "tied_weights",
)  # fmt: skip
"""Sound models of `mechanism_healthy.py`, on which no rule may warn."""
