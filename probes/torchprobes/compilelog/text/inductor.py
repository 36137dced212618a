"""Records of Inductor's: fallbacks, CUDA graphs that are not used, caches, folders, hints on speed."""

from __future__ import annotations

import re
from dataclasses import replace

from ..breaks import frames
from ..events import CacheAsked, CacheState, CudagraphSkip, Event, Fallback, Folder, Said
from ..harmless import is_harmless
from .record import Process, Record

FALLBACK = re.compile(r"Using FallbackKernel: (?:torch\.ops\.)?(\S+)")
FOLDER = re.compile(r"(\S+) debug trace: (/.*\S)\s*$")
SKIPPED = re.compile(r"(?:(?:skipping|disabling) cudagraphs? (?:due to |for )|CUDAGraph supports dynamic shapes by)")
PARTITION = re.compile(r"\s{2,}\w+: reason=(.+?), ir=(\w+)(?:, |$)")
PARTITIONED = re.compile(r"cudagraph partition due to (.*?)(?:\. Found from ?:? ?)?$")
PARTITION_AT = re.compile(r"\s{6,}(?:File \"|\S)")
CACHE = re.compile(r"(fx graph|AOTAutograd|FXGraphCache) cache (hit|miss) for key (\S+)", re.IGNORECASE)
BYPASS = re.compile(r"Bypassing (FX Graph Cache|autograd cache) (?:because|due to:?) '?(.*?)'?$")

_DUE = re.compile(r"(?:skipping|disabling) cudagraphs? due to ")
_FOUND = re.compile(r"\.? ?Found from ?: ?|\.? Found from ")
_NAMES = {"fx graph": "fx_graph", "fxgraphcache": "fx_graph", "aotautograd": "aotautograd"}

_SKIPS = (
    (r"mutated inputs|input mutation", "mutated inputs"),
    (r"input storage mutation", "input storage mutation"),
    (r"cpu device", "cpu device"),
    (r"multiple device", "multiple devices"),
    (r"incompatible op", "incompatible op"),
    (r"complex (?:input striding|memory overlap)", "complex input striding"),
    (r"graph with symbolic shapes|CUDAGraph supports dynamic shapes", "dynamic shapes"),
    (r"control flow operator", "control flow"),
    (r"index_put_ fallback", "incompatible op"),
    (r"sparsity not handled", "sparse tensor"),
    (r"non-Tensor inputs", "non-Tensor inputs"),
    (r"bisector", "bisector"),
    (r"override_cudagraphs", "override annotation"),
    (r"cudagraph capture requires the caching allocator", "caching allocator"),
    (r"function \d+ exceeding max re-recording limit", "re-recording limit"),
    (r"unknown reason", "unknown reason"),
)
"""torch's words, and the kind: torch/_inductor/{output_code,cudagraph_utils,lowering,compile_fx}.py, 2.1 to 2.15."""
_KINDS = tuple((re.compile(words), kind) for words, kind in _SKIPS)

SAID = (
    (re.compile(r"Not enough SMs to use max_autotune_gemm mode"), False),
    (re.compile(r"TensorFloat32 tensor cores .* available but not enabled"), False),
    (re.compile(r"DeviceCopy in input program"), False),
    (re.compile(r"Online softmax is disabled"), False),
    (re.compile(r"Torchinductor does not support code generation for complex operators"), False),
    (re.compile(r"\s*[Rr]eduction over non-contiguous dims"), False),
    (re.compile(r"possibly bad tiling"), False),
    (re.compile(r"Found optimal tiling with"), False),
    (re.compile(r"Unable to hit fast path of CUDAGraphs"), False),
    (re.compile(r"using triton random, expect difference from eager"), True),
    (re.compile(r"Skip comprehensive padding"), True),
    (re.compile(r"Profiler (?:record )?function .* will be ignored"), True),
)
"""What torch says on speed, and whether it is harmless."""
IS_SAID = re.compile("|".join(f"(?:{pattern.pattern})" for pattern, _ in SAID))


def fallback(record: Record, process: Process) -> list[Event]:
    """An op without a kernel of Inductor's (perf_hints)."""
    match = FALLBACK.match(record.lines[0])
    if not match:
        return []
    op = match[1].rstrip(".,")
    process.compile(record.head.compile_id).ops.add(op)
    return [Fallback(process.source(record), op, is_harmless(op))]


def folder(record: Record, process: Process) -> list[Event]:
    """Where the files of a graph are; said at the end of its compile."""
    match = FOLDER.match(record.lines[0])
    return [Folder(process.source(record, process.backward_id), match[2], match[1])] if match else []


def skipped(record: Record, process: Process) -> list[Event]:
    """CUDA graphs are not used for a graph."""
    text = record.text
    reason = text
    while due := _DUE.match(reason):
        reason = reason[due.end() :]
    found = _FOUND.search(reason)
    words = (reason[: found.start()] if found else reason.partition("\n")[0]).strip().rstrip(".")
    stack = frames(reason[found.end() :].split("\n")) if found else frames(record.lines[1:])
    return [CudagraphSkip(process.source(record), skip_kind(words), words, stack[-1] if stack else None)]


def skip_kind(words: str) -> str:
    """The kind of a skip by torch's words."""
    return next((kind for pattern, kind in _KINDS if pattern.search(words)), words.partition("(")[0].strip()[:80])


def partition(record: Record, process: Process) -> list[Event]:
    """An op that lies outside of the parts that become CUDA graphs (2.9+, TORCH_LOGS=+cudagraphs)."""
    match = PARTITION.match(record.lines[0])
    held = process.partition_held()
    if not match or match[2] == "AssertScalar":  # a check on the host, no work
        return held
    words = match[1]
    if "cudagraphs is disabled" in words:
        return held
    op = re.search(r"fx=(?:torch\.ops\.)?([\w.]+)\(", record.lines[0])
    kind = "cpu device" if words.startswith("cpu") else words
    process.partition = CudagraphSkip(process.source(record), kind, f"{words}: {op[1]}" if op else words, None, True)
    return held


def partition_at(record: Record, process: Process) -> list[Event]:
    """The lines that follow an op outside of the parts: where it comes from."""
    stack = frames(record.lines)
    if stack and process.partition:
        process.partition = replace(process.partition, at=stack[-1])
    return []


def partitioned(record: Record, process: Process) -> list[Event]:
    """The same in the words of 2.8."""
    match = PARTITIONED.match(record.lines[0])
    stack = frames(record.lines[1:])
    at = stack[-1] if stack else None
    return [CudagraphSkip(process.source(record), skip_kind(match[1]), match[1], at, True)] if match else []


def cache(record: Record, process: Process) -> list[Event]:
    """A cache was asked (INFO of Inductor and AOTAutograd)."""
    match = CACHE.match(record.lines[0])
    if not match:
        return []
    state: CacheState = "hit" if match[2].lower() == "hit" else "miss"
    return [CacheAsked(process.source(record), _NAMES[match[1].lower()], state, match[3])]


def bypass(record: Record, process: Process) -> list[Event]:
    """A cache was not asked, and why."""
    match = BYPASS.match(record.lines[0])
    if not match:
        return []
    what = "fx_graph" if match[1].startswith("FX") else "aotautograd"
    return [CacheAsked(process.source(record), what, "bypass", reason=match[2])]


def said(record: Record, process: Process) -> list[Event]:
    """A hint on speed."""
    words = " ".join(record.text.split())[:400]
    harmless = next((harmless for pattern, harmless in SAID if pattern.match(record.lines[0])), False)
    return [Said(process.source(record), words, harmless)]
