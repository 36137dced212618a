"""`compilation_metrics` and its kin: what one compile cost and how it ended.

Backward compiles say `bwd_...`, work at run time (autotuning, recording of CUDA graphs) `..._runtime`
(`record_compilation_metrics` in torch/_dynamo/utils.py). Since torch 2.6 times are in microseconds, seconds beside.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import msgspec

from ..events import CompileEnded, CompileFailed, Event, LimitHit, Line, TorchSeen
from .context import Entry
from .envelope import Decoder, Envelope, Whole, clean
from .errors import NO_ERROR

MAX_TEXT = 1 << 14
MAX_ROWS = 256
MAX_VERSION = 100

_LIMIT = re.compile(
    r"Dynamo (?:recompile|cache) limit exceeded|\w*(?:cache_size|recompile)_limit reached|Hard failure due to f"
)
_BEFORE_TRACING = frozenset(
    ("CacheLimitExceeded", "FailOnCacheLimitHit", "RecompileLimitExceeded", "FailOnRecompileLimitHit", "RecompileError")
)
"""What ends a compile before dynamo_error tells of failures; torch 2.6 writes such metrics as a backward's."""
_LIMIT_NAME = re.compile(r"\b((?:accumulated_)?(?:cache_size|recompile)_limit)\b(?: cache size limit)?")
_SUPPRESS = re.compile(rb'"suppress_errors\\?": (true|false)')
_LIMIT_SET = re.compile(rb'"(?:recompile|cache_size)_limit\\?": (\d{1,9})')
_LIMIT_SIZE = re.compile(r"currently set to (\d{1,9})\)")


class Metrics(msgspec.Struct):
    """The keys of `CompilationMetrics` that are told, of torch 2.3 to 2.15; any may be missing or null."""

    compile_id: str | None = None
    co_name: str | None = None
    co_filename: str | None = None
    co_firstlineno: Whole | None = None
    graph_op_count: Whole | None = None
    graph_node_count: Whole | None = None
    guard_count: Whole | None = None
    start_time: float | None = None
    entire_frame_compile_time_s: float | None = None
    backend_compile_time_s: float | None = None
    inductor_compile_time_s: float | None = None
    code_gen_time_s: float | None = None
    pre_grad_pass_time_us: float | None = None
    joint_graph_pass_time_us: float | None = None
    post_grad_pass_time_us: float | None = None
    triton_compile_time_us: float | None = None
    compile_time_autotune_time_us: float | None = None
    gc_time_us: float | None = None
    runtime_cudagraphify_time_us: float | None = None
    runtime_triton_autotune_time_us: float | None = None
    dynamo_time_before_restart_s: float | None = None
    duration_us: float | None = None
    fail_type: str | None = None
    fail_reason: str | None = None
    fail_user_frame_filename: str | None = None
    fail_user_frame_lineno: Whole | None = None
    restart_reasons: list[str] | None = None
    recompile_reason: str | None = None
    cudagraph_skip_reason: str | None = None
    is_forward: bool | None = None
    structured_logging_overhead_s: float | None = None
    structured_logging_overhead_us: float | None = None
    pytorch_version: str | None = None

    @property
    def whole_s(self) -> float | None:
        """Wall seconds of all of it."""
        return self.entire_frame_compile_time_s if self.duration_us is None else self.duration_us / 1e6

    @property
    def overhead_s(self) -> float | None:
        """What writing the trace has cost."""
        us = self.structured_logging_overhead_us
        return self.structured_logging_overhead_s if us is None else us / 1e6

    def phases(self) -> Iterator[tuple[str, float]]:
        """(phase, wall seconds), outer before inner; what took no time is left out."""
        for key, name, unit_s in _PHASES:
            value: float | None = getattr(self, key)
            if value:
                yield name, value * unit_s


_PHASES = (
    ("entire_frame_compile_time_s", "entire_frame_compile", 1.0),
    ("dynamo_time_before_restart_s", "dynamo_before_restart", 1.0),
    ("backend_compile_time_s", "backend_compile", 1.0),
    ("pre_grad_pass_time_us", "pre_grad_passes", 1e-6),
    ("inductor_compile_time_s", "inductor_compile", 1.0),
    ("joint_graph_pass_time_us", "joint_graph_passes", 1e-6),
    ("post_grad_pass_time_us", "post_grad_passes", 1e-6),
    ("code_gen_time_s", "code_gen", 1.0),
    ("triton_compile_time_us", "kernel_compile", 1e-6),
    ("compile_time_autotune_time_us", "autotune", 1e-6),
    ("gc_time_us", "gc", 1e-6),
    ("runtime_triton_autotune_time_us", "runtime_autotune", 1e-6),
    ("runtime_cudagraphify_time_us", "runtime_cudagraphify", 1e-6),
)
"""(key, phase, seconds in its unit), of the metrics."""


class _Told(Envelope):
    compilation_metrics: Metrics | None = None
    bwd_compilation_metrics: Metrics | None = None
    compilation_metrics_runtime: Metrics | None = None
    bwd_compilation_metrics_runtime: Metrics | None = None


_TOLD = Decoder.of(_Told)


def metrics(entry: Entry) -> Sequence[Event]:
    """The end of a compile; and the limit, where it ended there."""
    envelope: _Told = entry.decode(_TOLD)
    said: Metrics = getattr(envelope, entry.name) or Metrics()
    if not entry.source.compile_id and said.compile_id:
        entry.decode(_TOLD, said.compile_id)
    frame = str(envelope.frame_id)
    if said.co_name:
        function = Line(_text(said.co_filename), said.co_firstlineno or 0, _text(said.co_name))
        entry.context.functions.put(entry.pid, frame, function)
    function = entry.context.functions.get(entry.pid, frame) or Line("", 0)
    found = (
        _version(entry, said),
        _ended(entry, said, function),
        _limit(entry, said, function),
        _failure(entry, said, function),
    )
    return [event for event in found if event is not None]


def _version(entry: Entry, said: Metrics) -> TorchSeen | None:
    """Since torch 2.9 the metrics say the version; of those before 2.12 it is all that does."""
    if not said.pytorch_version or entry.context.torch:
        return None
    entry.context.torch = clean(said.pytorch_version, MAX_VERSION)
    return TorchSeen(entry.source, entry.context.torch)


def _ended(entry: Entry, said: Metrics, function: Line) -> CompileEnded:
    at = said.fail_user_frame_filename
    return CompileEnded(
        entry.source,
        backward=entry.name.startswith("bwd_") and said.fail_type not in _BEFORE_TRACING,
        function=function.function,
        file=function.file,
        line=function.line,
        ops=said.graph_op_count,
        nodes=said.graph_node_count,
        guards=said.guard_count,
        seconds=said.whole_s,
        phases=tuple(said.phases()),
        fail_type=_text(said.fail_type),
        fail_reason=_text(said.fail_reason),
        fail_at=Line(_text(at), said.fail_user_frame_lineno or 0) if at else None,
        restart_reasons=tuple(map(_text, (said.restart_reasons or [])[:MAX_ROWS])),
        recompile_reason=_text(said.recompile_reason),
        cudagraph_skip_reason=_text(said.cudagraph_skip_reason),
        overhead_s=said.overhead_s,
        runtime=entry.name.endswith("_runtime"),
        suppress_errors=_suppresses(entry) if said.fail_type else None,
        recompile_limit=_limit_set(entry),
    )


def _suppresses(entry: Entry) -> bool | None:
    """What the settings that stand in the metrics say of errors (torch 2.6 and later)."""
    found = _SUPPRESS.search(entry.body)
    return None if found is None else found[1] == b"true"


def _limit_set(entry: Entry) -> int | None:
    """The limit in the settings (torch 2.6 and later); looked for in recompiles alone, as it is in 40 kB of text."""
    if entry.source.compile_id.endswith("/0"):
        return None
    found = _LIMIT_SET.search(entry.body)
    return int(found[1]) if found else None


def _limit(entry: Entry, said: Metrics, function: Line) -> LimitHit | None:
    reason = _text(said.fail_reason)
    if not _LIMIT.match(reason):
        return None
    name = _LIMIT_NAME.search(reason)
    size = _LIMIT_SIZE.search(reason)
    last = entry.context.reasons.get(entry.pid, entry.source.compile_id) or _text(said.recompile_reason)
    return LimitHit(
        entry.source,
        name[1] if name else "recompile_limit",
        int(size[1]) if size else None,
        function.function,
        function.file,
        function.line,
        last,
    )


def _failure(entry: Entry, said: Metrics, function: Line) -> CompileFailed | None:
    """The failure that no traceback has told: before tracing, and all of torch 2.3 to 2.5.

    Of `Unsupported` only tracebacks tell: without one it may be no more than a graph break or the limit.
    """
    kind = said.fail_type or "Unsupported"
    told = entry.context.failures.get(entry.pid, entry.source.compile_id)
    eager = _LIMIT.match(said.fail_reason or "") and not kind.startswith("FailOn")
    if told or eager or kind == "Unsupported" or kind in NO_ERROR:
        return None
    at = said.fail_user_frame_filename
    user = Line(_text(at), said.fail_user_frame_lineno or 0) if at else None
    reason = _text(said.fail_reason)
    return CompileFailed(
        entry.source, _text(said.fail_type), reason, None, function.function, function.file, function.line, user
    )


def _text(value: str | None) -> str:
    return clean(value, MAX_TEXT)
