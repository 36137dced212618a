"""Rules of `ddp.*`: did ranks meet every time, reduce rightly, train to the same bits, steadily and fast enough?"""

from __future__ import annotations

from ...model import Figure, Readings, Severity, Verdict
from ...quantity import quantity
from ..reading import facts, figure, is_true, line, number, on_gpu, raised, text
from ..rules import Expected, Positive, Rule
from . import links

_ALL = ("ddp.*",)

SAME_TRAINING = 1e-3
"""Relative distance of the parameters from those of one process that saw the whole batch (5e-8 measured)."""

FLUCTUATION = {"allocated_peak": 0.01, "rss": 0.05}
"""std/mean of memory over steps with fixed shapes; the host's resident set moves more than the allocator."""

TINY_SHM_BYTES = 64 << 20
"""What a container starts with; NCCL's ranks without peer-to-peer need some MiB of it for each channel."""

SHM_WORDS = ("shm", "no space left", "shared memory", "posix_fallocate")


def _hung(readings: Readings) -> str | None:
    told = facts(readings, "ddp.hung.")
    return line("; ".join(f"{_rank(f.name)} hung in phase {f.value}" for f in told)) if told else None


def _rank(name: str) -> str:
    return "rank " + name.split(".")[2].lstrip("r")


def _failed(phases: tuple[str, ...], readings: Readings) -> str | None:
    told = [f for f in facts(readings, "ddp.failed.") if f.value in phases]
    words = [f"{_rank(f.name)} in phase {f.value}: {_why(readings, f.name)}" for f in told]
    return line("; ".join(words)) if words else None


def _why(readings: Readings, name: str) -> str:
    return raised(readings, f"ddp.raised.{name.split('.')[2]}") or "no error was told"


def _never_met(readings: Readings) -> str | None:
    made = figure(readings, "init_ok")
    why = _failed(("meet", "init", "cycles"), readings)
    if made is not None and made.value < made.n:
        return line(f"{made.value:g} of {made.n} communicators were made; {why or 'no error was told'}")
    return why


def _raised(readings: Readings) -> str | None:
    return _failed(("reduce", "train", "leave", "one-rank", "algorithms"), readings)


def _wrong_sums(readings: Readings) -> str | None:
    fact = readings.fact("ddp.sums")
    return fact.evidence if fact is not None and fact.value == "wrong" else None


def _different(readings: Readings) -> str | None:
    fact = readings.fact("ddp.parameters")
    return fact.evidence if fact is not None and fact.value == "different" else None


def _blind(readings: Readings) -> str | None:
    return "one changed bit was not seen" if is_true(readings, "ddp.parameters.detector") is False else None


def _other_training(readings: Readings) -> str | None:
    told = (("parameters", "single_run_difference"), ("the loss", "single_run_loss_difference"))
    apart = [(what, number(readings, name)) for what, name in told]
    words = [f"{what} by {value:.2g}" for what, value in apart if value is not None and not value <= SAME_TRAINING]
    return f"off from a run in one process: {', '.join(words)} (limit {SAME_TRAINING:g})" if words else None


def _unsteady(readings: Readings) -> str | None:
    words = []
    for series, limit in FLUCTUATION.items():
        found = figure(readings, "memory_fluctuation", series=series)
        if found is not None and found.value > limit:
            words.append(f"{series}: std/mean {found.value:.2%} over {found.n} steps (limit {limit:.0%})")
    return "; ".join(words) or None


def _slow(readings: Readings) -> str | None:
    words = []
    for row, size in links.rows(readings):
        found = number(readings, "busbw", size=size, backend="nccl")
        if found is not None and found < links.ALARM_SHARE * row.gb_s * 1e9:
            words.append(f"{quantity(found, 'B/s')} at {size} over {_how(readings, size)}, {row.gb_s:g} is sound")
            words[-1] += f" ({row.algorithm}), the alarm is below {links.ALARM_SHARE * row.gb_s:.0f}"
            words[-1] += ": the path has left NVLink" if found < links.FALLEN_SHARE * row.gb_s * 1e9 else ""
    return line(f"{text(readings, 'ddp.ranks')} x {text(readings, 'ddp.gpu')}: " + "; ".join(words)) if words else None


def _how(readings: Readings, size: str) -> str:
    """Algorithm and transport of a size, as far as NCCL told them."""
    transports = sorted({_kind(f.value) for f in facts(readings, "ddp.transport.")})
    return " and ".join([links.algorithm(readings, size) or "an algorithm that NCCL did not tell", *transports])


def _kind(channels: object) -> str:
    return ", ".join(part.partition(" x ")[0] for part in str(channels).split(", "))


def _through(kind: str, readings: Readings) -> list[str]:
    """The ranks whose channels use a transport."""
    told = facts(readings, "ddp.transport.")
    return [_rank(f.name) for f in told if any(part.startswith(kind) for part in _kind(f.value).split(", "))]


def _slow_links(readings: Readings, between: str, kind: str) -> list[str]:
    """The links between ranks of one machine, or of two, that take a kind of transport, each with its way."""
    told = (f for f in facts(readings, "ddp.link.") if f.evidence == between)
    return [f"{_pair(f.name)} by {f.value}" for f in told if kind in str(f.value)]


def _pair(name: str) -> str:
    return "rank " + name.removeprefix("ddp.link.").replace("-", " -> rank ")


def _through_network(readings: Readings) -> str | None:
    """Ranks of one machine that use NET; a log without links has its transports still, if there is one machine."""
    links_told = facts(readings, "ddp.link.")
    slow = _slow_links(readings, "one machine", "NET")
    if slow or links_told:
        return line(_listed(slow)) if slow else None
    ranks = _through("NET", readings)
    return f"{_listed(ranks)} on one machine: {_transports(readings)}" if ranks else None


def _sockets_beside_fast_ports(readings: Readings) -> str | None:
    ports, slow = text(readings, "ddp.fast_ports"), _slow_links(readings, "two machines", "NET/Socket")
    return line(f"{_listed(slow)}; active here: {ports}") if ports and slow else None


def _sockets(readings: Readings) -> str | None:
    slow = _slow_links(readings, "two machines", "NET/Socket")
    return line(_listed(slow)) if slow and _sockets_beside_fast_ports(readings) is None else None


def _through_host(readings: Readings) -> str | None:
    ranks = _through("SHM", readings)
    return f"{_listed(ranks)}: {_transports(readings)}" if ranks else None


def _listed(ranks: list[str]) -> str:
    return ", ".join(ranks[:8]) + (f" and {len(ranks) - 8} more" if len(ranks) > 8 else "")


def _transports(readings: Readings) -> str:
    return line("; ".join(f"{_rank(f.name)} {f.value}" for f in facts(readings, "ddp.transport.")))[:200]


def _tiny_shm(readings: Readings) -> str | None:
    """NCCL between ranks that must go through a /dev/shm of a container's default size."""
    fact = readings.fact("shm.total_bytes")
    if fact is None or not isinstance(fact.value, int) or fact.value > TINY_SHM_BYTES:
        return None
    why = (_failed(("init", "cycles", "reduce", "train"), readings) or "").lower()
    broke = next((word for word in SHM_WORDS if word in why), None)
    used = _through("SHM", readings)
    if text(readings, "ddp.backend") != "nccl" or not (used or broke):
        return None
    seen = f"{_listed(used)} use it" if used else line(why)
    return f"shared memory (/dev/shm) has {quantity(fact.value, 'B')} (a container's default); {seen}"


def _nccl_too_new(readings: Readings) -> str | None:
    built, driver = text(readings, "ddp.nccl_cuda"), text(readings, "ddp.driver_cuda")
    majors = [v.partition(".")[0] for v in (built, driver)]
    if not all(m.isdigit() and len(m) < 4 for m in majors) or int(majors[0]) <= int(majors[1]):
        return None
    return f"NCCL {text(readings, 'ddp.nccl')} was built with CUDA {built}, the driver takes up to {driver}"


def _half_made(readings: Readings) -> str | None:
    told = [f for f in facts(readings, "ddp.communicators.") if f.value is False]
    return line("; ".join(f"{_rank(f.name)}: {f.evidence}" for f in told)) or None


def _cpu_only(readings: Readings) -> str | None:
    if not on_gpu(readings) or text(readings, "ddp.backend") != "gloo":
        return None
    alone = text(readings, "ddp.nccl_one_rank")
    also = f"; NCCL with one rank: {alone}" if alone else ""
    return f"{text(readings, 'ddp.ranks')} gloo ranks on the CPU{also}"


def _one_rank_wrong(readings: Readings) -> str | None:
    return "all_reduce of one rank changed its input" if text(readings, "ddp.nccl_one_rank") == "wrong" else None


def _noisy(readings: Readings) -> str | None:
    told = [f for f in readings.figures if f.name == "allreduce_us" and (_deviation(readings, f) or 0.0) > f.value]
    words = [f"{f.labels.get('size', '')}: {f.value:.0f} ± {_deviation(readings, f):.0f} µs" for f in told]
    return ", ".join(words) or None


def _deviation(readings: Readings, mean: Figure) -> float | None:
    return number(readings, "allreduce_std_us", size=mean.labels.get("size", ""))


RULES: tuple[Rule, ...] = (
    Rule("TD-DDP-001", _ALL, Verdict.FAIL, Severity.CRITICAL, _hung, ("TD-DDP-002", "TD-DDP-003")),
    Rule("TD-DDP-002", _ALL, Verdict.FAIL, Severity.CRITICAL, _never_met, ("TD-DDP-003", "TD-DDP-015")),
    Rule("TD-DDP-003", _ALL, Verdict.FAIL, Severity.CRITICAL, _raised),
    Rule("TD-DDP-004", _ALL, Verdict.FAIL, Severity.CRITICAL, _wrong_sums, ("TD-DDP-005", "TD-DDP-007")),
    Rule("TD-DDP-005", _ALL, Verdict.FAIL, Severity.CRITICAL, _different),
    Rule("TD-DDP-006", _ALL, Verdict.UNSURE, Severity.WARNING, _blind),
    Rule("TD-DDP-007", _ALL, Verdict.FAIL, Severity.CRITICAL, _other_training),
    Rule("TD-DDP-008", _ALL, Verdict.DEGRADED, Severity.WARNING, _unsteady),
    Rule("TD-DDP-009", _ALL, Verdict.DEGRADED, Severity.WARNING, _slow, ("TD-DDP-014",)),
    Rule("TD-DDP-010", _ALL, None, Severity.INFO, _cpu_only),
    Rule("TD-DDP-011", _ALL, Verdict.FAIL, Severity.CRITICAL, _one_rank_wrong),
    Rule("TD-DDP-012", _ALL, None, Severity.INFO, _noisy),
    Rule("TD-DDP-013", _ALL, Verdict.DEGRADED, Severity.WARNING, _through_network, ("TD-DDP-009", "TD-DDP-014")),
    Rule("TD-DDP-014", _ALL, None, Severity.INFO, _through_host),
    Rule("TD-DDP-018", _ALL, Verdict.DEGRADED, Severity.WARNING, _sockets_beside_fast_ports),
    Rule("TD-DDP-019", _ALL, None, Severity.INFO, _sockets),
    Rule("TD-DDP-015", _ALL, None, Severity.INFO, _half_made),
    Rule(
        "TD-DDP-016",
        _ALL,
        Verdict.FAIL,
        Severity.CRITICAL,
        _tiny_shm,
        ("TD-DDP-001", "TD-DDP-002", "TD-DDP-003", "TD-DDP-014", "TD-DDP-015"),
    ),
    Rule(
        "TD-DDP-017", _ALL, Verdict.FAIL, Severity.CRITICAL, _nccl_too_new, ("TD-DDP-001", "TD-DDP-002", "TD-DDP-003")
    ),
)


def _made(readings: Readings) -> str | None:
    """Every communicator that was tried was made, by how many ranks of which kind."""
    made = figure(readings, "init_ok")
    if made is None or made.value < 1 or made.value < made.n:
        return None
    ranks, backend = text(readings, "ddp.ranks"), text(readings, "ddp.backend")
    return f"{made.value:g} of {made.n} communicator{'s' if made.n > 1 else ''} of {ranks} {backend} ranks"


def _met(readings: Readings) -> str | None:
    """All communicators were made; with how much that proves, and the time of one."""
    made, least = _made(readings), number(readings, "init_share_low")
    median, slowest = number(readings, "init_p50_s"), number(readings, "init_max_s")
    if made is None or least is None or median is None or slowest is None:
        return None
    return f"{made} (proves at least {least:.0%}), p50 {quantity(median, 's')}, slowest {quantity(slowest, 's')}"


def _sums(readings: Readings) -> str | None:
    """All sums of all ranks were compared, and right."""
    sums = number(readings, "sums_checked")
    return f"{sums:g} sums right" if sums and text(readings, "ddp.sums") == "right" else None


def _reduced(readings: Readings) -> str | None:
    made, sums, latency = _made(readings), _sums(readings), number(readings, "allreduce_p50_us", size="1 KiB")
    if made is None or sums is None or latency is None:
        return None
    speeds = [f for f in readings.figures if f.name == "busbw"]
    best = max(speeds, key=lambda f: f.value, default=None)
    bandwidth = "" if best is None else f", {_bandwidth(readings, best)}"
    return f"{made}, {sums}, 1 KiB p50 {quantity(latency, 'us')}{bandwidth}"


def _bandwidth(readings: Readings, best: Figure) -> str:
    """The best bus bandwidth, by which algorithm, and what is expected of such a machine."""
    size = best.labels.get("size", "")
    row = next((row for row, of in links.rows(readings) if of == size), None)
    notes = [links.algorithm(readings, size), f"{quantity(row.gb_s * 1e9, 'B/s')} expected" if row else ""]
    said = ", ".join(filter(None, notes))
    return f"{quantity(best.value, 'B/s')} at {size}" + (f" ({said})" if said else "")


def _trained(readings: Readings) -> str | None:
    """Parameters compared over the ranks by a comparison that can say no, and with one process."""
    made, sums = _made(readings), _sums(readings)
    equal = text(readings, "ddp.parameters") == "bit-equal" and is_true(readings, "ddp.parameters.detector")
    apart = [number(readings, name) for name in ("single_run_difference", "single_run_loss_difference")]
    memory = [f for f in readings.figures if f.name == "memory_fluctuation" and f.labels.get("series") in FLUCTUATION]
    if made is None or sums is None or not equal or None in apart or not memory:
        return None
    moved = f"{memory[-1].value:.2%} of {memory[-1].labels['series']}"
    return f"{made}, {sums}, parameters bit-equal and as in one process, memory std/mean {moved}"


POSITIVE: Positive = {"ddp.init": _met, "ddp.allreduce": _reduced, "ddp.training": _trained}

EXPECTED: Expected = {"ddp.allreduce": links.expected}
