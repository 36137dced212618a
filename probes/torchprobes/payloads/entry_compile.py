"""compile.entry: torch.compile on the user's own model: how much of it is compiled, is it right, does it help?

Runs inside the target: standard library and torch 2.1 or later, parses on Python 3.8. A model that its factory has
compiled already is examined as it is; any other is compiled here, as `torch.compile(model, mode=...)` would. What the
stack raises is told as facts; nothing is judged here.
"""

import json
import os

import torchdoctor_callables as callables
import torchdoctor_control as control
import torchdoctor_coverage as coverage
import torchdoctor_detector as detector
import torchdoctor_entry as entry_kit
import torchdoctor_graph_breaks as graph_breaks
import torchdoctor_kit as kit
import torchdoctor_measure as measure
import torchdoctor_regions as regions
import torchdoctor_witness as witness

PROFILED_STEPS = 5
BUDGET_S = 5.0
MOST_BREAKS = 5


def run(request):
    """The probe."""
    torch = kit.import_torch()
    control.need_compile(torch)
    where = measure.device(torch, request.device)
    measure.leave_cores(torch, where)
    import torch._dynamo
    import torch._inductor.compile_fx

    witness.tell_surroundings(torch, where)
    with regions.Watch(torch) as watch:
        entry = entry_kit.load(torch, request)
        _Examination(torch, where, watch, entry, request.params.get("mode", "default")).run()


class _Examination:
    """The entry eager and compiled: entered, compared, timed and profiled."""

    def __init__(self, torch, where, watch, entry, mode):
        self.torch, self.where, self.watch, self.entry, self.mode = torch, where, watch, entry, mode
        self.eager, self.compiled = _both(torch, entry, mode)
        entry.function = self.eager
        self.eager_us = 0.0

    def run(self):
        """Do it all; without a compiled call the rest means nothing."""
        from torch._dynamo.utils import counters

        torch, entry = self.torch, self.entry
        kit.progress("eager steps, to see what is steady")
        steady = entry_kit.steadiness(torch, entry)
        kit.progress("compiling")
        exam = detector.Exam(torch, self.where, "reference", self.watch)
        calls = exam.run(lambda: entry.call(self.compiled), (self.compiled, *entry.args))
        graphs = sum(counters["graph_break"].values()) + 1
        if not calls:
            return
        self._compare(steady)
        kit.progress("timing eager and compiled in turns", 0.6)
        self._time(exam)
        kit.progress("profiling steps", 0.8)
        self._profile()
        if graphs > 1:
            kit.progress("where the graph breaks", 0.95)
            self._tell_breaks()

    def _tell_breaks(self):
        """Each break with the place in the user's code and the remedy of the wheel's own registry; forgets all."""
        self.entry.restore()
        try:
            breaks = graph_breaks.all_of(self.torch, self.eager, self.entry.args)
        except Exception as error:
            kit.fact("reference.break_places", None, measure.first_line(error))
            return
        for index, seen in enumerate(breaks[:MOST_BREAKS]):
            words = " ".join(filter(None, (seen.id, seen.what, seen.hint and "Hint: " + seen.hint)))
            kit.fact("reference.graph_break.%d" % index, words, "%s:%d" % (seen.file, seen.line) if seen.file else "")

    def _compare(self, steady):
        """The answer from one state and one seed; where the model draws random numbers, with eager's."""
        compiled = self.compiled
        if steady.random:
            compiled = self._with_eagers_random_numbers()
        self._distance(steady, compiled)

    def _with_eagers_random_numbers(self):
        import torch._inductor.config as config

        self.torch._dynamo.reset()
        with config.patch(fallback_random=True):
            compiled = _compile(self.torch, self.eager, self.mode)
            self.entry.seeded(compiled)
        return compiled

    def _distance(self, steady, compiled):
        try:
            answer = self.entry.seeded(compiled)
        except Exception as error:
            kit.raised("compile.again", error)
            return
        entry_kit.tell_distance(self.torch, "compiled", answer, steady.answer)
        self.entry.restore()

    def _time(self, exam):
        eager, compiled = self.entry.call, lambda: self.entry.call(self.compiled)
        for _ in range(3):
            compiled()
        with measure.alone(self.where):
            pairs = measure.paired(self.where, exam.wait, eager, compiled, BUDGET_S)
        before, after, low = measure.tell_speedup(pairs, "reference", "compiled")
        self.eager_us = before * 1e6
        if low > 1.0 and before > after:
            exam.figure("break_even_calls", exam.first_call_s / (before - after), "calls")

    def _profile(self):
        """Coverage and launches a step, from steps between spans of ours; eager steps tell how busy a device is."""
        eager = self._traced("eager", self.entry.call)
        if eager is not None and eager.device_seen and self.eager_us:
            share = eager.busy_us / self.eager_us
            kit.figure("device_busy_share", share, "share", side="eager", model="reference")
        self.watch.annotate = True
        try:
            compiled = self._traced("compiled", lambda: self.entry.call(self.compiled))
        finally:
            self.watch.annotate = False
        if compiled is not None:
            self._tell_coverage()

    def _traced(self, side, call):
        torch, wait = self.torch, measure.synchronizer(self.torch, self.where)

        def step():
            with torch.profiler.record_function(coverage.STEP):
                call()
                wait()

        trace = witness.profile(torch, self.where, wait, step, PROFILED_STEPS, _path(side))
        if trace is not None and trace.device_seen:
            witness.tell_trace(trace, side, "reference")
        return trace

    def _tell_coverage(self):
        with open(_path("compiled"), encoding="utf-8", errors="replace") as file:
            found = coverage.Coverage(json.load(file)["traceEvents"])
        clock = "host" if found.device is None else "device"
        for name, value in (("coverage", found.share), ("eager_share", found.eager)):
            if value is not None:
                kit.figure(name, value, "share", n=found.steps, clock=clock)


def _path(side):
    return os.path.join(kit.request.artifacts, "trace.entry.%s.json" % side)


def _both(torch, entry, mode):
    """(eager, compiled): what the factory gave, and the other of the two."""
    parts = callables.look(torch, entry.function)
    compiled_by_factory = bool(parts.wrappers or parts.compiled or parts.builtin)
    kit.fact("entry.compiled_by_factory", compiled_by_factory, "torch.compile or Module.compile() on it or below it")
    if not compiled_by_factory:
        return entry.function, _compile(torch, entry.function, mode)
    return _uncompiled(torch, entry.function), entry.function


def _compile(torch, function, mode):
    return torch.compile(function) if mode == "default" else torch.compile(function, mode=mode)


def _uncompiled(torch, function):
    """The same callable with the compiler switched off for every call."""
    inner = getattr(function, "_orig_mod", None) or getattr(function, "_torchdynamo_orig_callable", None)
    if inner is not None:
        return inner
    disable = getattr(getattr(torch, "compiler", None), "disable", None) or torch._dynamo.disable

    def eager(*args):
        return function(*args)

    return disable(eager)
