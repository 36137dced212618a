"""Rules of `env.identity`: does this PyTorch import, answer, and fit Python, driver and device?"""

from __future__ import annotations

from ..model import Readings, Severity, Verdict
from .reading import facts, is_true, line, number, raised, text
from .rules import Positive, Rule, When

_ALL = ("env.identity",)

SLOW_WHEN_SET = (
    "NSIGHT_CUDA_DEBUGGER", "CUDA_INJECTION32_PATH", "CUDA_INJECTION64_PATH", "CUDA_ENABLE_COREDUMP_ON_EXCEPTION",
    "CUDA_DEVICE_WAITS_ON_EXCEPTION", "CUDA_PROFILE", "COMPUTE_PROFILE", "OPENCL_PROFILE",
    "CUDA_LAUNCH_BLOCKING", "PYTORCH_NO_CUDA_MEMORY_CACHING", "TORCH_USE_CUDA_DSA", "TORCHDYNAMO_DISABLE",
    "TORCH_COMPILE_DISABLE", "TORCHINDUCTOR_FORCE_DISABLE_CACHES", "NCCL_P2P_DISABLE", "NCCL_SHM_DISABLE",
    "NCCL_IB_DISABLE",
)  # fmt: skip
"""Variables that slow down what runs when they are set to anything but an off."""

SLOW_WHEN_PRESENT = ("TORCHDYNAMO_SUPPRESS_ERRORS",)
"""Any text switches it on, "0" too (measured)."""

_OFF = ("", "0", "false", "no", "off")


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


def _cpu_wheel(vendor: str, build: str) -> When:
    def when(readings: Readings) -> str | None:
        count = _nodes(readings, vendor)
        if not count or is_true(readings, "torch.cpu_only") is not True:
            return None
        evidence = readings.fact(f"node.{vendor}")
        seen = evidence.evidence if evidence else ""
        return f"torch {text(readings, 'torch.version')} is built without {build}, but there is {line(seen)}"

    return when


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


def _numpy(readings: Readings) -> str | None:
    told = text(readings, "numpy.bridge")
    if told in ("", "right"):
        return None
    why = raised(readings, "numpy.bridge") if told != "wrong" else "wrong numbers"
    return f"numpy {text(readings, 'numpy.version')} with torch {text(readings, 'torch.version')}: {why}"


def _copies(readings: Readings) -> str | None:
    fact = readings.fact("torch.copies")
    if fact is not None and isinstance(fact.value, int) and fact.value > 1:
        return f"{fact.value} on sys.path, the first is imported: {line(fact.evidence)}"
    user = readings.fact("torch.from_user_site")
    return f"torch comes from the user site {user.evidence}" if user is not None and user.value is True else None


def _other_shell_python(readings: Readings) -> str | None:
    told = [f for f in facts(readings, "shell.python", ".same") if f.value is False]
    return line("; ".join(f.evidence for f in told)) if told else None


def _activation(readings: Readings) -> str | None:
    told = [f for f in facts(readings, "shell.activation.") if f.value is False]
    return line("; ".join(f.evidence for f in told)) if told else None


def _cudnn(readings: Readings) -> str | None:
    why = raised(readings, "cudnn.version.raised")
    if why:
        return why
    missing = is_true(readings, "cudnn.available") is False and is_true(readings, "cuda.available") is True
    return "torch.backends.cudnn.is_available() is False on a device with CUDA" if missing else None


def _slow(readings: Readings) -> str | None:
    told = {f.name.partition(".")[2]: str(f.value) for f in facts(readings, "environ.")}
    found = [n for n in SLOW_WHEN_SET if told.get(n, "").strip().lower() not in _OFF]
    found += [n for n in SLOW_WHEN_PRESENT if told.get(n)]
    return ", ".join(f"{name}={told[name]}" for name in found) or None


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
    Rule("TD-ENV-004", _ALL, Verdict.FAIL, Severity.CRITICAL, _cpu_wheel("nvidia", "CUDA")),
    Rule("TD-ENV-005", _ALL, Verdict.DEGRADED, Severity.WARNING, _cpu_wheel("amd", "ROCm")),
    Rule("TD-ENV-006", _ALL, Verdict.FAIL, Severity.CRITICAL, _old_driver, ("TD-ENV-007",)),
    Rule("TD-ENV-007", _ALL, Verdict.FAIL, Severity.CRITICAL, _unavailable),
    Rule("TD-ENV-008", _ALL, None, Severity.INFO, _hides_gpus),
    Rule("TD-ENV-009", _ALL, Verdict.FAIL, Severity.CRITICAL, _arch("none"), ("TD-ENV-011",)),
    Rule("TD-ENV-010", _ALL, Verdict.DEGRADED, Severity.WARNING, _arch("ptx")),
    Rule("TD-ENV-011", _ALL, Verdict.FAIL, Severity.CRITICAL, _kernel),
    Rule("TD-ENV-012", _ALL, Verdict.DEGRADED, Severity.WARNING, _numpy),
    Rule("TD-ENV-013", _ALL, Verdict.DEGRADED, Severity.WARNING, _copies),
    Rule("TD-ENV-014", _ALL, None, Severity.INFO, _other_shell_python, ()),
    Rule("TD-ENV-015", _ALL, None, Severity.WARNING, _activation, ("TD-ENV-014",)),
    Rule("TD-ENV-016", _ALL, Verdict.DEGRADED, Severity.WARNING, _cudnn),
    Rule("TD-ENV-017", _ALL, Verdict.DEGRADED, Severity.WARNING, _slow),
    Rule("TD-ENV-018", _ALL, None, Severity.WARNING, _no_compiler),
    Rule("TD-ENV-019", _ALL, None, Severity.WARNING, _no_triton),
    Rule("TD-ENV-020", _ALL, Verdict.FAIL, Severity.CRITICAL, _wrong_cpu),
    Rule("TD-ENV-021", _ALL, Verdict.DEGRADED, Severity.WARNING, _twice),
)


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
