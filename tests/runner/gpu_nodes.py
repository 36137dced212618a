"""Nodes with GPUs as their telemetry tells of them, and a telemetry whose clock runs as fast as it is asked."""

from __future__ import annotations

from typing import Any

from torchprobes.samples import GpuSample, HostSample, ProcessSample, Sample

GIB = 1 << 30


def gpu(index: int = 0, **changes: Any) -> GpuSample:
    """An idle H100 but for the changes."""
    values: dict[str, Any] = {
        "index": index, "uuid": f"GPU-{index}aaaa", "bus_id": f"0000:0{index}:00.0", "name": "NVIDIA H100",
        "utilization_percent": 0, "memory_used_bytes": 0, "memory_total_bytes": 80 * GIB, "mig_mode": 0,
        "compute_mode": "default",
    }  # fmt: skip
    return GpuSample(**values | changes)


def node(*gpus: GpuSample, processes: tuple[ProcessSample, ...] = (), at_s: float = 0.0) -> Sample:
    """A node with these GPUs, as it was at some second."""
    return Sample(
        t_ns=0, m_ns=int(at_s * 1e9), driver="580", cuda="13.0", driver_state="ok", gpus=gpus or (gpu(),),
        processes=processes, host=HostSample(host="h", cores=2),
    )  # fmt: skip


def stranger(uuid: str = "GPU-0aaaa", pid: int = 1, **changes: Any) -> ProcessSample:
    """Somebody else's training."""
    return ProcessSample(**{"pid": pid, "gpu_uuid": uuid, "user": "mara", "command": "python train.py"} | changes)


class Telemetry:
    """What a check asks for samples: a second passes with each question. `show` changes what the node looks like."""

    def __init__(self, *gpus: GpuSample, processes: tuple[ProcessSample, ...] = ()) -> None:
        self.seconds = 0.0
        self.show(*gpus, processes=processes)

    def show(self, *gpus: GpuSample, processes: tuple[ProcessSample, ...] = ()) -> None:
        """From now on the node looks so."""
        self._gpus, self._processes = gpus, processes

    def __call__(self) -> Sample:
        self.seconds += 1.0
        return node(*self._gpus, processes=self._processes, at_s=self.seconds)
