"""The prefix that torch's formatter puts before every line of a record, and what it says.

2.3+:     `[rank0]:V1123 06:15:03.456000 18663 torch/_dynamo/guards.py:5396] [3/1_2] [__recompiles] text`
2.1, 2.2: `[rank0]:[2026-11-23 06:37:11,748] [0/0] torch._dynamo.guards.__recompiles: [DEBUG] text`
TORCH_LOGS_FORMAT=short: `DEBUG:torch._dynamo.guards.__recompiles:text`, on the first line of a record only.
(torch/_logging/_internal.py: TorchLogsFormatter.format; logging.BASIC_FORMAT.)
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, replace

_ID = rb"(?: \[(?P<id>!?-?\d{1,9}(?:/(?:-|\d{1,9}))*)(?:_(?P<attempt>\d{1,9}))?\])?"
_GLOG = (
    rb"(?:\[rank(?P<rank>\d{1,6})\]:)?(?P<level>[VIWEC])(?P<day>\d{4}) (?P<time>\d\d:\d\d:\d\d)\.(?P<us>\d{6}) "
    rb"(?P<pid>\d{1,20}) (?P<src>[^\s:]{1,300}):(?P<ln>\d{1,7})\]" + _ID + rb"(?: \[__(?P<art>\w{1,60})\])?(?: |$)"
)
GLOG = re.compile(_GLOG)
OLD = re.compile(
    rb"(?:\[rank(?P<rank>\d{1,6})\]:)?\[(?P<day>\d{4}-\d\d-\d\d) (?P<time>\d\d:\d\d:\d\d),(?P<us>\d{3})\]"
    + _ID
    + rb" (?P<src>torch[\w.]{0,200}): \[(?P<level>DEBUG|INFO|WARNING|ERROR|CRITICAL)\](?: |$)"
)
SHORT = re.compile(rb"(?P<level>DEBUG|INFO|WARNING|ERROR|CRITICAL):(?P<src>torch[\w.]{0,200}):")
TEE = re.compile(rb"\[(?!rank\d)[A-Za-z_]\w{0,60}?\d{1,6}\]:")
"""What torchrun's --tee puts before the lines of a worker: `[default0]:`."""

INSIDE = re.compile(
    rb"(?:\[rank\d{1,6}\]:)?(?:[VIWEC]\d{4} \d\d:\d\d:\d\d\.\d{6} \d{1,20} |\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}\] )"
)
"""The beginning of a prefix, wherever in a line."""

_ANSI = re.compile(rb"\x1b(?:\[[0-9;:?]{0,64}[ -/]{0,4}[@-~]|\][^\x07\x1b]{0,4096}(?:\x07|\x1b\\)?|[ -/]?[0-~])")

_PID_MAX = 1 << 22
"""Linux's highest pid (proc(5), pid_max). 2.3 and 2.4 print the thread's id there, which is far above it."""

_LEVELS = {b"DEBUG": "V", b"INFO": "I", b"WARNING": "W", b"ERROR": "E", b"CRITICAL": "C"}


@dataclass(frozen=True, slots=True)
class Head:
    """What a prefix says."""

    raw: bytes
    """The prefix itself; lines of one record have the same."""
    writer: bytes
    """Whose line it is, as far as the prefix tells processes apart."""
    level: str = ""
    """V I W E C."""
    pid: int | None = None
    rank: int | None = None
    compile_id: str = ""
    attempt: int = 0
    at_s: float | None = None
    file: str = ""
    """The file of torch that said it, or the logger (2.1, 2.2)."""
    line: int = 0
    artefact: str = ""
    old: bool = False
    """The format of 2.1 and 2.2."""
    every_line: bool = True
    """Whether each line of the record has the prefix, or only its first."""

    def of(self, writer: bytes) -> Head:
        """The same, of a writer that something before the prefix names."""
        return replace(self, writer=writer + self.writer) if writer else self


class Clock:
    """Times of a log into seconds since the epoch; the writer's clock is local time, and 2.3+ write no year."""

    def __init__(self) -> None:
        self._known: tuple[bytes, bytes, float] = (b"", b"", 0.0)

    def seconds(self, day: bytes, hms: bytes) -> float | None:
        """Of `1123` or `2026-11-23`, and `06:15:03`; None where that is no time."""
        if (day, hms) == self._known[:2]:
            return self._known[2]
        try:
            at = self._of(day.decode(), hms.decode())
        except (ValueError, OverflowError):
            return None
        self._known = (day, hms, at)
        return at

    @staticmethod
    def _of(day: str, hms: str) -> float:
        if len(day) > 4:
            return time.mktime(time.strptime(f"{day} {hms}", "%Y-%m-%d %H:%M:%S"))
        now = time.time()
        year = time.localtime(now).tm_year
        at = time.mktime(time.strptime(f"{year}{day} {hms}", "%Y%m%d %H:%M:%S"))
        if at > now + 86_400:  # of last year
            at = time.mktime(time.strptime(f"{year - 1}{day} {hms}", "%Y%m%d %H:%M:%S"))
        return at


def head_of(line: bytes, clock: Clock) -> Head | None:
    """The head of a line that begins with a prefix; None for any other line."""
    if match := GLOG.match(line):
        return _glog(match, clock)
    if match := OLD.match(line):
        return _old(match, clock)
    if match := SHORT.match(line):
        logger, artefact = _logger(match["src"])
        level = _LEVELS[match["level"]]
        return Head(match[0], b"", level, file=logger, artefact=artefact, every_line=False)
    return None


def _glog(match: re.Match[bytes], clock: Clock) -> Head:
    at = clock.seconds(match["day"], match["time"])
    number = int(match["pid"])
    return Head(
        raw=match[0],
        writer=(match["rank"] or b"") + b":" + match["pid"],
        level=match["level"].decode(),
        pid=number if number < _PID_MAX else None,
        rank=int(match["rank"]) if match["rank"] else None,
        compile_id=(match["id"] or b"").decode(),
        attempt=int(match["attempt"] or 0),
        at_s=None if at is None else at + int(match["us"]) / 1e6,
        file=match["src"].decode(errors="replace"),
        line=int(match["ln"]),
        artefact=(match["art"] or b"").decode(),
    )


def _old(match: re.Match[bytes], clock: Clock) -> Head:
    at = clock.seconds(match["day"], match["time"])
    logger, artefact = _logger(match["src"])
    return Head(
        raw=match[0],
        writer=(match["rank"] or b"") + b":",
        level=_LEVELS[match["level"]],
        rank=int(match["rank"]) if match["rank"] else None,
        compile_id=(match["id"] or b"").decode(),
        attempt=int(match["attempt"] or 0),
        at_s=None if at is None else at + int(match["us"]) / 1e3,
        file=logger,
        artefact=artefact,
        old=True,
    )


def _logger(name: bytes) -> tuple[str, str]:
    """`torch._dynamo.guards.__recompiles`: the logger, and the artefact."""
    logger, mark, artefact = name.decode(errors="replace").partition(".__")
    return logger, artefact if mark else ""


def clean(line: bytes) -> bytes:
    """The line without colours, cursor moves and NULs."""
    if b"\x1b" in line:
        line = _ANSI.sub(b"", line)
    return line.translate(None, b"\0") if b"\0" in line else line
