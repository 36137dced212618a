"""The fake driver library within the test's own process, so that one question takes microseconds, not a child."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import pynvml
import pytest
from vendor_rows import ask, read_all

from torchprobes.telemetry.readings import Device, Memory
from torchprobes.telemetry.vendors.nvidia.vendor import Nvidia


class Without:
    """A library in which some symbols are missing: ctypes says so with an AttributeError."""

    def __init__(self, library: ctypes.CDLL, missing: tuple[str, ...]) -> None:
        self._library, self._missing = library, missing

    def __getattr__(self, name: str) -> Any:
        if name in self._missing:
            raise AttributeError(name)
        return getattr(self._library, name)


class Nvml:
    """NVIDIA's rows over the fake library. Settings are those of fake_nvml.c, in this process's environment."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._patch = monkeypatch
        self._library = ctypes.CDLL(str(folder / "libnvidia-ml.so.1"))
        monkeypatch.setattr(pynvml, "nvmlLib", self._library)
        monkeypatch.setattr(pynvml, "_nvmlGetFunctionPointer_cache", {})
        self.vendor, self.memory = Nvidia(), Memory()
        self.opened = self.vendor.open()
        self.rows = {row.name: row for row in self.vendor.readings}

    def set(self, name: str, *entries: str) -> None:
        """A setting of the fake library, such as `values` or `rules`."""
        self._patch.setenv(f"FAKE_NVML_{name.upper()}", ",".join(entries))

    def without(self, *symbols: str) -> None:
        """Take symbols out of the library."""
        self._patch.setattr(pynvml, "nvmlLib", Without(self._library, symbols))
        self._patch.setattr(pynvml, "_nvmlGetFunctionPointer_cache", {})

    def device(self, index: int = 0) -> Device:
        """A GPU as it is identified now, with nothing remembered."""
        return self.vendor.identify(index)

    def cells(self, device: Device, now_s: float = 1000.0, *, static: bool = True) -> dict[str, Any]:
        """The cells of all rows."""
        return read_all(self.vendor, device, self.memory, now_s, static=static)

    def row(self, name: str, device: Device, now_s: float = 1000.0) -> dict[str, Any]:
        """The cells of one row."""
        return dict(ask(self.vendor, self.rows[name], device, self.memory, now_s))
