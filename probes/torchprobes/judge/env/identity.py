"""Rules of `env.identity`: does this PyTorch import and answer, and is it the one that the shell and jobs use?"""

from __future__ import annotations

from ...model import Readings, Severity, Verdict
from ..reading import facts, is_true, line, raised, text
from ..rules import Positive, Rule, When

_ALL = ("env.identity",)


def _not_imported(readings: Readings) -> str | None:
    kind = text(readings, "torch.import")
    return raised(readings, "torch.import") if kind not in ("", "ok") else None


def _absent(readings: Readings) -> str | None:
    return (
        f"{text(readings, 'python.executable')} finds no torch" if is_true(readings, "torch.found") is False else None
    )


def _died(readings: Readings) -> str | None:
    ending = text(readings, "torch.process")
    if ending in ("", "ended"):
        return None
    told = raised(readings, "torch.examination")
    return line(f"the process that imported torch {_past(ending)}" + (f": {told}" if told else ""))


def _past(ending: str) -> str:
    return f"was {ending}" if ending.startswith("killed") else ending


def _nodes(readings: Readings, vendor: str) -> float:
    fact = readings.fact(f"node.{vendor}")
    return fact.value if fact is not None and isinstance(fact.value, (int, float)) else 0


def _other_shell_python(readings: Readings) -> str | None:
    told = [f for f in facts(readings, "shell.python", ".same") if f.value is False]
    return line("; ".join(f.evidence for f in told)) if told else None


def _other_torch(names: tuple[str, ...]) -> When:
    """What the shell starts is another interpreter, with another PyTorch: it works, and with other answers."""

    def when(readings: Readings) -> str | None:
        own = text(readings, "torch.version")
        words = []
        for name in names:
            torch = text(readings, f"{name}.torch")
            if own and torch and torch != own and is_true(readings, f"{name}.same") is False:
                where = text(readings, f"{name}.python") or text(readings, name)
                words.append(f"`{name.partition('.')[2]}` runs {where} with torch {torch}, the target has {own}")
        return line("; ".join(words)) if words else None

    return when


def _torchrun_without(readings: Readings) -> str | None:
    """Another interpreter behind torchrun, with the same PyTorch, none, or one that could not be read."""
    if is_true(readings, "shell.torchrun.same") is not False:
        return None
    fact = readings.fact("shell.torchrun.same")
    return f"torchrun starts another interpreter: {fact.evidence if fact else ''}"


def _jobs(readings: Readings) -> str | None:
    own = text(readings, "torch.version")
    other = [f for f in facts(readings, "job.", ".torch") if own and f.value not in (None, "", own)]
    words = [f"process {f.name.split('.')[1]} has loaded torch {f.value} from {f.evidence}" for f in other[:4]]
    more = f"; and {len(other) - 4} more" if len(other) > 4 else ""
    return line("; ".join(words)) + more + f"; the target has {own}" if words else None


def _activation(readings: Readings) -> str | None:
    told = [f for f in facts(readings, "shell.activation.") if f.value is False]
    return line("; ".join(f.evidence for f in told)) if told else None


def _no_compiler(readings: Readings) -> str | None:
    fact = readings.fact("compiler.path")
    return fact.evidence if fact is not None and fact.value is None else None


def _unheard(readings: Readings) -> str | None:
    """A folder of PATH, or a program that was found in one, gives no answer: what a shell starts is not known."""
    path = readings.fact("path.state")
    if path is not None:
        return line(path.evidence)
    words = [f"{what}: {fact.evidence}" for what in ("shell", "compiler") if (fact := readings.fact(f"{what}.state"))]
    return line("; ".join(words)) if words else None


def _no_triton(readings: Readings) -> str | None:
    if is_true(readings, "triton.found") is not False or not text(readings, "torch.build.cuda"):
        return None
    if not _nodes(readings, "nvidia"):
        return None
    return f"torch {text(readings, 'torch.version')} is built for CUDA, a GPU is here, and there is no triton"


def _wrong_cpu(readings: Readings) -> str | None:
    fact = readings.fact("cpu.answer")
    return fact.evidence if fact is not None and fact.value == "wrong" else None


RULES: tuple[Rule, ...] = (
    Rule("TD-ENV-001", _ALL, Verdict.FAIL, Severity.CRITICAL, _absent, ("TD-ENV-002",)),
    Rule("TD-ENV-002", _ALL, Verdict.FAIL, Severity.CRITICAL, _not_imported),
    Rule("TD-ENV-003", _ALL, Verdict.FAIL, Severity.CRITICAL, _died),
    Rule("TD-ENV-014", _ALL, None, Severity.INFO, _other_shell_python),
    Rule("TD-ENV-067", _ALL, Verdict.DEGRADED, Severity.WARNING,
         _other_torch(("shell.python", "shell.python3")), ("TD-ENV-014", "TD-ENV-015")),
    Rule("TD-ENV-068", _ALL, Verdict.DEGRADED, Severity.WARNING, _other_torch(("shell.torchrun",)), ("TD-ENV-069",)),
    Rule("TD-ENV-069", _ALL, Verdict.DEGRADED, Severity.WARNING, _torchrun_without),
    Rule("TD-ENV-049", _ALL, None, Severity.WARNING, _jobs),
    Rule("TD-ENV-015", _ALL, None, Severity.WARNING, _activation, ("TD-ENV-014",)),
    Rule("TD-ENV-018", _ALL, None, Severity.WARNING, _no_compiler),
    Rule("TD-ENV-019", _ALL, None, Severity.WARNING, _no_triton),
    Rule("TD-ENV-058", (*_ALL, "compile.toolchain"), Verdict.UNSURE, Severity.WARNING, _unheard, ("TD-ENV-018",)),
    Rule("TD-ENV-020", _ALL, Verdict.FAIL, Severity.CRITICAL, _wrong_cpu),
)  # fmt: skip


def _answered(readings: Readings) -> str | None:
    """It was imported, and the CPU answered; what a GPU says is asked by cuda.available."""
    if text(readings, "torch.import") != "ok" or text(readings, "cpu.answer") != "right":
        return None
    said = f"torch {text(readings, 'torch.version')} on Python {text(readings, 'python.version')}"
    return f"{said}: the CPU's answer was read back and is right"


POSITIVE: Positive = {"env.identity": _answered}
