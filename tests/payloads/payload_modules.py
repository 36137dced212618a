"""A payload's file loaded into this process, as the bootstrap loads it into the target."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType

import pytest
from payload_process import PAYLOADS


def load(patch: pytest.MonkeyPatch, stem: str, *needs: str) -> ModuleType:
    """The module of `payloads/<stem>.py`, those that it needs loaded first, gone again with `patch`."""
    shared = ModuleType("torchdoctor_shared")
    shared.__path__ = [str(PAYLOADS.parent)]
    patch.setitem(sys.modules, shared.__name__, shared)
    for name in ("kit", "looks", *needs):
        _load(patch, name)
    return _load(patch, stem)


def _load(patch: pytest.MonkeyPatch, stem: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"torchdoctor_{stem}", PAYLOADS / f"{stem}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    patch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module
