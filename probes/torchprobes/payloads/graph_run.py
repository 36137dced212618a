"""graph.run: one graph of a torch.compile run, alone: does it compile here, is it right, does it help?

Runs inside the target: standard library and torch 2.1 or later, parses on Python 3.8. The graph is compiled as the job
compiled it: Inductor's own input by Inductor's inner compiler (as torch/_dynamo/repro/after_aot.py does), a graph of
Dynamo by torch.compile. What the stack raises is told as facts; nothing is judged here.
"""

import contextlib
import copy
import os
import time
import traceback

import torchdoctor_entry as entry_kit
import torchdoctor_graph_load as graph_load
import torchdoctor_kit as kit
import torchdoctor_measure as measure
import torchdoctor_witness as witness

LABEL = "graph"
BUDGET_S = 4.0
LONGEST_S = 40.0
"""What both sides may be timed for, where one call alone takes seconds."""

PROFILED_STEPS = 5
COPIES = 6
"""So many times its inputs a graph may need: fresh ones, two answers, intermediates, and those of float64."""


def run(request):
    """The probe."""
    file = graph_load.read(request.params)
    graph_load.tell(file)
    torch = kit.import_torch()
    where = graph_load.place(torch, file, request.device)
    kit.fact("graph.device", str(where))
    os.chdir(request.artifacts)  # what the graph writes, it writes there
    measure.leave_cores(torch, where)
    import torch._dynamo
    import torch._inductor.compile_fx

    witness.clear(torch)
    witness.tell_surroundings(torch, where)
    try:
        loaded = graph_load.Loaded(torch, file)
        size, dtypes = loaded.needs()
    except Exception as error:
        _raised("graph.load", error, file)
        return
    _tell_inputs(size, dtypes, where, request)
    missing = loaded.unknown_operators()
    if missing:
        raise kit.Skip("it calls %s, which is registered by a package that the file does not import" % missing[0])
    try:
        with _grouped(file):
            _Examination(torch, where, file, loaded).run()
    finally:
        _end_workers()


def _end_workers():
    """End the pool of compile workers: one that is still starting would outlive this process by seconds."""
    from torch._inductor import async_compile

    getattr(async_compile, "shutdown_compile_workers", lambda: None)()  # 2.5 and later


def _tell_inputs(size, dtypes, where, request):
    """Their bytes and types; a graph whose inputs do not fit is not run."""
    kit.figure("graph.input_bytes", size, "B")
    kit.fact("graph.dtypes", ", ".join("%s %d" % pair for pair in sorted(dtypes.items())), "inputs by type")
    limit = request.data.get("memory_limit_bytes") if where.type != "cpu" else _memory_available()
    if limit and COPIES * size > limit:
        raise kit.Skip("inputs of %d MiB: %d times that are more than %d MiB" % (size >> 20, COPIES, limit >> 20))


def _memory_available():
    """Half of the memory that the host has free; None where it does not say."""
    try:
        with open("/proc/meminfo", encoding="ascii", errors="replace") as file:
            kib = next(line.split()[1] for line in file if line.startswith("MemAvailable:"))
        return int(kib) * 1024 // 2
    except (OSError, StopIteration, ValueError, IndexError):
        return None


@contextlib.contextmanager
def _grouped(file):
    """A graph with collectives runs in process groups that only pretend, as torch's own repro has them."""
    if file.groups is None:
        yield
        return
    try:
        from torch._dynamo.repro.after_aot import setup_fake_process_groups
    except ImportError:
        raise kit.Skip("the graph has collectives, and this torch cannot pretend its process groups")
    import torch.distributed as dist

    setup_fake_process_groups(file.groups)
    kit.fact("graph.collectives", True, "in process groups that only pretend: their answers mean nothing")
    try:
        yield
    finally:
        dist.destroy_process_group()


def _raised(name, error, file):
    """What was raised, and the line of the graph that it is about: a frame in it, else the operator it names."""
    kit.raised(name, error)
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file.path]
    line = frames[-1].lineno if frames else next((n for n in map(file.line_of, _operators(str(error))) if n), 0)
    if line:
        words = "".join(file.text.splitlines()[line - 1 : line]).strip()
        kit.fact(name + ".line", "%s:%d" % (file.path, line), words[:300])


def _operators(message):
    """Operators that an exception's text names (`target: aten.cumsum.default`)."""
    for word in message[:20000].replace(",", " ").split():
        name = word.strip("'\"()[]:;")
        if name.startswith("torch.ops."):
            name = name[len("torch.ops.") :]
        if name.count(".") == 2 and name.split(".")[0].isidentifier():
            yield name


class _Examination:
    """The graph eager and compiled: compared, timed and, on a GPU, profiled."""

    def __init__(self, torch, where, file, loaded):
        self.torch, self.where, self.file, self.loaded = torch, where, file, loaded
        self.wait = measure.synchronizer(torch, where)
        self.dynamo = file.after == "dynamo"
        self.traced = self.eager_step = None
        self.calls = 0

    def run(self):
        """Do it all. That eager raises is told, and the compiler is asked all the same."""
        with self._mode():
            kit.progress("the graph eager")
            steady = self._steadiness()
            kit.progress("compiling it", 0.3)
            compiled = self._compile()
            if compiled is None:
                return
            kit.progress("its compiled answer", 0.6)
            if not self._answers(compiled, steady) or steady is None:
                return
            kit.progress("timing eager and compiled in turns", 0.7)
            eager_s = self._time(compiled)
            self._profile(eager_s)

    def _mode(self):
        """As the file's last lines run it: Inductor's graphs without autograd, those of Dynamo under its autocast."""
        if not self.dynamo:
            return self.torch.no_grad()
        enabled = bool(self.file.call.get("autocast"))
        return self.torch.amp.autocast(self.where.type, enabled=enabled)

    def _call(self, function, args):
        """One call; a graph of Dynamo runs its backward too, where it has one, as the minifier does."""
        if self.dynamo:
            from torch._dynamo.debug_utils import run_fwd_maybe_bwd

            return run_fwd_maybe_bwd(function, args, only_fwd=False, disable_clone=True)
        return function(*args)

    # --- answers -----------------------------------------------------------------------------------------------------

    def _answer(self, function, seed=graph_load.SEED, stir=0.0):
        """The tensors of one answer from fresh inputs, and of the inputs as they are afterwards: detached copies."""
        args = self.loaded.inputs(stir=stir)
        self.torch.manual_seed(seed)
        out = self._call(function, args)
        told = entry_kit.leaves(self.torch, out) + entry_kit.leaves(self.torch, args)
        return [tensor.detach().clone() for tensor in told]

    def _steadiness(self):
        """Eager's answer, told how steady it is: equal runs, another seed, inputs that are one rounding away."""
        eager = self.loaded.module
        try:
            first = self._answer(eager)
            if _finite(self.torch, first) < 0.5 and not self.loaded.save_dir:
                self.loaded.gentle = True
                kit.fact("graph.inputs", "random, between 0 and 1", "most answers of normal ones were not finite")
                first = self._answer(eager)
            again = self._answer(eager)
            other = entry_kit.distance(self.torch, self._answer(eager, graph_load.SEED + 1), first) or 0.0
            stirred = self._answer(eager, stir=entry_kit.eps_of(self.torch, first))
        except Exception as error:
            _raised("graph.eager", error, self.file)
            return None
        random = other > 4 * (entry_kit.distance(self.torch, again, first) or 0.0)
        kit.fact("graph.random", random, "two seeds against one")
        if random:
            self.torch._inductor.config.fallback_random = True  # draws as eager does, where the graph still can
        kit.figure("graph.finite_share", _finite(self.torch, first), "share")
        return _Steady(self.torch, first, again, stirred)

    def _answers(self, compiled, steady):
        """Compare the compiled answer with eager's, and both with float64; False if it raised."""
        try:
            ours = self._answer(compiled)
        except Exception as error:
            _raised("graph.compiled", error, self.file)
            return False
        if steady is None:
            kit.fact("graph.answer", "not compared", "eager raised")
            return True
        far = entry_kit.distance(self.torch, ours, steady.answer)
        if far is None or far == float("inf"):
            kit.fact("graph.answer", "other shapes" if far is None else "not finite", _unlike(ours, steady.answer))
            return True
        kit.fact("graph.answer", "compared", "%d tensors" % len(ours))
        kit.figure("graph.distance", far, "relative")
        steady.tell_worst(ours, self._in_float64())
        return True

    def _in_float64(self):
        """The answer of the same graph in float64; None, and it is told why, where it cannot be run so."""
        try:
            from torch._dynamo.debug_utils import cast_to_fp64

            model = copy.deepcopy(self.traced if self.traced is not None else self.loaded.module)
            model, args = cast_to_fp64(model, self.loaded.inputs())
            self.torch.manual_seed(graph_load.SEED)
            return entry_kit.leaves(self.torch, self._call(model, args))
        except Exception as error:
            kit.fact("graph.float64", None, measure.first_line(error))
            return None

    # --- compiled ----------------------------------------------------------------------------------------------------

    def _compile(self):
        """The compiled graph, as a function that takes the inputs; None if it raised."""
        begin = time.perf_counter()
        try:
            with witness.Fallbacks() as fallbacks:
                made = self._by_dynamo() if self.dynamo else self._by_inductor()
                if self.dynamo:
                    self._call(made, self.loaded.inputs())
        except Exception as error:
            _raised("compile", error, self.file)
            return None
        finally:
            witness.tell_counters(self.torch, LABEL)
        kit.figure("compile_s", time.perf_counter() - begin, "s")
        for index, name in enumerate(sorted(fallbacks.names)[:8]):
            kit.fact("graph.fallback.%d" % index, name, "made a FallbackKernel")
        return made

    def _by_inductor(self):
        from torch._inductor.compile_fx import compile_fx_inner
        from torch.fx.experimental.proxy_tensor import make_fx

        mode, args = self.file.call.get("tracing_mode"), self.loaded.inputs()
        mode = mode if mode in ("real", "fake", "symbolic") else "real"
        traced = make_fx(self.loaded.module, tracing_mode=mode)(*args)
        self.traced = copy.deepcopy(traced)
        compiled = compile_fx_inner(traced, _compile_args(traced, args))

        def call(*inputs):
            self.calls += 1
            return compiled(list(inputs))  # it empties the list that it is given

        return call

    def _by_dynamo(self):
        backend = self.file.call.get("backend") or "inductor"
        if backend == "?" or not isinstance(backend, str):
            raise kit.Skip("its backend is a function of the job's: put its import into the file")
        return self.torch.compile(self.loaded.module, backend=backend)

    # --- times -------------------------------------------------------------------------------------------------------

    def _time(self, compiled):
        """Both in turns on inputs of their own; seconds of an eager call."""
        sides = [(function, self.loaded.inputs()) for function in (self.loaded.module, compiled)]
        eager, ours = (self._step(function, args) for function, args in sides)
        once = max(measure.seconds_of(self.wait, step) for step in (eager, ours))
        least = int(min(measure.LEAST_PAIRS, max(3, LONGEST_S / 2 / max(once, 1e-6))))
        with measure.alone(self.where):
            pairs = measure.paired(self.where, self.wait, eager, ours, BUDGET_S, least)
        for side, seconds in (("eager", pairs.eager), ("compiled", pairs.compiled)):
            times = measure.Times(seconds)
            kit.figure(side + "_s", times.typical, "s", n=times.n, spread=times.spread, model=LABEL)
        value, low, high = pairs.speedup()
        n = len(pairs.eager)
        kit.figure("speedup", value, "x", n=n, spread=(high - low) / 2, model=LABEL)
        kit.figure("speedup_low", low, "x", n=n, model=LABEL)
        kit.figure("speedup_high", high, "x", n=n, model=LABEL)
        kit.figure("compiled_calls", self.calls if not self.dynamo else _entered(self.torch), "calls")
        self.eager_step = eager
        return pairs.pick(pairs.eager)

    def _step(self, function, args):
        return lambda: self._call(function, args)

    def _profile(self, eager_s):
        """How busy the device is in an eager call: what bounds a graph that does not gain."""
        if self.where.type == "cpu":
            return
        path = os.path.join(kit.request.artifacts, "trace.graph.eager.json")
        trace = witness.profile(self.torch, self.where, self.wait, self.eager_step, PROFILED_STEPS, path)
        if trace is not None and trace.device_seen and eager_s:
            kit.figure("device_busy_share", trace.busy_us / 1e6 / eager_s, "share", side="eager", model=LABEL)


class _Steady:
    """Eager's answer, tensor by tensor beside how far it is from itself.

    `spread` is the distance of an equal run, `stirred` that of a run whose inputs were one rounding away: what a graph
    makes of that, for example by a difference of nearly equal numbers, no compiler can be blamed for.
    """

    def __init__(self, torch, answer, again, stirred):
        self.torch, self.answer = torch, answer
        self.spread = [self._apart(*pair) for pair in zip(again, answer)]
        self.stirred = [self._apart(*pair) for pair in zip(stirred, answer)]

    def _apart(self, ours, theirs):
        found = entry_kit.distance(self.torch, [ours], [theirs])
        return 0.0 if found is None or found == float("inf") else found

    def tell_worst(self, ours, truth):
        """Figures of the tensor of `ours` that is furthest beyond what eager itself is off by.

        `truth` are the float64 answers, None without: then the distance is that from eager.
        """
        rows = [self._row(index, tensor, truth) for index, tensor in enumerate(ours)]
        if not rows:
            return
        worst = max(rows, key=lambda row: row["off"] / max(row["eager"], row["spread"], row["stirred"], row["eps"]))
        for name in ("spread", "stirred", "eps"):
            kit.figure("graph." + name, worst[name], "relative", n=2)
        kit.fact("graph.worst", worst["index"], "tensor of %d: %s" % (len(ours), worst["shape"]))
        kit.figure("graph.off", worst["off"], "relative", reference="eager" if truth is None else "float64")
        kit.figure("graph.eager_off", worst["eager"], "relative")

    def _row(self, index, tensor, truth):
        eager = self.answer[index]
        true = eager if truth is None or index >= len(truth) or truth[index].shape != eager.shape else truth[index]
        return {
            "index": index,
            "shape": "%s %s" % (str(eager.dtype).replace("torch.", ""), tuple(eager.shape)),
            "off": self._apart(tensor, true),
            "eager": self._apart(eager, true),
            "spread": self.spread[index],
            "stirred": self.stirred[index],
            "eps": entry_kit.eps_of(self.torch, [eager]) or 1e-7,
        }


def _compile_args(traced, args):
    """What Inductor is given: for a graph of symbolic sizes torch's own helper (2.13) finds its symbols."""
    from torch._dynamo.repro import after_aot

    helper = getattr(after_aot, "_get_compile_args", None)
    return args if helper is None else helper(traced, args)


def _entered(torch):
    """Graphs that Dynamo compiled and did not give up: its own count."""
    from torch._dynamo.utils import counters

    return counters["stats"].get("unique_graphs", 0)


def _finite(torch, answer):
    """The share of an answer's floating numbers that are finite; 1 where it has none."""
    floats = [t for t in answer if (t.is_floating_point() or t.is_complex()) and t.numel()]
    whole = sum(t.numel() for t in floats)
    return sum(int(t.isfinite().sum()) for t in floats) / whole if whole else 1.0


def _unlike(ours, eager):
    """The shapes that two answers have, the compiled one's first."""
    return "%s instead of %s" % tuple(", ".join(str(tuple(t.shape)) for t in each[:8]) for each in (ours, eager))
