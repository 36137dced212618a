"""Reports of real runs, and edit copies of them in which one thing differs.

`real` gives what was measured: a CPU machine (torch 2.13), the same with torch 2.1.2 and 2.6 as targets, and one H200.
Everything else here is an edit copy. A plant changes a setting (in the inventory and in the facts that tell it) and,
unless `felt` is False, what would be measured with it; all else of the report stays as it was.
"""

from __future__ import annotations

import functools
import lzma
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from torchprobes.model import Fact, Figure, Inventory, Report, Result, Verdict, worst
from torchprobes.rundir import decode

DATA = Path(__file__).parent / "data"
DEMO = DATA.parents[2] / "tui" / "torchdoctor" / "data" / "demo.jsonl.gz"
REAL = ("cpu", "torch21", "torch26", "h200")
"""Real reports by the name of their file."""

GPUS = ("0", "1")
SECOND_UUID = "GPU-1d7c0e52-93ab-4c1f-8e64-5b2f90c7a318"


def _raw(name: str) -> bytes:
    return lzma.decompress((DATA / f"{name}.json.xz").read_bytes())


@functools.cache
def real(name: str) -> Report:
    """A report of a real run, as it was written; of an earlier schema, migrated."""
    return decode(_raw(name), Report, f"{name}.json.xz")


# --- how a copy is edited --------------------------------------------------------------------------------------------


def on_host(report: Report, host: str, **fields: Any) -> Report:
    """The same on another node: host and boot id; `fields` are others of the report, such as `started`."""
    boot = f"{abs(hash_of(host)):08x}-0000-4000-8000-000000000000"
    machine = msgspec.structs.replace(report.machine, host=host, boot_id=boot)
    return msgspec.structs.replace(report, machine=machine, **fields)


def hash_of(text: str) -> int:
    """The same small number for a text in every process."""
    return sum((place + 1) * ord(char) for place, char in enumerate(text)) % (1 << 32)


def with_results(report: Report, results: tuple[Result, ...]) -> Report:
    """The report with these results, and the verdict that they make."""
    return msgspec.structs.replace(report, results=results, verdict=worst([r.verdict for r in results]))


def with_probe(report: Report, name: str, change: Callable[[Result], Result]) -> Report:
    """One probe's result changed; a report that did not ask it stays as it is."""
    return with_results(report, tuple(change(r) if r.name == name else r for r in report.results))


def with_machine(report: Report, **fields: Any) -> Report:
    """Fields of the machine replaced."""
    return msgspec.structs.replace(report, machine=msgspec.structs.replace(report.machine, **fields))


def with_inventory(report: Report, changes: Mapping[tuple[str, str], str | None]) -> Report:
    """(kind, name) -> its value, None to take it away; a kind that nobody could read before is read now."""
    parts = {kind: dict(names) for kind, names in report.machine.inventory.parts.items()}
    for (kind, name), value in changes.items():
        parts.setdefault(kind, {}).pop(name, None)
        if value is not None:
            parts[kind][name] = value
    unread = {kind: why for kind, why in report.machine.inventory.unread.items() if kind and kind not in parts}
    return with_machine(report, inventory=Inventory(parts=parts, unread=unread))


def facts(result: Result, changes: Mapping[str, object]) -> Result:
    """A result with other facts: by name, None to say nothing; a name that is not there is added."""
    known = {fact.name for fact in result.facts}
    kept = [
        msgspec.structs.replace(fact, value=changes[fact.name]) if fact.name in changes else fact
        for fact in result.facts
        if fact.name not in changes or changes[fact.name] is not None
    ]
    added = [Fact(name=name, value=value) for name, value in changes.items() if name not in known and value is not None]  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    return msgspec.structs.replace(result, facts=(*kept, *added))


def scaled(result: Result, name: str, factor: float, **labels: str) -> Result:
    """The figures of that name, and of these labels, multiplied, their spread too."""

    def change(figure: Figure) -> Figure:
        if figure.name != name or any(figure.labels.get(key) != value for key, value in labels.items()):
            return figure
        spread = None if figure.spread is None else figure.spread * factor
        return msgspec.structs.replace(figure, value=figure.value * factor, spread=spread)

    return msgspec.structs.replace(result, figures=tuple(change(figure) for figure in result.figures))


def figure_set(result: Result, name: str, value: float) -> Result:
    """Every figure of that name set."""
    changed = (msgspec.structs.replace(f, value=value) if f.name == name else f for f in result.figures)
    return msgspec.structs.replace(result, figures=tuple(changed))


# --- what is compared ------------------------------------------------------------------------------------------------


@functools.cache
def _more() -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(_raw("h200_more"))
    return found


def two_gpus(report: Report | None = None) -> Report:
    """AN EDIT COPY, no real report: the run of one H200 made into one of two.

    The second GPU is the first with another UUID and bus id. compute.precision, .bandwidth, .p2p, .sdpa, ddp.allreduce
    and cuda.libraries are the readings with which the rules are tested (measured on H200s, not in this run; the rate
    between the GPUs is no measured one), judged by the rules. Settings, driver and link are those of a recording of two
    H100s, with the name, memory and memory clock of the H200.
    """
    base = real("h200") if report is None else report
    second = {**base.machine.gpus[0], "index": 1, "uuid": SECOND_UUID, "bus_id": "00000000:00:07.0"}
    gpus = tuple({**gpu, "power_limit_w": 700.0} for gpu in (base.machine.gpus[0], second))
    inventory = msgspec.convert(_more()["inventory"], Inventory)
    for gpu in GPUS:
        own = {"name": "NVIDIA H200", "part number": "", "memory": "140.4 GiB", "max memory clock": "3201 MHz"}
        own["application memory clock"] = own["max memory clock"]
        inventory.parts["gpu"].update({f"GPU{gpu} {name}": value for name, value in own.items() if value})
        inventory.parts["gpu"].pop(f"GPU{gpu} part number", None)
    inventory.parts.update(COMMON)
    more = tuple(msgspec.convert(_more()["results"], list[Result]))
    return with_results(with_machine(base, gpus=gpus, inventory=inventory), base.results + more)


COMMON: Mapping[str, dict[str, str]] = {
    "package": {
        "torch": "2.11.0+cu130", "triton": "3.6.0", "numpy": "2.3.5", "flash-attn": "2.8.3", "transformers": "4.57.1",
        "nvidia-nccl-cu13": "2.28.9", "nvidia-cublas": "13.1.0.3", "nvidia-cudnn-cu13": "9.19.0.56",
    },
    "library": {
        "libcublas.so.13": "13.1.0 build-id 5f1c9a0e77d2", "libnccl.so.2": "2.28.9 build-id 03a9d1c8be44",
        "libnccl-net.so": "10.2.1 build-id 8d20b6f4a1c9", "libcudnn.so.9": "9.19.0 build-id c7720e15ab36",
    },
    "variable": {"NCCL_NET_PLUGIN": "aws-ofi", "PATH": "/opt/torch/bin:/usr/bin:/bin"},
    "cgroup": {"version": "2", "cpu.max": "no limit", "cpuset.cpus": "0-15", "memory.max": "no limit"},
    "limit": {"nofile": "1048576", "memlock": "unlimited", "cores": "0-15"},
    "sysctl": {"kernel.numa_balancing": "0", "vm.swappiness": "60", "net.core.rmem_max": "212992"},
}  # fmt: skip
"""What both GPU nodes are made of, in the words of the inventory: invented, as there is no inventory of that node."""


# --- what is planted -------------------------------------------------------------------------------------------------


def power_limit(report: Report, *, felt: bool = True) -> Report:
    """350 W on every GPU instead of 700 W: products of matrices slow down, and NVML says what holds the clocks."""
    gpus = tuple({**gpu, "power_limit_w": 350.0} for gpu in report.machine.gpus)
    found = with_inventory(with_machine(report, gpus=gpus), {("gpu", f"GPU{n} power limit"): "350 W" for n in GPUS})
    found = with_probe(found, "compute.gemm", lambda r: figure_set(r, "power_limit", 350.0))
    if not felt:
        return found
    held = {f"clocks.held.gemm.{dtype}": "software power cap" for dtype in ("bf16", "fp16", "fp32", "tf32")}
    return with_probe(found, "compute.gemm", lambda r: facts(_slower_products(r, 0.71), held))


def _slower_products(result: Result, share: float) -> Result:
    for name, factor in (("gemm_rate", share), ("gemm_best_rate", share), ("gemm_us", 1 / share), ("sm_clock", share)):
        result = scaled(result, name, factor)
    return msgspec.structs.replace(result, verdict=Verdict.DEGRADED, reason="bf16 71 % of what such a device reaches")


def library_path(report: Report, *, felt: bool = True) -> Report:
    """LD_LIBRARY_PATH puts another cuBLAS before the wheel's."""
    place = "/usr/local/cuda-12.4/lib64"
    found = with_inventory(report, {
        ("variable", "LD_LIBRARY_PATH"): place,
        ("library", "libcublas.so.13"): "12.4.5 build-id 77e01b9d2c05",
    })  # fmt: skip
    told = {"origin.libcublas.so.13": "LD_LIBRARY_PATH", "own.libcublas.so.13": False}
    found = with_probe(found, "cuda.libraries", lambda r: facts(r, told))
    return with_probe(found, "compute.gemm", lambda r: _slower_products(r, 0.6)) if felt else found


def p2p_disabled(report: Report, *, felt: bool = True) -> Report:
    """The two GPUs do not reach each other: NCCL goes through shared memory, copies through the host."""
    found = with_inventory(report, {("topology", "GPU0-GPU1"): "SYS", ("variable", "NCCL_P2P_DISABLE"): "1"})
    peers = {f"p2p.{way}.peer": False for way in ("0 to 1", "1 to 0")}
    found = with_probe(found, "compute.p2p", lambda r: facts(r, peers))
    shm = {f"ddp.transport.r{rank}": "SHM/direct x 24" for rank in GPUS}
    found = with_probe(found, "ddp.allreduce", lambda r: facts(r, shm))
    if not felt:
        return found
    found = with_probe(found, "compute.p2p", lambda r: scaled(r, "p2p_rate", 0.08))
    return with_probe(found, "ddp.allreduce", lambda r: _slower_ranks(r, 0.07))


def _slower_ranks(result: Result, share: float) -> Result:
    for name, factor in (("busbw", share), ("allreduce_us", 1 / share), ("allreduce_p50_us", 1 / share)):
        result = scaled(result, name, factor)
    return msgspec.structs.replace(result, verdict=Verdict.DEGRADED, reason="far below what the links give")


def memory_clock(report: Report, *, felt: bool = True) -> Report:
    """The memory of every GPU runs at 2,619 MHz instead of 3,201 MHz."""
    names = ("max memory clock", "application memory clock")
    found = with_inventory(report, {("gpu", f"GPU{gpu} {name}"): "2619 MHz" for gpu in GPUS for name in names})
    found = with_probe(found, "compute.gemm", lambda r: figure_set(r, "memory_clock", 2619.0))
    if not felt:
        return found
    return with_probe(found, "compute.bandwidth", lambda r: scaled(r, "copy_rate", 2619 / 3201, kind="device"))


def nccl_plugin(report: Report, *, felt: bool = True) -> Report:
    """The NCCL network plugin is not there: NCCL takes sockets between machines."""
    found = with_inventory(report, {("library", "libnccl-net.so"): None, ("variable", "NCCL_NET_PLUGIN"): None})
    found = with_probe(found, "ddp.allreduce", lambda r: facts(r, {"ddp.network": "Socket"}))
    return with_probe(found, "ddp.allreduce", lambda r: _slower_ranks(r, 0.4)) if felt else found


def flash_attention(report: Report, *, felt: bool = True) -> Report:
    """flash-attn is not installed, and attention takes the math back end."""
    found = with_inventory(report, {("package", "flash-attn"): None})
    if not felt:
        return found
    told = {
        "sdpa.causal-64.default": "math",
        "sdpa.causal-64.flash": "not usable",
        "sdpa.causal-64.cudnn": "not usable",
    }

    def lost(result: Result) -> Result:
        kept = tuple(f for f in result.figures if f.labels.get("backend") not in ("flash", "cudnn"))
        result = msgspec.structs.replace(facts(result, told), figures=kept, verdict=Verdict.DEGRADED)
        return scaled(result, "sdpa_us", 50.8, backend="default")

    return with_probe(found, "compute.sdpa", lost)


def cpu_quota(report: Report, *, felt: bool = True) -> Report:
    """A control group gives the processes one core's time."""
    found = with_inventory(report, {("cgroup", "cpu.max"): "1 cores"})
    found = with_probe(found, "system.cpu", lambda r: facts(r, {"cpu.quota": "1 cores"}))
    if not felt:
        return found
    found = with_probe(found, "data.loader", lambda r: scaled(r, "epoch_s", 2.6))
    return with_probe(found, "compute.gemm", _slower_on_the_cpu)


def _slower_on_the_cpu(result: Result) -> Result:
    for name, factor in (("gemm_rate", 0.2), ("gemm_best_rate", 0.2), ("gemm_us", 5.0)):
        result = scaled(result, name, factor)
    return result


def omp_threads(report: Report, *, felt: bool = True) -> Report:
    """OMP_NUM_THREADS=1: PyTorch works with one thread."""
    found = with_inventory(report, {("variable", "OMP_NUM_THREADS"): "1"})
    told = {"env.OMP_NUM_THREADS": "1", "torch.threads": 1}
    found = with_probe(found, "system.cpu", lambda r: facts(r, told))
    return with_probe(found, "compute.gemm", _slower_on_the_cpu) if felt else found


def tf32_off(report: Report, *, felt: bool = True) -> Report:
    """TF32 is off for cuDNN's convolutions and for products, by an NVIDIA variable."""
    found = with_inventory(report, {("variable", "NVIDIA_TF32_OVERRIDE"): "0"})
    told = {"env.NVIDIA_TF32_OVERRIDE": "0", "flag.cudnn.allow_tf32": False}
    found = with_probe(found, "compute.precision", lambda r: facts(r, told))
    if not felt:
        return found
    found = with_probe(found, "compute.precision", lambda r: scaled(r, "fp32_us", 6.7, setting="high"))
    return with_probe(
        found,
        "compute.gemm",
        lambda r: scaled(scaled(r, "gemm_rate", 0.15, dtype="tf32"), "gemm_best_rate", 0.15, dtype="tf32"),
    )


PLANTED: Mapping[str, tuple[Callable[..., Report], str, tuple[str, str]]] = {
    "power limit": (power_limit, "two", ("gpu", "power limit")),
    "library path": (library_path, "two", ("variable", "LD_LIBRARY_PATH")),
    "disabled P2P": (p2p_disabled, "two", ("variable", "NCCL_P2P_DISABLE")),
    "memory clock": (memory_clock, "two", ("gpu", "memory clock")),
    "NCCL plugin": (nccl_plugin, "two", ("library", "libnccl-net.so")),
    "flash-attn": (flash_attention, "two", ("package", "flash-attn")),
    "CPU quota": (cpu_quota, "cpu", ("cgroup", "cpu.max")),
    "OMP threads": (omp_threads, "cpu", ("variable", "OMP_NUM_THREADS")),
    "TF32": (tf32_off, "two", ("variable", "NVIDIA_TF32_OVERRIDE")),
}  # fmt: skip
"""What is planted -> how, in a copy of which report ("two" GPUs or the "cpu" machine), and the kind and name (or a part
of it) of the cause that a comparison must name."""


def sound(where: str) -> Report:
    """The report into which something is planted."""
    return on_host(two_gpus(), "node-1") if where == "two" else real("cpu")


def pair(name: str, *, felt: bool = True, images: bool = False) -> tuple[Report, Report]:
    """A sound report and its copy with the planted difference; `images`: some 200 packages differ, too."""
    plant, where, _ = PLANTED[name]
    good = sound(where)
    bad = on_host(plant(good, felt=felt), "node-7")
    return (good, other_image(bad)) if images else (good, bad)


def other_image(report: Report, count: int = 200) -> Report:
    """The same from another image: `count` packages that explain nothing have other versions, come or go."""
    changes: dict[tuple[str, str], str | None] = {}
    for name, version in report.machine.inventory.parts.get("package", {}).items():
        if name.split("-")[0] not in ("torch", "triton", "nvidia", "flash", "numpy"):
            changes[("package", name)] = f"{version}.post1"
    for number in range(count - len(changes)):
        changes[("package", f"library-{number:03}")] = f"{number % 7}.{number % 11}.0"
    return with_inventory(report, changes)


# --- many nodes ------------------------------------------------------------------------------------------------------


def noisy(report: Report, number: int) -> Report:
    """Another node of the same kind: each figure within its recorded spread (0.5 % where none was measured)."""
    place = iter(range(1 << 30))

    def draw() -> float:  # the golden ratio's multiples are spread evenly, and are the same in every process
        return (((number + 1) * 0.6180339887 + next(place) * 0.7548776662) % 1.0) * 2 - 1

    def moved(figure: Figure) -> Figure:
        if figure.value.is_integer():
            return figure
        width = 0.005 * abs(figure.value) if figure.spread is None else min(figure.spread, 0.2 * abs(figure.value))
        return msgspec.structs.replace(figure, value=figure.value + draw() * width)

    results = tuple(msgspec.structs.replace(r, figures=tuple(map(moved, r.figures))) for r in report.results)
    gpus = tuple(
        {**gpu, "uuid": f"GPU-{number:08x}-{n:04x}-4000-8000-000000000000"} for n, gpu in enumerate(report.machine.gpus)
    )
    return on_host(with_machine(with_results(report, results), gpus=gpus), f"node-{number:04}")


def snapshot() -> dict[str, Any]:
    """What `snapshot --json` writes: a real sample of two H100s (the demo's), with the CPU machine's identity."""
    from torchprobes.telemetry.recording.timeline import open_timeline

    _, sample = next(iter(open_timeline(DEMO).samples(100, 101)))
    machine = msgspec.to_builtins(real("cpu").machine)
    told = {"schema": 1, "torchdoctor": "0.1.0", "taken": "2026-11-26T00:00:00Z", "machine": machine}
    return {**told, "sample": msgspec.to_builtins(sample), "target": {}, "findings": [], "line": ""}
