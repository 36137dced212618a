"""cudagraph.entry: can a step of the user's own model be captured as a CUDA graph, and is its replay right and faster?

Runs inside the target: standard library and torch 2.1 or later, parses on Python 3.8. The outputs are poisoned and the
arguments changed in place before the replay that is checked.
"""

import torchdoctor_cudagraph as cudagraph
import torchdoctor_entry as entry_kit
import torchdoctor_kit as kit
import torchdoctor_measure as measure
import torchdoctor_witness as witness


def run(request):
    """The probe."""
    torch = kit.import_torch()
    if not request.device.startswith("cuda"):
        raise kit.Skip("CUDA graphs need a CUDA device; this probe was asked to run on %r" % request.device)
    where = measure.device(torch, request.device)
    witness.keep_cupti()
    entry = entry_kit.load(torch, request)
    entry_kit.steadiness(torch, entry)
    try:
        graph, answer = _capture(torch, entry)
        _check(torch, entry, graph, answer)
    except Exception as error:
        kit.raised("cudagraph", error)
        return
    kit.progress("timing eager and replay in turns", 0.6)
    wait = measure.synchronizer(torch, where)
    cudagraph.time_in_turns(torch, where, wait, entry.call, graph.replay)
    cudagraph.count_launches(torch, where, wait, entry.call, graph.replay)


def _capture(torch, entry):
    """Warm up on a side stream, then capture one step: (graph, the tensors of its answer)."""
    kit.progress("capturing a step", 0.3)
    graph, out = cudagraph.capture(torch, entry.call)
    return graph, entry_kit.leaves(torch, out)


def _check(torch, entry, graph, answer):
    """The replay on changed arguments against eager on the same; randomness is replayed from the graph's own state."""
    entry.restore()
    changed = [t for t in entry_kit.leaves(torch, entry.args) if t.is_floating_point()]
    kit.fact("cudagraph.changed_arguments", len(changed), "floating-point arguments halved in place before the replay")
    with torch.no_grad():
        for tensor in changed:
            tensor.mul_(0.5)
        for tensor in answer:
            tensor.detach().fill_(float("nan") if tensor.is_floating_point() else 0)
    before = [(t, t.detach().clone()) for t in entry.tensors()]
    graph.replay()
    torch.cuda.synchronize()
    replayed = [t.detach().clone() for t in answer]
    with torch.no_grad():
        for tensor, value in before:
            tensor.copy_(value)
    eager = [t.detach() for t in entry_kit.leaves(torch, entry.call())]
    entry_kit.tell_distance(torch, "replay", replayed, eager)
    entry.restore()
