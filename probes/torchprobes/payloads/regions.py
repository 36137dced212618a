"""Who enters compiled code: a watch over everything that this process compiles, whoever asked for it.

Runs inside the target: standard library and torch 2.1 or later, parses on Python 3.8. The bootstrap loads this file
under the name `torchdoctor_regions`.

    watch = regions.Watch(torch)
    with watch:                       # before the code under test is imported: what it compiled earlier is not seen
        ...
    watch.calls, watch.graphs, watch.wrappers, watch.warnings

A counting backend (`witness.Counting`) sees only what is compiled with it. Code that calls torch.compile by itself,
with a backend of its own or not at all where it matters, is seen here: every graph passes Dynamo's
`OutputGraph.call_user_compiler` (2.1 to 2.15), and what that returns is what the compiled frame will call.
"""

import importlib
import logging
import time

import torchdoctor_coverage as coverage

_ENTERED = coverage.COMPILED
"""Name of the profiler's span around each entry while `Watch.annotate` is true."""

_MOST = 200
"""Graphs, warnings and reasons kept of each; what comes later is only counted."""


class Graph:
    """One graph that was compiled: its backend and options, its operations, and how many of them are of which kind."""

    __slots__ = ("attention", "backend", "convolutions", "dtypes", "matmuls", "ops", "options")

    def __init__(self, graph_module, backend):
        nodes = [node for node in graph_module.graph.nodes if node.op.startswith("call_")]
        kinds = [_kind(graph_module, node) for node in nodes]
        backend = innermost(backend)
        options = getattr(backend, "config", None)
        self.backend = backend_name(backend)
        self.options = sorted(k for k, v in options.items() if v is True) if isinstance(options, dict) else []
        self.ops = len(nodes)
        self.attention = sum("scaled_dot_product_attention" in kind for kind in kinds)
        self.convolutions = sum("conv" in kind for kind in kinds)
        self.matmuls = sum(any(word in kind for word in ("linear", "matmul", "mm")) for kind in kinds)
        self.dtypes = sorted({_dtype(node) for node in graph_module.graph.nodes if node.op == "placeholder"} - {""})


def _kind(graph_module, node):
    if node.op != "call_module":
        return str(node.target)
    try:
        return type(graph_module.get_submodule(node.target)).__name__.lower()
    except AttributeError:
        return ""


def _dtype(node):
    return str(getattr(node.meta.get("example_value"), "dtype", "")).replace("torch.", "")


class Watch:
    """A context in which everything compiled in this process, and every entry into it, is counted.

    `calls` counts entries into compiled forward graphs and `inside_s` the host's seconds in them. `graphs` are those
    compiled, `compiled` how many in all. `wrappers` names what torch.compile was given, and `codes` is its code.
    `modes` counts the entries of dispatch modes of the user's by class name, `stances` names the stances that were
    set, `warnings` are the compiler's own. `missing` names the hooks that this PyTorch has no place for: what they
    count is then unknown. Without `entries` what was compiled is handed on as it is and its calls are not counted, so
    that nothing stands between it and a clock.
    """

    def __init__(self, torch, entries=True):
        self.torch = torch
        self.entries = entries
        self.graphs = []
        self.compiled = self.calls = 0
        self.inside_s = 0.0
        self.wrappers = []
        self.codes = []
        self.modes = {}
        self.stances = []
        self.warnings = []
        self.missing = []
        self.annotate = self.wrapping = False
        self._undo = []
        self._ear = _Ear(self.warnings)

    @property
    def ops(self):
        """Operations in the graphs that were kept."""
        return sum(graph.ops for graph in self.graphs)

    @property
    def sees_calls(self):
        """Whether entries are counted at all: if not, 0 calls mean nothing."""
        return self.entries and "call_user_compiler" not in self.missing

    def __enter__(self):
        for module, owner, name, make in _HOOKS:
            self._hook(module, owner, name, make)
        self._report_guards()
        for logger in _LOGGERS:
            logging.getLogger(logger).addHandler(self._ear)
        return self

    def __exit__(self, *_):
        for logger in _LOGGERS:
            logging.getLogger(logger).removeHandler(self._ear)
        while self._undo:
            owner, name, value, own = self._undo.pop()
            if own:
                setattr(owner, name, value)
            else:
                delattr(owner, name)

    def _hook(self, module, owner, name, make):
        try:
            place = importlib.import_module(module)
            place = getattr(place, owner) if owner else place
            original = getattr(place, name)
        except (ImportError, AttributeError):
            self.missing.append(name)
            return
        self._undo.append((place, name, original, name in vars(place)))
        setattr(place, name, make(self, original))

    def _report_guards(self):
        # 2.1 and 2.2 keep the reasons of recompiles only when they are asked to.
        import torch._dynamo.config as config

        if getattr(config, "report_guard_failures", True) is False:
            self._undo.append((config, "report_guard_failures", False, True))
            config.report_guard_failures = True

    def counted(self, inner):
        """`inner`, a compiled graph, wrapped so that its entries are counted."""

        def entered(*args, **kwargs):
            self.calls += 1
            begin = time.perf_counter()
            try:
                if not self.annotate:
                    return inner(*args, **kwargs)
                with self.torch.profiler.record_function(_ENTERED):
                    return inner(*args, **kwargs)
            finally:
                self.inside_s += time.perf_counter() - begin

        return entered


# --- hooks: each makes, of what PyTorch has there, the same that also counts ---------------------------------------


def _compiler(watch, original):
    def call_user_compiler(output, graph_module, *args, **kwargs):
        kept = Graph(graph_module, output.compiler_fn)  # a backend may change the graph
        compiled = original(output, graph_module, *args, **kwargs)
        if getattr(output, "export", False):  # torch.export traces with Dynamo, and compiles nothing
            return compiled
        watch.compiled += 1
        if len(watch.graphs) < _MOST:
            watch.graphs.append(kept)
        return watch.counted(compiled) if watch.entries else compiled

    return call_user_compiler


def _wrapper(watch, original):
    def __call__(context, function):  # noqa: N807
        if len(watch.codes) < _MOST:
            watch.codes.append(code_of(function))
        if watch.wrapping:  # a module's wrapper makes one of its __call__
            return original(context, function)
        if len(watch.wrappers) < _MOST:
            watch.wrappers.append(name_of(function))
        watch.wrapping = True
        try:
            return original(context, function)
        finally:
            watch.wrapping = False

    return __call__


def _mode(watch, original):
    def __enter__(mode):  # noqa: N807
        kind = type(mode)
        if not (kind.__module__.startswith(_OWN_MODES) or _let_through(kind)):
            watch.modes[kind.__qualname__] = watch.modes.get(kind.__qualname__, 0) + 1
        return original(mode)

    return __enter__


def _let_through(kind):
    """Whether Dynamo compiles although this mode is active: selective checkpointing, torch's own debug mode."""
    told = getattr(kind, "ignore_compile_internals", None)  # not in 2.6
    try:
        return bool(told is not None and told())
    except Exception:
        return False


def _stance(watch, original):
    def _set_stance(stance):
        told = getattr(stance, "stance", None)
        if isinstance(told, str) and len(watch.stances) < _MOST:
            watch.stances.append(told)
        return original(stance)

    _set_stance._dynamo_forbidden = True
    return _set_stance


_OWN_MODES = (
    "torch._subclasses", "torch.fx", "torch._dynamo", "torch._inductor", "torch._functorch", "torch._export",
    "torch._higher_order_ops", "torch.utils.checkpoint",
)  # fmt: skip
"""Where PyTorch keeps the dispatch modes that its compiler itself works with, and that of selective checkpointing."""

_HOOKS = (
    ("torch._dynamo.output_graph", "OutputGraph", "call_user_compiler", _compiler),
    ("torch._dynamo.eval_frame", "OptimizeContext", "__call__", _wrapper),
    ("torch.utils._python_dispatch", "TorchDispatchMode", "__enter__", _mode),
    ("torch._dynamo.decorators", "", "_set_stance", _stance),  # 2.6 and later
)

_LOGGERS = ("torch._dynamo", "torch._inductor", "torch._functorch")


class _Ear(logging.Handler):
    """Keeps the compiler's warnings, which is all that some mechanisms leave, up to 2.3 above all."""

    def __init__(self, heard):
        super().__init__(logging.WARNING)
        self.heard = heard

    def emit(self, record):
        try:
            text = record.getMessage()
        except Exception:
            return
        if len(self.heard) < _MOST:
            self.heard.append(text[:1000])


# --- names -----------------------------------------------------------------------------------------------------------


def innermost(backend):
    """A backend without the wrappers that torch.compile puts around it."""
    for _ in range(8):
        inner = next((getattr(backend, name) for name in _WRAPPED if getattr(backend, name, None)), None)
        if inner is None:
            break
        backend = inner
    return backend


def backend_name(backend):
    """The name under which a person knows a backend: "inductor", "aot_eager", the name of their own function."""
    backend = innermost(backend)
    return str(getattr(backend, "compiler_name", None) or getattr(backend, "__name__", type(backend).__name__))


_WRAPPED = ("_torchdynamo_orig_backend", "_torchdynamo_orig_callable")
"""Where the wrappers of a backend keep what they wrap: the first since 2.10, the second before."""


def code_of(thing):
    """The code object that Dynamo compiles for a function, a bound method or a module; None if there is none."""
    inner = getattr(type(thing), "forward", thing) if hasattr(thing, "_call_impl") else thing
    return getattr(getattr(inner, "__func__", inner), "__code__", None)


def name_of(thing):
    """Class of a module, qualified name of a function, with the place of its code where there is one."""
    inner = getattr(thing, "__func__", thing)
    code = getattr(inner, "__code__", None)
    kind = getattr(inner, "__qualname__", None) or "%s.%s" % (type(thing).__module__, type(thing).__qualname__)
    return kind if code is None else "%s (%s:%d)" % (kind, code.co_filename, code.co_firstlineno)
