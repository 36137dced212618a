"""What a launch of ranks meets on this node, read in the inspector child item by item. Standard library only.

Every item can block for its own reason: the resolver on its server, an address that drops packets, a file system
behind /dev/shm, a process whose memory is locked. Each runs in a thread of the child, and none is waited for.
"""

from __future__ import annotations

from collections.abc import Callable

from . import limits, names, ports, ranks, session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def launching(host: str = "", port: int = 0, reach: bool = False) -> dict[str, Callable[[], Any]]:
    """The items. `host` and `port` are the rendezvous endpoint's ("", 0: none); `reach` tries to connect to it."""
    items: dict[str, Callable[[], Any]] = {
        "name": names.own,
        "interfaces": names.interfaces,
        "shm": limits.shared_memory,
        "limits": limits.limits,
        "tasks": limits.tasks,
        "session": session.session,
        "gpus": ranks.gpus,
        "ranks": ranks.orphans,
    }
    if host:
        items["endpoint"] = lambda: names.endpoint(host)
    if port:
        items["port"] = lambda: ports.listeners(port)
        items["bind"] = lambda: ports.bindable(port)
    if host and port and reach:
        items["reach"] = lambda: names.reach(host, port)
    return items


ANSWERS: dict[str, Callable[..., Any]] = {"launching": launching}
