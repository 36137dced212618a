"""Lines of the kernel's log that matter to GPUs and their jobs, as rows of patterns that make events of them.

A line is hostile: a program chooses its own name, and a user the name of a cgroup. So a pattern stands at the beginning
of its line wherever the kernel's own words do, every repetition is bounded, and what is kept is printable.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Final

import msgspec

from ...samples import KernelEvent
from ..bus import short_bus_id
from ..owners.workload import job_of_group

MAX_TEXT: Final = 400
MAX_LINE: Final = 4096

_BUS: Final = r"(?:PCI:)?(?P<bus>(?:[0-9A-Fa-f]{4,8}:)?[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}(?:\.[0-7])?)"
_COMM: Final = r"(?P<process>.{0,64}?)"
"""A program's name as the kernel has it: any bytes at all, commas and brackets among them."""

_PATTERNS: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    (
        "xid",
        (
            rf"^NVRM: (?:GPU at )?Xid \({_BUS}[^)]{{0,48}}\).{{0,48}}?: (?P<code>\d{{1,6}})\b",
            rf"(?:, pid='?(?P<pid>[^',]{{1,24}})'?)?(?:, name={_COMM}(?=, |,?$))?",
        ),
    ),
    ("off-bus", (rf"^NVRM: (?:The NVIDIA )?GPU (?:at )?{_BUS}.{{0,80}}?has fallen off the bus",)),
    ("off-bus", (r"^NVRM: fallen off the bus and is not responding",)),
    ("sxid", (rf"^nvidia-nvswitch\d{{1,3}}: SXid \({_BUS}\): (?P<code>\d{{1,6}}), (?!Data |Severity )",)),
    ("aer", (rf"(?:^|\s){_BUS}: (?:AER: )?PCIe Bus Error: severity=",)),
    (
        "oom",
        (
            r"^(?:Out of memory[^:]{0,64}: |Memory cgroup out of memory: )?Killed process (?P<pid>\d{1,10})",
            rf"(?:, UID \d{{1,10}},)? \({_COMM}\)(?=,? total-vm|,? UID|,? vmsize|\.?$)",
        ),
    ),
    ("hung-task", (rf"^INFO: task {_COMM}:(?P<pid>\d{{1,10}}) blocked (?:in I/O wait )?for more than \d",)),
    ("lockup", (rf"soft lockup - CPU#\d{{1,5}} stuck for \d{{1,9}}s! \[{_COMM}:(?P<pid>\d{{1,10}})\]",)),
    ("lockup", (r"[Hh]ard LOCKUP on cpu ?\d{1,5}",)),
    ("segfault", (rf"^{_COMM}\[(?P<pid>\d{{1,10}})\]: segfault at .{{1,200}}? in libnccl[^\s\[]{{0,64}}",)),
    (
        "link",
        (
            rf"^(?!NVRM|nvidia-|ata\d|.{{0,80}}pciehp)(?:.{{0,40}}?\b{_BUS}\b)?.{{0,120}}?",
            r"(?i:\b(?:lost carrier|link (?:is |status definitely )?down|cable unplugged)\b)",
        ),
    ),
)
"""Kind of event and the pieces of its pattern. Forms of every driver since R450, and of kernels since 3.10."""

_MATTERS: Final = re.compile(
    rb"NVRM|SXid|Bus Error|oom-kill|Killed process|Tasks? in /|blocked |lockup|LOCKUP|segfault|arrier|ink |unplugged"
)
"""Without one of these a line is none of ours: most are not, and are never decoded. Plain words, 1 us a line."""

_VICTIM: Final = r"^oom-kill:.{0,2000},task_memcg=(?P<group>.{1,1500}),task=.{0,64},pid=(?P<pid>\d{1,10}),uid=\d{1,10}"
_GROUP_DIES: Final = r"^Tasks? in (?P<group>/.{0,1500}?) (?:killed as a result of limit|are going to be killed)"
_OFF_BUS_BEGINS: Final = rf"^NVRM: The NVIDIA GPU {_BUS}"
_STAMP: Final = re.compile(r"^\[ {0,12}\d{1,12}\.\d{1,9}\] ?")
_ESCAPED: Final = re.compile(rb"\\x([0-9a-fA-F]{2})")


@cache
def rows() -> tuple[tuple[str, re.Pattern[str]], ...]:
    """Kind and pattern, compiled at first use: the sampler's start does not wait for it."""
    return tuple((kind, re.compile("".join(pieces))) for kind, pieces in _PATTERNS)


def matters(raw: bytes) -> bool:
    """Whether a line, as raw bytes, can be one of ours."""
    return _MATTERS.search(raw) is not None


def clean(raw: bytes) -> str:
    """A raw line as printable text: the kernel's escapes undone, control characters and broken UTF-8 replaced."""
    data = _ESCAPED.sub(lambda found: bytes((int(found[1], 16),)), raw[:MAX_LINE])
    text = data.decode(errors="replace")
    return _STAMP.sub("", "".join(c if c.isprintable() else " " for c in text)).strip()


class Lines:
    """Makes events of lines, in their order: what an earlier line said of a later one is remembered."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._group_of: dict[int, str] = {}
        self._group = ""
        self._bus = ""

    def event(self, raw: bytes, t_ns: int, boot_us: int | None = None) -> KernelEvent | None:
        """The event of a line, None if it is none of ours."""
        if not matters(raw):
            return None
        text = clean(raw)
        for kind, pattern in rows():
            if found := pattern.search(text):
                return self._known(_event(kind, self._source, text, found, t_ns, boot_us))
        self._remember(text)
        return None

    def _remember(self, text: str) -> None:
        if found := re.search(_VICTIM, text):
            self._group_of = {int(found["pid"]): found["group"]}
            self._group = ""
        elif found := re.search(_GROUP_DIES, text):
            self._group = found["group"]
        elif found := re.search(_OFF_BUS_BEGINS, text):
            self._bus = short_bus_id(found["bus"])

    def _known(self, event: KernelEvent) -> KernelEvent:
        """The event with what earlier lines said of it."""
        if event.kind == "off-bus" and not event.bus_id:
            return msgspec.structs.replace(event, bus_id=self._bus)
        group = self._group_of.get(event.pid or 0, self._group) if event.kind == "oom" else ""
        if not group:
            return event
        text = f"{event.text[: MAX_TEXT // 2]} · cgroup {group}"
        return msgspec.structs.replace(event, job=job_of_group(group), text=text[:MAX_TEXT])


def _event(kind: str, source: str, text: str, found: re.Match[str], t_ns: int, boot_us: int | None) -> KernelEvent:
    said: Mapping[str, str | None] = found.groupdict()
    code, pid, process = said.get("code"), said.get("pid") or "", said.get("process") or ""
    return KernelEvent(
        t_ns=t_ns,
        kind=kind,
        source=source,
        boot_us=boot_us,
        code=int(code) if code else None,
        bus_id=short_bus_id(said.get("bus") or ""),
        pid=int(pid) if pid.isascii() and pid.isdigit() else None,
        process="" if process == "<unknown>" else process,
        text=text[:MAX_TEXT],
    )
