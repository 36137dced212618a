"""What a launch would stumble over: rules over what was looked at. Pure.

Each rule says what was seen, with its limit, or None; what could not be read gives no finding here, and the look
itself is told as unread.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from ...judge.cards import card
from ...judge.reading import line
from ...model import Finding, Severity, Target
from ...quantity import quantity
from .intent import Intent
from .looks import Interface, Looks, Name

TINY_SHM_BYTES: Final = 64 << 20
"""What a container starts with (docker run, --shm-size)."""

FULL_SHM_BYTES: Final = 64 << 20
"""Less than this is left: NCCL's ranks without peer-to-peer and DataLoader workers take some MiB each at once."""

LEAST_FILES: Final = 1024
FILES_A_RANK: Final = 256
"""A rank has about a hundred files open when it trains, and each tensor that a worker hands over takes one more."""

TASKS_A_RANK: Final = 64
"""Threads of a rank as it starts: its pools, NCCL's and gloo's, the watchdog (torchdoctor's own figure)."""

LEAST_MEMLOCK_BYTES: Final = 64 << 20
"""Below it registering buffers for InfiniBand fails (NCCL's troubleshooting asks for no limit)."""

TORCH: Final = re.compile(r"torchrun|torch[./]distributed|torchdoctor")


@dataclass(frozen=True, slots=True)
class Situation:
    """What is to be launched, on what was found. `gpus` is how many GPUs the ranks may see, None if nobody knows."""

    intent: Intent
    looks: Looks
    target: Target | None = None
    environ: Mapping[str, str] = field(default_factory=dict)
    gpus: int | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """A row: the card, how much it matters, and the condition."""

    card: str
    severity: Severity
    when: Callable[[Situation], str | None]


# --- names ---------------------------------------------------------------------------------------------------------


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _own_addresses(s: Situation) -> set[str]:
    return {address for interface in s.looks.interfaces or () for address in interface.addresses}


def serves(s: Situation) -> bool | None:
    """Whether this node is the one of the endpoint: as it was told, else by address; None if that is unknown."""
    told, name = s.intent.hosts, s.looks.endpoint
    if told is not None or s.intent.host in ("", "localhost"):
        return told if told is not None else True
    if name is None or not name.addresses or s.looks.interfaces is None:
        return None
    return any(_is_loopback(a) or a in _own_addresses(s) for a in name.addresses)


def _loopback_words(name: Name | None) -> str | None:
    """A host's name that no other node can use, and why; None if it can be used, or was not looked at."""
    if name is None:
        return None
    if not name.addresses:
        return f"{name.host} does not resolve: {name.error}"
    if all(map(_is_loopback, name.addresses)):
        return f"{name.host} resolves to {', '.join(name.addresses)}"
    return None


def _nobody_serves(s: Situation) -> str | None:
    """Torchrun finds the node of a c10d endpoint by the addresses of its own name, and by no other interface's."""
    name, there = s.looks.name, s.looks.endpoint
    by_name = s.intent.nodes > 1 and s.intent.hosts is None and s.intent.backend == "c10d"
    if name is None or there is None or not by_name or serves(s) is not True or s.intent.host == name.host:
        return None
    if set(name.addresses) & set(there.addresses) or all(map(_is_loopback, there.addresses)):
        return None
    seen = _loopback_words(name) or f"{name.host} resolves to {', '.join(name.addresses[:4])}"
    return f"{seen}; {s.intent.endpoint} is this node, and torchrun will not know it"


def _bad_name(s: Situation) -> str | None:
    seen = _loopback_words(s.looks.name)
    spared = s.environ.get("GLOO_SOCKET_IFNAME") and s.intent.local_addr
    return seen if s.intent.nodes > 1 and seen is not None and not spared and _nobody_serves(s) is None else None


def _slow_resolver(s: Situation) -> str | None:
    why = [f"{what}: {s.looks.unread[key]}" for key, what in _NAMES.items() if key in s.looks.unread]
    return line("; ".join(why)) or None


_NAMES = {"name": "this host's own name", "endpoint": "the endpoint's name"}


# --- the endpoint ----------------------------------------------------------------------------------------------------


def _unknown_host(s: Situation) -> str | None:
    name = s.looks.endpoint
    return f"{name.host}: {name.error}" if name is not None and not name.addresses else None


def _unreachable(s: Situation) -> str | None:
    found = s.looks.reach
    if found is None or found.answer not in ("silent", "failed") or serves(s):
        return None
    return f"{s.intent.endpoint}: {found.error}"


def _not_ours(s: Situation) -> str | None:
    """This node was told to serve an endpoint that is no address of it."""
    name = s.looks.endpoint
    if s.intent.hosts is not True or name is None or not name.addresses or s.looks.interfaces is None:
        return None
    ours = any(_is_loopback(a) or a in _own_addresses(s) for a in name.addresses)
    alone = s.intent.nodes == 1
    told = "node 0 serves" if s.intent.backend == "static" else "is_host says that this node serves"
    return None if ours else f"{told} {s.intent.endpoint}{', alone' if alone else ''}; it has no such address"


def _holders(s: Situation) -> list[str]:
    rows = s.looks.port or ()
    return list(dict.fromkeys(f"{_who(row.pid, row.user, row.command)}, on {row.address}" for row in rows))


def _who(pid: int | None, user: str, command: str) -> str:
    if pid is None:
        return f"{user or 'somebody'}, in a process that cannot be seen from here"
    return f"pid {pid} of {user}: {command[:120]}"


def _shares(s: Situation) -> bool:
    """Whether all who hold the port are torch's own, whose store another c10d job can use while it lasts."""
    rows = s.looks.port or ()
    return s.intent.backend == "c10d" and bool(rows) and all(row.pid and TORCH.search(row.command) for row in rows)


def _taken(s: Situation) -> str | None:
    if not s.intent.port or not s.looks.port or serves(s) is False or _shares(s):
        return None
    return line(f"port {s.intent.port}: " + "; ".join(_holders(s)))


def _borrowed(s: Situation) -> str | None:
    if not s.intent.port or serves(s) is False or not _shares(s):
        return None
    return line(f"port {s.intent.port}: " + "; ".join(_holders(s)))


def _not_bindable(s: Situation) -> str | None:
    if not s.intent.port or not s.looks.bind or s.looks.port or serves(s) is False:
        return None
    return f"port {s.intent.port}: {s.looks.bind}"


# --- interfaces ----------------------------------------------------------------------------------------------------


def matching(wanted: str, interfaces: tuple[Interface, ...]) -> list[Interface]:
    """The interfaces that NCCL_SOCKET_IFNAME names: beginnings, whole names after `=`, all others after `^`."""
    inverse, exact = wanted.startswith("^"), wanted.lstrip("^").startswith("=")
    names = [name for name in wanted.lstrip("^=").split(",") if name]

    def named(one: Interface) -> bool:
        return any(one.name == name if exact else one.name.startswith(name) for name in names)

    return [one for one in interfaces if named(one) is not inverse]


def _works(one: Interface) -> bool:
    return one.up and one.carrier and bool(one.addresses)


def _state(one: Interface) -> str:
    words = "switched off" if not one.up else "without a carrier" if not one.carrier else "without an address"
    return f"{one.name} is {words}"


def _dead_interface(s: Situation) -> str | None:
    """A variable that names no interface that works. Each of those of gloo must work, one of those of NCCL."""
    interfaces, told = s.looks.interfaces, []
    if interfaces is None:
        return None
    for name in filter(None, s.environ.get("GLOO_SOCKET_IFNAME", "").split(",")):
        one = next((i for i in interfaces if i.name == name), None)
        if one is None or not _works(one):
            told.append(f"GLOO_SOCKET_IFNAME: {_state(one) if one else f'there is no {name}'}")
    wanted = s.environ.get("NCCL_SOCKET_IFNAME", "")
    found = matching(wanted, interfaces) if wanted else []
    if wanted and not any(map(_works, found)):
        words = ", ".join(map(_state, found[:4])) or f"no interface is meant by {wanted}"
        told.append(f"NCCL_SOCKET_IFNAME: {words}")
    return line("; ".join(told)) or None


def candidates(s: Situation) -> list[Interface]:
    """Interfaces over which ranks of other nodes may be reached."""
    return [i for i in s.looks.interfaces or () if _works(i) and not i.loopback and not i.virtual]


def _choice(s: Situation) -> str | None:
    """Several networks, and nobody said which: NCCL takes InfiniBand's first, gloo the one of this host's name."""
    found = candidates(s)
    said = all(s.environ.get(f"{library}_SOCKET_IFNAME") for library in ("NCCL", "GLOO"))
    if s.intent.nodes < 2 or len(found) < 2 or said:
        return None
    source = s.looks.endpoint.source if s.looks.endpoint else ""
    rows = ", ".join(f"{i.name} ({i.addresses[0]})" for i in found[:8])
    towards = next((i.name for i in found if source and source in i.addresses), "")
    return f"{rows}; the way to {s.intent.host} is {towards}" if towards else rows


# --- room ------------------------------------------------------------------------------------------------------------


def _ranks(s: Situation) -> int:
    """How many ranks this node gets, as far as that is known: one if a word says it."""
    return s.intent.ranks if isinstance(s.intent.ranks, int) else s.gpus or 1


def _tiny_shm(s: Situation) -> str | None:
    room = s.looks.shm
    if room is None or room.total > TINY_SHM_BYTES or _ranks(s) < 2:
        return None
    return f"{quantity(room.total, 'B')} (a container's default), for {_ranks(s)} ranks"


def _full_shm(s: Situation) -> str | None:
    room = s.looks.shm
    if room is None or room.free >= FULL_SHM_BYTES or room.total <= TINY_SHM_BYTES:
        return None
    return f"{quantity(room.free, 'B')} of {quantity(room.total, 'B')} are left (limit {quantity(FULL_SHM_BYTES, 'B')})"


def _few_files(s: Situation) -> str | None:
    most = s.looks.limits.nofile if s.looks.limits else None
    least = max(LEAST_FILES, FILES_A_RANK)
    return f"ulimit -n is {most} (limit {least})" if most is not None and most < least else None


def _few_tasks(s: Situation) -> str | None:
    tasks, limits, wanted = s.looks.tasks, s.looks.limits, _ranks(s) * TASKS_A_RANK
    if tasks is None:
        return None
    rows = [(group.path, group.now, group.most) for group in tasks.groups]
    if limits is not None and limits.nproc is not None:
        rows.append(("ulimit -u", tasks.own, limits.nproc))
    told = [f"{what}: {now} of {most} are in use" for what, now, most in rows if most - now < wanted]
    return line(f"{'; '.join(told)}; {_ranks(s)} ranks start about {wanted}") if told else None


def _little_memlock(s: Situation) -> str | None:
    most = s.looks.limits.memlock if s.looks.limits else None
    if most is None or most >= LEAST_MEMLOCK_BYTES or s.intent.nodes < 2 or not s.gpus:
        return None
    return f"ulimit -l is {quantity(most, 'B')} (limit {quantity(LEAST_MEMLOCK_BYTES, 'B')})"


# --- GPUs ------------------------------------------------------------------------------------------------------------


def _too_many_ranks(s: Situation) -> str | None:
    if not isinstance(s.intent.ranks, int) or not s.gpus or s.intent.ranks <= s.gpus:
        return None
    visible = s.environ.get("CUDA_VISIBLE_DEVICES")
    how = f" (CUDA_VISIBLE_DEVICES={visible[:60]})" if visible else ""
    return f"{s.intent.ranks} ranks, {s.gpus} GPU{'s' if s.gpus > 1 else ''}{how}"


def _no_gpu(s: Situation) -> str | None:
    if s.intent.ranks != "gpu" or s.gpus != 0:
        return None
    return "--nproc-per-node gpu, and no GPU is visible"


def _stale(s: Situation) -> str | None:
    return _orphans(s, holding=True)


def _left_over(s: Situation) -> str | None:
    return _orphans(s, holding=False)


def _orphans(s: Situation, holding: bool) -> str | None:
    rows = [row for row in s.looks.ranks or () if bool(row.devices) is holding]
    told = [f"rank {r.rank} of {r.world}, {_who(r.pid, r.user, r.command)} {' '.join(r.devices)}" for r in rows[:4]]
    more = f" and {len(rows) - 4} more" if len(rows) > 4 else ""
    return line("; ".join(told) + more) if rows else None


# --- the session -----------------------------------------------------------------------------------------------------


def _killed_at_logout(s: Situation) -> str | None:
    own = s.looks.session
    if own is None or not own.scope or not own.kills or own.job:
        return None
    return f"{own.scope} of {own.user}, and logind has KillUserProcesses=yes"


def _manager_ends(s: Situation) -> str | None:
    own = s.looks.session
    if own is None or not own.manager or own.lingers or own.job:
        return None
    return f"this process is below the manager of {own.user}, who does not linger"


def _step_ends(s: Situation) -> str | None:
    """A step with a terminal ends when its shell does; one without is the job's own program."""
    own = s.looks.session
    if own is None or not own.interactive or not own.step:
        return None
    return f"this shell is step {own.step} of Slurm's job {own.job}"


# --- the target, and what was not read -------------------------------------------------------------------------------


def _no_target(s: Situation) -> str | None:
    if s.target is None or s.intent.ranks == "":
        return None
    if s.target.refusal:
        return line(s.target.refusal)
    return f"{s.target.python} has no PyTorch" if s.target.torch is None else None


def _unread(s: Situation) -> str | None:
    told = [f"{what}: {why}" for what, why in s.looks.unread.items() if what not in _NAMES]
    return line("; ".join(told)) or None


C, W, INFO = Severity.CRITICAL, Severity.WARNING, Severity.INFO

RULES: Final[tuple[Rule, ...]] = (
    Rule("TD-JOB-001", C, _nobody_serves),
    Rule("TD-JOB-001", W, _bad_name),
    Rule("TD-JOB-002", W, _slow_resolver),
    Rule("TD-JOB-003", C, _taken),
    Rule("TD-JOB-004", W, _borrowed),
    Rule("TD-JOB-005", C, _not_bindable),
    Rule("TD-JOB-006", C, _unknown_host),
    Rule("TD-JOB-006", W, _unreachable),
    Rule("TD-JOB-007", C, _not_ours),
    Rule("TD-JOB-008", C, _dead_interface),
    Rule("TD-JOB-009", W, _choice),
    Rule("TD-JOB-010", W, _tiny_shm),
    Rule("TD-JOB-011", W, _full_shm),
    Rule("TD-JOB-012", W, _few_files),
    Rule("TD-JOB-013", W, _few_tasks),
    Rule("TD-JOB-014", W, _little_memlock),
    Rule("TD-JOB-015", W, _too_many_ranks),
    Rule("TD-JOB-016", C, _no_gpu),
    Rule("TD-JOB-017", W, _stale),
    Rule("TD-JOB-018", INFO, _left_over),
    Rule("TD-JOB-019", W, _killed_at_logout),
    Rule("TD-JOB-020", W, _manager_ends),
    Rule("TD-JOB-021", W, _step_ends),
    Rule("TD-JOB-022", C, _no_target),
    Rule("TD-JOB-030", INFO, _unread),
)


def findings(situation: Situation) -> tuple[Finding, ...]:
    """What every rule says, the gravest first."""
    order = (Severity.CRITICAL, Severity.WARNING, Severity.INFO)
    hits = [(rule, seen) for rule in RULES if (seen := rule.when(situation)) is not None]
    hits.sort(key=lambda hit: order.index(hit[0].severity))
    rows = [(card(rule.card), rule, seen) for rule, seen in hits]
    return tuple(
        Finding(id=c.id, severity=rule.severity, seen=seen, why=c.why, fix=c.fix, source=c.source)
        for c, rule, seen in rows
    )
