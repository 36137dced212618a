"""The ends of logs: signs in them, and the last lines for a person. Bounded, and only of regular files."""

from __future__ import annotations

import os
import socket
import stat
from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

from ...distributed import RankIdentity, SourceState
from ...masking import mask_text
from ...rank_evidence import Sign
from ..signs import Scanner
from .surroundings import Surroundings

TAIL_BYTES: Final = 256 << 10
MOST_SIGNS: Final = 200
TAIL_LINES: Final = 20
_LONGEST: Final = 500


class Log(NamedTuple):
    """Signs of a log, its last lines, and whether it could be read."""

    signs: tuple[Sign, ...]
    tail: tuple[str, ...]
    state: SourceState


def shared_by(ranks: Sequence[RankIdentity]) -> frozenset[str]:
    """Files that more than one rank writes to, such as Slurm's one file a job: a line there is anybody's."""
    writers = Counter(path for rank in ranks for path in {rank.stdout, rank.stderr} if path)
    return frozenset(path for path, count in writers.items() if count > 1)


def of_rank(rank: RankIdentity, shared: frozenset[str] = frozenset()) -> Log:
    """The ends of a rank's stderr and stdout; of a file that ranks share, only the lines that say they are its own."""
    paths = tuple(dict.fromkeys(path for path in (rank.stderr, rank.stdout) if path))
    if not paths:
        why = rank.log_why or "its output goes to no file that is known"
        return Log((), (), SourceState(source="log", available=False, why=why))
    own, common = ([path for path in paths if (path in shared) is wanted] for wanted in (False, True))
    logs = [of_files(tuple(own), rank.rank)] if own else []
    if common:
        log = of_files(tuple(common), None)
        logs.append(log._replace(signs=tuple(sign for sign in log.signs if sign.rank == rank.rank)))
    state = next((log.state for log in logs if log.state.available), logs[0].state)
    signs = tuple(sign for log in logs for sign in log.signs)
    return Log(signs, next((log.tail for log in logs if log.tail), ()), state)


def of_files(paths: tuple[str, ...], rank: int | None) -> Log:
    """The ends of some files of one writer; the last lines are of the first that has any."""
    signs: list[Sign] = []
    tail: tuple[str, ...] = ()
    reasons = []
    for path in paths:
        try:
            data = read_tail(path)
        except OSError as error:
            reasons.append(f"{path}: {error.strerror or error}")
            continue
        signs += Scanner(rank).feed_lines(data)
        tail = tail or _last_lines(data)
    available = len(reasons) < len(paths)
    return Log(
        tuple(signs[-MOST_SIGNS:]),
        tail,
        SourceState(source="log", available=available, why="" if available else "; ".join(reasons)[:300]),
    )


def of_nccl(rank: RankIdentity, around: Surroundings) -> tuple[Sign, ...]:
    """Signs in the file that NCCL writes for this rank, where its environment names one (%h host, %p its pid)."""
    name = around.environment.get("NCCL_DEBUG_FILE", "")
    if not name.startswith("/"):
        return ()
    host = socket.gethostname().partition(".")[0]
    path = name.replace("%h", host).replace("%p", str(rank.inner_pid or rank.pid))
    return of_files((f"{around.root}{path}",), rank.rank).signs


def read_tail(path: str, most: int = TAIL_BYTES) -> bytes:
    """The last whole lines of a regular file, at most so many bytes.

    Raises:
        OSError: it cannot be read, or is no regular file.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(0, "it is no regular file")
        start = max(0, found.st_size - most)
        data = os.pread(handle, most, start)
    finally:
        os.close(handle)
    return data[data.find(b"\n") + 1 :] if start else data


def _last_lines(data: bytes) -> tuple[str, ...]:
    lines = [line for line in data[-TAIL_LINES * _LONGEST :].decode(errors="replace").splitlines() if line.strip()]
    return tuple(mask_text(_plain(line)) for line in lines[-TAIL_LINES:])


def _plain(line: str) -> str:
    return "".join(c if c.isprintable() or c == "\t" else "?" for c in line[-_LONGEST:])
