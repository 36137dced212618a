"""Make the small copies of the corpus beside this file: `make.py CORPUS`, where CORPUS is the expanded folder of runs.

Of each run (case and switches) the files that say something of torch.compile are kept, and of these the records that
have a reader; one .tar.xz a run. Text is as torch wrote it, but for records and lines that are left out.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torchprobes.compilelog.sources import Role, sourced
from torchprobes.compilelog.trace.table import HANDLERS

HERE = Path(__file__).parent
LIVE = "09_sigkill_mid_compile"
"""The case whose phases are kept: it was killed in the midst of them."""

_HEAD = re.compile(rb"(V\d{4} \S+ \d+ [^\n]{1,1024}?:\d+\] )(\{[^\n]*\})\n")
_UNUSED = ("dynamo_config", "inductor_config", "functorch_config", "graph_node_shapes", "stack_trace", "components")
_SETTINGS = ("suppress_errors", "recompile_limit", "cache_size_limit")
"""Of torch._dynamo.config, which stands in the metrics."""

_NOISE = re.compile(
    rb"_inductor/codecache\.py:|_inductor/scheduler\.py:|lru_cache_stats|/bounds\.py:|__trace_bytecode|__trace_source"
    rb"|_inductor/(?:graph|ir|lowering|pattern_matcher|fx_passes/\w+|compile_fx|triton_bundler|standalone_compile)\.py:"
    rb"|__bytecode|TREE_GUARD|\[__guards\] [|+ ]|recorded_autotune|symbolic_shapes\.py:\d+\] (?!.*Graph)"
    rb"|torch\._inductor\.(?:scheduler|ir|codecache|lowering|pattern_matcher|graph)\w*: \[DEBUG\]"
    rb"|__guards: \[DEBUG\] (?!GUARDS)|symbolic_shapes(?:\.\w+)?: \[(?:DEBUG|INFO)\]"
    rb"|__graph_code|__aot_graphs|__ddp_graphs"
)
_KEPT = re.compile(
    rb".\[rank\d+\]:[VIWEC]\d{4} |^\d{1,6} \d+ torch/|Graph [Bb]reak|FallbackKernel|cudagraphs"
    rb"|cache (?:hit|miss|bypass)|W\d{4}|E\d{4}|WARNING|ERROR"
)
"""Lines that are kept all the same; torn ones too, in which another writer's line begins."""


def records(data: bytes) -> Iterator[tuple[bytes, dict[str, Any], bytes]]:
    """Head, JSON and payload of each record of a trace."""
    found = list(_HEAD.finditer(data))
    for match, after in zip(found, [*found[1:], None], strict=True):
        yield match[1], json.loads(match[2]), data[match.end() : after.start() if after else len(data)]


def small_trace(data: bytes, live: bool) -> bytes:
    """The records that have a reader, without the parts of them that have none."""
    out = io.BytesIO()
    for head, body, payload in records(data):
        name = body.get("artifact", {}).get("name") or next(iter(body))
        if name not in HANDLERS or (name == "chromium_event" and not live):
            continue
        for metrics in (body[key] for key in body if key.endswith("compilation_metrics")):
            settings = json.loads(metrics.get("dynamo_config") or "{}")
            for unused in _UNUSED:
                metrics.pop(unused, None)
            kept = {name: settings[name] for name in _SETTINGS if name in settings}
            metrics.update({"dynamo_config": json.dumps(kept)} if kept else {})
        if "_cache_" in name and payload.startswith(b"\t{"):
            payload = _without(payload)
            body["has_payload"] = hashlib.md5(payload.replace(b"\n\t", b"\n")[1:-1]).hexdigest()
        out.write(head + json.dumps(body).encode() + b"\n" + payload)
    return out.getvalue()


def _without(payload: bytes) -> bytes:
    said = json.loads(payload)
    for unused in (*_UNUSED, "cache_event_time", "triton_bundler_meta"):
        said.pop(unused, None)
    return b"\t" + json.dumps(said).encode() + b"\n"


def small_text(data: bytes) -> bytes:
    """The lines that are not of a component which tells nothing of what is explained."""
    lines = data.split(b"\n")
    return b"\n".join(line for line in lines if _KEPT.search(line) or not _NOISE.search(line[:400]))


def small_run(root: Path, live: bool) -> dict[str, bytes]:
    """The kept files of one run by their path within it."""
    kept: dict[str, bytes] = {}
    for path in sorted(p for p in root.rglob("*") if p.is_file() and p.suffix != ".gz"):
        name = str(path.relative_to(root))
        said = sourced(str(path), name)
        if said is not None:
            data = path.read_bytes()
            kept[name] = small_trace(data, live) if said.role is Role.TRACE else small_text(data)
    return kept


def pack(files: dict[str, bytes], target: Path) -> None:
    """One archive, the same bytes each time."""
    with tarfile.open(target, "w:xz", preset=9) as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))


def main(corpus: Path) -> None:
    """All runs."""
    for run in sorted(p for p in corpus.glob("*/*") if p.name in ("debug_only", "full")):
        pack(small_run(run, run.parent.name == LIVE), HERE / f"{run.parent.name}.{run.name}.tar.xz")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
