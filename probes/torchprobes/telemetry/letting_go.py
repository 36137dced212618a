"""How a sampler ends that lets go of the driver: what its parent, `release` and it agree on."""

from __future__ import annotations

import signal
import sys
from typing import Final

EXIT_REOPEN: Final = 75
"""How a sampler ends that wants a successor at once: handles and library of a driver that was exchanged are no use."""

RELEASE: Final = signal.SIGRTMIN + 5 if sys.platform == "linux" else signal.SIGUSR2
"""How `release` asks a sampler to let go of the driver: at its default the kernel ends it at once, whatever its threads
wait for. Nobody else sends this one; a Slurm job may send any of the named signals to all that it started."""
