"""Cards of `env.libraries` alone; copies and stand-ins are those of `cuda.libraries`."""

from __future__ import annotations

from ...model import Fix
from .base import Card

CARDS: tuple[Card, ...] = (
    Card(
        id="TD-ENV-059",
        title="A plugin of NCCL is named, and there is none of that name",
        why="NCCL does not stop where it cannot open a plugin: it falls back to its own InfiniBand or to sockets, and "
        "between nodes sockets are many times slower. Only NCCL_DEBUG=INFO says so.",
        fix=Fix(command="unset NCCL_NET_PLUGIN    # or put the plugin's folder into LD_LIBRARY_PATH"),
        source="https://docs.nvidia.com/deeplearning/nccl/user-guide/docs/env.html#nccl-net-plugin",
    ),
)
