"""What the kernel shows of GPUs beside the driver, looked at now and then by a thread of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ...cells import UNREAD, Cell
from ...samples import Accelerator
from .. import hardware
from ..vendors import accelerators

AGAIN_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Seen:
    """How many NVIDIA GPUs should be there, the module's version, how many device files, and who else's devices."""

    gpus: int = 0
    kernel_module: Cell = UNREAD
    device_nodes: Cell = UNREAD
    accelerators: tuple[Accelerator, ...] = ()


class Surroundings:
    """`seen` is the newest look. `read` names the vendors whose GPUs a library reads: they are not told twice."""

    def __init__(self, root: Path, read: Callable[[], Iterable[str]]) -> None:
        self.seen = Seen()
        self.settled = threading.Event()
        self._root, self._read = root, read

    def start(self) -> None:
        """Begin."""
        threading.Thread(target=self._run, name="surroundings", daemon=True).start()

    def look(self) -> Seen:
        """Look now."""
        return Seen(
            gpus=hardware.count(self._root),
            kernel_module=hardware.kernel_module(self._root),
            device_nodes=len(hardware.device_nodes(self._root / "dev")),
            accelerators=accelerators.found(self._read(), self._root),
        )

    def _run(self) -> None:
        while True:
            self.seen = self.look()
            self.settled.set()
            time.sleep(AGAIN_S)
