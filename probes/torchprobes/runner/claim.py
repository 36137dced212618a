"""The GPUs that a check holds while it runs, or why it has none; where each probe runs, and which may overlap."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from torchprobes.catalogue import Probe
from torchprobes.model import Target
from torchprobes.samples import Sample

from . import allocations, idle
from .idle import Recent
from .order import Device
from .results import FORCE
from .visible import VARIABLES, Seat, View, view

FIRST_SAMPLE_S = 6.0
"""How long the choice of a GPU waits for the first sample."""

WAIT_S = idle.IDLE_S + 2.0
"""How long it then waits for samples that reach back far enough."""

PROBE_MEMORY_BYTES = 4 << 30

ROOMY_CORES = 8
"""From so many on, what is timed on the host beside work for a GPU only waits for the CPU's timing lock."""

_POLL_S = 0.05

Samples = Callable[[], Sample | None]


@dataclass(frozen=True, slots=True)
class Wish:
    """What a check asks for: the device as the person named it, how many GPUs at once, and whether idle or not."""

    device: str
    wanted: int
    force: bool

    @property
    def kind(self) -> str:
        """`auto`, `cpu`, `cuda`, `xpu` …"""
        return self.device.partition(":")[0]

    @property
    def number(self) -> int | None:
        """N of `cuda:N`; None for "auto", and for a device without a number whose kind has but one."""
        number = self.device.partition(":")[2]
        return int(number) if number else 0 if self.kind in ("cuda", "xpu") else None


@dataclass(slots=True)
class Claim:
    """`seats` are held, `seen` is how many torch would see; `name` is the device of a kind without seats.

    `taken` are those that were asked for and are not to be had: others work there.
    """

    seats: list[Seat] = field(default_factory=list)
    seen: int = 0
    name: str = "cpu"
    refusal: str = ""
    locks: list[int] = field(default_factory=list)
    taken: Sequence[Seat] = ()

    def device(self, probe: Probe) -> Device | str:
        """Where a probe runs, or why it cannot.

        What belongs to the host runs on the CPU whatever the GPUs do, and sees the user's own environment; so does
        what only asks about a GPU that others are on.
        """
        if probe.place == "host":
            return Device("cpu")
        if probe.place == "beside" and (seats := self.seats or self.taken):
            return Device(self._torch_name(seats[0]), gpus=tuple(seat.uuid for seat in seats[: probe.gpus]))
        why = self.refusal or self._why_not(probe)
        if why:
            return why
        if not self.on_gpu(probe):
            return Device(self.name)
        seats = self.seats if probe.launch == "torchrun" else self.seats[: probe.gpus]
        uuids = tuple(seat.uuid for seat in seats)
        variable = VARIABLES.get(seats[0].gpu.vendor)
        return Device(
            name=self._torch_name(seats[0]),
            gpus=uuids if variable else (),
            environ={variable: ",".join(uuids)} if variable else {},
            seats=tuple(seats),
            memory_limit_bytes=min(map(memory_limit, seats)),
            memory_text=", ".join(f"{s.words} {s.uuid} at {s.gpu.bus_id}" for s in seats),
        )

    def _torch_name(self, seat: Seat) -> str:
        """What torch calls the first GPU of those that it is shown."""
        return "cuda:0" if seat.gpu.vendor in VARIABLES else self.name

    def on_gpu(self, probe: Probe) -> bool:
        """Whether it uses a seat: ranks do where torch sees two."""
        return probe.place == "device" and bool(self.seats) and (probe.launch != "torchrun" or self.seen > 1)

    def overlap(self, one: Probe, other: Probe) -> bool:
        """Whether two probes may run at once: not beside one that is timed on a CPU, or that wants all of the node."""
        if self._alone(one) or self._alone(other):
            return False
        exclusive = any(map(idle.is_exclusive, self.seats))
        return not (exclusive and self.on_gpu(one) and self.on_gpu(other))

    def release(self) -> None:
        """Let go of the GPUs' locks."""
        while self.locks:
            os.close(self.locks.pop())

    def _alone(self, probe: Probe) -> bool:
        if wants_the_node(probe):
            return True
        if not probe.timed or self.on_gpu(probe) or self._foreign(probe):
            return False
        return not (self.seats and probe.place == "host" and _cores() >= ROOMY_CORES)

    def _foreign(self, probe: Probe) -> bool:
        return probe.place == "device" and self.name != "cpu"

    def _why_not(self, probe: Probe) -> str:
        ranks, held = probe.launch == "torchrun", len(self.seats)
        if probe.gpus > held and not ranks and probe.gpus > 1:
            return f"it needs {probe.gpus} idle GPUs, {held or 'none'} {'is' if held < 2 else 'are'} to be had"
        if ranks and self.on_gpu(probe) and held < 2:
            return "ranks need two idle GPUs, one is"
        if self.on_gpu(probe) and (ranks or probe.helpers) and any(map(idle.is_exclusive, self.seats)):
            return (
                "it needs several processes on a GPU, whose compute mode lets in one at a time "
                "(nvidia-smi -c DEFAULT, as root)"
            )
        return ""


def memory_limit(seat: Seat) -> int:
    """How many bytes a probe may take: 4 GiB, or half of what is free."""
    used, total = seat.memory
    if isinstance(total, (int, float)) and isinstance(used, (int, float)):
        return int(min(PROBE_MEMORY_BYTES, (total - used) / 2))
    return PROBE_MEMORY_BYTES


def driver_present() -> bool:
    """Whether this machine has an NVIDIA driver loaded."""
    return os.path.exists("/proc/driver/nvidia/version")


class Claimed:
    """A claim on its way: `take` may wait for samples, in a thread; nothing else here does."""

    def __init__(self, wish: Wish, target: Target, samples: Samples, locks: Path, environ: Mapping[str, str]) -> None:
        self.claim: Claim | None = None
        self._wish, self._target, self._samples, self._locks, self._environ = wish, target, samples, locks, environ
        self._released = False
        self._lock = threading.Lock()

    def settled(self, probe: Probe) -> bool:
        """Whether it is known where this probe runs."""
        return probe.place == "host" or self.claim is not None

    def now(self) -> Claim:
        """The claim as it stands: while it is on its way, the one of a machine without GPUs."""
        return self.claim or Claim()

    def take(self) -> None:
        """Choose and lock."""
        try:
            claim = self._made()
        except Exception as error:  # noqa: BLE001 - a defect of ours must not leave the check waiting for ever
            claim = Claim(refusal=f"torchdoctor itself failed: {type(error).__name__}: {error}")
        with self._lock:
            self.claim = claim
            if self._released:
                claim.release()

    def release(self) -> None:
        """Let go; what is still being chosen is let go of when it is there."""
        with self._lock:
            self._released = True
            if self.claim is not None:
                self.claim.release()

    def _made(self) -> Claim:
        wish = self._wish
        if wish.kind == "cpu" or (wish.kind == "auto" and (self._target.torch or "").endswith("+cpu")):
            return Claim()
        if wish.kind == "mps":  # it is the person's own, and nobody else's program is on it
            return Claim(name=wish.device)
        recent = Recent()
        self._await(recent, lambda: recent.newest is not None, FIRST_SAMPLE_S if driver_present() else 0.0)
        sample = recent.newest
        if sample is None and driver_present() and wish.kind in ("auto", "cuda"):
            return Claim(refusal=f"no telemetry: cannot tell whether the GPUs are idle ({FORCE.format('them')})")
        seen = View() if sample is None else self._view(sample)
        seats, refusal = chosen(wish, seen)
        if refusal or not seats:
            return Claim(refusal=refusal) if refusal else Claim(name="cpu" if wish.kind == "auto" else wish.device)
        if not wish.force:
            self._await(recent, lambda: recent.whole or all(map(recent.why_busy, seats)), WAIT_S)
        given = allocations.Allocations() if wish.force else allocations.read()
        claim = Claim(seen=len(seats), name=wish.device)
        return locked(claim, seats, recent, given, self._locks, wish)

    def _view(self, sample: Sample) -> View:
        if self._wish.kind in ("auto", "cuda"):
            return view(sample, self._environ)
        intel = [Seat(gpu=gpu) for gpu in sample.gpus if gpu.vendor == "intel" and self._wish.kind == "xpu"]
        return View(seats=tuple(intel))

    def _await(self, recent: Recent, enough: Callable[[], bool], limit_s: float) -> None:
        deadline = time.monotonic() + limit_s
        recent.add(self._samples())
        while not enough() and time.monotonic() < deadline and not self._released:
            time.sleep(_POLL_S)
            recent.add(self._samples())


def chosen(wish: Wish, seen: View) -> tuple[Sequence[Seat], str]:
    """The seats that a wish may be given, and why there are none where that is a refusal."""
    if wish.kind == "auto":
        return seen.seats, f"no GPU is chosen: {seen.unsure}" if seen.unsure and not seen.seats else ""
    if not seen.seats and wish.kind != "cuda":
        unseen = f"whether somebody uses {wish.device} cannot be seen here, so it does not count as idle"
        return (), "" if wish.force else f"{unseen} ({FORCE.format('it')})"
    if seen.unsure and (len(seen.seats) > 1 or not seen.seats):
        return (), f"{wish.device} is not known: {seen.unsure}"
    found = seen.seats[wish.number or 0 :][:1]
    return found, "" if found else f"there is no {wish.device} here: no such GPU is visible"


def locked(
    claim: Claim, seats: Sequence[Seat], recent: Recent, given: allocations.Allocations, locks: Path, wish: Wish
) -> Claim:
    """`claim` with up to `wish.wanted` of the seats, idle and locked, or why there are none."""
    busy: list[str] = []
    for seat in seats:
        if len(claim.seats) == wish.wanted:
            break
        why = idle.forbidden(seat) or ("" if wish.force else _why_not_idle(seat, recent, given))
        lock = None if why else _lock(locks, seat)
        if not why and lock is None and not wish.force:
            why = f"{seat.words} is held by another check of torchdoctor"
        if why:
            busy.append(why)
            continue
        claim.seats.append(seat)
        claim.locks += [] if lock is None else [lock]
    if not claim.seats:
        claim.taken = seats
        claim.refusal = f"no idle GPU: {'; '.join(busy[:3])} ({FORCE.format('it')})"
    return claim


def _why_not_idle(seat: Seat, recent: Recent, given: allocations.Allocations) -> str:
    why = recent.why_busy(seat) or given.why_taken(seat)
    if why or recent.whole:
        return why
    return f"{seat.words} was not seen for {idle.IDLE_S:g} s, so it does not count as idle"


def _lock(folder: Path, seat: Seat) -> int | None:
    name = "".join(c if c.isalnum() else "-" for c in seat.uuid)[:80]
    fd = os.open(folder / f"gpu-{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        return None
    return fd


def wants_the_node(probe: Probe) -> bool:
    """Whether nothing at all may run beside it: ranks on every GPU, or a probe that says so."""
    return probe.alone or (probe.timed and probe.launch == "torchrun")


def _cores() -> int:
    return len(os.sched_getaffinity(0))
