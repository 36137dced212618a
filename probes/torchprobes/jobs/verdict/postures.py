"""What each living rank does just now, from its process, its stack, its flight recorder and its own word."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from ...rank_evidence import Collective, Flight, Frame, ProcessReading, Stack
from ..signs import site
from ..stacks.groups import main_thread
from ..wording import collective_words
from .case import GONE, Seen
from .use import idle

Does = Literal[
    "over", "stopped", "blocked", "waiting", "initialising", "importing", "compiling", "loading", "saving", "working",
    "unknown",
]  # fmt: skip
"""`waiting` is in a collective; `initialising` before the process group is there; `loading` waits for the workers of a
DataLoader; `saving` writes or reads a checkpoint; `working` is somewhere in the program."""

_FRAMES: Final[tuple[tuple[Does, str, str], ...]] = (
    ("initialising", r"torch/distributed/distributed_c10d\.py$",
     r"init_process_group|_new_process_group_helper|_store_based_barrier|new_group|split_group|_new_group_with_tag"),
    ("initialising", r"torch/distributed/(?:rendezvous|device_mesh)\.py$", r""),
    ("waiting", r"torch/distributed/distributed_c10d\.py$",
     r"all_|reduce|broadcast|scatter|gather|barrier|monitored_barrier|send|i?recv|isend|batch_isend|_coalescing|wait"),
    ("waiting", r"torch/distributed/_functional_collectives\.py$", r"wait_tensor|all_|reduce|broadcast"),
    ("waiting", r"torch/distributed/algorithms/join\.py$", r""),
    ("compiling", r"torch/_inductor/(?:compile_fx|codecache|async_compile|graph|scheduler|select|cpp_builder)", r""),
    ("compiling", r"torch/_dynamo/(?:symbolic_convert|convert_frame|output_graph|bytecode_transformation)\.py$", r""),
    ("compiling", r"torch/_functorch/_aot_autograd/", r"aot_dispatch|create_|_compile"),
    ("compiling", r"/triton/(?:compiler|backends)/", r""),
    ("loading", r"torch/utils/data/dataloader\.py$", r"_try_get_data|_get_data|_shutdown_workers"),
    ("saving", r"torch/(?:serialization|distributed/checkpoint/\w+)\.py$", r"save|load|write|read"),
    ("saving", r"/safetensors/", r"save|load"),
    ("importing", r"^<frozen importlib", r"_call_with_frames_removed|_find_and_load"),
)  # fmt: skip
"""What a rank does if one of its frames is such a function of such a file; the innermost frame decides."""

_RESTING: Final[tuple[tuple[re.Pattern[str], re.Pattern[str], str], ...]] = (
    (re.compile(r"torch/autograd/(?:graph|__init__)\.py$"), re.compile(r"^(?:_engine_run_)?backward"), "backward"),
    (re.compile(r"torch/nn/parallel/distributed\.py$"), re.compile(r"^_(?:sync|distributed_broadcast|pre_forward)"),
     "DDP's forward"),
)  # fmt: skip
"""Where DDP waits for its peers in C++: who stands there and uses nothing waits in a collective, who computes does
not."""

_ROWS: Final[tuple[tuple[Does, re.Pattern[str], re.Pattern[str]], ...]] = tuple(
    (does, re.compile(file), re.compile(rf"^(?:{name})" if name else "")) for does, file, name in _FRAMES
)
_COMPILERS: Final = re.compile(r"\b(?:ptxas|nvcc|cicc|cudafe\+\+|cc1plus|g\+\+|clang(?:\+\+)?|ld|compile_worker)\b")
_PHASES: Final[dict[str, Does]] = {
    "starting": "importing", "importing": "importing", "initialising": "initialising", "compiling": "compiling",
    "saving": "saving", "loading": "saving", "waiting for data": "loading",
}  # fmt: skip
"""By the phase that an injected rank tells of itself (`payloads/inject/torchdoctor_beat.py`), twice a second."""

_STOPPED: Final = frozenset({"T", "t"})
_MOST_FRAMES: Final = 64


@dataclass(frozen=True, slots=True)
class Posture:
    """What one rank does. `site` is the call site, `op` the collective that it waits in, `by` the kind of evidence."""

    does: Does
    site: str = ""
    op: str = ""
    by: str = ""
    why: str = ""


def posture(seen: Seen, last: bool = False) -> Posture:
    """What a rank does, by the first source that tells: the kernel's state, the stack, what torch recorded.

    `last` asks of one that is over what it did when it was looked at last.
    """
    if not seen.alive and not last:
        return Posture("over", by="exit")
    stack = _newest_stack(seen)
    frames = frames_of(stack)
    where = site(frames)
    held = _held(seen, where)
    if held is not None:
        return held
    by_stack = does_frames(frames)
    pending = pending_collective(seen.evidence.flights[-1]) if seen.evidence.flights else None
    if by_stack is not None and stack is not None:
        op = by_stack[1] if by_stack[0] == "waiting" else ""
        return Posture(by_stack[0], where, _op_words(pending) or op, stack.how)
    if pending is not None:
        return Posture("waiting", where, _op_words(pending), "flight")
    resting = _resting(seen, frames)
    if resting and stack is not None:
        return Posture("waiting", where, resting, stack.how)
    if frames and stack is not None:
        return Posture("working", where, by=stack.how)
    return _told(seen)


def _resting(seen: Seen, frames: Sequence[Frame]) -> str:
    """In which call of torch, that computes or waits, a rank stands without using anything; "" if it does not."""
    for frame in frames:
        for file, function, name in _RESTING:
            if file.search(frame.file) and function.search(frame.function.rpartition(".")[2]):
                return name if idle(seen) else ""
    return ""


def _held(seen: Seen, where: str) -> Posture | None:
    """Stopped, frozen or in uninterruptible sleep, by the newest look and the one before."""
    looks = [look for look in seen.evidence.processes if look.state not in GONE]
    if not looks:
        return None
    last = looks[-1]
    if last.state in _STOPPED or last.frozen:
        return Posture("stopped", where, by="process", why=_stopped_by(last))
    if asleep_in_kernel(looks):
        return Posture("blocked", where, by="process", why=last.wchan)
    return None


def asleep_in_kernel(looks: Sequence[ProcessReading]) -> bool:
    """Whether the last two looks found it in one and the same uninterruptible sleep.

    Context switches between them say that it woke; where they are unread, the place in the kernel must be the same.
    """
    if len(looks) < 2:
        return False
    before, last = looks[-2:]
    same = before.state == last.state == "D" and before.wchan == last.wchan
    return same and (before.switches is None or last.switches is None or before.switches == last.switches)


def _stopped_by(look: ProcessReading) -> str:
    if look.frozen:
        return "its cgroup is frozen"
    if look.state == "t" or look.tracer_pid:
        return f"a debugger holds it (pid {look.tracer_pid})" if look.tracer_pid else "a debugger holds it"
    return "SIGSTOP"


def _newest_stack(seen: Seen) -> Stack | None:
    return seen.evidence.stacks[-1] if seen.evidence.stacks else None


def frames_of(stack: Stack | None) -> tuple[Frame, ...]:
    """The main thread's frames, innermost first."""
    thread = main_thread(stack) if stack is not None else None
    return () if thread is None else thread.frames[:_MOST_FRAMES]


def does_frames(frames: Sequence[Frame]) -> tuple[Does, str] | None:
    """What frames of known functions say, and the function; None if they are only somebody's own."""
    for frame in frames:
        name = frame.function.rpartition(".")[2]
        for does, file, function in _ROWS:
            if file.search(frame.file) and function.search(name):
                return does, name
    return None


def _told(seen: Seen) -> Posture:
    """By its children and by what it said itself; both may be old."""
    progress = seen.evidence.progress
    phase = progress.phase if progress is not None else ""
    looks = seen.evidence.processes
    if looks and any(_COMPILERS.search(child) for child in looks[-1].children):
        return Posture("compiling", by="process")
    if phase in _PHASES:
        return Posture(_PHASES[phase], by="events")
    return Posture("unknown")


def pending_collective(flight: Flight) -> Collective | None:
    """The oldest operation that a recorder knows and that has not ended, None if all have."""
    done = {status.group: status.completed for status in flight.groups}
    for entry in flight.entries:
        if entry.p2p or entry.retired or entry.state == "completed":
            continue
        completed = done.get(entry.group)
        if completed is None or completed < 0 or entry.seq > completed:
            return entry
    return None


def _op_words(entry: Collective | None) -> str:
    return "" if entry is None else collective_words(entry.op, entry.seq)
