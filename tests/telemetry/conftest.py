"""A driver library of our own, built once: the sampler child finds it as it would find NVIDIA's."""

from __future__ import annotations

from pathlib import Path

import c_library
import pytest
from fake_driver import FakeDriver
from nvml_in_process import Nvml


def build(folder: Path, *options: str) -> Path:
    otherwise = "the fake driver library cannot be built and the sampler is not tested"
    return c_library.build(c_library.NVML, folder / "libnvidia-ml.so.1", *options, otherwise=otherwise).parent


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a library as of a driver of today."""
    return build(tmp_path_factory.mktemp("nvml"))


@pytest.fixture(scope="session")
def old_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a library without the newer symbols."""
    return build(tmp_path_factory.mktemp("old-nvml"), "-DOLD_DRIVER")


@pytest.fixture
def driver(library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeDriver:
    """A healthy driver with two GPUs; its methods make it ill."""
    return FakeDriver(library, tmp_path / "calls", monkeypatch)


@pytest.fixture
def old_driver(old_library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeDriver:
    """The same of a driver before R525."""
    return FakeDriver(old_library, tmp_path / "calls", monkeypatch)


@pytest.fixture
def nvml(library: Path, monkeypatch: pytest.MonkeyPatch) -> Nvml:
    """The fake library within this process, opened: for tests of what is asked and what is made of it."""
    return Nvml(library, monkeypatch)


@pytest.fixture
def old_nvml(old_library: Path, monkeypatch: pytest.MonkeyPatch) -> Nvml:
    """The same of a driver before R525."""
    return Nvml(old_library, monkeypatch)
