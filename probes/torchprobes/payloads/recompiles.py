"""compile.recompiles: how often is one function compiled for changing shapes, types and arguments, and is it told why?

Each case calls one function with arguments that change, and counts the graphs that were compiled for it, with a
backend that compiles nothing: Dynamo alone decides. Limits and names changed with the versions: the limit is 64
variants in 2.1 and 8 from 2.2, `cache_size_limit` up to 2.6 and `recompile_limit` from 2.7. Standard library and torch
2.1 or later; parses on Python 3.8.
"""

import torchdoctor_control as control
import torchdoctor_detector as detector
import torchdoctor_kit as kit
import torchdoctor_measure as measure
import torchdoctor_regions as regions

VARIANTS = 12
"""Calls with other arguments in each case."""

LIMITS = ("recompile_limit", "cache_size_limit")


def run(request):
    """The probe."""
    torch = kit.import_torch()
    control.need_compile(torch)
    where = measure.device(torch, request.device)
    with torch.no_grad():
        if not control.entered(torch, where, _scaled, _batch(torch, where, 4)):
            return
        _tell_settings()
        for case in _cases(torch, where):
            kit.progress("recompiles: %s" % case.title)
            _count(torch, case)


def _scaled(x, how="double", times=2.0):
    return (x + 1).relu() * (times if how == "double" else times + len(how))


def _batch(torch, where, rows, dtype=None):
    return torch.ones(rows, 3, dtype=dtype or torch.float32, device=where)


class _Case:
    """One way in which arguments change: the argument tuples of its calls, and torch.compile's `dynamic`."""

    def __init__(self, name, title, calls, dynamic):
        self.name, self.title, self.calls, self.dynamic = name, title, calls, dynamic


def _cases(torch, where):
    sizes = [(_batch(torch, where, 5 + n),) for n in range(VARIANTS)]
    kinds = [(_batch(torch, where, 4, kind),) for kind in (torch.float32, torch.float16, torch.bfloat16, torch.float64)]
    x = _batch(torch, where, 4)
    return [
        _Case("static", "12 batch sizes, dynamic=False", sizes, False),
        _Case("automatic", "12 batch sizes, dynamic left to Dynamo", sizes, None),
        _Case("dynamic", "12 batch sizes, dynamic=True", sizes, True),
        _Case("dtypes", "4 types of numbers", kinds, None),
        _Case("strings", "12 different texts as an argument", [(x, "w" * n) for n in range(1, VARIANTS + 1)], None),
        _Case("numbers", "12 different floats as an argument", [(x, "double", 1.5 + n) for n in range(VARIANTS)], None),
    ]  # fmt: skip


def _tell_settings():
    """The limits and the switch that decide; a limit that is no version's default was set by somebody."""
    import torch._dynamo.config as config

    name = next((name for name in LIMITS if hasattr(config, name)), None)
    kit.fact("recompiles.limit", getattr(config, name) if name else None, "torch._dynamo.config.%s" % name)
    for switch in ("automatic_dynamic_shapes", "assume_static_by_default"):
        kit.fact("recompiles.%s" % switch, getattr(config, switch, None), "torch._dynamo.config.%s" % switch)


def _count(torch, case):
    """Figures of one case: graphs compiled, calls that ran eager; facts: why it was compiled again, and the limit."""
    torch._dynamo.reset()
    _forget()
    counting, eager, wrong = control.Nothing(), 0, 0
    with regions.Watch(torch) as watch:
        compiled = torch.compile(_scaled, backend=counting, dynamic=case.dynamic)
        for arguments in case.calls:
            before = counting.calls
            out = compiled(*arguments)
            eager += counting.calls == before
            wrong += not bool(torch.allclose(out, _scaled(*arguments)))
        reasons = list(dict.fromkeys(detector.recompile_reasons()))
    kit.figure("graphs", counting.graphs, "graphs", n=len(case.calls), case=case.name)
    kit.figure("eager_calls", eager, "calls", n=len(case.calls), case=case.name)
    kit.figure("wrong_answers", wrong, "answers", n=len(case.calls), case=case.name)
    kit.figure("reasons", len(reasons), "reasons", case=case.name)
    start = "recompiles.%s" % case.name
    kit.fact(start, case.title, "%d calls" % len(case.calls))
    if reasons:
        kit.fact(start + ".reason", reasons[0][:500], "the first guard that failed")
    said = [text for text in watch.warnings if "_limit" in text]
    if said:
        kit.fact(start + ".limit", said[0][:500], "the compiler's log")
    torch._dynamo.reset()


def _forget():
    """Forget the reasons and counters of the case before: `torch._dynamo.reset` leaves them standing."""
    from torch._dynamo import utils

    utils.counters.clear()
    getattr(utils, "guard_failures", {}).clear()
    getattr(utils, "clear_compilation_metrics", lambda: None)()
