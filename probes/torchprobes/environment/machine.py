"""The node's identity for a report."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from typing import Any

import msgspec

from .. import child
from ..model import Machine, Target
from .taking import take

_UNREAD: dict[str, Any] = {
    "boot_id": "",
    "kernel": "",
    "arch": "",
    "os": "",
    "cpu": "",
    "memory_bytes": 0,
    "driver": None,
}


def describe(deadline_s: float) -> Machine:
    """What identifies this node; what could not be read within the deadline stays empty or 0."""
    answer = child.start("machine", {}, deadline_s)
    answer.wait()
    return _machine(answer.parts())


def describe_with_inventory(target: Target | None, deadline_s: float) -> Machine:
    """The same, and what it and the target are made of; both are asked at once."""
    answer = child.start("machine", {}, deadline_s)
    inventory = take(target, deadline_s)
    answer.wait()
    return msgspec.structs.replace(_machine(answer.parts()), inventory=inventory)


def _machine(parts: Mapping[str, child.Part]) -> Machine:
    read = {key: part.value for key, part in parts.items() if part.state == "done"}
    known = {"host": socket.gethostname(), "cores": os.cpu_count() or 0, **_UNREAD, **read}
    return Machine(**known)
