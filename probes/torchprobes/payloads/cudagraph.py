"""cudagraph.*: are CUDA graphs captured here, really replayed, right, and faster than eager?

Runs inside the target: standard library and torch 2.1 or later, parses on Python 3.8. The model is launch-bound: 72
small kernels a step. The output is poisoned and the input changed in place before the replay that is checked.
"""

import copy
import os

import torchdoctor_kit as kit
import torchdoctor_measure as measure
import torchdoctor_witness as witness

PROFILED_STEPS = 5
PAIRS = 100


def run(request):
    """The probe."""
    torch = kit.import_torch()
    if not request.device.startswith("cuda"):
        raise kit.Skip("CUDA graphs need a CUDA device; this probe was asked to run on %r" % request.device)
    if not hasattr(torch.cuda, "CUDAGraph") or torch.version.cuda is None:
        raise kit.Skip("CUDA graphs need a PyTorch built for CUDA, this is %s" % torch.__version__)
    where = measure.device(torch, request.device)
    witness.keep_cupti()
    subject = measure.launch_bound(torch, where)
    kit.fact("gpu.name", torch.cuda.get_device_name(where))
    with torch.no_grad():
        if not _replay(torch, where, subject):
            return
    if hasattr(torch.cuda, "make_graphed_callables"):
        _graphed_callable(torch, where, subject)


def _replay(torch, where, subject):
    wait = measure.synchronizer(torch, where)
    x = subject.make_input(1)
    kit.progress("capturing %s" % subject.title, 0.2)
    try:
        graph, out = capture(torch, lambda: subject.module(x))
        _check(torch, subject, graph, x, out)
    except Exception as error:
        kit.raised("cudagraph", error)
        return False
    kit.progress("timing eager and replay in turns", 0.5)
    time_in_turns(torch, where, wait, lambda: subject.module(x), graph.replay)
    kit.progress("counting launches", 0.7)
    count_launches(torch, where, wait, lambda: subject.module(x), graph.replay)
    return True


def capture(torch, step):
    """Warm up on a side stream, as capture asks for, and capture one step: (graph, its static output)."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        out = step()
    return graph, out


def _check(torch, subject, graph, x, out):
    x.copy_(subject.make_input(2))
    out.fill_(float("nan"))
    graph.replay()
    torch.cuda.synchronize()
    replayed = out.clone()
    finite = bool(torch.isfinite(replayed).all())
    kit.fact("replay.finite", finite, "output poisoned with NaN before the replay")
    if not finite:
        return
    eager = subject.module(x)
    exact = measure.reference_64(subject, x)
    kit.figure("error_against_eager", measure.difference(replayed, eager), "relative", model="reference")
    kit.figure("error_eager_64", measure.relative_error(eager, exact), "relative", model="reference")
    kit.figure("error_compiled_64", measure.relative_error(replayed, exact), "relative", model="reference")


def time_in_turns(torch, where, wait, eager, replay):
    """Eager and replay in turns, each between two CUDA events, nothing else in the queue."""
    sides = ([], [])
    for _ in range(20):
        eager()
        replay()
    with measure.alone(where):
        for turn in range(PAIRS):
            for side in (0, 1) if turn % 2 else (1, 0):
                sides[side].append(_event_seconds(torch, wait, (eager, replay)[side]))
    pairs = measure.Paired(sides[0], sides[1], measure.median)
    measure.tell_speedup(pairs, "reference", "replay")


def _event_seconds(torch, wait, step):
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    wait()
    begin.record()
    step()
    end.record()
    wait()
    return begin.elapsed_time(end) / 1e3


def count_launches(torch, where, wait, eager, replay):
    """Figures of launches and device time a step, from a profile of each side."""
    for side, step in (("eager", eager), ("replay", replay)):
        path = os.path.join(kit.request.artifacts, "trace.%s.json" % side)
        trace = witness.profile(torch, where, wait, step, PROFILED_STEPS, path)
        if trace is not None and trace.device_seen:
            witness.tell_trace(trace, side, "reference")


def _graphed_callable(torch, where, subject):
    """Forward and backward of a module captured for training: output and gradients against eager, on new input."""
    eager, graphed = copy.deepcopy(subject.module), copy.deepcopy(subject.module)
    kit.progress("capturing forward and backward with make_graphed_callables", 0.9)
    try:
        graphed = torch.cuda.make_graphed_callables(graphed, (subject.make_input(1),))
        x = subject.make_input(2)
        outs = [module(x) for module in (eager, graphed)]
        for out in outs:
            out.square().mean().backward()
        torch.cuda.synchronize()
    except Exception as error:
        kit.raised("make_graphed_callables", error)
        return
    worst = measure.difference(outs[1], outs[0])
    for ours, theirs in zip(graphed.parameters(), eager.parameters()):
        worst = max(worst, measure.difference(ours.grad, theirs.grad))
    kit.figure("graphed_callable_difference", worst, "relative")
