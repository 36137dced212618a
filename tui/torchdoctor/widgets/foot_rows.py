"""The line under the GPUs: what our own looking costs, or where a recording is."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from torchdoctor.paint import Line, Span, bar, line
from torchdoctor.text import safe
from torchprobes.cells import Absent

if TYPE_CHECKING:
    from torchdoctor.interfaces import ReplayLike
    from torchdoctor.sources import Snapshot

_BAR = 24


def cost_line(snapshot: Snapshot) -> Line:
    """Our own cost and pace, whether we hold back, and where kernel events come from."""
    sample = snapshot.sample
    if sample is None:
        return ()
    share = sample.self_percent
    parts = [f"sampler {share:.1f} % of a core" if isinstance(share, (int, float)) else "sampler not measured yet"]
    if sample.gpus:
        parts.append(f"driver {sample.cost_ms:.1f} ms a tick")
    if snapshot.rate_hz:
        parts.append(f"{snapshot.rate_hz:.1f} Hz")
    spans: list[Span] = [("  " + " · ".join(parts), "dim")]
    if sample.backed_off:
        spans.append((" · backed off: the driver is slow", "warn"))
    log = sample.kernel_log
    said = f"{log.state.value}: {log.why}" if isinstance(log, Absent) else str(log)
    return (*spans, (" · kernel log ", "dim"), (safe(said, limit=120), "dim"))


def replay_line(replay: ReplayLike, width: int) -> Line:
    """Where a recording is, when that was, and how fast it goes."""
    share = replay.position_s / replay.length_s if replay.length_s else 0.0
    when = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(replay.began_ns / 1e9 + replay.position_s))
    tail = f" {_clock(replay.position_s)} of {_clock(replay.length_s)}  {when}  ×{replay.pace:g}"
    room = max(6, min(_BAR * 2, width - len(tail) - 20))
    state: Span = ("  paused" if replay.paused else "", "warn")
    return line(("  replay ", "title"), *bar(min(1.0, max(0.0, share)), room), tail, state)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
