"""Recordings made of samples that are written here, at any time and rate."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
from sample_material import gpu, host, sample

from torchprobes.samples import KernelEvent, ProcessSample, Sample
from torchprobes.telemetry.recording.file import Encoder, Header

BEGAN_NS = 1_780_000_000_000_000_000
SECOND_NS = 1_000_000_000
HEADER = Header(torchdoctor="0.1.0", host="node7", boot_id="b", rate_hz=1.0)


def at(second: float) -> int:
    """A moment of the recording."""
    return BEGAN_NS + int(second * SECOND_NS)


def xid(second: float, code: int = 79, **changes: Any) -> KernelEvent:
    """An XID of the first GPU."""
    known: dict[str, Any] = {"kind": "xid", "source": "kmsg", "gpu_uuid": "GPU-0", "pid": 4711, "job": "slurm 12.0"}
    return KernelEvent(t_ns=at(second), code=code, **{**known, **changes})


def moving(second: int, gpus: int = 2, **changes: Any) -> Sample:
    """A sample in which every reading that changes on a live node is different from second to second."""
    rows = tuple(
        gpu(index, utilization_percent=(second * 7 + index) % 101, power_w=70.0 + second % 9, pcie_replays=second // 60)
        for index in range(gpus)
    )
    train = ProcessSample(pid=100 + second // 30, gpu_uuid="GPU-0", gpu_memory_bytes=second << 20, command="train.py")
    base = sample(*rows, t_ns=at(second), m_ns=second * SECOND_NS + 1, processes=(train,) if second % 50 else ())
    return msgspec.structs.replace(base, **{"host": host(cpu_percent=float(second % 100)), **changes})


def seconds(count: int, events: dict[int, tuple[KernelEvent, ...]] | None = None, gpus: int = 2) -> list[Sample]:
    """So many samples, one a second."""
    told = events or {}
    return [moving(second, gpus, events=told.get(second, ())) for second in range(count)]


def line(one: Sample) -> bytes:
    """A sample as the child says it."""
    return msgspec.json.encode(one) + b"\n"


def encoded(samples: Iterable[Sample], header: Header = HEADER, chunk: int = 100) -> bytes:
    """A recording of them, `chunk` samples in each of its chunks."""
    return b"".join(_pieces(samples, header, chunk))


def _pieces(samples: Iterable[Sample], header: Header, chunk: int) -> Iterator[bytes]:
    encoder = Encoder(header)
    for number, one in enumerate(samples):
        if number and number % chunk == 0:
            yield encoder.end()
        yield encoder.sample(line(one)) or b""
    yield encoder.end()


def write(path: Path, samples: Iterable[Sample], header: Header = HEADER, chunk: int = 100) -> Path:
    """The same as a file."""
    path.write_bytes(encoded(samples, header, chunk))
    return path


def packed(*lines: bytes) -> bytes:
    """Lines that a stranger wrote, as one chunk."""
    return gzip.compress(b"".join(text + b"\n" for text in lines), mtime=0)
