"""Which record says what, by its name."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from ..events import Event
from . import breaks, caches, code, errors, frames, metrics, phases, recompiles
from .context import Entry

Handler = Callable[[Entry], Sequence[Event]]

HANDLERS: dict[str, Handler] = {
    "str": frames.interned,
    "torch_version": frames.version,
    "dynamo_start": frames.started,
    "dynamo_output_graph": frames.graph,
    "dynamo_graph_break_reason": breaks.graph_break,
    "recompile_reasons": recompiles.recompiled,
    "dynamo_error": errors.failed,
    "chromium_event": phases.phase,
    "compilation_metrics": metrics.metrics,
    "bwd_compilation_metrics": metrics.metrics,
    "compilation_metrics_runtime": metrics.metrics,
    "bwd_compilation_metrics_runtime": metrics.metrics,
    "inductor_output_code": code.output_code,
    "inductor_provenance_tracking_node_mappings": code.mappings,  # torch 2.7
    "inductor_triton_kernel_to_post_grad_nodes": code.mappings,  # torch 2.7 only
    "inductor_generated_kernel_to_post_grad_nodes": code.mappings,  # torch 2.8 only
    "inductor_provenance_tracking_kernel_stack_traces": code.stacks,  # torch 2.9
    **{
        f"{what}_cache_{state}": caches.cache_asked
        for what in ("fx_graph", "aotautograd", "fx_graph_bundled")
        for state in ("hit", "miss", "bypass", "hash")
    },
}

WITHOUT_PAYLOAD = frozenset(name for name in HANDLERS if name.endswith(("metrics", "_runtime"))) | {
    "str",
    "dynamo_start",
    "dynamo_output_graph",
}
"""What says something in its line already. The others say nothing without a payload: torch then had nothing to say."""

NOT_READABLE = frozenset(("chromium_event", "torch_version"))
"""Payloads that nobody would open."""

_OF_THE_GRAPH = re.compile(r"inductor_(?:output_code|provenance)|fx_graph_cache_|triton_kernel_info|graph_execution")


def follows_code(name: str) -> bool:
    """Whether such a record belongs to the graph whose code stands before it."""
    return _OF_THE_GRAPH.match(name) is not None
