"""The target's interpreter and the build of its torch, from files; and the C library of this file system."""

from __future__ import annotations

import os

from ..interpreters import home_of, torch_versions
from .reading import Told, text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_TORCH = {"__version__": "torch", "git_version": "torch commit", "cuda": "torch CUDA", "hip": "torch HIP",
          "xpu": "torch XPU", "debug": "torch debug build"}  # fmt: skip


def python(path: str, python_path: list[str], user_base: str) -> Any:
    """Where it lies, its version, its folders of packages, and what torch/version.py says of torch's build."""
    told, home = Told(), home_of(path, python_path, user_base)
    told.put("executable", path)
    told.put("file", home["real"])
    told.put("prefix", home["prefix"])
    told.put("version", home["version"])
    told.put("package folders", " ".join(home["sites"]))
    folders = (os.path.join(site, "torch") for site in home["sites"])
    package = next((each for each in folders if os.path.isfile(os.path.join(each, "version.py"))), "")
    for name, value in torch_versions(package).items() if package else ():
        if name in _TORCH:
            told.put(_TORCH[name], "none" if value is None else value or "unknown")
    return told.answer()


def c_library(root: str = "") -> Any:
    """The version of glibc as this Python has it, and the distribution that it came with."""
    told = Told()
    told.take("C library", lambda: os.confstr("CS_GNU_LIBC_VERSION") or "")
    told.take("distribution", lambda: _release(text(f"{root}/etc/os-release")))
    return told.answer()


def _release(said: str) -> str:
    rows = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
    return rows.get("PRETTY_NAME", "").strip('"')
