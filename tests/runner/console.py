"""A small console: owns a check of four probes that hang, says when they run, and is then killed by the test.

Two words on its command line, `PLACE forked`: two probes of a lane in place of them, and the starter is its guardian's.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from harness import make, probe

from torchprobes.runner.check import Options
from torchprobes.runner.snapshot import ProbeState

STARTED = ("hangs", "hangs_deaf", "stops", "leaves_children")
FORKED = ("holds_daemon",)


def main() -> None:
    forked = "forked" in sys.argv[2:]
    rows = [probe(fault, bare=forked) for fault in ("sound", *(FORKED if forked else STARTED))]
    check = make(Path(sys.argv[1]), *rows, options=Options(device="cpu", slots=4, grace_s=600.0))
    check.start()
    while True:
        states = [view.state for view in check.view().probes]
        if states[0] is ProbeState.DONE and all(state is ProbeState.RUNNING for state in states[1:]):
            print(check.view().run, flush=True)
            time.sleep(600)
        time.sleep(0.05)


if __name__ == "__main__":
    main()
