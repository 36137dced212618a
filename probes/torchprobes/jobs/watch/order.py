"""What a watcher is told to watch: one JSON line on its stdin, which then stays its lifeline."""

from __future__ import annotations

from typing import Literal

import msgspec

from ...distributed import JobIdentity
from ...model import Frozen

MOST_BYTES = 8 << 20
"""An order names every rank of an adopted job: thousands of them are a few hundred bytes each."""

Mode = Literal["launched", "adopted"]


class Order(Frozen, frozen=True, kw_only=True):
    """One job on this node.

    `node` is the folder that the watcher writes into, `run` the run directory around it. `job` is who is known so far:
    of a launched job the agent (`launcher_pid` and `launcher_start_ticks`), of an adopted one its ranks too.
    `gpu` says whether the watcher may start a sampler child.
    """

    run: str
    node: str
    mode: Mode
    job: JobIdentity
    gpu: bool = True


def read(line: bytes) -> Order:
    """The order in a line.

    Raises:
        ValueError: one line, if it is none.
    """
    try:
        return msgspec.json.decode(line, type=Order)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"no order for a watcher: {error}") from None
