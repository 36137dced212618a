"""Rules of cuda.arch, cuda.toolkits, cuda.libraries and cuda.cudnn: what a PyTorch for CUDA stands on."""

from __future__ import annotations

from ...model import Fact, Figure, Readings, Severity, Verdict
from ...quantity import quantity
from ..reading import facts, is_true, line, number, raised, text
from ..rules import Positive, Rule, When
from .architectures import Capability, Match, best_of, capability_of
from .driver import version

ARCH, TOOLKITS, LIBRARIES, CUDNN = "cuda.arch", "cuda.toolkits", "cuda.libraries", "cuda.cudnn"
MAPPED = "env.libraries"
"""It looks at every library that is mapped, and tells copies and stand-ins as cuda.libraries does."""

# --- cuda.arch --------------------------------------------------------------------------------------------------------

WHEELS: dict[str, dict[str, str]] = {
    "x86_64": {
        "cu118": "sm_50 sm_60 sm_70 sm_75 sm_80 sm_86 sm_90",
        "cu126": "sm_50 sm_60 sm_70 sm_75 sm_80 sm_86 sm_90",
        "cu128": "sm_75 sm_80 sm_86 sm_90 sm_100 sm_120",
        "cu130": "sm_75 sm_80 sm_86 sm_90 sm_100 sm_120",
        "cu132": "sm_75 sm_80 sm_86 sm_90 sm_100 sm_120",
    },
    "aarch64": {
        "cu126": "sm_80 sm_90",
        "cu128": "sm_80 sm_90 sm_100 sm_120",
        "cu130": "sm_80 sm_90 sm_100 sm_110 sm_120",
        "cu132": "sm_80 sm_90 sm_100 sm_110 sm_120",
    },
}
"""What the wheels of download.pytorch.org hold, by machine and build.

RELEASE.md of PyTorch 2.11 and 2.12 (cu128 held sm_70 too until 2.10), PYTORCH_RELEASES_CODE_CC in
torch/cuda/__init__.py of 2.14; cu118 from the wheels of 2.1 to 2.7.
"""

Device = tuple[str, Match]
"""A device in words, and how this build's code runs on it."""


def _devices(readings: Readings) -> tuple[Device, ...]:
    archs = text(readings, "arch.list").split()
    cuda = version(text(readings, "torch.build.cuda"))
    built = (cuda[0], cuda[1]) if len(cuda) > 1 else (0, 0)
    found: list[Device] = []
    for fact in facts(readings, "device.", ".capability"):
        capability = capability_of(str(fact.value))
        match = best_of(archs, capability, built) if capability else None
        if match is not None:
            found.append((f"{fact.evidence} ({fact.value})", match))
    gcn = {a.split(":")[0] for a in archs}
    amd = facts(readings, "device.", ".gcn") if gcn else ()
    return (*found, *((str(f.value), "exact" if str(f.value) in gcn else "no") for f in amd))


def wheels_for(capability: Capability, machine: str) -> tuple[str, ...]:
    """The builds of download.pytorch.org that hold machine code for a device."""
    held = WHEELS.get("aarch64" if machine in ("aarch64", "arm64") else "x86_64", {})
    return tuple(
        build for build, archs in held.items() if best_of(archs.split(), capability) in ("exact", "compatible")
    )


def _arch(match: Match) -> When:
    def when(readings: Readings) -> str | None:
        told = [words for words, found in _devices(readings) if found == match]
        if not told:
            return None
        said = f"{', '.join(told)}: this build holds {text(readings, 'arch.list')}"
        seconds = readings.number("first_kernel_s")
        if match == "ptx" and seconds is not None:
            said += f"; the first kernel took {quantity(seconds, 's')}"
        return line(said + _builds_that_do(readings, match))

    return when


def _builds_that_do(readings: Readings, match: Match) -> str:
    lacking = [
        capability
        for fact in facts(readings, "device.", ".capability")
        if (capability := capability_of(str(fact.value))) is not None
        and best_of(text(readings, "arch.list").split(), capability) == match
    ]
    builds = [set(wheels_for(capability, text(readings, "arch.machine"))) for capability in lacking]
    common = sorted(set.intersection(*builds)) if builds else []
    return f"; {', '.join(common)} of download.pytorch.org hold it" if common else ""


def _arch_answer(readings: Readings) -> str | None:
    if text(readings, "arch.answer") == "wrong":
        fact = readings.fact("arch.answer")
        return f"on {readings.device}: {fact.evidence if fact else ''}"
    return raised(readings, "arch.kernel")


def _archs_fit(readings: Readings) -> str | None:
    devices = _devices(readings)
    if not devices or text(readings, "arch.answer") != "right" or any(m in ("ptx", "no") for _, m in devices):
        return None
    said = {"exact": "machine code for it", "compatible": "machine code of its major version"}
    return line("; ".join(f"{words}: {said[match]}" for words, match in devices) + ", and a kernel's answer is right")


# --- cuda.toolkits ----------------------------------------------------------------------------------------------------


def _link(readings: Readings) -> str | None:
    fact = readings.fact("link")
    return f"{fact.evidence} ({fact.value})" if fact is not None and fact.value in ("dangling", "circular") else None


def _major(readings: Readings) -> str | None:
    home, build = _home(readings)
    if not home or not build or home[0] == build[0]:
        return None
    return line(f"{_home_words(readings)}, torch {text(readings, 'torch.version')} is built for CUDA "
                f"{text(readings, 'torch.build.cuda')}{_fitting(readings, build)}")  # fmt: skip


def _home(readings: Readings) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return version(text(readings, "home.version")), version(text(readings, "torch.build.cuda"))


def _home_words(readings: Readings) -> str:
    fact = readings.fact("home")
    origin = fact.evidence if fact else ""
    return f"a build takes {text(readings, 'home')} ({text(readings, 'home.version')}, from {origin})"


def _fitting(readings: Readings, build: tuple[int, ...]) -> str:
    here = [f for f in facts(readings, "toolkit.") if version(str(f.value))[:1] == build[:1]]
    return f"; {here[0].evidence.split(' ')[0]} would fit" if here else "; no toolkit here fits"


def _minor(readings: Readings) -> str | None:
    home, build = _home(readings)
    if not home or not build or home[0] != build[0] or home == build:
        return None
    return f"{_home_words(readings)}, torch is built for CUDA {text(readings, 'torch.build.cuda')}"


def _no_nvcc(readings: Readings) -> str | None:
    told = [f for f in facts(readings, "named.", ".nvcc") if f.value is False]
    return line("; ".join(f"{f.name.split('.')[1]}: there is no {f.evidence}" for f in told)) if told else None


def _disagree(readings: Readings) -> str | None:
    """What answers when it is asked in three ways: by the link, by PATH, by the environment.

    Builds ask the link last (`_find_cuda_home` of torch.utils.cpp_extension, CMake's FindCUDAToolkit): where CUDA_HOME
    and nvcc on PATH are one toolkit, nobody asks it.
    """
    asked = (
        ("/usr/local/cuda", "link.version"),
        ("nvcc on PATH", "nvcc.0"),
        ("CUDA_HOME", "named.CUDA_HOME.version"),
        ("CUDA_PATH", "named.CUDA_PATH.version"),
    )
    named = {text(readings, name) for name in ("named.CUDA_HOME.version", "nvcc.0")}
    first = 1 if len(named) == 1 and "" not in named else 0
    told = [(words, text(readings, name)) for words, name in asked[first:] if text(readings, name)]
    if len({found for _, found in told}) < 2:
        return None
    return "; ".join(f"{words} is {found}" for words, found in told)


def _toolkits(readings: Readings) -> str | None:
    if is_true(readings, "toolkits.searched") is not True:
        return None
    build = text(readings, "torch.build.cuda")
    if readings.fact("home") is None:
        return None
    if not text(readings, "home"):
        return "no CUDA toolkit is here: only builds of extensions would need one"
    if not text(readings, "home.version"):
        return None
    fits = f", torch is built for CUDA {build}" if build else ", torch is built without CUDA"
    return line(_home_words(readings) + fits)


# --- cuda.libraries ---------------------------------------------------------------------------------------------------


def _copies(readings: Readings) -> tuple[Fact, ...]:
    return facts(readings, "copies.")


def _twice(readings: Readings) -> str | None:
    told = [f for f in _copies(readings) if isinstance(f.value, int) and f.value > 1]
    return line("; ".join(f"{f.name.partition('.')[2]}: {f.evidence}" for f in told)) if told else None


def _from_outside(readings: Readings) -> str | None:
    """Only where PyTorch brings its own: a build that was linked to a toolkit finds it in this very way."""
    told = [
        f
        for f in facts(readings, "origin.")
        if f.value not in ("wheel", "torch", "driver") and is_true(readings, "own." + f.name.partition(".")[2]) is False
    ]
    if not told:
        return None
    named = sorted({str(f.value).partition(": ")[2] or "what was loaded before torch" for f in told})
    return line(f"{', '.join(named)} gives {', '.join(f.evidence for f in told)}")


def _libraries(readings: Readings) -> str | None:
    found = _copies(readings)
    if not found or text(readings, "use.answer") != "right":
        return None
    versions = [f"{f.name.partition('.')[2].partition('.so')[0]} {f.value}" for f in facts(readings, "version.")]
    return line(f"{len(found)} libraries, one copy each; a convolution and a product are right; {', '.join(versions)}")


def _use_failed(readings: Readings) -> str | None:
    if text(readings, "use.answer") == "wrong":
        fact = readings.fact("use.answer")
        return fact.evidence if fact else None
    return raised(readings, "use")


# --- cuda.cudnn -------------------------------------------------------------------------------------------------------

EPSILON = {"float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}

TF32_EPSILON = 2.0**-10
"""TF32 keeps ten bits of the fraction of what it multiplies."""

EPSILONS = {"float32": 128.0, "float16": 2.0, "bfloat16": 2.0}
"""How far a convolution may be from float64: 0.2 to 0.6 for half formats, 2 to 14 for float32 (measured), with room.

Winograd and FFT kernels lose a few bits more than a direct sum; TF32 in their place would be 2,500.
"""


def _limit(readings: Readings, dtype: str) -> float:
    tf32 = (
        dtype == "float32" and readings.device.startswith("cuda") and is_true(readings, "cudnn.allow_tf32") is not False
    )
    return 2.0 * TF32_EPSILON if tf32 else EPSILONS.get(dtype, 2.0) * EPSILON.get(dtype, 2.0**-7)


def _errors(readings: Readings) -> tuple[Figure, ...]:
    return tuple(f for f in readings.figures if f.name == "conv_error")


def _wrong(readings: Readings) -> str | None:
    told = []
    for figure in _errors(readings):
        dtype, limit = figure.labels.get("dtype", ""), _limit(readings, figure.labels.get("dtype", ""))
        if not figure.value <= limit:  # NaN is not below anything
            told.append(f"{dtype} {figure.labels.get('part', '')}: error {figure.value:.2g}, limit {limit:.2g}")
    return line("; ".join(told)) if told else None


def _conv_raised(readings: Readings) -> str | None:
    told = [said for name in EPSILON if (said := raised(readings, f"conv.{name}")) is not None]
    return line("; ".join(told)) if told else None


def _no_cudnn(readings: Readings) -> str | None:
    on_cuda = readings.device.startswith("cuda") and text(readings, "cudnn.device")
    if not on_cuda or is_true(readings, "cudnn.available") is not False:
        return None
    return f"torch.backends.cudnn.is_available() is False on {text(readings, 'cudnn.device')}"


def _mismatch(readings: Readings) -> str | None:
    return raised(readings, "cudnn.mismatch")


def _off(readings: Readings) -> str | None:
    if is_true(readings, "cudnn.enabled") is not False or not readings.device.startswith("cuda"):
        return None
    return "torch.backends.cudnn.enabled is False in a process that set nothing"


BENCHMARK_GAIN = 1.2
"""Below, trying all algorithms is not worth a line."""


def _benchmark(readings: Readings) -> str | None:
    figure = readings.figure("benchmark_speedup")
    if figure is None or figure.value - (figure.spread or 0.0) < BENCHMARK_GAIN:
        return None
    by_rule, by_trial = (number(readings, "conv_us", benchmark=b) for b in ("False", "True"))
    if by_rule is None or by_trial is None:
        return None
    return f"{quantity(by_rule, 'us')} as chosen by rule, {quantity(by_trial, 'us')} as found by trial"


def _convolves(readings: Readings) -> str | None:
    errors = _errors(readings)
    dtypes = list(dict.fromkeys(f.labels.get("dtype", "") for f in errors))
    if "float32" not in dtypes:
        return None
    worst = max(errors, key=lambda f: f.value / _limit(readings, f.labels.get("dtype", "")))
    said = f"convolutions and their gradients are right in {', '.join(dtypes)}"
    said += f" (nearest to its limit: {worst.labels.get('dtype')} with {worst.value:.2g})"
    if readings.device.startswith("cuda"):
        return f"cuDNN {text(readings, 'cudnn.version')}: {said}" if text(readings, "cudnn.version") else None
    switched = any(f.labels.get("switch") == "off" for f in errors)
    return f"on {text(readings, 'cudnn.device')}, with the switch on and off: {said}" if switched else None


RULES: tuple[Rule, ...] = (
    Rule("TD-CUD-030", (ARCH,), Verdict.FAIL, Severity.CRITICAL, _arch("no"), ("TD-CUD-022",)),
    Rule("TD-CUD-031", (ARCH,), Verdict.DEGRADED, Severity.WARNING, _arch("ptx")),
    Rule("TD-CUD-022", (ARCH,), Verdict.FAIL, Severity.CRITICAL, _arch_answer),
    Rule("TD-CUD-040", (TOOLKITS,), Verdict.DEGRADED, Severity.WARNING, _link),
    Rule("TD-CUD-043", (TOOLKITS,), Verdict.DEGRADED, Severity.WARNING, _no_nvcc, ("TD-CUD-042",)),
    Rule("TD-CUD-041", (TOOLKITS,), Verdict.DEGRADED, Severity.WARNING, _major, ("TD-CUD-042",)),
    Rule("TD-CUD-042", (TOOLKITS,), Verdict.DEGRADED, Severity.WARNING, _disagree),
    Rule("TD-CUD-044", (TOOLKITS,), None, Severity.INFO, _minor),
    Rule("TD-CUD-050", (LIBRARIES, MAPPED), Verdict.FAIL, Severity.CRITICAL, _twice, ("TD-CUD-051", "TD-CUD-022")),
    Rule("TD-CUD-051", (LIBRARIES, MAPPED), Verdict.DEGRADED, Severity.WARNING, _from_outside),
    Rule("TD-CUD-022", (LIBRARIES,), Verdict.FAIL, Severity.CRITICAL, _use_failed),
    Rule("TD-CUD-061", (CUDNN,), Verdict.FAIL, Severity.CRITICAL, _mismatch,
         ("TD-CUD-060", "TD-CUD-062", "TD-CUD-063")),
    Rule("TD-CUD-060", (CUDNN,), Verdict.DEGRADED, Severity.WARNING, _no_cudnn),
    Rule("TD-CUD-064", (CUDNN,), Verdict.DEGRADED, Severity.WARNING, _off),
    Rule("TD-CUD-063", (CUDNN,), Verdict.FAIL, Severity.CRITICAL, _conv_raised),
    Rule("TD-CUD-062", (CUDNN,), Verdict.FAIL, Severity.CRITICAL, _wrong),
    Rule("TD-CUD-065", (CUDNN,), None, Severity.INFO, _benchmark),
)  # fmt: skip

POSITIVE: Positive = {ARCH: _archs_fit, TOOLKITS: _toolkits, LIBRARIES: _libraries, CUDNN: _convolves}
