"""Which GPU each rank of a job holds: from the driver's list of processes, else assumed, and then said to be.

The driver lists pids of the host. A rank is matched by its pid here, with its start time where the sample has that; in
a container, where the pids that the driver tells are not ours, nothing matches and only the assumption is left.
"""

from __future__ import annotations

from typing import Final

import msgspec

from ...distributed import JobIdentity, RankIdentity
from ...samples import GpuSample, ProcessSample, Sample

KINDS: Final = frozenset({"compute", "mps", "holder"})
"""Kinds of processes that compute; one that draws holds every GPU of the machine."""

ASSUMED: Final = (
    "the driver's list does not name the processes of ranks {ranks}: their GPUs are assumed from CUDA_VISIBLE_DEVICES "
    "and the local rank"
)
ELSEWHERE: Final = "rank {rank} holds memory on {count} GPUs ({gpus}): it may lack torch.cuda.set_device(local_rank)"


def with_gpus(job: JobIdentity, sample: Sample, *, assume: bool = False) -> JobIdentity:
    """The same job with `gpu_uuid` and `gpu_index` of its ranks, as far as they are known.

    With `assume`, ranks that the driver's list does not name get the GPU that their local rank means in their
    CUDA_VISIBLE_DEVICES, and a note says so: a job on CPUs has none, so nobody assumes without having asked.
    """
    held = {rank.rank: _held(rank, sample) for rank in job.ranks}
    notes = list(job.notes)
    ranks, assumed = [], []
    for rank in job.ranks:
        own = held[rank.rank]
        gpu = _gpu(sample, own[0].gpu_uuid) if own else None
        if gpu is None and assume and (gpu := _meant(rank, sample)) is not None:
            assumed.append(str(rank.rank))
        if len(own) > 1:
            names = ", ".join(str(one.index) for p in own if (one := _gpu(sample, p.gpu_uuid)) is not None)
            notes.append(ELSEWHERE.format(rank=rank.rank, count=len(own), gpus=names))
        found = own[0].gpu_uuid if own else gpu.uuid if gpu else rank.gpu_uuid
        index = gpu.index if gpu else rank.gpu_index
        ranks.append(msgspec.structs.replace(rank, gpu_uuid=found, gpu_index=index))
    if assumed:
        notes.append(ASSUMED.format(ranks=", ".join(assumed)))
    return msgspec.structs.replace(job, ranks=tuple(ranks), notes=tuple(dict.fromkeys(notes)))


def _held(rank: RankIdentity, sample: Sample) -> list[ProcessSample]:
    """A row for each GPU that the rank holds, the one with most memory first."""
    rows = [p for p in sample.processes if p.pid == rank.pid and p.kind in KINDS and _same(p, rank)]
    by_gpu = {row.gpu_uuid: row for row in sorted(rows, key=_memory)}
    return sorted(by_gpu.values(), key=_memory, reverse=True)


def _same(process: ProcessSample, rank: RankIdentity) -> bool:
    """Whether it is that process, and not one that has its pid now; where no start time is known, the pid must do."""
    return process.started == rank.start_ticks or not isinstance(process.started, int) or not process.started


def _memory(process: ProcessSample) -> float:
    cell = process.gpu_memory_bytes
    return float(cell) if isinstance(cell, (int, float)) else -1.0


def _gpu(sample: Sample, uuid: str) -> GpuSample | None:
    return next((gpu for gpu in sample.gpus if gpu.uuid == uuid), None)


def _meant(rank: RankIdentity, sample: Sample) -> GpuSample | None:
    """The GPU that `cuda:LOCAL_RANK` means to it, by CUDA's rules for CUDA_VISIBLE_DEVICES; None if that is not known.

    With one device visible the launcher has chosen it; a list that ends before the local rank names none.
    """
    if rank.local_rank is None or rank.visible_devices is None:
        return None
    visible = [word.strip() for word in rank.visible_devices.split(",") if word.strip()]
    if rank.visible_devices == UNSET:
        return _by_index(sample, rank.local_rank)
    if not visible:
        return None
    word = visible[0] if len(visible) == 1 else visible[rank.local_rank] if rank.local_rank < len(visible) else ""
    if word.isascii() and word.isdigit():
        return _by_index(sample, int(word))
    found = [gpu for gpu in sample.gpus if word and gpu.uuid.startswith(word)]
    return found[0] if len(found) == 1 else None


def _by_index(sample: Sample, index: int) -> GpuSample | None:
    return next((gpu for gpu in sample.gpus if gpu.index == index), None)


UNSET: Final = "unset"
"""`visible_devices` of a rank whose environment was read and has no CUDA_VISIBLE_DEVICES; no list of devices."""
