"""Readings of sound runs, in short; a test breaks one thing in them and looks what is made of it."""

from __future__ import annotations

from collections.abc import Mapping

from torchprobes.catalogue import PROBES
from torchprobes.judge.verdict import judge
from torchprobes.model import Fact, Figure, Judgement, Outcome, Readings

Facts = Mapping[str, object]

IDENTITY: Facts = {
    "python.executable": "/env/bin/python",
    "python.version": "3.11.7",
    "torch.found": True,
    "torch.import": "ok",
    "torch.process": "ended",
    "torch.version": "2.11.0+cu130",
    "torch.build.cuda": "13.0",
    "cpu.answer": "right",
    "triton.found": True,
    "compiler.path": "/usr/bin/g++",
    "node.nvidia": 8,
}

SIGNATURE: Facts = {
    "forward.annotated": "complete",
    "forward.bare": "open",
    "forward.unresolved": "unresolved",
    "forward.detector": True,
    "forward.call": "right",
    "forward.script": "right",
    "forward.fx": "right",
    "forward.library.complete": 104,
    "forward.library": 117,
}

EXPORT: Facts = {
    "export.static.bytes": 12927,
    "export.static.here.32": 0.0,
    "export.static.fresh.32": 0.0,
    "export.dynamic.bytes": 13324,
    "export.dynamic.here.32": 0.0,
    "export.dynamic.here.48": 0.0,
    "export.dynamic.fresh.32": 0.0,
    "export.dynamic.fresh.48": 0.0,
    "export.fresh.pid": 4711,
    "export.fresh.ending": 0,
    "export.comparison": True,
}

DATALOADER: Facts = {
    **{f"dataloader.workers-{n}.order": "exact" for n in (0, 2, 4)},
    "dataloader.spawn.order": "exact",
    "dataloader.persistent.kept": True,
    "dataloader.exception": "told",
    "dataloader.killed": "told",
    "dataloader.sharing": "file_descriptor",
    **{
        f"dataloader.left.{case}.{what}": 0
        for case in ("fork", "killed")
        for what in ("descriptors", "children", "zombies", "shm_files")
    },
    "shm.total_bytes": 64 << 30,
    "limit.open_files": 65536,
}

DDP: Facts = {
    "ddp.backend": "nccl",
    "ddp.ranks": 2,
    "ddp.gpu": "NVIDIA H200",
    "ddp.sums": "right",
    "ddp.parameters": "bit-equal",
    "ddp.parameters.detector": True,
    "ddp.communicators.r0": True,
    "ddp.communicators.r1": True,
    "ddp.transport.r0": "P2P/CUMEM x 24",
    "ddp.transport.r1": "P2P/CUMEM x 24",
    "ddp.algorithm.128 MiB": "RING/SIMPLE",
    "ddp.nccl": "2.28.9",
    "ddp.nccl_cuda": "13.0",
    "ddp.driver_cuda": "13.0",
    "shm.total_bytes": 64 << 30,
}


def figure(name: str, value: float, n: int = 1, **labels: str) -> Figure:
    """A figure whose unit does not matter to a rule."""
    return Figure(name=name, value=value, unit="", n=n, labels=labels)


DDP_FIGURES = (
    figure("init_ok", 20, n=20, backend="nccl"),
    figure("init_share_low", 0.861, n=20, backend="nccl"),
    figure("init_p50_s", 0.3, n=20, backend="nccl"),
    figure("init_max_s", 0.8, n=20, backend="nccl"),
    figure("sums_checked", 1760),
    figure("allreduce_us", 30, n=200, size="1 KiB"),
    figure("allreduce_std_us", 2, n=200, size="1 KiB"),
    figure("allreduce_p50_us", 29, n=200, size="1 KiB"),
    figure("busbw", 285e9, n=200, size="128 MiB", ranks="2", backend="nccl"),
    figure("memory_fluctuation", 0.001, n=190, series="allocated_peak"),
    figure("memory_fluctuation", 0.2, n=190, series="reserved"),
    figure("single_run_difference", 5e-8),
    figure("single_run_loss_difference", 2e-7),
)

IMAGE: Facts = {
    "image.pil": "13.0.0",
    "image.pil.libjpeg_turbo": True,
    "image.cv2": "5.0.0",
    "image.opencv.wheels": 1,
}

IMAGE_FIGURES = (
    figure("image_error", 1.64, decoder="pil"),
    figure("image_error", 1.64, decoder="cv2"),
    figure("image_difference", 0),
    figure("decode_us", 6060.0, n=40, decoder="pil"),
    figure("decode_us", 2790.0, n=40, decoder="cv2"),
)

CSV: Facts = {
    "csv.pandas": "3.1.1",
    **{
        f"csv.{engine}.{name}": value
        for engine in ("c", "pyarrow")
        for name, value in (("ending", 0), ("values", "right"))
    },
}

CSV_FIGURES = (
    figure("csv_bytes", 100 << 20),
    *(figure("csv_read_s", seconds, engine=engine) for engine, seconds in (("c", 0.9), ("pyarrow", 0.3))),
    *(figure("csv_memory", 400 << 20, engine=engine, series="peak") for engine in ("c", "pyarrow")),
)

SERVING: Facts = {
    "serving.started": True,
    "serving.alive": True,
    "serving.failures": 0,
    "serving.answers": "right",
    "serving.versions": "v1",
}

SERVING_FIGURES = (
    figure("cold_start_s", 2.1),
    figure("first_inference_us", 19000.0),
    *(figure(f"request_{share}_us", us, handler="def") for share, us in (("p50", 18000.0), ("p99", 53000.0))),
    figure("health_p50_us", 3900.0, n=75, handler="def", clients="4"),
    figure("health_p50_us", 4100.0, n=75, handler="async def", clients="4"),
)

CPU: Facts = {
    "torch.threads": 16,
    "torch.capability": "AVX512",
    "cpu.affinity": 32,
    "cpu.quota": "none",
    "cpu.vector": "avx512f",
    "cpu.governor": "powersave",
    "cpu.frequency_driver": "intel_pstate",
    "gpu.0000:1b:00.0.near": True,
    "env.OMP_NUM_THREADS": None,
}

CPU_FIGURES = (figure("allowed_cores", 32.0),)

PLACES = ("home", "tmp", "torch_home", "hf_home", "inductor_cache", "triton_cache", "shm")

DISK: Facts = {
    **{f"disk.{place}.state": "read" for place in PLACES},
    **{f"disk.{place}.kind": "ext4" for place in PLACES},
    **{f"disk.{place}.writable": True for place in PLACES},
    **{f"disk.{place}.noexec": False for place in PLACES},
    "disk.shm.kind": "tmpfs",
    "disk.shm.noexec": True,
    "shm.total_bytes": 64 << 30,
}

DISK_FIGURES = tuple(
    found
    for place in PLACES
    for found in (
        figure("disk_free", 50 << 30, place=place, path=f"/{place}"),
        figure("disk_free_inodes", 10**6, place=place, path=f"/{place}"),
    )
)


def readings(
    probe: str,
    facts: Facts,
    figures: tuple[Figure, ...] = (),
    evidence: Mapping[str, str] | None = None,
    device: str = "cuda:0",
) -> Readings:
    """Readings of a run that ended; a fact whose value is ... was not told."""
    told = {name: value for name, value in facts.items() if value is not ...}
    words = evidence or {}
    assert all(isinstance(v, (str, int, float, bool, type(None))) for v in told.values())
    return Readings(
        probe=probe,
        device=device,
        figures=figures,
        facts=tuple(Fact(name=n, value=v, evidence=words.get(n, "")) for n, v in told.items()),  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
        outcome=Outcome(ending="ended"),
    )


def judged(told: Readings) -> Judgement:
    """What the rules make of it."""
    return judge(next(p for p in PROBES if p.name == told.probe), told)


def ids(judgement: Judgement) -> list[str]:
    """The findings' ids, worst first."""
    return [finding.id for finding in judgement.findings]
