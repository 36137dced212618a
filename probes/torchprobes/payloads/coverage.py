"""Coverage: which share of a step's time is spent inside compiled code.

Runs inside the target: standard library only, parses on Python 3.8. The bootstrap loads this file under the name
`torchdoctor_coverage`. It reads the events of a chrome trace that torch.profiler wrote; on a GPU a kernel belongs to
the host call that launched it (their `correlation`), and counts as compiled where that call was made inside compiled
code. A replayed CUDA graph is one launch with many kernels: all of them share its correlation.
"""

STEP = "torchdoctor.step"
COMPILED = "torchdoctor compiled region"
"""Spans of ours around a step, and around each compiled graph (`regions.Watch.annotate`); every version has them."""

REGIONS = (COMPILED, "Torch-Compiled Region", "CompiledFunctionBackward", "## Call CompiledFxGraph")
"""Beginnings of the names of spans inside compiled code. Autograd calls the backward, which has a span of its own."""

_DEVICE_WORK = ("kernel", "gpu_memcpy", "gpu_memset")
_HOST_CALLS = ("cuda_runtime", "cuda_driver", "hip_runtime")


class Coverage:
    """`host` and `device` are shares from 0 to 1, None where the trace says nothing about them.

    `host` is of the wall time of the steps, `device` of the time in which kernels of the steps ran. `eager` is the
    share of step time in operators outside of compiled code (on a device: of kernels launched there); what is left of a
    step is Python, guards and the loop, which no compiler takes. `steps` is how many steps the trace has.
    """

    def __init__(self, events):
        spans = [e for e in events if e.get("ph") == "X" and "dur" in e]
        steps = [e for e in spans if e.get("name") == STEP and e.get("cat") != "gpu_user_annotation"]
        self.steps = len(steps)
        inside = _by_thread(e for e in spans if _is_region(e))
        self.host = _host_share(steps, inside)
        self.device = _device_share(spans, inside)
        self.eager = _eager_share(spans, steps, inside) if self.device is None else 1.0 - self.device

    @property
    def share(self):
        """The share of step time: of the device's where one worked, else of the host's."""
        return self.host if self.device is None else self.device


def _is_region(event):
    # A GPU's own annotations repeat the host's spans on the device's clock.
    return str(event.get("name", "")).startswith(REGIONS) and event.get("cat") != "gpu_user_annotation"


def _by_thread(events):
    """Merged spans (begin, end) of each thread, in order."""
    found = {}
    for event in events:
        found.setdefault((event.get("pid"), event.get("tid")), []).append((event["ts"], event["ts"] + event["dur"]))
    return {thread: _merged(spans) for thread, spans in found.items()}


def _merged(spans):
    merged = []
    for begin, end in sorted(spans):
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((begin, end))
    return merged


def _host_share(steps, inside):
    """Compiled time of every thread within the steps; autograd's threads work while the step's own one waits."""
    total = sum(e["dur"] for e in steps)
    if not total:
        return None
    everywhere = _merged(span for spans in inside.values() for span in spans)
    covered = sum(_overlap(everywhere, e["ts"], e["ts"] + e["dur"]) for e in steps)
    return min(1.0, covered / total)


def _eager_share(spans, steps, inside):
    """Operators of the steps' own threads that no compiled span holds."""
    total = sum(e["dur"] for e in steps)
    if not total:
        return None
    everywhere = _merged(span for spans in inside.values() for span in spans)
    operators = _by_thread(e for e in spans if e.get("cat") == "cpu_op" and not _is_region(e))
    own = {(e.get("pid"), e.get("tid")) for e in steps}
    outside = 0.0
    for thread in own:
        for begin, end in operators.get(thread, ()):
            within = sum(_overlap([(begin, end)], e["ts"], e["ts"] + e["dur"]) for e in steps)
            outside += max(0.0, within - _overlap(everywhere, begin, end))
    return min(1.0, outside / total)


def _overlap(spans, begin, end):
    return sum(max(0.0, min(stop, end) - max(start, begin)) for start, stop in spans)


def _device_share(spans, inside):
    work = [e for e in spans if e.get("cat") in _DEVICE_WORK]
    calls = {_correlation(e): e for e in spans if e.get("cat") in _HOST_CALLS}
    total = sum(e["dur"] for e in work)
    if not total or not calls:
        return None
    compiled = sum(e["dur"] for e in work if _launched_inside(calls.get(_correlation(e)), inside))
    return compiled / total


def _correlation(event):
    return (event.get("args") or {}).get("correlation")


def _launched_inside(call, inside):
    if call is None:
        return False
    spans = inside.get((call.get("pid"), call.get("tid")), ())
    return any(begin <= call["ts"] <= end for begin, end in spans)
