"""XIDs as the driver tells them, the moment they happen. Runs in the sampler child, in a thread of its own.

They need no privilege and have no history: the kernel's log has that, where it may be read. One thread waits for the
events of all GPUs, five seconds a call. A GPU is registered on a thread of its own, so that one that hangs costs no
other its events; and should the wait itself never come back, nothing but this source is silent, which its state says.
"""

from __future__ import annotations

import ctypes
import functools
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Any, Final

from ...cells import UNREAD, Absent, Cell, CellState
from ...samples import KernelEvent
from ..bus import short_bus_id
from ..readings import Device
from ..vendors.nvidia.calls import function
from ..vendors.nvidia.codes import absent
from .pending import MOST_AT_ONCE, take

XID_CRITICAL_ERROR: Final = 0x8
"""nvmlEventTypeXidCriticalError (nvml.h)."""

TIMEOUT: Final = 10
WAIT_MS: Final = 5_000
HUNG_S: Final = 4.0
"""A registration that takes longer, and a wait that takes so much longer than it was asked to, hang."""

AGAIN_S: Final = 5.0
MOST_AGAIN_S: Final = 60.0
"""After a failure it is tried again, and each time later: a lost GPU fails every wait of a set that it is in."""

MOST_PENDING: Final = 10_000
_NO_INSTANCE: Final = 0xFFFFFFFF


class XidEvents:
    """`start` with the devices of one opening of the library, again after the next; `take` never waits."""

    def __init__(self) -> None:
        self._source: Cell = UNREAD
        self._stuck: dict[int, Absent] = {}
        """Index -> why, of GPUs whose registration hangs: they are not asked again, and their set is never freed."""
        self._life = 0
        self._waiting_since: float | None = None
        self._pending: deque[KernelEvent] = deque(maxlen=MOST_PENDING)

    def start(self, devices: Sequence[Device]) -> None:
        """Wait for the XIDs of these from now on; an earlier start ends with its present wait."""
        self._life += 1
        self._waiting_since, self._stuck = None, {}
        arguments = (self._life, tuple(devices))
        threading.Thread(target=self._run, args=arguments, name="xid events", daemon=True).start()

    def stop(self) -> None:
        """End with the present wait."""
        self._life += 1

    @property
    def state(self) -> Cell:
        """`nvml`, with the GPUs that are left out if there are any; why no events come."""
        since = self._waiting_since
        waited = time.monotonic() - since if since is not None else 0.0
        if waited > WAIT_MS / 1000 + HUNG_S:
            why = f"the driver's wait for events has not come back for {waited:.0f} s"
            return Absent(state=CellState.HUNG, why=why, age_s=round(waited, 1))
        return self._source

    def take(self, most: int = MOST_AT_ONCE) -> tuple[KernelEvent, ...]:
        """The events that came since the last call, oldest first, at most so many."""
        return take(self._pending, most)

    # --- in its thread ------------------------------------------------------------------------------------------

    def _run(self, life: int, devices: tuple[Device, ...]) -> None:
        pause = AGAIN_S
        while self._life == life and devices:
            began = time.monotonic()
            failure = self._one_set(life, devices)
            if self._life != life:
                return
            self._source = failure
            if failure.state is CellState.NOT_SUPPORTED:
                return
            if time.monotonic() - began > MOST_AGAIN_S:
                pause = AGAIN_S
            time.sleep(pause)
            pause = min(MOST_AGAIN_S, 2 * pause)

    def _one_set(self, life: int, devices: tuple[Device, ...]) -> Absent:
        """Register all and wait, until that fails: why."""
        try:
            events = function("nvmlEventSetCreate")()
        except Exception as error:  # noqa: BLE001 - whatever a driver does, it is told
            return absent(error)
        failures = _registered([device for device in devices if device.index not in self._stuck], events)
        hung = {index: cell for index, cell in failures.items() if cell.state is CellState.HUNG}
        self._stuck = {**self._stuck, **hung}
        failures = {**self._stuck, **failures}
        left = tuple(device for device in devices if device.index not in failures)
        try:
            if not left:
                return failures[min(failures)]
            self._source = _words(len(devices), failures)
            while self._life == life:
                self._wait(events, left)
        except Exception as error:  # noqa: BLE001
            return absent(error)
        finally:
            if not hung:
                _free(events)
        return UNREAD

    def _wait(self, events: Any, devices: tuple[Device, ...]) -> None:
        self._waiting_since = time.monotonic()
        try:
            data = function("nvmlEventSetWait_v2")(events, WAIT_MS)
        except Exception as error:
            if absent(error).code != TIMEOUT:
                raise
        else:
            if int(data.eventType) == XID_CRITICAL_ERROR:
                self._pending.append(_event(data, devices))
        finally:
            self._waiting_since = None


def _registered(devices: Sequence[Device], events: Any) -> dict[int, Absent]:
    """Register each on a thread of its own: index -> why not, of those that failed or do not answer."""
    failures: dict[int, Absent] = {}
    threads = {}
    for device in devices:
        call = functools.partial(_register, device, events, failures)
        threads[device.index] = threading.Thread(target=call, name=f"xid events {device.index}", daemon=True)
        threads[device.index].start()
    deadline = time.monotonic() + HUNG_S
    for index, thread in threads.items():
        thread.join(max(0.0, deadline - time.monotonic()))
        if thread.is_alive():
            why = f"the driver does not answer to the registration for events for {HUNG_S:g} s"
            failures[index] = Absent(state=CellState.HUNG, why=why)
    return dict(failures)  # a late thread writes into the other one


def _register(device: Device, events: Any, failures: dict[int, Absent]) -> None:
    try:
        function("nvmlDeviceRegisterEvents")(device.handle, XID_CRITICAL_ERROR, events)
    except Exception as error:  # noqa: BLE001
        failures[device.index] = absent(error)


def _words(count: int, failures: dict[int, Absent]) -> str:
    if not failures:
        return "nvml"
    reasons = "; ".join(f"GPU {index}: {cell.why}" for index, cell in sorted(failures.items()))
    return f"nvml, {count - len(failures)} of {count} GPUs ({reasons})"[:300]


def _event(data: Any, devices: tuple[Device, ...]) -> KernelEvent:
    code = int(data.eventData)
    device = next((one for one in devices if _address(one.handle) == _address(data.device)), None)
    instance = int(data.gpuInstanceId)
    where = f" in GPU instance {instance}" if instance != _NO_INSTANCE else ""
    return KernelEvent(
        t_ns=time.time_ns(),
        kind="xid",
        source="nvml",
        code=code,
        bus_id=short_bus_id(device.bus_id) if device else "",
        gpu_uuid=device.uuid if device else "",
        text=f"XID {code}{where}, told by the driver",
    )


def _address(handle: Any) -> int | None:
    """The library's handle as a number, by which an event's device is known."""
    return ctypes.cast(handle, ctypes.c_void_p).value


def _free(events: Any) -> None:
    try:
        function("nvmlEventSetFree")(events)
    except Exception:  # noqa: BLE001, S110 - a set that cannot be freed is the driver's to clean up
        pass
