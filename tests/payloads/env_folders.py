"""Installations made of files alone: packages, virtual environments, kernelspecs. Nothing in them can be imported."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path


def install(site: Path, name: str, version: str, requires: Sequence[str] = (), installer: str = "pip") -> None:
    """A distribution's record; `torch` gets its files too."""
    record = site / f"{name.replace('-', '_')}-{version}.dist-info"
    record.mkdir(parents=True)
    lines = [f"Name: {name}", f"Version: {version}", *(f"Requires-Dist: {line}" for line in requires)]
    (record / "METADATA").write_text("\n".join(lines) + "\n\nwords\nRequires-Dist: not-a-header\n")
    (record / "INSTALLER").write_text(installer + "\n")
    if name == "torch":
        (site / "torch").mkdir()
        (site / "torch" / "__init__.py").write_text("raise SystemExit('torch must not be imported')")
        (site / "torch" / "version.py").write_text(f"__version__ = {version!r}\ncuda = '12.4'\n")


def environment(folder: Path, torch: str | None) -> str:
    """A virtual environment of files alone, with or without a torch; its interpreter's path."""
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").symlink_to(os.path.realpath(sys.executable))
    (folder / "pyvenv.cfg").write_text(
        f"home = {os.path.dirname(os.path.realpath(sys.executable))}\nversion = 3.11.7\n"
    )
    site = folder / "lib" / "python3.11" / "site-packages"
    site.mkdir(parents=True)
    if torch:
        (site / "torch").mkdir()
        (site / "torch" / "__init__.py").write_text("raise SystemExit('torch must not be imported')")
        (site / "torch" / "version.py").write_text(f"__version__ = {torch!r}\n")
    return str(folder / "bin" / "python")


def kernelspec(data: Path, name: str, argv: Sequence[str], **more: object) -> None:
    folder = data / "kernels" / name
    folder.mkdir(parents=True)
    rest = ["-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (folder / "kernel.json").write_text(json.dumps({"argv": [*argv, *rest], "display_name": name, **more}))
