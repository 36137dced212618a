"""Who computes on a few GPUs, several times a second: a child beside the sampler, which asks that every three seconds.

`python -I -B neighbours.py UUID …` writes one JSON line a look, a list of `ProcessSample`, until stdin closes. It runs
only while probes hold those GPUs, so that they leave within a second when somebody comes. No CUDA context is made.
"""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

if __package__ in (None, ""):  # run by path, isolated: nothing of the caller's environment is on sys.path
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import msgspec

from torchprobes.samples import ProcessSample
from torchprobes.telemetry.readings import Device, ProcessReading
from torchprobes.telemetry.vendors.nvidia.vendor import Nvidia

PERIOD_S = 0.2
KINDS = ("compute", "mps")


def devices(vendor: Nvidia, uuids: Sequence[str]) -> list[Device]:
    """The GPUs of these UUIDs, as far as the driver shows them."""
    found = []
    for index in range(vendor.count()):
        try:
            device = vendor.identify(index)
        except Exception:  # noqa: BLE001, S112 - one that is lost is watched by nobody, the others are
            continue
        if device.uuid in uuids:
            found.append(device)
    return found


def look(vendor: Nvidia, found: Sequence[Device]) -> list[ProcessSample]:
    """The processes on these GPUs now."""
    rows = [row for row in vendor.processes if row.name in KINDS]
    return [process for device in found for row in rows for process in _listed(vendor, row, device)]


def _listed(vendor: Nvidia, row: ProcessReading, device: Device) -> Iterator[ProcessSample]:
    for call in row.calls:
        try:
            yield from row.fill(call(device), device)
        except Exception as error:  # noqa: BLE001 - an older form of the question may be known
            if vendor.is_unknown(error):
                continue
        return


def main(uuids: list[str]) -> None:
    """Look until whoever asked is gone."""
    vendor = Nvidia()
    vendor.open()
    found = devices(vendor, uuids)
    while True:
        os.write(1, msgspec.json.encode(look(vendor, found)) + b"\n")
        if select.select([0], [], [], PERIOD_S)[0] and not os.read(0, 4096):
            os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
