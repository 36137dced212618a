"""What can be read of a compile, in words: payloads of the structured trace by their names, files by their kinds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from torchprobes.compilelog.kinds import KINDS, kind_of

if TYPE_CHECKING:
    from torchprobes.compilelog.explanation import Piece


@dataclass(frozen=True, slots=True)
class About:
    """What a piece is, and how its lines are coloured."""

    what: str
    language: str = "text"
    order: int = 60


PAYLOADS: Final[dict[str, About]] = {
    "inductor_output_code": About("kernels and wrapper that Inductor wrote", "python", 20),
    "dynamo_output_graph": About("the graph as Dynamo traced it", "python", 21),
    "inductor_post_grad_graph": About("the graph after Inductor's passes", "python", 22),
    "before_post_grad_graph": About("the graph before Inductor's passes", "python", 23),
    "fx_graph_runnable": About("the graph as a program: a reproducer", "python", 24),
    "aot_joint_graph": About("forward and backward in one graph", "python", 25),
    "aot_forward_graph": About("the forward graph of AOTAutograd", "python", 26),
    "aot_backward_graph": About("the backward graph of AOTAutograd", "python", 27),
    "aot_inference_graph": About("the graph of AOTAutograd, without gradients", "python", 28),
    "dynamo_cpp_guards_str": About("the guards: when this compile may be used again", "text", 29),
    "recompile_reasons": About("the guards that failed", "json", 30),
    "dynamo_graph_break_reason": About("why the graph broke here", "text", 31),
    "dynamo_error": About("what compiling raised", "text", 31),
    "compilation_metrics": About("seconds, counts and settings of the compile", "json", 32),
    "before_pre_grad_graph": About("the graph before the pre-grad passes", "python", 40),
    "after_pre_grad_graph": About("the graph after the pre-grad passes", "python", 41),
    "before_joint_graph": About("before the passes over the joint graph", "python", 42),
    "after_joint_graph": About("after the passes over the joint graph", "python", 43),
    "inductor_provenance_tracking_node_mappings": About("which graph node became which kernel", "json", 45),
    "inductor_provenance_tracking_kernel_stack_traces": About("which source lines a kernel comes from", "json", 46),
    "fx_graph_cache_miss": About("what the FX graph cache was asked", "json", 50),
    "fx_graph_cache_hit": About("what the FX graph cache gave", "json", 50),
    "fx_graph_cache_bypass": About("why the FX graph cache was passed over", "json", 50),
    "aotautograd_cache_miss": About("what the AOTAutograd cache was asked", "json", 51),
    "aotautograd_cache_hit": About("what the AOTAutograd cache gave", "json", 51),
    "aotautograd_cache_bypass": About("why the AOTAutograd cache was passed over", "json", 51),
    "aot_forward_graph_fw_metadata": About("AOTAutograd's view of inputs and outputs", "text", 52),
    "triton_kernel_info": About("the Triton kernels, as compiled", "json", 53),
    "runtime_wrapper_orchestration": About("what runs around the compiled graph", "python", 54),
    "aot_autograd_runtime_wrappers": About("what runs around the compiled graph", "python", 54),
    "compiled_fn_wrapper": About("what calls the compiled graph", "python", 55),
    "compiled_function_forward": About("the autograd function, forward", "python", 56),
    "compiled_function_backward": About("the autograd function, backward", "python", 57),
    "backward_prologue": About("what runs before the compiled backward", "python", 58),
    "backward_epilogue": About("what runs after the compiled backward", "python", 59),
    "torch._functorch.config": About("settings of functorch", "text", 70),
}
"""Name of a payload in the trace -> what it is; others are shown by their names."""

_FILES: Final = {kind.name: About(kind.what, kind.language, kind.order) for _, kind in KINDS}

_ENDINGS: Final = (
    ("_ORIGINAL_BYTECODE", About("the bytecode before Dynamo", "text", 80)),
    ("_MODIFIED_BYTECODE", About("the bytecode that Dynamo wrote", "text", 81)),
)

UNKNOWN_PIECE: Final = About("a payload of the trace", "text", 90)

GRAPHS: Final = (
    "dynamo_output_graph",
    "fx readable",
    "before_post_grad_graph",
    "aot_joint_graph",
    "aot_inference_graph",
    "aot_forward_graph",
    "inductor_post_grad_graph",
    "fx transformed",
)
"""Kinds of a graph that can be set beside that of another compile, the one that tells most first."""

READABLE: Final = ("fx readable", "before_post_grad_graph", "inductor_post_grad_graph", "fx transformed")
CODE: Final = ("output_code", "inductor_output_code")
MAPPINGS: Final = ("provenance", "inductor_provenance_tracking_node_mappings")


def about(piece: Piece) -> About:
    """What a piece is."""
    known = PAYLOADS.get(piece.kind) or _FILES.get(piece.kind)
    if known is None:
        known = next((words for ending, words in _ENDINGS if piece.kind.endswith(ending)), None)
    if known is None and piece.size is None:
        kind = kind_of(piece.path.rpartition("/")[2])
        known = About(kind.what, kind.language, kind.order)
    return known or UNKNOWN_PIECE


def title_of(piece: Piece) -> str:
    """What a piece is called: a file by its name, a payload by torch's name for it."""
    return piece.path.rpartition("/")[2] if piece.size is None else piece.kind


def reading_order(piece: Piece) -> tuple[int, str, int, int]:
    """What is read first comes first: the same kind of forward and backward together, files before payloads."""
    return about(piece).order, piece.graph, int(piece.size is not None), piece.offset
