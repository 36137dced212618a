"""What is true of each run of the corpus: written from the programs, their READMEs, and what torch's counters report.

Lines and names are of the programs (`graph_breaks.py:15` is its `.item()`), numbers of compiles follow from what each
program calls how often. `None` is what the files of that run cannot tell.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

Breaks = dict[tuple[str, int], tuple[str, int]]
"""(file, line) -> (words of its kind, occurrences)."""

Recompiles = list[tuple[str, str, str]]
"""(compile id, function, kind)."""


@dataclass(frozen=True)
class Run:
    """One run. Lists that are not named are empty: nothing of it happened, and the files tell so."""

    graphs: int | None
    frames: int | None
    breaks: Breaks | None = field(default_factory=dict)
    recompiles: Recompiles | None = field(default_factory=list)
    limits: list[tuple[str, int, int]] | None = field(default_factory=list)
    """(function, line, limit)."""
    suppressed: list[tuple[str, int, str]] = field(default_factory=list)
    """(function, the user's line, class of the exception)."""
    fatal: tuple[int, str] | None = None
    """(the user's line, class of the exception)."""
    fallbacks: set[str] | None = field(default_factory=set)
    harmful: set[str] = field(default_factory=set)
    """Those of `fallbacks` that cost something."""
    skips: set[str] | None = field(default_factory=set)
    """Kinds."""
    processes: int = 1
    ranks: int | None = None
    backward: bool = False
    """Whether a backward graph was compiled."""
    open_phase: str = ""
    """The innermost phase that was open at the end."""


def _sizes(frame: int, function: str, first: int, last: int) -> Recompiles:
    return [(f"{frame}/{n}", function, "size") for n in range(first, last + 1)]


_PRINT, _IF, _ITEM, _CALL = 9, 11, 15, 17
"""Lines of graph_breaks.py. The `if` is taken once each way, so that what follows it is compiled twice (2/0, 5/0), and
what follows the `.item()` is compiled again for another float (3/1; up to 2.6 for each)."""


def _four_breaks(kinds: tuple[str, str, str, str], calls: int) -> Breaks:
    lines = (_PRINT, _IF, _ITEM, _CALL)
    occurrences = (1, 1, 2, calls)
    return {("graph_breaks.py", line): (kind, n) for line, kind, n in zip(lines, kinds, occurrences, strict=True)}


_NOW = ("Failed to trace builtin operator", "Data-dependent branching", "Tensor.item()", "torch._dynamo.graph_break()")
_THEN = ("builtin: print", "Data-dependent jump", "Tensor.item", "graph_break")
_ONCE = ("BuiltinVariable(print)", "generic_jump", "Tensor.item", "graph_break")
_AGAIN: Recompiles = [("3/1", "forward", "value")]

_BREAKS = Run(7, 7, _four_breaks(_NOW, 2), _AGAIN)
_BREAKS_2_6 = Run(8, 8, _four_breaks(_THEN, 3), [*_AGAIN, ("3/2", "forward", "value")])
_BREAKS_2_1 = replace(_BREAKS_2_6, breaks=_four_breaks(_ONCE, 3), fallbacks=None, skips=None)

_ATTENTION = {
    "aten._scaled_dot_product_flash_attention_for_cpu.default",
    "aten._scaled_dot_product_flash_attention_for_cpu_backward.default",
}
_NONZERO = {"aten.nonzero.default"}

_STORM = Run(
    16,
    16,
    {},
    [*_sizes(0, "f", 1, 7), *[(f"1/{n}", "g", "value") for n in range(1, 8)]],
    [("f", 5, 8), ("g", 11, 8)],
)
"""Both functions have their 8 compiles, then the limit; the attempt at it compiles nothing and is no recompile."""

_STORM_2_6 = replace(
    _STORM,
    graphs=12,
    frames=12,
    recompiles=[*_sizes(0, "f", 1, 7), ("1/1", "g", "value"), ("1/2", "g", "value"), ("1/3", "g", "type")],
    limits=[("f", 5, 8)],
)
"""A second float makes g's argument dynamic in 2.6: False, 0.0, 1.0 as any float, True."""

_STORM_2_1 = replace(
    _STORM,
    graphs=26,
    frames=26,
    recompiles=[*_sizes(0, "f", 1, 11), *[(f"1/{n}", "g", "type" if n == 3 else "value") for n in range(1, 14)]],
    limits=[],
    fallbacks=None,
    skips=None,
)
"""The limit of 2.1 is 64: 12 sizes, 14 values. True fails as of another type than the float that came before."""


def _unsaid(recompiles: Recompiles | None) -> Recompiles:
    """2.1 names the failed guard only with TORCH_LOGS=recompiles; the debug flag alone tells that it compiled again."""
    return [(compile_id, function, "unknown") for compile_id, function, _ in recompiles or []]


_DDP = Run(
    8,
    18,
    {
        ("ddp_gloo.py", 11): ("Data-dependent branching", 4),
        ("distributed.py", 1757): ("Unsupported method call", 4),
        ("contextlib.py", 105): ("Attempted to call function marked as skipped", 4),
    },
    2 * [("0/1", "inner", "size"), ("4/1", "forward", "size"), ("5/1", "forward", "size")],
    processes=2,
    ranks=2,
    backward=True,
)

_TEXT_ONLY = Run(None, None, None, None, [], fallbacks=None)
"""2.6 with nothing but TORCH_COMPILE_DEBUG=1: no trace, and only warnings in the log."""

EVERY: dict[str, Run] = {
    "01_mlp": Run(1, 1),
    "02_transformer_train": Run(1, 1, fallbacks=_ATTENTION, backward=True),
    "03_graph_breaks": _BREAKS,
    "04_recompile_storm": _STORM,
    "05_inductor_fail_suppress": Run(2, 1, suppressed=[("f", 17, "InductorError")]),
    "06_dynamic_shapes": Run(6, 6, {("dynamic_shapes.py", 13): ("Dynamic shape operator", 1)}, _sizes(0, "f", 1, 3)),
    "07_train_mlp": Run(
        2,
        5,
        {("optimizer.py", 79): ("torch._dynamo.graph_break()", 2)},
        fallbacks={"aten.randint.low_out"},
        backward=True,
    ),
    "08_ddp_gloo": _DDP,
    "09_sigkill_mid_compile": Run(1, 1, open_phase="compile_file"),
    "10_fullgraph_error": Run(0, 0, fatal=(5, "Unsupported")),
    "11_reduce_overhead_cpu": Run(2, 2),
    "12_noisy_user_job": Run(2, 2, {}, [("0/1", "inner", "size")], backward=True),
    "gpu_cpu_part0": Run(1, 1, skips={"cpu device"}),
    "gpu_nz_part0": Run(1, 1, fallbacks=_NONZERO, harmful=_NONZERO, skips={"incompatible op"}),
    "gpu_nz_part1": Run(1, 1, fallbacks=_NONZERO, harmful=_NONZERO),
    "gpu_ok_part1": Run(1, 1),
    "gpu_tune_part1": Run(1, 1, fatal=(30, "RuntimeError"), backward=True),
    "x2.1.2_graph_breaks": _BREAKS_2_1,
    "x2.1.2_recompile_storm": _STORM_2_1,
    "x2.15.0_graph_breaks": _BREAKS,
    "x2.6.0_graph_breaks": _BREAKS_2_6,
    "x2.6.0_recompile_storm": _STORM_2_6,
}
"""What both runs of a case tell."""

RUNS: dict[str, Run] = {
    **{f"{case}.{mode}": run for case, run in EVERY.items() for mode in ("debug_only", "full")},
    # It was killed at 30 s, with full text in the forward's compile and without in the backward's.
    "09_sigkill_mid_compile.full": Run(1, 0, open_phase="compile_file"),
    # Partitions are told with TORCH_LOGS=+cudagraphs alone.
    "gpu_nz_part1.full": replace(EVERY["gpu_nz_part1"], skips={"unbacked binding ops"}),
    "x2.1.2_graph_breaks.debug_only": replace(_BREAKS_2_1, recompiles=_unsaid(_BREAKS_2_1.recompiles)),
    "x2.1.2_recompile_storm.debug_only": replace(_STORM_2_1, recompiles=_unsaid(_STORM_2_1.recompiles)),
    # A warning of its own tells of the first `.item()`.
    "x2.6.0_graph_breaks.debug_only": replace(_TEXT_ONLY, breaks={("graph_breaks.py", _ITEM): ("Tensor.item", 1)}),
    "x2.6.0_recompile_storm.debug_only": replace(_TEXT_ONLY, limits=[("f", 5, 8)]),
}
