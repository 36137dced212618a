"""A machine half without a machine: fixed samples, a scripted check, a stored report. No time passes in it."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fake_jobs import FakeJobs
from fake_logs import FakeEngine
from fake_reports import FakeReportDesk

from torchdoctor.interfaces import Engines
from torchprobes.catalogue import PROBES, Probe
from torchprobes.cells import Absent, CellState
from torchprobes.child import Part
from torchprobes.model import (
    Evidence,
    Fact,
    Figure,
    Finding,
    Fix,
    Machine,
    Report,
    Result,
    Scope,
    Severity,
    Target,
    Verdict,
    worst,
)
from torchprobes.runner.snapshot import CheckView, ProbeState, ProbeView
from torchprobes.samples import GpuSample, HostSample, KernelEvent, ProcessSample, Sample
from torchprobes.target import TargetChoice
from torchprobes.telemetry.health import Health

GIB = 1 << 30
HOSTILE = "evil\x1b[31m\x1b]52;c;AAAA\x07[bold red]name[/]\u202e"

TARGET = Target(
    python="/opt/train/bin/python", origin="$VIRTUAL_ENV", torch="2.13.0+cu130", cuda="13.0", python_version="3.11.9"
)


def host(**changes: Any) -> HostSample:
    fields: dict[str, Any] = {
        "host": "gpu-node-07", "cores": 96, "cpu_percent": 23.0, "load_1m": 21.37, "memory_used_bytes": 412 * GIB,
        "memory_total_bytes": 1007 * GIB, "swap_used_bytes": 0, "swap_total_bytes": 0,
        "shm_used_bytes": 12 * GIB, "shm_total_bytes": 503 * GIB,
    }  # fmt: skip
    return HostSample(**{**fields, **changes})


def gpu(index: int, **changes: Any) -> GpuSample:
    fields: dict[str, Any] = {
        "index": index, "uuid": f"GPU-{index:04x}6f8a-0b1c", "bus_id": f"00000000:{0x18 + index * 16:02X}:00.0",
        "name": "NVIDIA H200", "utilization_percent": (index * 37 + 11) % 101, "memory_utilization_percent": 12,
        "memory_used_bytes": (index * 17 + 9) * GIB, "memory_total_bytes": 140 * GIB, "power_w": 120.0 + index * 60,
        "power_limit_w": 700.0, "temperature_c": 38 + index * 4, "sm_clock_mhz": 1980, "memory_clock_mhz": 3201,
        "throttle_reasons": 0, "performance_state": 0, "ecc_uncorrected_volatile": 0,
        "memory_temperature_c": 44 + index * 3, "sm_clock_max_mhz": 1980, "recovery_action": 0, "remap_failure": 0,
        "pcie_rx_bytes_per_s": 1.2e9, "pcie_tx_bytes_per_s": 3.4e7 * index, "pcie_width": 16, "pcie_width_max": 16,
        "pcie_generation": 5, "pcie_generation_max": 5, "nvlink_rx_bytes_per_s": 2.1e11, "nvlink_tx_bytes_per_s": 2e11,
        "nvlinks": 18, "nvlinks_active": 18, "numa_node": index // 4, "temperature_slowdown_c": 87,
        "cpu_affinity": "0-47,96-143" if index < 4 else "48-95,144-191",
        "ages_s": {"counters": 1.2, "health": 14.0, "static": 600.0},
    }  # fmt: skip
    return GpuSample(**{**fields, **changes})


def lost(index: int) -> GpuSample:
    cell = Absent(state=CellState.LOST, why="GPU is lost", code=15, age_s=42)
    names = ("utilization_percent", "memory_used_bytes", "power_w", "temperature_c", "sm_clock_mhz")
    return gpu(index, state="lost", **dict.fromkeys(names, cell), throttle_reasons=cell)


def hung(index: int) -> GpuSample:
    cell = Absent(state=CellState.HUNG, why="no answer", age_s=12)
    return gpu(index, state="hung", utilization_percent=cell, power_w=cell, temperature_c=cell,
               power_limit_w=Absent(state=CellState.NOT_SUPPORTED, why="not supported", code=3))  # fmt: skip


NO_JOB = Absent(state=CellState.NOT_SUPPORTED, why="it belongs to no job")
ELSEWHERE = Absent(state=CellState.NOT_SUPPORTED, why="pid 4711, another namespace")


def process(pid: int, index: int, **changes: Any) -> ProcessSample:
    fields: dict[str, Any] = {
        "user": "mara", "command": f"python train.py --rank {index}", "gpu_memory_bytes": (9 + index) * GIB,
        "sm_percent": 90 - index, "cpu_percent": 101.0 + index, "host_memory_bytes": (30 - index) * GIB,
        "job": "4711.0", "container": NO_JOB, "state": "R", "started": 1000 + pid,
    }  # fmt: skip
    return ProcessSample(pid=pid, gpu_uuid=gpu(index).uuid, **{**fields, **changes})


PROCESSES = (
    process(41207, 0),
    process(1871, 1, user=HOSTILE, command=HOSTILE, gpu_memory_bytes=26 * GIB, job=NO_JOB),
    process(4711, 2, user=ELSEWHERE, command=ELSEWHERE, job=ELSEWHERE, started=ELSEWHERE),
    *(process(41207 + index, index) for index in range(3, 8)),
)

FINDINGS = (
    Finding(
        id="TD-GPU-004", severity=Severity.CRITICAL, seen="GPU 5 is lost: last answer 42 s ago, bus 00000000:68:00.0",
        why="The driver cannot reach the card over PCIe. Work on it has failed and cannot come back.",
        fix=Fix(command="nvidia-smi drain -p 0000:68:00.0 -m 1", scope=Scope.NODE, needs=("drained", "root")),
        source="NVIDIA Xid 79",
    ),
    Finding(id="TD-HST-002", severity=Severity.WARNING, seen="/dev/shm has 64 MiB, 1 GiB is needed",
            why="DataLoader workers hand batches over through it.", source="PyTorch notes on multiprocessing"),
)  # fmt: skip


def _between(one: int, other: int) -> str:
    return "X" if one == other else "NV18" if one // 4 == other // 4 else "SYS"


def sample(count: int = 8, **changes: Any) -> Sample:
    gpus = tuple({5: lost, 6: hung}.get(i, gpu)(i) for i in range(count))
    fields: dict[str, Any] = {
        "t_ns": 0, "m_ns": 0, "driver": "580.159.04", "cuda": "13.0", "driver_state": "ok", "gpus": gpus,
        "processes": tuple(p for p in PROCESSES if p.gpu_uuid in {gpu.uuid for gpu in gpus}), "host": host(),
        "kernel_log": "kmsg", "cost_ms": 1.9, "self_percent": 0.2,
        "topology": tuple(tuple(_between(i, j) for j in range(count)) for i in range(count)),
    }  # fmt: skip
    return Sample(**{**fields, **changes})


NO_GPU = sample(
    0, driver=Absent(state=CellState.NOT_SUPPORTED, why="no driver"),
    cuda=Absent(state=CellState.NOT_SUPPORTED, why="no driver"),
    driver_state="no NVIDIA driver on this machine: libnvidia-ml.so.1 is not there", host=host(host="laptop", cores=8),
)  # fmt: skip


def result(name: str, verdict: Verdict, reason: str, **changes: Any) -> Result:
    probe = next(p for p in PROBES if p.name == name)
    fields: dict[str, Any] = {
        "name": name, "group": probe.group, "tier": probe.tier, "device": "cuda:0", "verdict": verdict,
        "reason": reason, "seconds": 12.34,
    }  # fmt: skip
    return Result(**{**fields, **changes})


COMPILED = result(
    "compile.default", Verdict.DEGRADED, "CUDA graphs were skipped: the graph mutates its input",
    figures=(
        Figure(name="speedup", value=1.0312, unit="x", n=40, spread=0.0213),
        Figure(name="first_call_s", value=10.83, unit="s"),
        Figure(name="eager_ms", value=1.27, unit="ms", n=40, spread=0.02, labels={"batch": "64"}),
        Figure(name="max_abs_error", value=1.4e-6, unit=""),
    ),
    facts=(Fact(name="regions_entered", value=2, evidence="dynamo counters"), Fact(name="triton", value=True),
           Fact(name="note", value=HOSTILE)),
    findings=(Finding(
        id="TD-CMP-012", severity=Severity.WARNING, seen="cudagraph_skips is 2, 0 is expected",
        why="An input is changed in place inside the compiled region, so its address cannot be captured.",
        fix=Fix(command="torch._inductor.config.triton.cudagraph_support_input_mutation = True"), source="PyTorch",
    ),),
    evidence=(Evidence(kind="counter", text="inductor: cudagraph_skips 2", artifact="artifacts/counters.json"),),
    command="torchdoctor check compile.default --device cuda:0", log="probes/compile.default/stderr.log",
)  # fmt: skip

RESULTS = (
    result("env.identity", Verdict.PASS, "torch 2.13.0+cu130 on Python 3.11.9 fits driver 580", seconds=1.9),
    result("export.signature", Verdict.PASS, "7 of 7 signatures are readable", seconds=0.8),
    COMPILED,
    result("cudagraph.replay", Verdict.FAIL, "replay 3 differs from eager by 0.25, 1e-05 is allowed", seconds=4.2),
    result("data.loader", Verdict.SKIP, HOSTILE, seconds=0.1),
    result("ddp.allreduce", Verdict.ERROR, "timeout: no end within 180 s", seconds=180.0),
)


def view(name: str, state: str = "done", **changes: Any) -> ProbeView:
    return ProbeView(name=name, state=ProbeState(state), **changes)


VIEWS = (
    *(view(r.name, result=r, folder=f"/runs/1/probes/{r.name}") for r in RESULTS),
    view("compile.reduce-overhead", "running", progress="capturing graph 3 of 8", done=0.375,
         started_s=7.4, folder="/runs/1/probes/compile.reduce-overhead"),
    view("compile.max-autotune", "queued"),
)  # fmt: skip


@dataclass(frozen=True)
class Window:
    """A window of a history: the same three series that the real one gives."""

    low: tuple[float | None, ...]
    mean: tuple[float | None, ...]
    high: tuple[float | None, ...]


class FakeHistory:
    """A curve for every metric of the first five GPUs and of the host; the GPUs after them were never read."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, float, int]] = []

    def window(self, subject: str, metric: str, seconds: float, columns: int) -> Window | None:
        self.asked.append((subject, metric, seconds, columns))
        if subject not in ("host", *(gpu(i).uuid for i in range(5))):
            return None
        scale = {"memory_used_bytes": GIB, "power_w": 6.0}.get(metric, 1.0)
        mean = tuple(None if 20 <= i < 23 else value * scale for i, value in enumerate(CURVE[-columns:]))
        spread = 8.0 * scale if seconds > 600 else 0.0
        low = tuple(None if v is None else max(0.0, v - spread) for v in mean)
        return Window(low, mean, tuple(None if v is None else v + spread for v in mean))


EVENTS = (
    KernelEvent(t_ns=1_790_000_000 * 10**9, kind="xid", source="nvml+kmsg", code=79, bus_id="0000:68:00",
                gpu_uuid="GPU-00056f8a-0b1c", pid=41207, process="python", job="4711.0",
                text="NVRM: Xid (PCI:0000:68:00): 79, GPU has fallen off the bus."),
    KernelEvent(t_ns=1_790_000_007 * 10**9, kind="oom", source="kmsg", pid=991, process=HOSTILE, text=HOSTILE),
    KernelEvent(t_ns=1_790_000_009 * 10**9, kind="exit", source="sampler", gpu_uuid="GPU-00016f8a-0b1c", pid=1700,
                process="python", job="4711.0"),
)  # fmt: skip


class FakePast:
    """Three counters that moved, and some events."""

    seconds = 600.0
    events_dropped = 0

    def __init__(self, events: tuple[KernelEvent, ...] = EVENTS) -> None:
        self.events = list(events)

    def since_start(self, subject: str, cell: str) -> float | None:
        counters = {"ecc_uncorrected_volatile": 2.0, "pcie_replays": 7.0, "ecc_corrected_volatile": 0.0}
        return counters.get(cell)

    def last_minute(self, subject: str, cell: str) -> float | None:
        return 1.0 if cell == "pcie_replays" else None

    def events_of(self, gpu: GpuSample) -> list[KernelEvent]:
        return [event for event in self.events if event.gpu_uuid == gpu.uuid]


class FakeSampler:
    """Its one sample is always the newest."""

    state = ""

    def __init__(self, one: Sample | None, health: Health) -> None:
        self.one, self.health, self.started, self.stopped = one, health, False, False
        self.history, self.past = FakeHistory(), FakePast()

    def start(self) -> None:
        self.started = True

    def judged(self) -> tuple[int, Sample | None, Health]:
        return 1, self.one, self.health

    def stop(self) -> None:
        self.stopped = True


class FakeReplay(FakeSampler):
    """A recording that stands where it was put."""

    began_ns, length_s = 1_790_000_000 * 10**9, 2400.0

    def __init__(self, one: Sample | None, health: Health) -> None:
        super().__init__(one, health)
        self.pace, self.paused, self.position_s = 1.0, False, 754.0

    def seek(self, seconds: float) -> None:
        self.position_s = seconds


class FakeAnswer:
    """What a child says of a process: all of it, but for what it was denied."""

    cause = ""

    def __init__(self, items: Mapping[str, Part], state: str = "done") -> None:
        self.items, self.state = items, state

    def poll(self) -> str:
        return self.state

    def parts(self) -> Mapping[str, Part]:
        return self.items


ANSWER = FakeAnswer({
    "command": Part("done", "python train.py --fsdp --token ***"),
    "family": Part("done", [
        {"pid": 1, "name": "systemd", "state": "S", "depth": 0},
        {"pid": 41000, "name": "torchrun", "state": "S", "depth": 1},
        {"pid": 41207, "name": "python", "state": "R", "depth": 2},
        {"pid": 41300, "name": HOSTILE, "state": "Z", "depth": 3},
    ]),
    "status": Part("done", {"name": "python", "user": "mara (uid 1000)", "threads": "48", "resident": "9 kB"}),
    "cgroup": Part("done", ["0::/system.slice/slurmstepd.scope/job_4711/step_0"]),
    "limits": Part("done", {"Max open files": ["1024", "1048576", "files"]}),
    "environment": Part("failed", cause="permission denied: it belongs to another user, and only root may read it"),
})  # fmt: skip


@dataclass
class FakeCheck:
    """Stands still at `views` until it is cancelled or abandoned."""

    views: tuple[ProbeView, ...] = VIEWS
    run: str = "/runs/1"
    revision: int = 0
    cancelled: list[str | None] = field(default_factory=list)
    abandoned: bool = False
    begun: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        self.begun.set()

    def view(self) -> CheckView:
        done = self.ended.is_set()
        return CheckView(
            revision=self.revision + int(done), run=self.run, probes=self.views, finished=done, interrupted=False
        )

    def cancel(self, name: str | None = None) -> None:
        self.cancelled.append(name)
        self.ended.set()

    def abandon(self) -> None:
        self.abandoned = True

    def wait(self, timeout_s: float | None = None) -> bool:
        return self.ended.wait(timeout_s)


MACHINE = Machine(
    host="gpu-node-07", boot_id="b", kernel="6.8.0", arch="x86_64", os="Ubuntu 24.04", cpu="Xeon Platinum 8480C",
    cores=96, memory_bytes=1007 * GIB, driver="580.159.04", cuda="13.0", gpus=({}, {}),
)  # fmt: skip

REPORT = Report(
    torchdoctor="0.1.0", machine=MACHINE, target=TARGET, tier="standard", started="2026-01-02T03:04:05Z",
    seconds=231.0, verdict=worst([r.verdict for r in RESULTS]), results=RESULTS, findings=FINDINGS,
)  # fmt: skip

CURVE = tuple(float((i * i) % 97) for i in range(120))


@dataclass
class World:
    """What the fakes say, and what was asked of them."""

    sample: Sample | None = field(default_factory=sample)
    findings: tuple[Finding, ...] = FINDINGS
    verdict: str = "GPU 5 is lost · 41 checked · 9 unreadable (kernel log: needs CAP_SYSLOG)"
    target: Target | None = TARGET
    report: Report | None = REPORT
    earlier: Sequence[tuple[str, Report]] = ()
    check: FakeCheck = field(default_factory=FakeCheck)
    jobs: FakeJobs = field(default_factory=FakeJobs)
    reports: FakeReportDesk = field(default_factory=FakeReportDesk)
    asked: list[tuple[str, ...]] = field(default_factory=list)
    written: list[str] = field(default_factory=list)
    sampler: FakeSampler | None = None
    replays: bool = False
    answer: FakeAnswer = field(default_factory=lambda: ANSWER)
    inspected: list[tuple[int, int | None]] = field(default_factory=list)
    signals: list[tuple[int, int | None, int]] = field(default_factory=list)
    refused: str = ""

    def engines(self) -> Engines:
        return Engines(
            sampler=self._sampler,
            find_target=lambda _: self._choice(), make_check=self._check,
            finish=lambda *_: None, last_report=lambda _: ("/runs/1", self.report) if self.report else None,
            earlier=lambda _: self.earlier,
            reports=lambda _: self.reports, copy=lambda _, text: self._wrote(text),
            jobs=lambda _: self.jobs.engines(), logs=lambda _: FakeEngine(),
            exports=lambda _: self._wrote("exports"), inspect=self._inspect, signal=self._signal,
        )  # fmt: skip

    def _choice(self) -> TargetChoice:
        return TargetChoice(chosen=self.target, candidates=(), why="no python3 on PATH has torch")

    def _sampler(self, _: object) -> FakeSampler:
        kind = FakeReplay if self.replays else FakeSampler
        self.sampler = kind(self.sample, Health(findings=self.findings, line=self.verdict))
        return self.sampler

    def _inspect(self, pid: int, started: int | None) -> FakeAnswer:
        self.inspected.append((pid, started))
        return self.answer

    def _signal(self, pid: int, started: int | None, number: int) -> str:
        self.signals.append((pid, started, number))
        return self.refused

    def _check(self, settings: object, target: Target, probes: Sequence[Probe]) -> tuple[object, FakeCheck]:
        self.asked.append(tuple(probe.name for probe in probes))
        return object(), self.check

    def _wrote(self, text: str) -> str:
        self.written.append(text)
        return "/state/copied.txt"
