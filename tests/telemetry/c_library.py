"""A shared library of ours, built from one C file: it stands in for a vendor's."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

NVML = Path(__file__).parent / "fake_nvml.c"


def build(source: Path, library: Path, *options: str, otherwise: str) -> Path:
    """Build `library`; without a compiler the test is skipped, and `otherwise` says what is not tested then."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip(f"LOUD: no C compiler, so {otherwise}")
    words = [compiler, "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", *options]
    subprocess.run([*words, "-o", str(library), str(source)], check=True)
    return library
