"""Rules of `env.identity`: does this PyTorch import, answer, and fit Python, driver and device?"""

from __future__ import annotations

from ..model import Readings, Severity, Verdict
from .reading import facts, is_true, line, number, raised, text
from .rules import Positive, Rule, When

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


def _hidden(readings: Readings) -> bool:
    fact = readings.fact("environ.CUDA_VISIBLE_DEVICES")
    return fact is not None and str(fact.value).strip() in ("", "-1")


def _unavailable(readings: Readings) -> str | None:
    if not _no_cuda(readings) or _hidden(readings):
        return None
    why = raised(readings, "cuda.init.raised") or "no reason was given"
    return f"torch is built for CUDA {text(readings, 'torch.build.cuda')}, {_gpus(readings)}, but: {why}"


def _hides_gpus(readings: Readings) -> str | None:
    if not _no_cuda(readings) or not _hidden(readings):
        return None
    return f"CUDA_VISIBLE_DEVICES={text(readings, 'environ.CUDA_VISIBLE_DEVICES')!r} on a node with {_gpus(readings)}"


def _no_cuda(readings: Readings) -> bool:
    built, there = bool(text(readings, "torch.build.cuda")), _nodes(readings, "nvidia") > 0
    return built and there and is_true(readings, "cuda.available") is False


def _gpus(readings: Readings) -> str:
    return f"{_nodes(readings, 'nvidia'):g} NVIDIA device nodes"


def _arch(match: str) -> When:
    def when(readings: Readings) -> str | None:
        if text(readings, "cuda.arch") != match:
            return None
        name, capability = text(readings, "cuda.name"), text(readings, "cuda.capability")
        return f"{name} is {capability}; this build holds {text(readings, 'torch.arch_list') or 'nothing'}"

    return when


def _kernel(readings: Readings) -> str | None:
    if text(readings, "cuda.answer") == "wrong":
        fact = readings.fact("cuda.answer")
        return f"wrong answer from {text(readings, 'cuda.name')}: {fact.evidence if fact else ''}"
    return raised(readings, "cuda.kernel")


def _old_driver(readings: Readings) -> str | None:
    driver, build = text(readings, "driver.cuda"), text(readings, "torch.build.cuda")
    majors = [v.partition(".")[0] for v in (driver, build)]
    if not all(m.isdigit() for m in majors) or int(majors[0]) >= int(majors[1]):
        return None
    return f"driver {text(readings, 'driver.version')} takes CUDA up to {driver}, this torch is built for CUDA {build}"


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


def _cudnn(readings: Readings) -> str | None:
    why = raised(readings, "cudnn.version.raised")
    if why:
        return why
    missing = is_true(readings, "cudnn.available") is False and is_true(readings, "cuda.available") is True
    return "torch.backends.cudnn.is_available() is False on a device with CUDA" if missing else None


def _no_compiler(readings: Readings) -> str | None:
    fact = readings.fact("compiler.path")
    return fact.evidence if fact is not None and fact.value is None else None


def _no_triton(readings: Readings) -> str | None:
    if is_true(readings, "triton.found") is not False or is_true(readings, "cuda.available") is not True:
        return None
    return f"torch {text(readings, 'torch.version')} sees CUDA, and there is no triton"


def _wrong_cpu(readings: Readings) -> str | None:
    fact = readings.fact("cpu.answer")
    return fact.evidence if fact is not None and fact.value == "wrong" else None


def _twice(readings: Readings) -> str | None:
    told = [f for f in facts(readings, "loaded.") if isinstance(f.value, int) and f.value > 1]
    return line("; ".join(f"{f.name.partition('.')[2]}: {f.evidence}" for f in told)) if told else None


RULES: tuple[Rule, ...] = (
    Rule("TD-ENV-001", _ALL, Verdict.FAIL, Severity.CRITICAL, _absent, ("TD-ENV-002",)),
    Rule("TD-ENV-002", _ALL, Verdict.FAIL, Severity.CRITICAL, _not_imported),
    Rule("TD-ENV-003", _ALL, Verdict.FAIL, Severity.CRITICAL, _died),
    Rule("TD-ENV-006", _ALL, Verdict.FAIL, Severity.CRITICAL, _old_driver, ("TD-ENV-007",)),
    Rule("TD-ENV-007", _ALL, Verdict.FAIL, Severity.CRITICAL, _unavailable),
    Rule("TD-ENV-008", _ALL, None, Severity.INFO, _hides_gpus),
    Rule("TD-ENV-009", _ALL, Verdict.FAIL, Severity.CRITICAL, _arch("none"), ("TD-ENV-011",)),
    Rule("TD-ENV-010", _ALL, Verdict.DEGRADED, Severity.WARNING, _arch("ptx")),
    Rule("TD-ENV-011", _ALL, Verdict.FAIL, Severity.CRITICAL, _kernel),
    Rule("TD-ENV-014", _ALL, None, Severity.INFO, _other_shell_python),
    Rule("TD-ENV-067", _ALL, Verdict.DEGRADED, Severity.WARNING,
         _other_torch(("shell.python", "shell.python3")), ("TD-ENV-014", "TD-ENV-015")),
    Rule("TD-ENV-068", _ALL, Verdict.DEGRADED, Severity.WARNING, _other_torch(("shell.torchrun",)), ("TD-ENV-069",)),
    Rule("TD-ENV-069", _ALL, Verdict.DEGRADED, Severity.WARNING, _torchrun_without),
    Rule("TD-ENV-049", _ALL, None, Severity.WARNING, _jobs),
    Rule("TD-ENV-015", _ALL, None, Severity.WARNING, _activation, ("TD-ENV-014",)),
    Rule("TD-ENV-016", _ALL, Verdict.DEGRADED, Severity.WARNING, _cudnn),
    Rule("TD-ENV-018", _ALL, None, Severity.WARNING, _no_compiler),
    Rule("TD-ENV-019", _ALL, None, Severity.WARNING, _no_triton),
    Rule("TD-ENV-020", _ALL, Verdict.FAIL, Severity.CRITICAL, _wrong_cpu),
    Rule("TD-ENV-021", _ALL, Verdict.DEGRADED, Severity.WARNING, _twice),
)  # fmt: skip


def _answered(readings: Readings) -> str | None:
    """It was imported, the CPU answered, and where the probe ran on a GPU, that answered too."""
    if text(readings, "torch.import") != "ok" or text(readings, "cpu.answer") != "right":
        return None
    said = f"torch {text(readings, 'torch.version')} on Python {text(readings, 'python.version')}"
    if readings.device == "cpu":
        return f"{said}: the CPU's answer was read back and is right"
    if text(readings, "cuda.answer") != "right":
        return None
    seconds = number(readings, "cuda_first_answer_s")
    after = "" if seconds is None else f" after {seconds:.1f} s"
    return f"{said}: {text(readings, 'cuda.name')} ran a kernel and its answer is right{after}"


POSITIVE: Positive = {"env.identity": _answered}
