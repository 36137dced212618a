"""What can be read of one rank: its stacks and its flight recorder, each with the states of its sources."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from ...distributed import RankIdentity, SourceName, SourceState
from ...rank_evidence import Flight, ProcessReading, Stack
from ..flight import BadDump, files, parse_json
from ..flight.files import NoFlight
from ..node import NodeFolder
from ..sources import ENDED
from ..stacks import handler
from ..stacks.dumps import parse_dump
from ..stacks.pyspy import NoStack, by_pyspy, find
from ..told import Told, file_names
from ..worker_server import RECORDERS, NoAnswer, ask, handlers
from .surroundings import Surroundings

RANK_S: Final = 2.0
"""So long a stack may take a rank."""

_SERVER_S: Final = 1.0
DEAD: Final = frozenset({"Z", "X", "x", "gone"})

_parsing: Final = threading.Lock()
"""A dump is a megabyte, and ten times that while it is read: one at a time."""


class Stacks(NamedTuple):
    """Stacks of a rank, best source first, and what became of the sources."""

    stacks: tuple[Stack, ...]
    states: tuple[SourceState, ...]


class Flights(NamedTuple):
    """Dumps of a rank's flight recorder, and what became of their source."""

    flights: tuple[Flight, ...]
    states: tuple[SourceState, ...]


# --- stacks ----------------------------------------------------------------------------------------------------------


def stacks(rank: RankIdentity, reading: ProcessReading, told: Told, deadline: float) -> Stacks:
    """The stack of a rank by the least intrusive source that gives one.

    py-spy asks nothing of the process. The worker server needs its interpreter lock, and faulthandler's signal can end
    a blocking call early: each is used only if those before it gave nothing.
    """
    sources: tuple[tuple[SourceName, Callable[[], Stack]], ...] = (
        ("py-spy", lambda: _by_pyspy(rank, reading, deadline)),
        ("server", lambda: _by_server(rank, reading, told, deadline)),
        ("faulthandler", lambda: _by_handler(rank, reading, told, deadline)),
    )
    if reading.state in DEAD:
        return Stacks((), tuple(SourceState(source=name, available=False, why=ENDED) for name, _ in sources))
    states: list[SourceState] = []
    for name, read in sources:
        try:
            stack = read()
        except (NoStack, NoAnswer) as error:
            states.append(SourceState(source=name, available=False, why=str(error)))
            continue
        states.append(SourceState(source=name, available=True))
        return Stacks((stack,), (*states, *_unasked(told, states)))
    return Stacks((), tuple(states))


def _unasked(told: Told, states: Sequence[SourceState]) -> list[SourceState]:
    """The sources that the rank told of at its start and that were not needed."""
    offered: dict[SourceName, bool] = {"server": bool(told.server), "faulthandler": told.stack_signal is not None}
    tried = {state.source for state in states}
    why = "told of at its start, and not asked: a less intrusive source answered"
    return [
        SourceState(source=name, available=True, why=why)
        for name, is_there in offered.items()
        if is_there and name not in tried
    ]


def _by_pyspy(rank: RankIdentity, reading: ProcessReading, deadline: float) -> Stack:
    if reading.state == "D":
        raise NoStack("it is in uninterruptible sleep: reading its memory could hang")
    if not find():
        raise NoStack("py-spy is not installed: pip install 'torchdoctor[stacks]'")
    return by_pyspy(rank.pid, min(RANK_S, _left(deadline)))


def _by_server(rank: RankIdentity, reading: ProcessReading, told: Told, deadline: float) -> Stack:
    if not told.server:
        raise NoAnswer("no worker server: the job was not started by torchdoctor, or without injection")
    if reading.state in ("T", "t", "D"):
        raise NoAnswer("the process does not run")
    text = ask(told.server, "dump_traceback", rank, min(_SERVER_S, _left(deadline)))
    stack = parse_dump(text.decode(errors="replace"), "server", time.time_ns())
    if stack is None:
        raise NoAnswer("dump_traceback: an answer without a stack")
    return stack


def _by_handler(rank: RankIdentity, reading: ProcessReading, told: Told, deadline: float) -> Stack:
    if told.stack_signal is None or told.stack_file is None:
        raise NoStack("no signal for it: the job was not started by torchdoctor, or without injection")
    return handler.dump(rank, reading, told.stack_signal, told.stack_file, min(RANK_S, _left(deadline)))


# --- flight recorder -------------------------------------------------------------------------------------------------


def flights(
    rank: RankIdentity, told: Told, around: Surroundings, node: NodeFolder | None, since_ns: int, deadline: float
) -> Flights:
    """The flight recorder of a rank: its server's, else its pipe's, else what lies in its files."""
    reasons = [around.why] if around.why else []
    places = files.places(rank.rank, around.environment, around.root)
    own = _in_folder(node, rank) if node is not None else ()
    stem = around.environment.get("TORCH_NCCL_DEBUG_INFO_PIPE_FILE", "")
    sources: tuple[Callable[[], tuple[Flight, ...]], ...] = (
        lambda: _of_server(rank, told, deadline),
        lambda: (_of_pipe(stem, places, rank, around.root, deadline),),
        lambda: (files.newest((*places, *own), rank, since_ns),),
    )
    for read in sources:
        try:
            found = read()
        except (NoAnswer, NoFlight, BadDump) as error:
            reasons.append(str(error))
            continue
        if any(flight.entries or flight.groups for flight in found):
            return Flights(found, (SourceState(source="flight", available=True),))
        reasons.append("its recorder has recorded nothing: no collective yet, or a back end that is not recorded")
    why = "; ".join(dict.fromkeys(reasons))[:400]
    return Flights((), (SourceState(source="flight", available=False, why=why),))


def last_words(rank: RankIdentity, around: Surroundings, node: NodeFolder | None, since_ns: int) -> Flights:
    """The flight recorder of a rank that has ended: what it kept of it at its end, or what torch dumped before."""
    places = files.places(rank.rank, around.environment, around.root)
    paths = (*places, *(_in_folder(node, rank) if node is not None else ()))
    try:
        found = files.newest(paths, rank, since_ns)
    except NoFlight:
        why = f"{ENDED} and left no dump"
        return Flights((), (SourceState(source="flight", available=False, why=why),))
    return Flights((found,), (SourceState(source="flight", available=True),))


def _of_server(rank: RankIdentity, told: Told, deadline: float) -> tuple[Flight, ...]:
    """Of the recorders that its server has, the one that holds what the rank is in, else what it did."""
    if not told.server:
        raise NoAnswer("no worker server")
    names = handlers(told.server, rank, min(_SERVER_S, _left(deadline)))
    found = []
    for name in (name for name in RECORDERS if name in names):
        data = ask(told.server, name, rank, min(_SERVER_S, _left(deadline)))
        with _parsing:
            found.append(parse_json(data, "server", time.time_ns()))
    if not found:
        raise NoAnswer("its torch has no flight recorder that a server could give")
    recorded = [flight for flight in found if flight.entries]
    pending = [flight for flight in recorded if any(not e.retired and e.state != "completed" for e in flight.entries)]
    return ((pending or recorded or found)[0],)


def _of_pipe(stem: str, places: tuple[str, ...], rank: RankIdentity, root: str, deadline: float) -> Flight:
    if not stem:
        raise NoFlight("no pipe was prepared")
    return files.on_demand(stem, places, rank, root, deadline)


def _in_folder(node: NodeFolder, rank: RankIdentity) -> tuple[str, ...]:
    """The dumps of a rank in our own run: torch's, whose names end with its number, and what the rank itself kept."""
    try:
        names = os.listdir(node.flight)[:4096]
    except OSError:
        return ()
    number = str(rank.rank)
    kept = {f"{name}.json" for name in file_names(rank)}
    own = [n for n in names if n in kept or (n.endswith(number) and not n[: -len(number)][-1:].isdigit())]
    return tuple(str(node.flight / name) for name in own)


def _left(deadline: float) -> float:
    return max(0.05, deadline - time.monotonic())
