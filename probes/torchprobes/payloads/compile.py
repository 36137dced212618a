"""compile.*: does `torch.compile` in one mode run compiled code here, rightly, and what does it cost and gain?

Runs inside the target: standard library and torch 2.1 or later, parses on Python 3.8. Two models: `reference`, on
which a sound stack gains on a GPU in that mode, and `toy`, on which nothing can be gained. What the stack raises is
told as facts; nothing is judged here.
"""

import os

import torchdoctor_control as control
import torchdoctor_detector as detector
import torchdoctor_export as export
import torchdoctor_kit as kit
import torchdoctor_measure as measure
import torchdoctor_regions as regions
import torchdoctor_witness as witness

PROFILED_STEPS = 3
WARM_UP = 10
"""Steps before anything is counted; CUDA graph trees record on the second and third."""

REFERENCE_BUDGET_S = 4.0
TOY_BUDGET_S = 2.0
WARM_LIMIT_S = 120.0


def run(request):
    """The probe; with the parameter `role` = "warm", its second process."""
    torch = kit.import_torch()
    control.need_compile(torch)
    where = measure.device(torch, request.device)
    measure.leave_cores(torch, where)
    mode = request.params.get("mode", "default")
    try:
        seconds = measure.seconds_of(lambda: None, _import_compiler)
    except OSError as error:  # Inductor makes its cache directory when it is imported
        kit.raised("compile", error)
        return
    _look_for_backend(torch, where)
    with torch.no_grad():
        if request.params.get("role") == "warm":
            _second_process(torch, where, mode)
            return
        kit.figure("compiler_import_s", seconds, "s")
        cache = witness.tell_surroundings(torch, where)
        with regions.Watch(torch, entries=False) as watch:
            _both(torch, where, mode, cache, watch)


def _both(torch, where, mode, cache, watch):
    """The reference model; where it entered compiled code, the second process and the toy."""
    if _Model(torch, where, mode, _reference(torch, where, mode), cache, watch, REFERENCE_BUDGET_S).run():
        _start_second_process()
        _Model(torch, where, mode, measure.toy(torch, where), cache, watch, TOY_BUDGET_S).run()
    else:
        export.tell_toy(torch, where)


def _reference(torch, where, mode):
    """The model that must gain: with CUDA graphs one that waits for launches, without them one that fusing helps."""
    with_graphs = mode in ("reduce-overhead", "max-autotune")
    return measure.launch_bound(torch, where) if with_graphs else measure.memory_bound(torch, where)


def _import_compiler():
    import torch._dynamo
    import torch._inductor.compile_fx
    import torch._inductor.metrics  # noqa: F401


def _look_for_backend(torch, where):
    """Skip where there is no Inductor backend; whether torch.export works there all the same is told first."""
    try:
        control.need_backend(where)
    except kit.Skip:
        export.tell_toy(torch, where)
        raise


class _Model:
    """One model compiled, run, counted, compared and timed."""

    def __init__(self, torch, where, mode, subject, cache, watch, budget_s):
        self.torch = torch
        self.where = where
        self.subject = subject
        self.label = subject.label
        self.cache = cache
        self.budget_s = budget_s
        self.wait = measure.synchronizer(torch, where)
        witness.clear(torch)
        self.counting = witness.Counting(torch, mode)
        self.exam = detector.Exam(torch, where, self.label, watch, self.counting)
        self.x = subject.make_input(1)
        self.compiled = None
        self.eager_us = 0.0

    def run(self):
        """Do it all; returns whether compiled code was entered. The rest means nothing if it was not."""
        kit.progress("compiling the %s model (%s)" % (self.label, self.subject.title))
        self._memory("eager", self.subject.module)
        calls = self._count() if self._first_call() else None
        self.exam.tell()
        if not calls:
            return False
        self._compare()
        self._time()
        self._memory("compiled", self.compiled)
        self._profile()
        return True

    def _figure(self, name, value, unit, **more):
        kit.figure(name, value, unit, model=self.label, **more)

    def _memory(self, side, step):
        measure.reset_peak_memory(self.torch, self.where)
        step(self.x)
        self.wait()
        self._figure("peak_memory_bytes", measure.peak_memory(self.torch, self.where), "B", side=side)

    def _first_call(self):
        """Compile on the first call, timed; what it raises is told, not raised."""

        def first():
            self.compiled = self.torch.compile(self.subject.module, backend=self.counting)
            self.compiled(self.x)

        return self.exam.first_call(first, "compile" if self.label == "reference" else "compile.toy", cache=self.cache)

    def _count(self):
        return self.exam.count(lambda: self.compiled(self.x), WARM_UP)

    def _compare(self):
        """Other numbers in the same tensor: what was only recorded, or replayed without computing, shows here."""
        torch, label = self.torch, self.label
        self.x.copy_(self.subject.make_input(2))
        out = self.compiled(self.x).clone()
        eager = self.subject.module(self.x)
        finite = bool(torch.isfinite(out).all())
        kit.fact(label + ".finite", finite, "compiled output on new input")
        if not finite:
            return
        exact = measure.reference_64(self.subject, self.x)
        self._figure("error_against_eager", measure.difference(out, eager), "relative")
        self._figure("error_eager_64", measure.relative_error(eager, exact), "relative")
        self._figure("error_compiled_64", measure.relative_error(out, exact), "relative")

    def _time(self):
        kit.progress("timing the %s model, eager and compiled in turns" % self.label)
        model, x = self.subject.module, self.x
        with measure.alone(self.where):
            pairs = measure.paired(self.where, self.wait, lambda: model(x), lambda: self.compiled(x), self.budget_s)
        eager, compiled, low = measure.tell_speedup(pairs, self.label, "compiled")
        if low > 1.0 and eager > compiled:
            self._figure("break_even_calls", self.exam.first_call_s / (eager - compiled), "calls")
        self.eager_us = eager * 1e6

    def _profile(self):
        """Launches counted in profiled steps: for CUDA graphs the one witness that cannot be silent."""
        model, x = self.subject.module, self.x
        for side, step in (("eager", lambda: model(x)), ("compiled", lambda: self.compiled(x))):
            path = os.path.join(kit.request.artifacts, "trace.%s.%s.json" % (self.label, side))
            trace = witness.profile(self.torch, self.where, self.wait, step, PROFILED_STEPS, path)
            if trace is None:
                return
            if trace.regions:
                self._figure("compiled_regions", trace.regions, "regions", side=side)
            if not trace.device_seen:
                continue
            witness.tell_trace(trace, side, self.label)
            if side == "eager":
                self._figure("device_busy_share", trace.busy_us / self.eager_us, "share", side=side)


def _start_second_process():
    kit.progress("the same once more in a second process, with the caches of the first")
    code = kit.spawn_self("warm", WARM_LIMIT_S)
    if code != 0:
        kit.fact("warm.failed", code, "exit code of the second process; its own words are in stderr.log")


def _second_process(torch, where, mode):
    """The same model compiled again: what the first process left in the caches must serve."""
    subject = _reference(torch, where, mode)
    witness.clear(torch)
    compiled = torch.compile(subject.module, backend=witness.Counting(torch, mode))
    x = subject.make_input(1)
    seconds = measure.seconds_of(measure.synchronizer(torch, where), lambda: compiled(x))
    kit.figure("first_call_s", seconds, "s", model=subject.label, cache="warm")
    from torch._dynamo.utils import counters

    hits = counters["inductor"]["fxgraph_cache_hit"] + counters["aot_autograd"]["autograd_cache_hit"]
    misses = counters["inductor"]["fxgraph_cache_miss"]
    bypassed = counters["inductor"]["fxgraph_cache_bypass"]
    kit.fact("warm.cache_hits", hits, "counters of the second process")
    kit.fact("warm.cache_misses", misses, "counters of the second process")
    kit.fact("warm.cache_bypassed", bypassed, "counters of the second process")
