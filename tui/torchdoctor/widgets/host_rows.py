"""The host as lines: what is full, what waits, and what its jobs are held back by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from torchdoctor.interfaces import HOST_KEY, HistoryLike
from torchdoctor.paint import Line, Part, Span, fit, heading, line
from torchdoctor.text import rate_text, safe
from torchdoctor.widgets.cells import GIB, cell_span, fraction, load_role, pair_span
from torchdoctor.widgets.gpu_cards import CARD_WIDTH, LABEL, VALUE, meter, plot_rows
from torchdoctor.widgets.gpu_rows import RECENT_S
from torchprobes.cells import Absent, Cell, number
from torchprobes.samples import DiskSample, GroupSample, HostSample, NetworkSample, PortSample

SHM = "/dev/shm"  # noqa: S108 - its size is shown, nothing is written there
KEY: Final = "host:"
"""What the cursor calls the host."""

_MEMORY, _SHM, _DISK = (0.90, 0.97), (0.80, 0.95), (0.90, 0.98)


def host_rows(host: HostSample, past: HistoryLike | None, width: int, height: int) -> Part:
    """CPU, memory and /dev/shm as bars of fixed scale, then what is not well; `height` rows of history, 0 for none."""
    width = min(width, CARD_WIDTH)
    memory = fraction(host.memory_used_bytes, host.memory_total_bytes)
    shm = fraction(host.shm_used_bytes, host.shm_total_bytes)
    load = cell_span(host.load_1m, digits=2)[0]
    rows = [
        heading("host", f"{safe(host.host)}   load {load}"),
        meter("CPU", cell_span(host.cpu_percent, f" % of {host.cores} cores"), fraction(host.cpu_percent), width),
        meter("memory", _of(host.memory_used_bytes, host.memory_total_bytes), memory, width,
              load_role(memory, *_MEMORY)),
        meter(SHM, _of(host.shm_used_bytes, host.shm_total_bytes), shm, width, load_role(shm, *_SHM)),
    ]  # fmt: skip
    if number(host.swap_total_bytes):
        swap = fraction(host.swap_used_bytes, host.swap_total_bytes)
        rows.append(meter("swap", _of(host.swap_used_bytes, host.swap_total_bytes), swap, width))
    rows += [*_pressure(host), *map(_group, host.groups), *_disks(host.disks, width)]
    rows += [*map(_interface, host.network), *map(_port, host.ports)]
    if height and past is not None:
        window = past.window(HOST_KEY, "cpu_percent", RECENT_S, max(6, width - LABEL - VALUE - 2))
        rows += plot_rows(window.mean, "CPU, last 2 min", width, height) if window is not None else []
    return Part(rows, {0: KEY})


def _of(used: Cell, total: Cell) -> tuple[str, str]:
    return pair_span(used, total, " GiB", scale=GIB, digits=1, word=" of ")


def _labelled(label: str, *parts: Span) -> Line:
    return line((fit("    " + label, LABEL), "dim"), *parts)


def _pressure(host: HostSample) -> list[Line]:
    """Shares of the last 10 s in which tasks waited; nothing on a kernel that does not tell."""
    known = [
        (word, value)
        for word, cell in (
            ("CPU", host.cpu_pressure_percent), ("memory", host.memory_pressure_percent),
            ("disk", host.io_pressure_percent),
        )
        if (value := number(cell)) is not None
    ]  # fmt: skip
    if not known:
        return []
    spans = [(f"{word} {value:.0f} %   ", "warn" if value >= 20 else "") for word, value in known]
    return [_labelled("waiting for", *spans)]


def _group(group: GroupSample) -> Line:
    """A job's cgroup: its limits, and how much it was held back."""
    cores, held = number(group.cpu_limit_cores), number(group.cpu_throttled_percent)
    spans: list[Span] = [(safe(group.job or group.path, limit=60), "")]
    spans += [(f"   {cores:g} cores", "")] if cores is not None else []
    spans += [(f"   CPU held back {held:.0f} %", "warn" if held >= 5 else "dim")] if held is not None else []
    limit = fraction(group.memory_used_bytes, group.memory_limit_bytes)
    memory = _of(group.memory_used_bytes, group.memory_limit_bytes)[0]
    spans += [(f"   memory {memory}", "warn" if limit >= _MEMORY[0] else "")] if limit is not None else []
    kills = number(group.oom_kills)
    spans += [(f"   OOM kills {kills:.0f}", "fail")] if kills else []
    return _labelled("job", *spans)


def _disks(disks: Sequence[DiskSample], width: int) -> list[Line]:
    rows = []
    for disk in disks:
        share = fraction(disk.used_bytes, disk.total_bytes)
        if disk.path != SHM:
            value = _of(disk.used_bytes, disk.total_bytes)
            rows.append(meter(safe(disk.what or disk.path, limit=12), value, share, width, load_role(share, *_DISK)))
    return rows


def _interface(one: NetworkSample) -> Line:
    speed = number(one.speed_mbits_per_s)
    fast = f"   {speed / 1000:g} Gb/s" if speed is not None and speed > 0 else ""
    return _labelled(
        "network", (safe(one.name, limit=20), ""), (fast, "dim"), *_bytes(one.rx_bytes_per_s, one.tx_bytes_per_s)
    )


def _port(port: PortSample) -> Line:
    rate, state = number(port.rate_gbits_per_s), cell_span(port.state)
    name = f"{safe(port.device, limit=20)}/{port.port} "
    fast = f"   {rate:g} Gb/s" if rate is not None else ""
    sick = state[1] or ("" if "active" in state[0].lower() else "warn")
    return _labelled(
        "InfiniBand", (name, ""), (state[0], sick), (fast, "dim"), *_bytes(port.rx_bytes_per_s, port.tx_bytes_per_s)
    )


def _bytes(received: Cell, sent: Cell) -> list[Span]:
    one, other = number(received), number(sent)
    if one is None or other is None:
        text, role = cell_span(received if isinstance(received, Absent) else sent)
        return [("   rates ", "dim"), (text, role)]
    return [(f"   in {rate_text(one)} out {rate_text(other)} B/s", "")]
