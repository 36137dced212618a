"""Ranks without a word of their own: children of a launcher or of a Python, numbered as they were born.

mp.spawn and torchrun's function entry points set RANK inside the child, where nobody sees it; setproctitle writes over
it; another user's environment is closed. What is left: their order, the folder that their output goes to, the names of
their threads, and the connections between them. Standard library only.
"""

from __future__ import annotations

import re

from . import peers, programs, reading
from .claims import Claim, is_torch
from .reading import Seen
from .scan import Census
from .told import UNNAMED, number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

LOG_PLACE: Final = re.compile(r"/attempt_(\d{1,6})/(\d{1,6})/std(?:out|err)\.log$")
"""Where torchrun's `--log-dir` puts the output of a local rank."""

IDLE: Final = re.compile(r"ray::(?:IDLE|SpillWorker|RestoreWorker|DashboardAgent|RuntimeEnvAgent)")
OF_RAY: Final = (
    "Ray shows no rank numbers outside its workers: rank 0 is the one that serves the store, the others are in order "
    "of birth, which need not be that of their ranks"
)
SILENT: Final = frozenset({"owner", "overwritten", "stuck"})


def by_order(census: Census, claims: list[Claim]) -> list[Claim]:
    """All ranks: `claims`, those known by their environment, and those that are not."""
    known = {claim.seen.pid: claim for claim in claims}
    found: list[Claim] = []
    for seen in census.processes.values():
        kind = programs.launcher(seen)
        if kind == "ray":
            found += _of_ray(census, seen)
        elif kind:
            found += _of_launcher(census, seen, kind, known)
    known.update((claim.seen.pid, claim) for claim in found)
    for seen in list(census.processes.values()):
        if (programs.is_python(seen) or programs.has_title(seen)) and not programs.launcher(seen):
            found += _of_python(census, seen, known)
    starters = {claim.launcher.pid for claim in found if claim.kind == "spawn" and claim.launcher}
    kept = [claim for claim in claims if claim.seen.pid not in starters]  # a place in a job that its children took
    return kept + found + list(_first_of_lightning(census, kept, known))


# --- children of a launcher --------------------------------------------------------------------------------------


def _of_launcher(census: Census, agent: Seen, kind: str, known: dict[int, Claim]) -> list[Claim]:
    children = [child for child in census.children(agent) if not _beside(child)]
    mine = {child.pid: claim for child in children if (claim := _claimed(census, child, known)) is not None}
    silent = [child for child in children if child.pid not in mine and _may_be_rank(child, kind)]
    if not silent or (kind == "srun" and not programs.slurm_step(agent)):
        return []
    sibling = next(iter(mine.values()), None)
    places = _places(children, silent, mine)
    found = [_child_claim(census, child, local, agent, kind) for child, local in zip(silent, places, strict=False)]
    newest = max(claim.attempt for claim in found)
    for claim in found:
        claim.attempt = newest
        _place(claim, sibling, agent, len(children))
    return found


def _places(children: list[Seen], silent: list[Seen], mine: dict[int, Claim]) -> list[int]:
    """The local ranks of the silent children: their places among all, where those that can tell confirm the order."""
    order = {child.pid: place for place, child in enumerate(children)}
    if all(claim.local is None or claim.local == order[pid] for pid, claim in mine.items()):
        return [order[child.pid] for child in silent]
    taken = {claim.local for claim in mine.values()}
    return [place for place in range(len(children)) if place not in taken]


def _beside(child: Seen) -> bool:
    return child.kernel or programs.is_helper(child) or bool(programs.launcher(child))


def _may_be_rank(child: Seen, kind: str) -> bool:
    if child.ended:
        return False
    return child.denied in SILENT or (kind == "torchrun" and programs.is_spawned(child))


def _claimed(census: Census, child: Seen, known: dict[int, Claim]) -> Claim | None:
    """The claim of a child, or of what it wraps."""
    one: Seen | None = child
    for _ in range(8):
        if one is None or one.pid in known:
            return known[one.pid] if one is not None else None
        below = [inner for inner in census.children(one) if not inner.ended]
        one = next((inner for inner in below if inner.pid in known), below[0] if len(below) == 1 else None)
    return None


def _child_claim(census: Census, child: Seen, local: int, agent: Seen, kind: str) -> Claim:
    """A claim on what its output's path says, else on its place among its siblings."""
    claim = Claim(child, local, ("order",), kind)
    claim.launcher, claim.kind, claim.local = agent, kind, local
    for descriptor in (1, 2):
        place = LOG_PLACE.search(reading.link(f"{census.proc}/{child.pid}/fd/{descriptor}"))
        if place:
            claim.attempt, claim.local = int(place[1]), int(place[2])
            claim.rank, claim.how = claim.local, ("log-path", "order")
            break
    return claim


def _place(claim: Claim, sibling: Claim | None, agent: Seen, nearby: int) -> None:
    """Its number in the whole job: from a sibling that knows its own, else from the launcher's command line."""
    words = agent.words
    local = claim.local or 0
    if sibling is not None and sibling.local is not None:
        claim.rank, claim.world, claim.key = sibling.rank - sibling.local + local, sibling.world, sibling.key
        claim.told, claim.attempt = sibling.told, max(claim.attempt, sibling.attempt)
        return
    step = programs.slurm_step(agent)
    if step:
        claim.key = f"slurm:{step}"
        claim.notes.append("rank numbers are by order on this node: the environments of its ranks cannot be read")
        return
    if claim.kind != "torchrun":
        claim.key = f"{'mpi' if claim.kind == 'mpirun' else 'spawn'}:{agent.pid}"
        return
    run_id = programs.option(words, "--rdzv-id")
    claim.key = f"torchrun:{run_id}" if run_id not in UNNAMED else f"torchrun:pid-{agent.pid}"
    nodes, node = programs.option(words, "--nnodes") or "1", programs.option(words, "--node-rank")
    if nodes in ("1", "1:1"):
        claim.world = nearby
    elif nodes.isdigit() and node.isdigit():
        claim.world, claim.rank = int(nodes) * nearby, int(node) * nearby + local
    else:
        claim.notes.append("rank numbers are the local ones: what this node's place in the job is cannot be seen")


# --- children of a Python ----------------------------------------------------------------------------------------


def _of_python(census: Census, parent: Seen, known: dict[int, Claim]) -> list[Claim]:
    """Processes that multiprocessing started and that torch.distributed joins together."""
    live = [child for child in census.children(parent) if _is_copy(child, parent) and child.pid not in known]
    if not live:
        return []
    owner = census.parent(parent) if programs.is_helper(parent) else parent
    if owner is None or _inside(census, parent, known, live) or not _joined(census, live):
        return []
    names = {child.name for child in live}
    ended = [child.pid for child in census.children(parent) if child.ended and child.name in names]
    numbered = [child for child in census.children(parent) if child in live or child.pid in ended]
    return list(_numbered(numbered, owner))


def _is_copy(child: Seen, parent: Seen) -> bool:
    """Whether multiprocessing made it: by spawn, by fork (then its command line is its parent's), or by a server."""
    if child.kernel or child.ended or programs.launcher(child):
        return False
    if programs.is_spawned(child):
        return True
    forked = programs.is_python(child) and child.words == parent.words
    return forked and (not programs.is_helper(child) or "forkserver" in " ".join(child.words[:8]))


def _inside(census: Census, parent: Seen, known: dict[int, Claim], children: list[Seen]) -> bool:
    """Whether they are workers of a rank. A rank that only starts ranks has no threads of torch's, and they have."""
    for above in (parent, *census.ancestors(parent)):
        if above.pid in known:
            if known[above.pid].how[0] != "environ" or is_torch(census, above):
                return True
            return sum(is_torch(census, child) for child in children) < 2
    return False


def _joined(census: Census, children: list[Seen]) -> bool:
    """Whether there is a sign that torch.distributed joins some of them: threads, an address, connections."""
    if any(is_torch(census, child) for child in children):
        return True
    spawned = [child for child in children if child.threads > 1 and programs.is_spawned(child)]
    if any(child.told.get("MASTER_ADDR") and child.told.get("MASTER_PORT") for child in spawned):
        return True
    busy = [child.pid for child in children if child.threads > 1]
    return len(busy) > 1 and peers.connected(census.proc, busy)


def _numbered(children: list[Seen], owner: Seen) -> Iterator[Claim]:
    """Claims by place; one that has ended and waits to be reaped still holds its place."""
    for rank, child in enumerate(children):
        if child.ended:
            continue
        claim = Claim(child, rank, ("order",), "spawn")
        claim.local, claim.key, claim.kind, claim.launcher = rank, f"spawn:{owner.pid}", "spawn", owner
        claim.world = number(child.told, "WORLD_SIZE")
        yield claim


# --- Ray and Lightning -------------------------------------------------------------------------------------------


def _of_ray(census: Census, raylet: Seen) -> list[Claim]:
    """Workers of one actor class that torch.distributed joins; what Ray runs besides is no distributed job."""
    classes: dict[str, list[Seen]] = {}
    for child in census.children(raylet):
        title = child.words[0] if child.words else ""
        if not child.ended and title.startswith("ray::") and not IDLE.match(title):
            classes.setdefault(re.split(r"[.(:\s]", title[5:])[0], []).append(child)
    found: list[Claim] = []
    for name, workers in classes.items():
        if not _joined(census, workers):
            continue
        workers.sort(key=lambda worker: not _holds_store(census, worker))
        for claim in _numbered(workers, raylet):
            claim.key, claim.kind, claim.scheme = f"ray:{raylet.pid}:{name}", "ray", "ray"
            claim.notes.append(OF_RAY)
            found.append(claim)
    return found


def _holds_store(census: Census, seen: Seen) -> bool:
    """Whether it serves the store of a process group, which is rank 0's to do."""
    return any(name.startswith("pt_tcpstore") for name in reading.thread_names(census.proc, seen.pid))


def _first_of_lightning(census: Census, claims: list[Claim], known: dict[int, Claim]) -> Iterator[Claim]:
    """Lightning's rank 0 of a node: the parent that started the others, whose environment does not say so."""
    families: dict[int, list[Claim]] = {}
    for claim in claims:
        if claim.scheme == "lightning":
            families.setdefault(claim.seen.parent, []).append(claim)
    for pid, family in families.items():
        one = family[0]
        nearby = max(claim.local or 0 for claim in family) + 1
        base = (number(one.told.environ, "NODE_RANK") or 0) * nearby if one.told else 0
        parent = census.processes.get(pid)
        for claim in family:
            claim.rank, claim.kind, claim.launcher = base + (claim.local or 0), "lightning", parent
        if parent is None or parent.pid in known or any(claim.local == 0 for claim in family):
            continue
        first = Claim(parent, base, ("order",), "lightning")
        first.local, first.key, first.kind, first.world, first.told = 0, one.key, "lightning", one.world, one.told
        first.launcher = parent
        yield first
