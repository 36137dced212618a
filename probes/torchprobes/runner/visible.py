"""Which GPUs torch sees in an environment, and in which order: CUDA's own rules, read from the environment alone.

Source: CUDA C++ Programming Guide, "CUDA Environment Variables" (CUDA_VISIBLE_DEVICES, CUDA_DEVICE_ORDER); MIG User
Guide, "CUDA visible devices"; torch/cuda/__init__.py `_parse_visible_devices`, which reads the list as CUDA does.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar

from torchprobes.cells import Cell
from torchprobes.model import Frozen
from torchprobes.samples import GpuSample, MigSample, Sample

_E = TypeVar("_E")

VARIABLES: Final = {"nvidia": "CUDA_VISIBLE_DEVICES", "amd": "ROCR_VISIBLE_DEVICES"}
"""By vendor: what narrows the GPUs of a process to those whose UUIDs it lists."""

_HIP: Final = ("HIP_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES")
"""What ROCm's torch reads, the first that is set."""

MIXED: Final = (
    "the GPUs here are of different kinds, and CUDA puts the fastest first: an index tells nobody which one is meant; "
    "set CUDA_DEVICE_ORDER=PCI_BUS_ID, or name UUIDs in CUDA_VISIBLE_DEVICES (nvidia-smi -L)"
)


class Seat(Frozen, frozen=True, kw_only=True):
    """What one index of torch stands for: a GPU, or one MIG device of it."""

    gpu: GpuSample
    mig: MigSample | None = None

    @property
    def uuid(self) -> str:
        """What CUDA_VISIBLE_DEVICES calls it."""
        return self.mig.uuid if self.mig else self.gpu.uuid

    @property
    def words(self) -> str:
        """For a person."""
        return f"GPU {self.gpu.index}" + (f" MIG {self.mig.index}" if self.mig else "")

    @property
    def memory(self) -> tuple[Cell, Cell]:
        """Bytes that are used, and all."""
        part = self.mig or self.gpu
        return part.memory_used_bytes, part.memory_total_bytes


class View(Frozen, frozen=True, kw_only=True):
    """The seats that torch sees. `unsure` says why their order, or which they are, cannot be known; "" if it can."""

    seats: tuple[Seat, ...] = ()
    unsure: str = ""


def view(sample: Sample, environ: Mapping[str, str]) -> View:
    """The seats of `cuda:0`, `cuda:1` … in this environment: NVIDIA's, or AMD's where there are none of those."""
    nvidia = [gpu for gpu in sample.gpus if gpu.vendor == "nvidia"]
    if nvidia:
        known = environ.get("CUDA_DEVICE_ORDER", "") == "PCI_BUS_ID" or _alike(nvidia)
        return _listed(environ.get("CUDA_VISIBLE_DEVICES"), nvidia, "" if known else MIXED)
    named = next((environ[name] for name in _HIP if name in environ), None)
    return _listed(named, [gpu for gpu in sample.gpus if gpu.vendor == "amd"], "")


def _alike(gpus: Sequence[GpuSample]) -> bool:
    """Whether CUDA's default order, fastest first, is the driver's: GPUs of one kind stay in the order of the bus."""
    return len(gpus) < 2 or (len({str(gpu.name) for gpu in gpus}) == 1 and isinstance(gpus[0].name, str))


def _listed(named: str | None, gpus: Sequence[GpuSample], unsure: str) -> View:
    if named is None:
        return View(seats=_seats(gpus), unsure=unsure)
    for prefix, find in _BY_UUID.items():
        if named.startswith(prefix):
            return View(seats=_first_whole(_uuids(named, prefix), functools.partial(find, gpus)))
    numbers = _numbers(named)
    if unsure and numbers:
        return View(unsure=unsure)
    return View(seats=_first_whole(numbers, lambda n: _seats(gpus[n : n + 1])))


def _first_whole(entries: Sequence[_E], find: Callable[[_E], tuple[Seat, ...]]) -> tuple[Seat, ...]:
    """The seats of all entries before the first that names none."""
    found: list[Seat] = []
    for entry in entries:
        seats = find(entry)
        if len(seats) != 1:
            break
        found += seats
    return tuple(found)


def _seats(gpus: Sequence[GpuSample]) -> tuple[Seat, ...]:
    """What whole GPUs stand for: a partitioned one its first MIG device, and nothing if it has none."""
    found = [Seat(gpu=gpu, mig=gpu.migs[0] if gpu.migs else None) for gpu in gpus if gpu.migs or gpu.mig_mode != 1]
    return tuple(found)


# --- entries of the list ---------------------------------------------------------------------------------------


def _uuids(named: str, prefix: str) -> list[str]:
    """Entries up to the first without the prefix; an entry that stands twice makes the whole list void."""
    found: list[str] = []
    for text in named.split(","):
        if text in found:
            return []
        if not text.startswith(prefix):
            break
        found.append(text)
    return found


def _numbers(named: str) -> list[int]:
    """Indices as strtoul reads them, up to the first that is none; one that stands twice makes the list void."""
    found: list[int] = []
    for text in named.split(","):
        match = re.match(r"\+?\d{1,6}", text.strip())
        if match is None:
            break
        if int(match[0]) in found:
            return []
        found.append(int(match[0]))
    return found


def _gpu(gpus: Sequence[GpuSample], text: str) -> tuple[Seat, ...]:
    """A GPU by its UUID or the beginning of it, if only one begins so."""
    return _seats([gpu for gpu in gpus if gpu.uuid.startswith(text) and len(text) > len("GPU-")])


def _mig(gpus: Sequence[GpuSample], text: str) -> tuple[Seat, ...]:
    """A MIG device by its UUID, or as drivers before R470 call it: MIG-<UUID of the GPU>/<instance>/<compute>."""
    old = re.fullmatch(r"MIG-(GPU-[\w-]{1,64})/(\d{1,3})/(\d{1,3})", text)
    return tuple(
        Seat(gpu=gpu, mig=mig)
        for gpu in gpus
        for mig in gpu.migs
        if mig.uuid == text
        or (old and old[1] == gpu.uuid and (mig.gpu_instance, mig.compute_instance) == (int(old[2]), int(old[3])))
    )


_BY_UUID: Final[dict[str, Callable[[Sequence[GpuSample], str], tuple[Seat, ...]]]] = {"GPU-": _gpu, "MIG-": _mig}
