"""From the lines of a log to signs: one scanner a log, fed line by line or in chunks.

It keeps as little as a traceback needs: the innermost call site that it has seen, until the exception's own line.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import tzinfo
from typing import Final

from ...rank_evidence import Frame, Sign
from .sites import site as site_of
from .stamps import stamp_ns
from .table import EXCEPTION, HOOKS, Pattern, match

MAX_LINE: Final = 4096
"""Bytes of a line that are looked at: what a failure says stands at its beginning."""

MAX_TEXT: Final = 400
MOST_BLOCKS: Final = 4096
"""Ranks whose tracebacks may stand interleaved in one log."""

MOST_FRAMES: Final = 2000
"""Lines after which a traceback that never ends is given up."""

_PREFIX: Final = re.compile(r"^\[(?:[a-zA-Z_-]{0,32}?rank|default)(\d{1,6})\]: ?")
_FRAME: Final = re.compile(r'^\s{1,40}File "([^"]{0,1000})", line (\d{1,9})(?:,)?(?: in (.{0,200}))?')
_RAISED: Final = re.compile(r"^([A-Za-z_][\w.]{0,200})(?::(?: (.{0,4096}))?)?$")
_CHAINED: Final = ("During handling of the above exception", "The above exception was the direct cause")
_IGNORED: Final = ("Exception ignored in", "Exception ignored on", "Exception in thread", "--- Logging error")
_MOST_RECENT_FIRST: Final = "(most recent call first):"

_HOOKS: Final = tuple(hook.encode() for hook in HOOKS)
_ESCAPES: Final = re.compile(r"\x1b\[[0-9;]{0,20}[A-Za-z]")


@dataclass(slots=True)
class _Block:
    """What is known of a traceback (or of faulthandler's stack) whose lines are coming, of one writer."""

    open: bool = False
    fatal: Sign | None = None
    lines: int = 0
    frames: tuple[Frame, ...] = ()
    ignored: bool = False
    ignore_next: bool = False
    after_victim: Sign | None = None
    """The victim's sign that an exception is chained to: who says "training failed" of it suffers as well."""

    chained: bool = False


class Scanner:
    """Reads the log of `rank`, or one that many share (None). `zone` is that of stamps without one."""

    def __init__(self, rank: int | None, zone: tzinfo | None = None, now_ns: int = 0) -> None:
        self._rank, self._zone = rank, zone
        self._near = now_ns
        self._blocks: dict[int | None, _Block] = {}
        self._open = 0
        """Writers whose block is open: while there are any, every line is looked at."""

    def feed(self, line: bytes | str, t_ns: int = 0) -> Sign | None:
        """The sign that this line gives, or None. `t_ns` is when it was seen, 0 if nobody saw it come.

        A line costs about a microsecond unless it has to do with a failure.
        """
        raw = line[:MAX_LINE] if isinstance(line, bytes) else line[:MAX_LINE].encode(errors="replace")
        if not self._open and not _hooked(raw):
            return None
        text = raw.decode(errors="replace").rstrip("\r\n")
        return self._read(_ESCAPES.sub("", text) if "\x1b" in text else text, t_ns)

    def feed_lines(self, chunk: bytes, t_ns: int = 0) -> Iterator[Sign]:
        """The signs of whole lines that came together: what is between two that matter is passed over at once."""
        at, end = 0, len(chunk)
        places = dict.fromkeys(_HOOKS, -1)
        while at < end:
            if not self._open:
                hooked = _next_hook(chunk, at, places)
                if hooked < 0:
                    return
                at = chunk.rfind(b"\n", at, hooked) + 1 or at
            stop = chunk.find(b"\n", at)
            stop = end if stop < 0 else stop
            sign = self.feed(chunk[at:stop], t_ns)
            at = stop + 1
            if sign is not None:
                yield sign

    def _read(self, text: str, t_ns: int) -> Sign | None:
        writer, body = self._writer(text)
        block = self._blocks.get(writer)
        if block is None:
            block = self._blocks[writer] = _Block()
            if len(self._blocks) > MOST_BLOCKS:
                self._forget()
        if self._continues(block, body):
            return self._in_block(block, writer, body, t_ns)
        return self._outside(block, writer, body, t_ns)

    def _writer(self, text: str) -> tuple[int | None, str]:
        """Who wrote a line by its prefix, and the line without it."""
        found = _PREFIX.match(text)
        return (None, text) if found is None else (int(found[1]), text[found.end() :])

    def _forget(self) -> None:
        self._blocks.clear()
        self._open = 0

    @staticmethod
    def _continues(block: _Block, body: str) -> bool:
        return (block.open or block.fatal is not None) and "Traceback (most recent call last)" not in body

    # --- inside a traceback ---

    def _in_block(self, block: _Block, writer: int | None, body: str, t_ns: int) -> Sign | None:
        block.lines += 1
        if block.lines > MOST_FRAMES:
            self._close(block)
            return None
        frame = _FRAME.match(body)
        if block.fatal is not None:
            return self._in_fatal(block, body, frame)
        if frame is not None:
            # Python prints the outermost first: the newest goes to the front, and a few are enough.
            place = Frame(function=frame[3] or "", file=frame[1], line=int(frame[2]))
            block.frames = (place, *block.frames[:63])
            return None
        if not body or body[0].isspace():
            return None
        self._close(block)
        raised = _RAISED.match(body)
        if raised is None:
            return self._outside(block, writer, body, t_ns)
        return self._raised(block, writer, body, t_ns)

    def _in_fatal(self, block: _Block, body: str, frame: re.Match[str] | None) -> Sign | None:
        """Faulthandler prints the innermost frame first; the first of somebody's own completes the sign."""
        assert block.fatal is not None
        if frame is None:
            over = bool(body) and not body[0].isspace() and _MOST_RECENT_FIRST not in body
            if over:
                self._close(block)
            return None
        place = Frame(function=frame[3] or "", file=frame[1], line=int(frame[2]))
        site = site_of((place,))
        if not site:
            return None
        told = block.fatal
        self._close(block)
        return _with(told, site=site)

    def _raised(self, block: _Block, writer: int | None, body: str, t_ns: int) -> Sign | None:
        site, ignored = site_of(block.frames), block.ignored
        block.frames, block.ignored = (), False
        if ignored:
            return None
        row, details = match(body) or (EXCEPTION, {})
        if row.role in ("hint", "launcher") and row.id != "agent-summary":
            row = EXCEPTION
        earlier = block.after_victim if block.chained else None
        if earlier is not None and row.role == "own":
            return _with(earlier, text=body[:MAX_TEXT], site=site or earlier.site, exception=body[:MAX_TEXT])
        sign = self._sign(row, details, body, t_ns, writer)
        sign = _with(sign, site=site, exception=body[:MAX_TEXT])
        block.after_victim = sign if sign.victim else None
        block.chained = False
        return sign

    def _close(self, block: _Block) -> None:
        block.open, block.fatal, block.lines = False, None, 0
        self._open = max(0, self._open - 1)

    # --- outside ---

    def _outside(self, block: _Block, writer: int | None, body: str, t_ns: int) -> Sign | None:
        if "Traceback (most recent call last)" in body:
            self._begin(block)
            return None
        if body.startswith(_IGNORED):
            block.ignore_next = True
            return None
        if body.startswith(_CHAINED):
            block.chained = True
            return None
        found = match(body)
        if found is None:
            return None
        sign = self._sign(*found, body, t_ns, writer)
        if sign.id == "fatal":
            block.fatal, block.lines = sign, 0
            self._open += 1
        return sign

    def _begin(self, block: _Block) -> None:
        if not block.open:
            self._open += 1
        block.open, block.lines, block.frames = True, 0, ()
        block.ignored, block.ignore_next = block.ignore_next, False

    def _sign(self, row: Pattern, details: dict[str, str], body: str, t_ns: int, writer: int | None) -> Sign:
        when, precision = self._when(body, t_ns)
        return Sign(
            id=row.id,
            text=body[:MAX_TEXT],
            t_ns=when,
            precision=precision,
            victim=row.role in ("victim", "asked"),
            ranks=missing_ranks(row.id, details),
            rank=writer if writer is not None else self._rank,
            details=details,
        )

    def _when(self, body: str, t_ns: int) -> tuple[int, str]:
        printed = stamp_ns(body, t_ns or self._near or time.time_ns(), self._zone)
        if printed is not None:
            return printed, "printed"
        return t_ns, "marked" if t_ns else ""


def _hooked(raw: bytes) -> bool:
    text = raw.decode("latin-1")  # a search in str costs a third of one in bytes
    for hook in HOOKS:  # noqa: SIM110 - a generator would double what every line costs
        if hook in text:
            return True
    return False


def _next_hook(chunk: bytes, at: int, places: dict[bytes, int]) -> int:
    """The first place of a hook from `at` on, -1 if there is none. `places` keeps what was found, so that a hook is
    looked for anew only behind its last place: a chunk costs its length once a hook.
    """
    for hook, place in places.items():
        if place < at:
            found = chunk.find(hook, at)
            places[hook] = found if found >= 0 else len(chunk)
    first = min(places.values())
    return first if first < len(chunk) else -1


_STORE_KEY: Final = re.compile(r"/cpu//\d{1,6}/(\d{1,6})(?:$|[\s,\]])")
_ID_KEY: Final = re.compile(r"//(?:cuda|xpu|hpu)//\d{1,6}(?:$|[\s,\]])")
_NAMED: Final = {"monitored-barrier": "ranks"}
MOST_RANKS: Final = 4096


def missing_ranks(sign: str, details: dict[str, str]) -> tuple[int, ...]:
    """The ranks that a line names as missing.

    In a key of gloo's mesh the last number is the peer that did not come; the key of NCCL's id is written by the first
    rank of the group.
    """
    if sign == "store-timeout":
        keys = details.get("keys", "")
        found = {int(rank) for rank in _STORE_KEY.findall(keys)}
        return tuple(sorted(found)) or ((0,) if _ID_KEY.search(keys) else ())
    text = details.get(_NAMED.get(sign, ""), "")
    return tuple(sorted({int(rank) for rank in re.findall(r"\d{1,6}", text)}))[:MOST_RANKS]


def _with(sign: Sign, text: str = "", site: str = "", exception: str = "") -> Sign:
    return Sign(
        id=sign.id,
        text=text or sign.text,
        t_ns=sign.t_ns,
        precision=sign.precision,
        victim=sign.victim,
        ranks=sign.ranks,
        site=site or sign.site,
        exception=exception or sign.exception,
        rank=sign.rank,
        details=sign.details,
    )
