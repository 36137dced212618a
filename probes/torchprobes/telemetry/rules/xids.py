"""What XIDs mean and what to do, as data: NVIDIA's catalogue, and who disagrees with it.

An XID is the driver's number for a fault, in the kernel's log and as a live event. Names and actions are those of
NVIDIA's XID catalogue of 2025-10-29 (docs.nvidia.com/deploy/xid-errors/analyzing-xid-catalog.html, "immediate action"),
which gpud's `xid/catalog_generated.go` was made from. Other tools judge some of them otherwise; `opinions` says who.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

CATALOGUE: Final = "NVIDIA's XID catalogue of 2025-10-29"


ESCALATES_AT: Final = 2


class Action(str, enum.Enum):
    """What an XID asks for."""

    REBOOT = "reboot"
    RESET = "reset"
    WORKFLOW = "workflow"
    APPLICATION = "application"
    INFORMATION = "information"
    HARDWARE = "hardware"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Xid:
    """One XID: its name in words, what it asks for, and what to do."""

    code: int
    name: str
    action: Action
    todo: str
    source: str = CATALOGUE


@dataclass(frozen=True, slots=True)
class Opinion:
    """How one source judges an XID."""

    source: str
    says: str


WHAT_TO_DO: Final[dict[Action, str]] = {
    Action.REBOOT: "drain the node and reboot it",
    Action.RESET: "drain the GPU and reset it",
    Action.WORKFLOW: "follow NVIDIA's workflow for this XID",
    Action.APPLICATION: "most likely the program: start it again, and look for the bug if it comes back",
    Action.INFORMATION: "nothing to do now",
    Action.HARDWARE: "somebody must look at the machine or its set-up",
    Action.UNKNOWN: "look it up in NVIDIA's current XID catalogue, and read the lines around it in the kernel's log",
}
"""What to do for an action, where a row does not say more."""

_COPY_ENGINES: Final = ((39, 0), (40, 1), (41, 2), (70, 3), (71, 4), (72, 5), (75, 6), (76, 7), (77, 8), (85, 9))
_DECODERS: Final = ((68, 0), (83, 1), (84, 2), (88, 3), (89, 4), (96, 5), (97, 6), (98, 7))

_NVLINK5: Final = (
    "follow NVIDIA's workflow for NVLink 5: the unit, the link and the status words in the line decide, and XID 154 "
    "beside it names the recovery action"
)
_NO_ACTION: Final = "the catalogue gives no action: keep the kernel's log and ask NVIDIA or the vendor"

_ROWS: Final[tuple[tuple[int, str, Action, str], ...]] = (
    (79, "GPU has fallen off the bus", Action.REBOOT, ""),
    (46, "GPU stopped processing", Action.RESET, ""),
    (62, "internal micro-controller halt", Action.RESET, ""),
    (64, "GPU memory remapping failure", Action.RESET, ""),
    (95, "uncontained memory error", Action.RESET, ""),
    (109, "context switch timeout", Action.RESET, ""),
    (110, "security fault", Action.RESET, ""),
    (119, "GSP RPC timeout", Action.RESET, ""),
    (120, "GSP error", Action.RESET, ""),
    (136, "link training failed", Action.RESET, ""),
    (140, "unrecovered ECC error", Action.RESET, ""),
    (143, "GPU initialisation error", Action.RESET, ""),
    (155, "NVLink software-defined error", Action.RESET, ""),
    (156, "resource retirement", Action.RESET, ""),
    (158, "GPU fatal timeout", Action.RESET, ""),
    (
        45,
        "preemptive cleanup after an earlier error",
        Action.WORKFLOW,
        "alone: restart the fabric manager; with other XIDs: follow those",
    ),
    (
        48,
        "double-bit ECC error",
        Action.WORKFLOW,
        "follow NVIDIA's workflow for XID 48; 171 (DRAM) or 172 (SRAM) beside it says where",
    ),
    (171, "uncorrectable DRAM error, detail of XID 48", Action.WORKFLOW, "follow the XID 48 beside it"),
    (172, "uncorrectable SRAM error, detail of XID 48", Action.WORKFLOW, "follow the XID 48 beside it"),
    (74, "NVLink error", Action.WORKFLOW, "follow NVIDIA's workflow for NVLink errors"),
    (144, "NVLink SAW error", Action.WORKFLOW, _NVLINK5),
    (145, "NVLink RLW error", Action.WORKFLOW, _NVLINK5),
    (146, "NVLink TLW error", Action.WORKFLOW, _NVLINK5),
    (147, "NVLink TREX error", Action.WORKFLOW, _NVLINK5),
    (148, "NVLink NVLPW_CTRL error", Action.WORKFLOW, _NVLINK5),
    (149, "NVLink NETIR error", Action.WORKFLOW, _NVLINK5),
    (150, "NVLink MSE error", Action.WORKFLOW, _NVLINK5),
    (8, "GPU stopped processing", Action.APPLICATION, ""),
    (11, "invalid or corrupted push buffer stream", Action.APPLICATION, ""),
    (13, "graphics engine exception", Action.APPLICATION, ""),
    (25, "invalid or illegal push buffer stream", Action.APPLICATION, ""),
    (31, "GPU memory page fault (an illegal address)", Action.APPLICATION, ""),
    (32, "invalid or corrupted push buffer stream", Action.APPLICATION, ""),
    (60, "video processor exception", Action.APPLICATION, ""),
    (69, "graphics engine class error", Action.APPLICATION, ""),
    (80, "corrupted data sent to the GPU", Action.APPLICATION, ""),
    (86, "OFA exception", Action.APPLICATION, ""),
    (139, "OFA1 error", Action.APPLICATION, ""),
    (
        94,
        "contained memory error",
        Action.APPLICATION,
        "start the program again; drain the GPU after that, for a row remap follows",
    ),
    (37, "driver firmware error", Action.INFORMATION, ""),
    (38, "driver firmware error", Action.INFORMATION, ""),
    (43, "GPU stopped processing for one program", Action.INFORMATION, "the GPU is well; the program has ended"),
    (44, "graphics engine fault during context switch", Action.INFORMATION, ""),
    (
        63,
        "GPU memory remapping recorded",
        Action.INFORMATION,
        "reset the GPU when it is free, so that the row is remapped",
    ),
    (66, "illegal access by driver", Action.INFORMATION, ""),
    (67, "illegal access by driver", Action.INFORMATION, ""),
    (92, "high single-bit ECC error rate", Action.INFORMATION, ""),
    (93, "InfoROM wear limit exceeded, not fatal", Action.INFORMATION, ""),
    (106, "SMBPBI test message", Action.INFORMATION, ""),
    (107, "SMBPBI test message, silent", Action.INFORMATION, ""),
    (121, "C2C error", Action.INFORMATION, ""),
    (137, "NVLink privilege error", Action.INFORMATION, ""),
    (141, "CUDA fast path error", Action.INFORMATION, ""),
    (152, "DLA SMMU error", Action.INFORMATION, ""),
    (153, "DLA timeout", Action.INFORMATION, ""),
    (
        154,
        "GPU recovery action changed",
        Action.INFORMATION,
        "read the GPU's recovery action: it is the driver's own verdict",
    ),
    (157, "resource retirement failure", Action.INFORMATION, ""),
    (160, "channel retirement", Action.INFORMATION, ""),
    (161, "channel retirement failure", Action.INFORMATION, ""),
    (
        54,
        "auxiliary power is not connected to the GPU board",
        Action.HARDWARE,
        "check the power cables of the GPU board",
    ),
    (78, "vGPU start error", Action.HARDWARE, "update the driver or the firmware"),
    (151, "key rotation error", Action.HARDWARE, "restart the virtual machine"),
    (162, "power smoothing hardware engaged again", Action.HARDWARE, _NO_ACTION),
    (163, "power smoothing hardware disengaged", Action.HARDWARE, _NO_ACTION),
    (164, "power smoothing hardware has little lifetime left", Action.HARDWARE, _NO_ACTION),
    (165, "power smoothing hardware has no lifetime left", Action.HARDWARE, _NO_ACTION),
    (167, "PCIe fatal timeout", Action.HARDWARE, _NO_ACTION),
    *((code, f"copy engine {engine} exception", Action.APPLICATION, "") for code, engine in _COPY_ENGINES),
    *((code, f"copy engine {code - 116} exception", Action.APPLICATION, "") for code in range(126, 136)),
    *((code, f"video decoder {engine} exception", Action.APPLICATION, "") for code, engine in _DECODERS),
    (82, "JPEG decoder 0 exception", Action.APPLICATION, ""),
    *((code, f"JPEG decoder {code - 98} exception", Action.APPLICATION, "") for code in range(99, 106)),
)

XIDS: Final[dict[int, Xid]] = {
    code: Xid(code, name, action, todo or WHAT_TO_DO[action]) for code, name, action, todo in _ROWS
}
"""Every XID that this torchdoctor knows, by its code."""

_AZNHC: Final = frozenset({48, 56, 57, 58, 62, 63, 64, 65, 68, 69, 73, 74, 79, 80, 81, 92, 119, 120})
_IMBUE: Final = frozenset(
    code
    for first, last in (
        (48, 48), (56, 58), (62, 64), (68, 77), (79, 86), (88, 89), (92, 92), (94, 105), (110, 120), (122, 125),
    )
    for code in range(first, last + 1)
)  # fmt: skip

LISTS: Final[tuple[tuple[str, str, frozenset[int]], ...]] = (
    ("DCGM's always-on health watch", "fail", frozenset({48, 74, 79, 95, 119, 120, 140})),
    ("DCGM's always-on health watch", "warning", frozenset({63, 94})),
    ("DCGM's memory watch", "warning", frozenset({31})),
    ("AzNHC", "fail: take the node out", _AZNHC),
    ("imbue cluster-health", "hardware fault", _IMBUE),
    ("k8s-device-plugin", "ignored: the application's", frozenset({13, 31, 43, 45, 68, 109})),
    ("gcm", "not critical", frozenset({13, 31, 43, 45, 63, 68, 92, 109})),
    ("gpud", "up to 1000 before any action", frozenset({94})),
)
"""Source, how it judges, and which XIDs: the lists of other tools, as `reference/telemetry.md` 2h has them."""

DISPUTED: Final = frozenset({31, 63, 68, 92, 94})
"""XIDs of which one source says that they are harmless and another that the hardware is at fault."""


def xid(code: int) -> Xid:
    """What is known of an XID; one that is not in the catalogue says so, and is never taken for harmless."""
    unknown = f"XID {code} is not known to this torchdoctor"
    return XIDS.get(code) or Xid(code, unknown, Action.UNKNOWN, WHAT_TO_DO[Action.UNKNOWN], "torchdoctor's own rule")


def opinions(code: int) -> tuple[Opinion, ...]:
    """Who says what of an XID: NVIDIA's catalogue first, where it has it, then the others that list it."""
    known = XIDS.get(code)
    first = (Opinion(CATALOGUE, known.action.value),) if known else ()
    return (*first, *(Opinion(source, says) for source, says, codes in LISTS if code in codes))


def dispute(code: int) -> str:
    """The disagreement on an XID in one line, "" where there is none."""
    if code not in DISPUTED:
        return ""
    return " · ".join(f"{opinion.source}: {opinion.says}" for opinion in opinions(code))


def escalation(code: int, times: int) -> str:
    """What to do when an XID that asks for a reboot came so many times, "" if that changes nothing (gpud's rule)."""
    if xid(code).action is not Action.REBOOT or times < ESCALATES_AT:
        return ""
    return f"XID {code} came {times} times: a reboot does not mend it, have the hardware inspected (gpud)"
