"""A small console: owns a check of four probes that hang, says when they run, and is then killed by the test."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from harness import make, probe

from torchprobes.runner.check import Options
from torchprobes.runner.snapshot import ProbeState


def main() -> None:
    check = make(
        Path(sys.argv[1]),
        probe("sound"),
        *(probe(fault) for fault in ("hangs", "hangs_deaf", "stops", "leaves_children")),
        options=Options(device="cpu", slots=4, grace_s=600.0),
    )
    check.start()
    while True:
        states = [view.state for view in check.view().probes]
        if states[0] is ProbeState.DONE and all(state is ProbeState.RUNNING for state in states[1:]):
            print(check.view().run, flush=True)
            time.sleep(600)
        time.sleep(0.05)


if __name__ == "__main__":
    main()
