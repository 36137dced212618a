"""The explanation as a document for scripts: `torchdoctor logs DIR --explain --json`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from ..explanation import Explanation, Failure

SCHEMA: Final = 1
"""Raised when a key changes its meaning; new keys may come without."""


def document(explanation: Explanation) -> dict[str, Any]:
    """Known keys are never left out; null is what the files cannot tell, an empty list and 0 that there is none."""
    e = explanation
    return {
        "schema": SCHEMA,
        "root": e.root,
        "torch": e.torch or None,
        "graphs": e.graphs,
        "frames_compiled": e.frames_compiled,
        "graph_breaks": _rows(e.breaks, _BREAK),
        "recompiles": _rows(e.recompiles, _RECOMPILE),
        "recompile_limit_hits": _rows(e.limits, _LIMIT),
        "suppressed_errors": None if e.suppressed is None else [_failure(failure) for failure in e.suppressed],
        "fatal_error": None if e.fatal is None else _failure(e.fatal),
        "fatal_known": e.fatal_known,
        "fallback_kernels": _rows(e.fallbacks, _FALLBACK),
        "cudagraph_skips": _rows(e.skips, _SKIP),
        "cache_hits": None if e.caches is None else _rows((c for c in e.caches if c.state == "hit"), _HIT),
        "compile_seconds": {"forward": e.forward_s, "backward": e.backward_s},
        "processes": len(e.processes) or None,
        "ranks": e.ranks,
        "exit_code": e.exit_code,
        "killed_by": e.killed_by or None,
        "functions": _rows(e.functions, _FUNCTION),
        "open_phases": [
            {"process": p.key, "compile_id": p.open_id, "phases": list(p.open_phases), **_place(p.open_at)}
            for p in e.processes
            if p.open_phases
        ],
        "last_user_line": e.last_user_line or None,
        "notes": list(e.notes),
        "left_out": e.left_out,
    }


_Columns = tuple[str, ...]
_BREAK: Final[_Columns] = (
    "file", "line", "kind", "reason", "occurrences", "function", "compile_ids", "hints", "break_id", "foreign",
    "processes",
)  # fmt: skip
_RECOMPILE: Final[_Columns] = (
    "compile_id", "function", "kind", "reason", "file", "line", "guard", "others", "process",
)  # fmt: skip
_LIMIT: Final[_Columns] = ("function", "file", "line", "limit", "last_reason", "limit_name", "process")
_FALLBACK: Final[_Columns] = ("op", "compile_id", "harmless", "process")
_SKIP: Final[_Columns] = ("kind", "reason", "file", "line", "compile_id", "occurrences", "partitioned", "process")
_HIT: Final[_Columns] = ("compile_id", "what", "saved_s", "process")
_FUNCTION: Final[_Columns] = (
    "function", "file", "line", "process", "compiles", "limit", "a_minute", "trend", "seconds", "values", "stop",
)  # fmt: skip


def _rows(rows: Iterable[object] | None, columns: _Columns) -> list[dict[str, Any]] | None:
    """A list of objects with these attributes, lists in place of tuples; null stays null."""
    if rows is None:
        return None
    return [{name: _plain(getattr(row, name)) for name in columns} for row in rows]


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _failure(failure: Failure) -> dict[str, Any]:
    """`file` and `line` are the user's line where it is known, else the function's first."""
    user = failure.user
    return {
        "function": failure.function,
        "file": user.file if user else failure.file,
        "line": user.line if user else failure.line,
        "compile_id": failure.compile_id,
        "type": failure.type,
        "reason": failure.reason,
        "function_file": failure.file,
        "function_line": failure.line,
        "process": failure.process,
    }


def _place(line: Any) -> dict[str, Any]:
    return {"file": line.file, "line": line.line} if line else {"file": None, "line": None}
