"""What a node and a target are made of, read in the inspector child kind by kind. Standard library only.

Passive: files, /proc and /sys, and nothing that touches a driver or runs the target. Every kind, and every place that
may lie on a dead file system, is an item of its own with a thread of its own. An item answers with two tables: name ->
value, and name -> why it could not be read. What is in neither is not there.
"""

from __future__ import annotations

from collections.abc import Callable

from . import cpus, groups, kernel, limits, mounts, network, packages, python, variables

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

OF_THE_NODE: dict[str, Callable[[str], Any]] = {
    "sysctl": kernel.sysctls,
    "kernel": kernel.kernel,
    "module": kernel.modules,
    "cpu": cpus.cpus,
    "network": network.network,
    "package/deb:": packages.system_packages,
    "toolchain": python.c_library,
}
"""Kind (or a part of one) -> what reads it below a root ("" for this machine)."""

OF_A_PROCESS: dict[str, Callable[[str, int], Any]] = {
    "cgroup": groups.groups,
    "limit": limits.limits,
    "variable": variables.variables,
}
"""The same of a process: the one that is asked for, or this child, which has them from the one that asked."""

PYTHONS: dict[str, Callable[..., Any]] = {"python": python.python, "package": packages.packages}
"""The same of a Python that is plainly here: from the files of its folders."""


def inventory(
    python: str = "",
    python_path: tuple[str, ...] = (),
    user_base: str = "",
    pid: int = 0,
    started: int | None = None,
    places: dict[str, str] | None = None,
    root: str = "",
) -> dict[str, Callable[[], Any]]:
    """The items. `python` is the target's ("": none that is plainly here), found as `interpreters.describe` does.

    `pid` (started at `started`) is the process that the probes run like, 0 for none; `places` are name -> path of the
    file systems that matter; `root` stands before every path, for tests.
    """
    items: dict[str, Callable[[], Any]] = {}
    for kind, of_node in OF_THE_NODE.items():
        items[kind] = lambda read=of_node: read(root)  # type: ignore[misc]
    for kind, of_process in OF_A_PROCESS.items():
        items[kind] = lambda read=of_process: limits.of(pid, started, lambda found: read(root, found))  # type: ignore[misc]
    for name, path in (places or {}).items():
        items[f"mount/{name}"] = lambda name=name, path=path: mounts.mount(root, name, path)  # type: ignore[misc]
    for kind, of_python in PYTHONS.items() if python else ():
        items[kind] = lambda read=of_python: read(python, list(python_path), user_base)  # type: ignore[misc]
    return items


ANSWERS: dict[str, Callable[..., Any]] = {"inventory": inventory}
