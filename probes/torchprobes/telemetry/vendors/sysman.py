"""Level Zero Sysman by ctypes: its structs (zes_api.h and ze_api.h, version 1.13), and calls that raise."""

from __future__ import annotations

import ctypes
from ctypes import c_char, c_double, c_int32, c_int64, c_uint8, c_uint32, c_uint64, c_void_p
from typing import Any, ClassVar, Final, TypeVar

NAME: Final = "libze_loader.so.1"
MOST: Final = 1024
"""More handles or processes than any GPU has."""


class Failed(Exception):
    """A call that returned an error; `code` is its ze_result_t."""

    def __init__(self, name: str, code: int) -> None:
        super().__init__(f"{name} answers {code:#x}")
        self.code = code


class UnknownCall(Exception):
    """The library has no such function."""


class Struct(ctypes.Structure):
    """A struct that begins with its type and a chain, as most of Sysman's do."""

    STYPE: ClassVar[int] = 0


def _struct(name: str, stype: int, *fields: tuple[str, Any]) -> type[Struct]:
    head = (("stype", c_uint32), ("next", c_void_p))
    return type(name, (Struct,), {"_fields_": [*head, *fields], "STYPE": stype})


def _plain(name: str, *fields: tuple[str, Any]) -> type[ctypes.Structure]:
    return type(name, (ctypes.Structure,), {"_fields_": list(fields)})


_SUBDEVICE: Final = (("on_subdevice", c_uint32), ("subdevice", c_uint32))

Speed = _plain("Speed", ("generation", c_int32), ("width", c_int32), ("bandwidth", c_int64))
Core = _struct(
    "Core",
    3,
    ("type", c_uint32),
    ("vendor_id", c_uint32),
    ("device_id", c_uint32),
    ("flags", c_uint32),
    ("subdevice", c_uint32),
    ("clock_mhz", c_uint32),
    ("max_allocation", c_uint64),
    *((f"count_{place}", c_uint32) for place in range(7)),
    ("timer_resolution", c_uint64),
    ("timestamp_bits", c_uint32),
    ("kernel_timestamp_bits", c_uint32),
    ("uuid", c_uint8 * 16),
    ("name", c_char * 256),
)
DeviceProperties = _struct(
    "DeviceProperties",
    0x1,
    ("core", Core),
    ("subdevices", c_uint32),
    *((word, c_char * 64) for word in ("serial", "board", "brand", "model", "vendor", "driver")),
)
PciProperties = _struct(
    "PciProperties",
    0x2,
    *((word, c_uint32) for word in ("domain", "bus", "device", "function")),
    ("fastest", Speed),
    *((word, c_uint32) for word in ("counts_bytes", "counts_packets", "counts_replays")),
)
PciState = _struct(
    "PciState", 0x17, ("status", c_uint32), ("quality", c_uint32), ("stability", c_uint32), ("speed", Speed)
)
PciStats = _plain(
    "PciStats", *((word, c_uint64) for word in ("stamp", "replays", "packets", "received", "sent")), ("speed", Speed)
)
EngineProperties = _struct("EngineProperties", 0x5, ("type", c_uint32), *_SUBDEVICE)
EngineStats = _plain("EngineStats", ("active_us", c_uint64), ("stamp_us", c_uint64))
FrequencyProperties = _struct(
    "FrequencyProperties",
    0x9,
    ("type", c_uint32),
    *_SUBDEVICE,
    ("can_control", c_uint32),
    ("throttle_events", c_uint32),
    ("min_mhz", c_double),
    ("max_mhz", c_double),
)
FrequencyState = _struct(
    "FrequencyState",
    0x1B,
    *((word, c_double) for word in ("volts", "request_mhz", "tdp_mhz", "efficient_mhz", "actual_mhz")),
    ("throttle", c_uint32),
)
MemoryProperties = _struct(
    "MemoryProperties",
    0xB,
    ("type", c_uint32),
    *_SUBDEVICE,
    ("location", c_uint32),
    ("physical", c_uint64),
    ("bus_width", c_int32),
    ("channels", c_int32),
)
MemoryState = _struct("MemoryState", 0x1E, ("health", c_uint32), ("free", c_uint64), ("size", c_uint64))
PowerProperties = _struct(
    "PowerProperties",
    0xD,
    *_SUBDEVICE,
    ("can_control", c_uint32),
    ("energy_threshold", c_uint32),
    ("default_mw", c_int32),
    ("min_mw", c_int32),
    ("max_mw", c_int32),
)
Energy = _plain("Energy", ("energy_uj", c_uint64), ("stamp_us", c_uint64))
Sustained = _plain("Sustained", ("enabled", c_uint32), ("power_mw", c_int32), ("interval_ms", c_int32))
TemperatureProperties = _struct(
    "TemperatureProperties",
    0x14,
    ("type", c_uint32),
    *_SUBDEVICE,
    ("max_c", c_double),
    *((word, c_uint32) for word in ("critical", "threshold_1", "threshold_2")),
)
Celsius = _plain("Celsius", ("value", c_double))
RasProperties = _struct("RasProperties", 0xF, ("type", c_uint32), *_SUBDEVICE)
RasState = _struct("RasState", 0x22, ("category", c_uint64 * 7))
ProcessState = _struct(
    "ProcessState", 0x16, ("pid", c_uint32), ("memory", c_uint64), ("shared", c_uint64), ("engines", c_uint32)
)

S = TypeVar("S", bound=ctypes.Structure)


class Library:
    """The loader. Every method raises `Failed` or `UnknownCall`."""

    def __init__(self, name: str = NAME) -> None:
        self._library = ctypes.CDLL(name)

    def call(self, name: str, *arguments: Any) -> None:
        """One call of the library."""
        known = getattr(self._library, name, None)
        if known is None:
            raise UnknownCall(f"the installed Level Zero loader does not know {name}")
        if code := known(*arguments) & 0xFFFFFFFF:
            raise Failed(name, code)

    def handles(self, name: str, *parent: Any) -> list[c_void_p]:
        """A list of handles: Sysman is asked for their number first."""
        count = c_uint32(0)
        self.call(name, *parent, ctypes.byref(count), None)
        count.value = min(count.value, MOST)
        found = (c_void_p * count.value)()
        self.call(name, *parent, ctypes.byref(count), found)
        return [c_void_p(handle) for handle in found[: count.value]]

    def read(self, name: str, handle: Any, kind: type[S], *arguments: Any) -> S:
        """A struct that a call fills."""
        answer = kind()
        if isinstance(answer, Struct):
            answer.stype = type(answer).STYPE
        self.call(name, handle, *arguments, ctypes.byref(answer))
        return answer

    def processes(self, handle: Any) -> list[Any]:
        """The processes of a device."""
        count = c_uint32(0)
        self.call("zesDeviceProcessesGetState", handle, ctypes.byref(count), None)
        count.value = min(count.value + 8, MOST)
        rows = (ProcessState * count.value)()
        for row in rows:
            row.stype = ProcessState.STYPE
        self.call("zesDeviceProcessesGetState", handle, ctypes.byref(count), rows)
        return list(rows[: count.value])
