"""RAS of a job in another network namespace: the thread that asks joins it, and is never used again."""

from __future__ import annotations

import ctypes
import errno
import os
import threading
from collections.abc import Collection, Sequence
from typing import Final

from ...rank_evidence import Ras
from .client import NoRas, ask

_CLONE_NEWNET: Final = 0x40000000
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


def ask_in(
    pid: int,
    address: str,
    deadline_s: float,
    pids: Collection[int],
    hosts: Collection[str],
    servers: Sequence[int] = (),
) -> Ras:
    """Ask as if from the network namespace of process `pid`; setns(2) moves one thread only.

    Raises:
        NoRas: as `ask`; and where that namespace may not be entered.
    """
    found: list[Ras | NoRas] = []

    def work() -> None:
        try:
            _enter(pid)
            found.append(ask(address, deadline_s, pids, hosts, servers))
        except NoRas as error:
            found.append(error)

    thread = threading.Thread(target=work, name="ras in a namespace", daemon=True)
    thread.start()
    thread.join(deadline_s + 0.2)
    answer = found[0] if found else NoRas("RAS gives no answer within its deadline")
    if isinstance(answer, NoRas):
        raise answer
    return answer


def _enter(pid: int) -> None:
    try:
        handle = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise NoRas(f"the rank lives in another network namespace: {error.strerror}") from None
    try:
        if _LIBC.setns(handle, _CLONE_NEWNET) != 0:
            code = ctypes.get_errno()
            needs = ": entering it needs root (CAP_SYS_ADMIN)" if code == errno.EPERM else f": {os.strerror(code)}"
            raise NoRas(f"the rank lives in another network namespace{needs}")
    finally:
        os.close(handle)
