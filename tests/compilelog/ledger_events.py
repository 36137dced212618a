"""Events as the readers make them, for tests of the ledger: one short line each."""

from __future__ import annotations

from torchprobes.compilelog.events import (
    CompileEnded,
    CompileStarted,
    GraphBroke,
    GraphMade,
    GuardFailure,
    LimitHit,
    Line,
    Place,
    Recompiled,
    Source,
)

TRACE, STDERR, DEBUG = "/run/trace.log", "/run/stderr.log", "/run/torchdynamo/debug.log"
USER = "/job/train.py"


class Writer:
    """One process as one file tells it; each event stands behind the one before."""

    def __init__(self, path: str = TRACE, pid: int | None = 7, rank: int | None = None) -> None:
        self.path, self.pid, self.rank, self.offset = path, pid, rank, 0

    def source(self, compile_id: str = "", attempt: int = 0) -> Source:
        self.offset += 100
        at_s = 1000.0 + self.offset / 100
        return Source(Place(self.path, self.offset), self.pid, self.rank, compile_id, attempt, at_s, self.path == TRACE)

    def start(self, compile_id: str, function: str = "f", line: int = 3) -> CompileStarted:
        stack = (Line(USER, 90, "<module>", "f(x)"), Line(USER, line, function))
        return CompileStarted(self.source(compile_id), stack)

    def graph(self, compile_id: str, ops: int | None = 2, attempt: int = 0) -> GraphMade:
        return GraphMade(self.source(compile_id, attempt), ops)

    def end(self, compile_id: str, ops: int | None = 2, seconds: float = 1.0, **more: object) -> CompileEnded:
        known = {"function": "f", "file": USER, "line": 3, **more}
        return CompileEnded(self.source(compile_id), ops=ops, seconds=seconds, **known)  # type: ignore[arg-type]

    def restarted(self, compile_id: str, *reasons: str) -> CompileEnded:
        return self.end(compile_id, restart_reasons=reasons)

    def broke(self, compile_id: str, line: int = 5, kind: str = "print", attempt: int = 0) -> GraphBroke:
        stack = (Line(USER, line, "torch_dynamo_resume_in_f_at_4"),)
        return GraphBroke(self.source(compile_id, attempt), USER, line, kind, f"{kind} was called", stack=stack)

    def again(self, compile_id: str, *failures: tuple[str, str]) -> Recompiled:
        failed = tuple(GuardFailure(entry, guard) for entry, guard in failures)
        return Recompiled(self.source(compile_id), "f", USER, 3, failed)

    def limit(self, compile_id: str, limit: int | None = 8) -> LimitHit:
        return LimitHit(self.source(compile_id), "recompile_limit", limit, "f", USER, 3, "n == 3")

    def compiled(self, compile_id: str, ops: int = 2) -> list[CompileStarted | GraphMade | CompileEnded]:
        return [self.start(compile_id), self.graph(compile_id, ops), self.end(compile_id, ops)]
