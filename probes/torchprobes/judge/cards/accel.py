"""Cards of `accel.*`."""

from __future__ import annotations

from ...model import Fix
from .base import Card

_AUTOLOAD = "https://docs.pytorch.org/docs/stable/accelerator/autoload.html"

CARDS: tuple[Card, ...] = (
    Card(
        id="TD-ACC-001",
        title="An accelerator is here, and PyTorch has no plug-in for it",
        why="Its device files are here. PyTorch uses such a device only through the vendor's package, which fits one "
        "version of torch, and must be imported (from 2.5 on `import torch` does it).",
        fix=Fix(
            command="python -m pip install <the plug-in named above>    # the version that the vendor pairs with torch"
        ),
        source=_AUTOLOAD,
    ),
    Card(
        id="TD-ACC-002",
        title="An accelerator raises an error or gives wrong numbers",
        why="Numbers were copied there, one kernel ran, and they were copied back and compared. Nothing that follows "
        "can be trusted.",
        fix=Fix(command="torchdoctor check accel.backends    # its artifacts hold the whole traceback"),
        source="measured",
    ),
    Card(
        id="TD-ACC-003",
        title="A plug-in for an accelerator fails to load",
        why="Made for another version of torch or of Python, or a library of the vendor is missing. From 2.5 on "
        "`import torch` loads plug-ins by itself, and fails with them.",
        fix=Fix(
            command="TORCH_DEVICE_BACKEND_AUTOLOAD=0 python -c 'import torch'    # works; then reinstall the plug-in"
        ),
        source=_AUTOLOAD,
    ),
    Card(
        id="TD-ACC-004",
        title="A plug-in is installed, and `import torch` does not load it",
        why="Loading plug-ins by itself came with torch 2.5, and TORCH_DEVICE_BACKEND_AUTOLOAD=0 switches it off. A "
        "program must import the plug-in then.",
        fix=Fix(command="unset TORCH_DEVICE_BACKEND_AUTOLOAD    # or `import` the plug-in in the program"),
        source=_AUTOLOAD,
        versions="2.5 and later load plug-ins by themselves",
    ),
    Card(
        id="TD-ACC-005",
        title="The plug-in loads and sees no device",
        why="The device files are here; the vendor's runtime does not reach them: its driver and its runtime are of "
        "different versions, a variable hides the devices, or this user may not open them.",
        fix=Fix(command="ls -l /dev; env | grep -i visible_devices    # then the vendor's own smi tool"),
        source="measured",
    ),
)
