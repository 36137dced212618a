"""The control of the probes that look at one side of the compiler: is compiled code entered at all here?

If it is not, the readings say why in the words of compile.default (model "reference"), and the probe has nothing to
look at. Loaded as `torchdoctor_control`; standard library and torch 2.1 or later, parses on Python 3.8.
"""

import contextlib
import hashlib
import os

import torchdoctor_detector as detector
import torchdoctor_kit as kit
import torchdoctor_measure as measure
import torchdoctor_regions as regions
import torchdoctor_witness as witness


class Nothing:
    """A backend that compiles nothing and counts: what Dynamo alone decides needs no compiler, and takes no time."""

    __name__ = "torchdoctor's own, which compiles nothing"

    def __init__(self):
        self.graphs = self.calls = self.ops = 0

    def __call__(self, graph_module, example_inputs):
        """Take one graph."""
        self.graphs += 1
        self.ops += sum(node.op.startswith("call_") for node in graph_module.graph.nodes)

        def counted(*args):
            self.calls += 1
            return graph_module.forward(*args)

        return counted


def need_compile(torch):
    """Raise Skip where this PyTorch has no torch.compile."""
    if not hasattr(torch, "compile"):
        raise kit.Skip("torch.compile needs PyTorch 2.0 or later, this is %s" % torch.__version__)


def need_backend(where):
    """Raise Skip on a device for which this PyTorch has no Inductor backend; a version that cannot tell goes on."""
    try:
        from torch._inductor.codegen import common

        if hasattr(common, "init_backend_registration"):  # 2.5 and later
            common.init_backend_registration()
            known = common.get_scheduling_for_device(where.type) is not None
        else:
            known = where.type in ("cpu", "cuda")
    except Exception:
        return
    if not known:
        raise kit.Skip("torch.compile has no Inductor backend for %r devices in this PyTorch" % where.type)


def entered(torch, where, function, *args):
    """Compile `function` with a backend that does nothing, and count: whether it was entered at each call."""
    import torch._dynamo
    import torch._inductor.metrics  # noqa: F401

    witness.tell_surroundings(torch, where)
    torch._dynamo.reset()
    counting = Nothing()
    with regions.Watch(torch) as watch:
        compiled = torch.compile(function, backend=counting)
        kit.fact("reference.identity", compiled is function, "torch.compile(f) is f")
        exam = detector.Exam(torch, where, "reference", watch, counting)
        calls = exam.run(lambda: compiled(*args), (compiled,))
    torch._dynamo.reset()
    return bool(calls)


def small(x):
    """What the probes of the compiler's surroundings compile with Inductor: one kernel, as cheap as compiling gets."""
    return ((x + 1).relu() * 2).sum(dim=1)


def small_input(torch, where):
    """Its input: quarters, so that every sum is exact and an answer has one bit pattern, whatever the order."""
    return ((torch.arange(1024) % 17 - 8).to(torch.float32) / 4).reshape(32, 32).to(where)


def compile_small(torch, where):
    """Compile `small` with Inductor and run it on new numbers: (seconds of the first call, bit pattern of the answer).

    The pattern is a short digest, so that processes can be compared; "wrong" if it is not what eager gives.
    """
    wait = measure.synchronizer(torch, where)
    x = small_input(torch, where)
    compiled = torch.compile(small)
    seconds = measure.seconds_of(wait, lambda: compiled(x))
    other = x.flip(0) * 0.5
    out, expected = compiled(other), small(other)
    if not torch.allclose(out, expected, rtol=1e-5, atol=1e-5):
        return seconds, "wrong"
    return seconds, hashlib.sha256(repr(out.cpu().tolist()).encode()).hexdigest()[:16]


def tell_small(torch, where, name, **labels):
    """Compile `small` and tell the first call's seconds and the answer as `<name>.answer`: whether it was compiled."""
    try:
        with torch.no_grad():
            seconds, answer = compile_small(torch, where)
    except Exception as error:
        kit.raised("compile", error)  # in the words of compile.default: its cards name the cause
        return False
    kit.figure("first_call_s", seconds, "s", **labels)
    kit.fact(name + ".answer", answer, "digest of the compiled answer, equal to eager's within rounding")
    return True


@contextlib.contextmanager
def environment(**variables):
    """Variables of this process, for the helpers that it starts meanwhile; None takes one away."""
    before = {name: os.environ.get(name) for name in variables}
    _put(variables)
    try:
        yield
    finally:
        _put(before)


def _put(variables):
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
