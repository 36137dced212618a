"""Rules of cuda.driver and cuda.available: what keeps CUDA from starting, its first cause alone.

The causes are in one order, nearest to the root first, and each hides all that come after it: a driver that is too old
also fails to initialise, and a device file that may not be opened also gives no device.
"""

from __future__ import annotations

from ...model import Readings, Severity, Verdict
from ..reading import facts, is_true, line, raised, text
from ..rules import Positive, Rule, When

DRIVER, AVAILABLE = "cuda.driver", "cuda.available"
_BOTH = (DRIVER, AVAILABLE)

LEAST_DRIVER = {11: "450.80.02", 12: "525.60.13", 13: "580"}
"""By major version of CUDA: the first driver that takes all its minor versions.

https://docs.nvidia.com/deploy/cuda-compatibility/minor-version-compatibility.html, the toolkit's release notes.
"""

CODES: dict[int, tuple[str, str]] = {
    3: ("TD-CUD-009", "not initialised"),
    34: ("TD-CUD-003", "a stub library was loaded"),
    35: ("TD-CUD-004", "the driver is older than the CUDA runtime needs"),
    36: ("TD-CUD-004", "the call needs a newer driver"),
    46: ("TD-CUD-009", "the device is in exclusive use, or in a mode that refuses this process"),
    100: ("TD-CUD-008", "no device"),
    101: ("TD-CUD-009", "invalid device"),
    304: ("TD-CUD-009", "a call to the operating system failed"),
    802: ("TD-CUD-005", "the system is not ready"),
    803: ("TD-CUD-006", "kernel module and libcuda are of different versions"),
    804: ("TD-CUD-007", "forward compatibility is not supported on this device"),
    805: ("TD-CUD-015", "the MPS control daemon cannot be reached"),
    806: ("TD-CUD-015", "the MPS server failed"),
    807: ("TD-CUD-015", "the MPS server is not ready"),
    808: ("TD-CUD-015", "the MPS server has all the clients it takes"),
    809: ("TD-CUD-015", "the MPS server has all the connections it takes"),
    810: ("TD-CUD-015", "the MPS server ended this client"),
    999: ("TD-CUD-009", "unknown error"),
}
"""By code of cuInit or of the runtime: the card, and what it means (cuda.h; 35 is the runtime's own)."""

_OTHER_CODE = "TD-CUD-009"


def whole(readings: Readings, name: str) -> int | None:
    """A fact that is a whole number, or None."""
    fact = readings.fact(name)
    value = None if fact is None else fact.value
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def version(words: str) -> tuple[int, ...]:
    """(12, 4) of "12.4"; () for what is no version."""
    parts = words.split(".")
    return tuple(int(p) for p in parts) if all(p.isdecimal() for p in parts) else ()


def _code(readings: Readings) -> int | None:
    """What cuInit gave, else the code in what PyTorch said; None without a failure."""
    init = whole(readings, "driver.init")
    return init or whole(readings, "cuda.code") or None


def failed_with(card: str) -> When:
    """The driver failed with one of the codes that lead to `card`."""

    def when(readings: Readings) -> str | None:
        code = _code(readings)
        if code is None:
            return None
        known, words = CODES.get(code, (_OTHER_CODE, "not in the table of codes"))
        said = readings.fact("driver.init") if whole(readings, "driver.init") else readings.fact("cuda.code")
        return line(f"code {code}, {words} ({said.evidence if said else ''})") if known == card else None

    return when


def _cpu_wheel(readings: Readings) -> str | None:
    if is_true(readings, "torch.build.gpu") is not False or not whole(readings, "node.nvidia"):
        return None
    nodes = readings.fact("node.nvidia")
    return (
        f"torch {text(readings, 'torch.version')} is built without CUDA, but there is {nodes.evidence if nodes else ''}"
    )


def _no_module(readings: Readings) -> str | None:
    bus, module = whole(readings, "node.bus"), readings.fact("driver.module")
    if not bus or module is None or module.value is not None or whole(readings, "node.nvidia"):
        return None
    return f"{bus} NVIDIA GPU{'s' if bus > 1 else ''} on the PCI bus, and no driver module is loaded"


def _no_library(readings: Readings) -> str | None:
    library = readings.fact("driver.library")
    there = whole(readings, "node.nvidia") or is_true(readings, "node.wsl")
    if library is None or library.value is not None or not there:
        return None
    return line(f"{whole(readings, 'node.nvidia') or 0} device nodes are here, but: {library.evidence}")


def _stub(readings: Readings) -> str | None:
    coded = failed_with("TD-CUD-003")(readings)
    if text(readings, "driver.library.kind") != "stub" and coded is None:
        return None
    return (
        f"{text(readings, 'driver.library') or 'libcuda.so.1'} is a stub for linking: {coded or 'it answers nothing'}"
    )


def _hung(readings: Readings) -> str | None:
    fact = readings.fact("driver.question")
    return fact.evidence if fact is not None and fact.value == "hung" else None


def _died(readings: Readings) -> str | None:
    ending = text(readings, "driver.question")
    fact = readings.fact("driver.question")
    if ending in ("", "answered", "hung"):
        return None
    return line(f"the process that asked the driver was {ending}: {fact.evidence if fact else ''}")


def _too_old(readings: Readings) -> str | None:
    driver, build = version(text(readings, "driver.cuda")), version(text(readings, "torch.build.cuda"))
    if not driver or not build or driver[0] >= build[0]:
        return failed_with("TD-CUD-004")(readings)
    needs = LEAST_DRIVER.get(build[0])
    return (
        f"driver {text(readings, 'driver.module') or 'of unknown version'} takes CUDA up to "
        f"{text(readings, 'driver.cuda')}, this torch is built for CUDA {text(readings, 'torch.build.cuda')}"
        + (f", which needs driver {needs} or later" if needs else "")
    )


def _refused(readings: Readings) -> str | None:
    """A device file that may not be opened is a cause only where nothing works: a job's cgroup hides others' GPUs."""
    if not _nothing_works(readings):
        return None
    closed = [f for f in facts(readings, "opening./dev/") if f.value not in ("open", "ENOENT")]
    missing = [f for f in facts(readings, "opening./dev/") if f.value == "ENOENT"]
    told = closed or (missing if whole(readings, "node.nvidia") else [])
    return line(", ".join(f"{f.name.partition('.')[2]}: {f.value}" for f in told)) if told else None


def _nothing_works(readings: Readings) -> bool:
    return bool(_code(readings)) or is_true(readings, "cuda.available") is False


def _hidden(state: str) -> When:
    def when(readings: Readings) -> str | None:
        fact = readings.fact("visible.state")
        if fact is None or fact.value != state or is_true(readings, "cuda.available") is not False:
            return None
        return f"{fact.evidence}, on a node with {whole(readings, 'node.nvidia') or 'some'} NVIDIA devices"

    return when


def _unavailable(readings: Readings) -> str | None:
    if is_true(readings, "cuda.available") is not False or not is_true(readings, "torch.build.gpu"):
        return None
    said = readings.fact("cuda.available")
    why = raised(readings, "cuda.init") or (said.evidence if said else "") or "no reason was given"
    driver = "cuInit succeeds" if whole(readings, "driver.init") == 0 else "the driver was not asked"
    return line(f"torch.cuda.is_available() is False while {driver}: {why}")


def _no_image(readings: Readings) -> str | None:
    told = raised(readings, "cuda.kernel")
    return told if told is not None and "no kernel image" in told else None


def _kernel(readings: Readings) -> str | None:
    if text(readings, "cuda.answer") == "wrong":
        fact = readings.fact("cuda.answer")
        return f"wrong answer from {text(readings, 'cuda.name')}: {fact.evidence if fact else ''}"
    told = raised(readings, "cuda.kernel")
    if told is None:
        return None
    flag = "is_available() only counted by NVML (PYTORCH_NVML_BASED_CUDA_CHECK=1), and " if _by_nvml(readings) else ""
    return line(f"{flag}the first kernel raised {told}")


def _by_nvml(readings: Readings) -> bool:
    return is_true(readings, "nvml_check") is True


_CAUSES: tuple[tuple[str, tuple[str, ...], When], ...] = (
    ("TD-ENV-004", (AVAILABLE,), _cpu_wheel),
    ("TD-CUD-001", _BOTH, _no_module),
    ("TD-CUD-002", _BOTH, _no_library),
    ("TD-CUD-003", _BOTH, _stub),
    ("TD-CUD-010", _BOTH, _hung),
    ("TD-CUD-011", _BOTH, _died),
    ("TD-CUD-004", _BOTH, _too_old),
    ("TD-CUD-005", _BOTH, failed_with("TD-CUD-005")),
    ("TD-CUD-006", _BOTH, failed_with("TD-CUD-006")),
    ("TD-CUD-007", _BOTH, failed_with("TD-CUD-007")),
    ("TD-CUD-015", _BOTH, failed_with("TD-CUD-015")),
    ("TD-CUD-013", (AVAILABLE,), _hidden("none")),
    ("TD-CUD-014", (AVAILABLE,), _hidden("unknown")),
    ("TD-CUD-012", _BOTH, _refused),
    ("TD-CUD-008", _BOTH, failed_with("TD-CUD-008")),
    ("TD-CUD-009", _BOTH, failed_with("TD-CUD-009")),
    ("TD-CUD-021", (AVAILABLE,), _unavailable),
    ("TD-CUD-030", (AVAILABLE,), _no_image),
    ("TD-CUD-022", (AVAILABLE,), _kernel),
)
"""Nearest to the root first: the card, the probes that can tell it, and when."""

_BY_WISH = {"TD-CUD-013": (Verdict.DEGRADED, Severity.WARNING)}
"""Somebody may have hidden the GPUs on purpose: that is no fault of the stack."""


def _causes() -> tuple[Rule, ...]:
    ids = [card for card, _, _ in _CAUSES]
    return tuple(
        Rule(card, probes, *_BY_WISH.get(card, (Verdict.FAIL, Severity.CRITICAL)), when, (*ids[at + 1 :], "TD-CUD-018"))
        for at, (card, probes, when) in enumerate(_CAUSES)
    )


# --- what does not stop CUDA ------------------------------------------------------------------------------------------


def _nccl(readings: Readings) -> str | None:
    driver, nccl = version(text(readings, "driver.cuda")), version(text(readings, "nccl.cuda"))
    if not driver or not nccl or nccl[0] <= driver[0]:
        return None
    found = readings.fact("nccl.cuda")
    return f"{found.evidence if found else ''}, the driver takes CUDA up to {text(readings, 'driver.cuda')}"


def _minor(readings: Readings) -> str | None:
    driver, build = version(text(readings, "driver.cuda")), version(text(readings, "torch.build.cuda"))
    if not driver or not build or driver[0] != build[0] or driver >= build:
        return None
    return (
        f"driver {text(readings, 'driver.module')} was made with CUDA {text(readings, 'driver.cuda')}, this torch with "
        f"{text(readings, 'torch.build.cuda')}: they work together by minor-version compatibility"
    )


def _compat(readings: Readings) -> str | None:
    if text(readings, "driver.library.kind") != "compat" or whole(readings, "driver.init") != 0:
        return None
    return f"{text(readings, 'driver.library')} on kernel module {text(readings, 'driver.module') or 'unknown'}"


def _other_library(readings: Readings) -> str | None:
    if text(readings, "driver.library.kind") != "other" or whole(readings, "driver.init") != 0:
        return None
    return f"{text(readings, 'driver.library')} beside kernel module {text(readings, 'driver.module')}"


def _partly_hidden(readings: Readings) -> str | None:
    fact, count = readings.fact("visible.state"), whole(readings, "visible.devices")
    if fact is None or fact.value != "unknown" or not count or is_true(readings, "cuda.available") is not True:
        return None
    return f"{fact.evidence}: {count} stay visible"


RULES: tuple[Rule, ...] = (
    *_causes(),
    Rule("TD-CUD-018", (DRIVER,), Verdict.FAIL, Severity.CRITICAL, _nccl),
    Rule("TD-CUD-016", (DRIVER,), None, Severity.INFO, _minor),
    Rule("TD-CUD-017", (DRIVER,), None, Severity.INFO, _compat),
    Rule("TD-CUD-019", (DRIVER,), None, Severity.WARNING, _other_library),
    Rule("TD-CUD-023", (AVAILABLE,), None, Severity.WARNING, _partly_hidden),
)


def _answered(readings: Readings) -> str | None:
    devices = whole(readings, "driver.devices")
    if whole(readings, "driver.init") != 0 or not devices:
        return None
    said = f"driver {text(readings, 'driver.module') or 'of unknown version'} answers"
    said += f": CUDA {text(readings, 'driver.cuda')}, {devices} device{'s' if devices > 1 else ''}"
    build, nccl = text(readings, "torch.build.cuda"), text(readings, "nccl.version")
    said += f"; torch {text(readings, 'torch.version')} needs CUDA {build}" if build else "; torch needs no CUDA"
    return said + (f", NCCL {nccl} answers" if nccl else "")


def _ran(readings: Readings) -> str | None:
    if is_true(readings, "cuda.available") is not True or text(readings, "cuda.answer") != "right":
        return None
    seconds = readings.number("first_answer_s")
    after = "" if seconds is None else f" after {seconds:.2g} s"
    return f"torch {text(readings, 'torch.version')}: {text(readings, 'cuda.name')} gave the right answer{after}"


POSITIVE: Positive = {DRIVER: _answered, AVAILABLE: _ran}
