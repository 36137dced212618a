"""Does this step run compiled code, and if not, by which mechanism? Readings for the rules of `compile.*`.

Runs inside the target: standard library and torch 2.1 or later, parses on Python 3.8. The bootstrap loads this file
under the name `torchdoctor_detector`. For any step, whoever compiled it:

    with regions.Watch(torch) as watch:          # before the code under test is imported
        step, parts = ...                        # a function without arguments; the callables that it is made of
        exam = detector.Exam(torch, where, "entry", watch)
        calls = exam.run(step, parts)            # compiled calls a step; None if it raised or cannot be counted

`label` names the model in every figure (`model=label`) and begins every fact (`label.stances`). A `counter` is what
counts graphs, operations and calls in place of the watch, for what is compiled with a `witness.Counting` of ours.
A step that ran eager is tried once more after Dynamo was made to forget: what that cures was given up earlier.
Nothing is judged here.
"""

import os
import time

import torchdoctor_callables as callables
import torchdoctor_kit as kit
import torchdoctor_measure as measure
import torchdoctor_witness as witness

WARM_UP = 3
"""Steps before anything is counted; CUDA graph trees record on the second and third."""

COUNTED_STEPS = 5
PROFILED_STEPS = 3

_MOST_TEXTS = 5


class Exam:
    """One step examined: run, counted, and all told that a rule may need to name why it ran eager."""

    def __init__(self, torch, where, label, watch, counter=None):
        self.torch = torch
        self.where = where
        self.label = label
        self.watch = watch
        self.counter = counter or watch
        self.wait = measure.synchronizer(torch, where)
        self.before = _Before(torch, watch)
        self.known = len(watch.graphs)
        self.first_call_s = 0.0

    def run(self, step, parts=()):
        """Do it all; see the module."""
        calls = self.count(step) if self.first_call(step) else None
        self.tell(parts)
        if calls == 0:
            self.retry(step)
        elif calls and (self.where.type == "cuda" or any(graph.attention for graph in self._graphs())):
            self.profile(step)
        return calls

    def first_call(self, step, name="compile", **labels):
        """The first step, timed; what it raises is told as `name`, not raised. Returns whether it went well."""
        try:
            self.first_call_s = measure.seconds_of(self.wait, step)
        except Exception as error:
            kit.raised(name, error)
            return False
        self.figure("first_call_s", self.first_call_s, "s", **labels)
        return True

    def count(self, step, warm_up=WARM_UP):
        """Figures of steady steps: compiled calls, graphs compiled anew, the host's share inside compiled code."""
        for _ in range(warm_up):
            step()
        calls, compiled, inside = self.counter.calls, self.watch.compiled, self.watch.inside_s
        modes, stances = dict(self.watch.modes), len(self.watch.stances)
        begin = time.perf_counter()
        for _ in range(COUNTED_STEPS):
            step()
        seconds = time.perf_counter() - begin
        self.wait()
        self._tell_modes(modes)
        self._tell_texts("stances", self.watch.stances[stances:], "set within the counted steps")
        self.figure("graphs", _graphs(self.counter), "graphs")
        self.figure("ops", self.counter.ops, "ops")
        self.figure("compiles_per_step", (self.watch.compiled - compiled) / COUNTED_STEPS, "graphs", n=COUNTED_STEPS)
        if self.counter is self.watch and not self.watch.sees_calls:
            kit.fact(self.label + ".unseen", ", ".join(self.watch.missing), "hooks that this PyTorch has no place for")
            return None
        per_step = (self.counter.calls - calls) / COUNTED_STEPS
        self.figure("compiled_calls_per_step", per_step, "calls", n=COUNTED_STEPS)
        if self.watch.entries:
            share = (self.watch.inside_s - inside) / max(seconds, 1e-9)
            self.figure("compiled_share", share, "share", clock="host")
        return per_step

    def tell(self, parts=()):
        """Facts and figures of what was compiled, of the compiler's own words, and of the callables themselves."""
        witness.tell_counters(self.torch, self.label)
        witness.tell_breaks(self.label)
        witness.tell_settings(self.torch)
        self._tell_identity()
        self.before.tell(self.label)
        self._tell_recompiles()
        self._tell_graphs()
        self._tell_texts("warning", [text for text in self.watch.warnings if _telling(text)], "the compiler's log")
        self._tell_parts(callables.look(self.torch, *parts))

    def retry(self, step):
        """Forget what Dynamo knows and try again: compiled code now means that it was given up earlier."""
        self.torch._dynamo.reset()
        _forget(self.watch.codes)
        calls = self.counter.calls
        try:
            for _ in range(COUNTED_STEPS):
                step()
        except Exception as error:
            kit.fact(self.label + ".retry", type(error).__name__, measure.first_line(error))
            return
        calls = (self.counter.calls - calls) / COUNTED_STEPS
        self.figure("compiled_calls_after_reset", calls, "calls", n=COUNTED_STEPS)

    def profile(self, step):
        """Launches, captures and attention kernels of a few steady steps; returns the trace, or None."""
        path = os.path.join(kit.request.artifacts, "trace.%s.json" % self.label)
        self.watch.annotate = True
        try:
            trace = witness.profile(self.torch, self.where, self.wait, step, PROFILED_STEPS, path)
        finally:
            self.watch.annotate = False
        if trace is None:
            return None
        self.figure("attention_fused", trace.attention_fused, "kernels")
        if trace.device_seen:
            witness.tell_trace(trace, "compiled", self.label)
        return trace

    def figure(self, name, value, unit, **more):
        """A figure of this exam's model."""
        kit.figure(name, value, unit, model=self.label, **more)

    def _tell_modes(self, before):
        entered = [name for name, times in self.watch.modes.items() if times > before.get(name, 0)]
        self._tell_texts("dispatch_modes", entered, "entered within the counted steps")
        self._tell_texts("dispatch_modes", active_modes(), "active around the counted steps")

    def _graphs(self):
        """What was compiled since the exam began; a factory may have done it before."""
        return self.watch.graphs[self.known :] or self.watch.graphs

    def _tell_graphs(self):
        graphs = self._graphs()
        if not graphs:
            return
        for name, values in (
            ("backends", {graph.backend for graph in graphs}),
            ("options", {option for graph in graphs for option in graph.options}),
            ("dtypes", {dtype for graph in graphs for dtype in graph.dtypes}),
        ):
            if values:
                kit.fact("%s.%s" % (self.label, name), ", ".join(sorted(values)), "graphs that were compiled")
        self.figure("attention_ops", sum(graph.attention for graph in graphs), "ops")
        self.figure("matmul_ops", sum(graph.matmuls for graph in graphs), "ops")
        self.figure("convolutions", sum(graph.convolutions for graph in graphs), "convolutions")

    def _tell_identity(self):
        made = len(self.watch.wrappers)
        try:
            kit.fact(self.label + ".identity", self.torch.compile(_nothing) is _nothing, "torch.compile(f) is f")
        except Exception:  # then the first call has told it
            return
        finally:
            del self.watch.wrappers[made:]

    def _tell_recompiles(self):
        reasons = list(dict.fromkeys(recompile_reasons()))
        self.figure("recompiles", len(reasons), "recompiles")
        for index, text in enumerate(reasons[:_MOST_TEXTS]):
            kit.fact("%s.recompile.%d" % (self.label, index), text[:500], "the guard that failed")

    def _tell_parts(self, parts):
        for name, names in vars(parts).items():
            self._tell_texts(name, names, "read from the callable")
        made = self.watch.wrappers
        if made:
            kit.fact(self.label + ".made", len(made), "torch.compile was given: " + ", ".join(made[:_MOST_TEXTS]))

    def _tell_texts(self, name, texts, evidence):
        texts = list(dict.fromkeys(texts))
        if texts:
            kit.fact("%s.%s" % (self.label, name), "; ".join(texts[:_MOST_TEXTS])[:1500], evidence)


def _forget(codes):
    """Up to 2.6 reset does not reach functions that were marked to be skipped before they were ever compiled."""
    from torch._dynamo import eval_frame

    reset = getattr(eval_frame, "reset_code", None)
    for code in codes if reset is not None else ():
        if code is not None:
            reset(code)


def _nothing():
    return None


def _graphs(counter):
    return counter.graphs if isinstance(counter.graphs, int) else counter.compiled


def _telling(text):
    return any(words in text for words in ("WON'T CONVERT", "_limit", "skipping cudagraphs", "CUDAGraph", "SMs to use"))


class _Before:
    """What had already happened in this process when an exam began: the usual causes of what is never retried."""

    def __init__(self, torch, watch):
        from torch._dynamo.utils import counters

        self.modes = sorted(watch.modes)
        words = [*watch.warnings, *map(str, counters["unimplemented"])]
        self.limit = next((text for text in words if "recompile" in text and "limit" in text), None)
        self.limit = self.limit or next((text for text in words if "cache_size_limit" in text), None)
        self.hidden = next((text for text in words if "WON'T CONVERT" in text), None)

    def tell(self, label):
        for name in ("limit", "hidden"):
            text = getattr(self, name)
            if text:
                kit.fact("%s.before.%s" % (label, name), text[:500], "before the exam began")
        if self.modes:
            kit.fact(label + ".before.dispatch_modes", ", ".join(self.modes), "entered before the exam began")


def active_modes():
    """Class names of the dispatch modes that are active now and are not the compiler's own."""
    from torch.utils import _python_dispatch as dispatch

    read = getattr(dispatch, "_get_current_dispatch_mode_stack", None)
    modes = read() if read is not None else []
    return [type(mode).__qualname__ for mode in modes]


def recompile_reasons():
    """Why functions were compiled again, in Dynamo's words: the guards that failed, oldest first."""
    from torch._dynamo import utils

    found = []
    for reasons in list(getattr(utils, "guard_failures", {}).values()):
        found += [str(getattr(reason, "reason", reason)) for reason in reasons]
    metrics = getattr(utils, "get_compilation_metrics", list)()
    found += [str(m.recompile_reason) for m in metrics if getattr(m, "recompile_reason", None)]
    return [" ".join(text.split()) for text in found]
