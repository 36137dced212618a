"""What to do, as the rows name it. A command that ends or harms others' work stands behind the one that drains.

Pasted as it is such a line only drains: draining takes as long as the jobs that run, so that the rest is a comment
until a person has seen that nobody is left. `INDEX` becomes the PCI bus id of the GPU that the finding is about, for
the driver's numbers change when a GPU is lost.
"""

from __future__ import annotations

from typing import Final

from ...model import Fix, Scope

DRAIN: Final = "scontrol update nodename=$(hostname -s) state=drain reason=torchdoctor"
INDEX: Final = "INDEX"


def drained(command: str, scope: Scope = Scope.GPU) -> Fix:
    """A fix that waits until nobody runs there any more."""
    line = f"{DRAIN}  # Kubernetes: kubectl drain NODE; when nobody runs there: {command}"
    return Fix(command=line, scope=scope, needs=("drained", "root"))


def look_at(command: str, scope: Scope = Scope.GPU, *needs: str) -> Fix:
    """A command that only reads."""
    return Fix(command=command, scope=scope, needs=needs)


RESET: Final = drained(f"nvidia-smi -r -i {INDEX}")
REBOOT: Final = drained("reboot", Scope.NODE)
FIELD_DIAGNOSTIC: Final = drained(f"dcgmi diag -r 3 -i {INDEX}, then NVIDIA's field diagnostic, then RMA")
INSPECT: Final = drained("hardware inspection: power cables, seating, riser, cooling", Scope.NODE)
COOLING: Final = look_at(f"nvidia-smi -q -d TEMPERATURE,PERFORMANCE -i {INDEX}")
POWER: Final = look_at(f"nvidia-smi -q -d POWER -i {INDEX}")
ECC: Final = look_at(f"nvidia-smi -q -d ECC,ROW_REMAPPER,PAGE_RETIREMENT -i {INDEX}")
LINKS: Final = look_at(f"nvidia-smi nvlink -s -e -i {INDEX}")
DMESG: Final = look_at("dmesg -T | grep -iE 'xid|nvrm'", Scope.NODE, "root")
