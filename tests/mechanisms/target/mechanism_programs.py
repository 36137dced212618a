"""Small programs that silently get nothing from torch.compile, one for each mechanism, and how each does it.

Runs inside the target: standard library and torch 2.1 or later, parses on Python 3.8. Each takes torch and the
backend to compile with, and returns (step, parts): a function without arguments, and the callables that it is made of,
as a user's factory would hand them over. `torch._dynamo.reset()` is never called: each runs in a process of its own.
"""

import types


class Absent(Exception):
    """Raised by a program that this PyTorch has no switch for; the text says what is missing."""


def chain_of(torch):
    """A function of three operations."""

    def chain(x):
        return (x * 2 + 1).relu()

    return chain


def arange(torch, *shape):
    return torch.arange(float(torch.Size(shape or (4, 8)).numel())).reshape(shape or (4, 8))


class _Broken:
    """A backend that raises until it is repaired."""

    def __init__(self, backend=None):
        self.backend = backend

    def __call__(self, graph_module, example_inputs):
        if self.backend is None:
            raise RuntimeError("no such kernel")
        return graph_module.forward


def suppressed_error(torch, backend):
    """1: the backend raises, suppress_errors makes that eager."""
    torch._dynamo.config.suppress_errors = True
    f, x = torch.compile(chain_of(torch), backend=_Broken()), arange(torch)
    return lambda: f(x), (f,)


def suppressed_by_zero(torch, backend):
    """1: the same by TORCHDYNAMO_SUPPRESS_ERRORS=0, which turns it on."""
    f, x = torch.compile(chain_of(torch), backend=_Broken()), arange(torch)
    return lambda: f(x), (f,)


def never_retried(torch, backend):
    """2: the backend works again, and the frame is still eager."""
    torch._dynamo.config.suppress_errors = True
    broken, x = _Broken(), arange(torch)
    f = torch.compile(chain_of(torch), backend=broken)
    f(x)
    broken.backend = backend
    return lambda: f(x), (f,)


def graph_break(torch, backend):
    """3: Python between two graphs."""

    def split(x):
        y = x * 2
        print(end="")
        return y.relu() + 1

    f, x = torch.compile(split, backend=backend), arange(torch)
    return lambda: f(x), (f,)


def unsupported_generator(torch, backend):
    """4: the frame of a generator is never compiled."""

    def pieces(x):
        for row in (0, 1):
            yield (x[row] * 2).relu()

    f, x = torch.compile(pieces, backend=backend), arange(torch)
    return lambda: sum(f(x)), (f,)


def unsupported_transform(torch, backend):
    """4: a compiled function called inside vmap."""
    f, x = torch.compile(chain_of(torch), backend=backend), arange(torch)
    step = torch.func.vmap(f)
    return lambda: step(x), (f,)


def _limit(torch, value):
    config = torch._dynamo.config
    setattr(config, "recompile_limit" if hasattr(config, "recompile_limit") else "cache_size_limit", value)


def recompile_limit(torch, backend):
    """5: a new shape at each call, and no more variants allowed."""
    _limit(torch, 2)
    f = torch.compile(chain_of(torch), backend=backend, dynamic=False)
    shapes = iter(range(2, 200))
    return lambda: f(arange(torch, next(shapes), 3)), (f,)


def limit_poisons(torch, backend):
    """6: the limit reached through one wrapper stops another of the same function, for any shape."""
    _limit(torch, 2)
    chain = chain_of(torch)
    first = torch.compile(chain, backend=backend, dynamic=False)
    for rows in range(2, 7):
        first(arange(torch, rows, 3))
    f, x = torch.compile(chain, backend=backend, dynamic=True), arange(torch, 50, 3)
    return lambda: f(x), (f,)


def recompiles_each_call(torch, backend):
    """7: a string that changes at each call; slow, and far from the limit."""
    _limit(torch, 100)
    chain = chain_of(torch)

    def named(x, name):
        return chain(x) * len(name + "x")

    f, x, names = torch.compile(named, backend=backend), arange(torch), iter(map(str, range(1000)))
    return lambda: f(x, next(names)), (f,)


def _set_stance(torch):
    if not hasattr(torch.compiler, "set_stance"):
        raise Absent("torch.compiler.set_stance is in 2.6 and later")
    return torch.compiler.set_stance


def stance_force_eager(torch, backend):
    """8: a stance around the step."""
    stance = _set_stance(torch)
    f, x = torch.compile(chain_of(torch), backend=backend), arange(torch)

    def step():
        with stance("force_eager"):
            return f(x)

    return step, (f,)


def stance_eager_on_recompile(torch, backend):
    """8: a stance for the whole process, set before the shape changed."""
    stance = _set_stance(torch)
    f = torch.compile(chain_of(torch), backend=backend, dynamic=False)
    f(arange(torch, 2, 3))
    stance("eager_on_recompile")
    x = arange(torch, 5, 3)
    return lambda: f(x), (f,)


def plain(torch, backend):
    """9, 10: nothing wrong but the environment."""
    f, x = torch.compile(chain_of(torch), backend=backend), arange(torch)
    return lambda: f(x), (f,)


def _disable(torch):
    return getattr(torch.compiler, "disable", None) or torch._dynamo.disable


def disabled_forward(torch, backend):
    """11: the model's own forward is disabled."""
    chain = chain_of(torch)

    class Model(torch.nn.Module):
        @_disable(torch)
        def forward(self, x):
            return chain(x)

    f, x = torch.compile(Model(), backend=backend), arange(torch)
    return lambda: f(x), (f,)


def disabled_inner(torch, backend):
    """11: a function that the model calls is disabled, and splits it."""
    inner = _disable(torch)(chain_of(torch))

    def outer(x):
        return (inner(x * 3) - 1).abs()

    f, x = torch.compile(outer, backend=backend), arange(torch)
    return lambda: f(x), (f,)


def compile_of_a_builtin(torch, backend):
    """12: Module.compile() on a class of torch.nn."""
    model, x = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.ReLU()).eval(), arange(torch)
    model.compile(backend=backend)
    return lambda: model(x), (model,)


def _model(torch):
    chain = chain_of(torch)

    class Model(torch.nn.Module):
        def forward(self, x):
            return chain(x)

        def generate(self, x):
            return self.forward(x) + 1

    return Model().eval()


def wrapper_unused(torch, backend):
    """13: what torch.compile returned is not what is called."""
    model, x = _model(torch), arange(torch)
    torch.compile(model, backend=backend)
    return lambda: model(x), (model,)


def forward_called(torch, backend):
    """13: m.compile(), and then m.forward(x)."""
    model, x = _model(torch), arange(torch)
    model.compile(backend=backend)
    return lambda: model.forward(x), (model,)


def other_method_called(torch, backend):
    """13: torch.compile(m).generate(x): only forward is compiled."""
    f, x = torch.compile(_model(torch), backend=backend), arange(torch)
    return lambda: f.generate(x), (f,)


def flop_counter(torch):
    from torch.utils.flop_counter import FlopCounterMode

    try:
        return FlopCounterMode(display=False)
    except TypeError:  # 2.1 and 2.2 ask for the modules
        return FlopCounterMode(torch.nn.Identity(), display=False)


def dispatch_mode(torch, backend):
    """14: FLOPs counted around the step."""
    f, x = torch.compile(chain_of(torch), backend=backend), arange(torch)

    def step():
        with flop_counter(torch):
            return f(x)

    return step, (f,)


def dispatch_mode_once(torch, backend):
    """15: FLOPs counted once, on the compiled function, before it is used."""
    f, x = torch.compile(chain_of(torch), backend=backend), arange(torch)
    with flop_counter(torch):
        f(x)
    return lambda: f(x), (f,)


def backend_eager(torch, backend):
    """16: backend="eager" left from debugging."""
    f, x = torch.compile(chain_of(torch), backend="eager"), arange(torch)
    return lambda: f(x), (f,)


def backend_aot_eager(torch, backend):
    """16: backend="aot_eager" left from debugging."""
    f, x = torch.compile(chain_of(torch), backend="aot_eager"), arange(torch)
    return lambda: f(x), (f,)


def all_extern(torch, backend):
    """17: every operation is a library's."""

    def singular(x):
        return torch.linalg.svd(x)[1]

    f, x = torch.compile(singular), arange(torch, 8, 8)
    return lambda: f(x), (f,)


def no_compiler(torch, backend):
    """18: no C++ compiler, said aloud."""
    from torch._inductor import config

    config.cpp.cxx = (None, "no-such-compiler")
    f, x = torch.compile(chain_of(torch)), arange(torch)
    return lambda: f(x), (f,)


def mode_flips(torch, backend):
    """24: one model called with gradients, without, in inference mode, and in another dtype."""
    f, x = torch.compile(chain_of(torch), backend=backend), arange(torch).requires_grad_()

    def step():
        f(x)
        with torch.no_grad():
            f(x)
        with torch.inference_mode():
            f(x)
        with torch.no_grad():
            return f(x.double())

    return step, (f,)


def caches_off(torch, backend):
    """25: TORCHINDUCTOR_FORCE_DISABLE_CACHES=1 (and before 2.5 the default)."""
    f, x = torch.compile(chain_of(torch)), arange(torch)
    return lambda: f(x), (f,)


def cache_bypassed(torch, backend):
    """25: a pass of the user's own without an identity makes every graph bypass the cache."""
    from torch._inductor import config

    try:
        config.post_grad_custom_post_pass = lambda graph: None
    except AttributeError as error:
        raise Absent(str(error)) from None
    return caches_off(torch, backend)


def traced(torch, backend):
    """26: a compiled function traced by FX."""
    f = torch.compile(chain_of(torch), backend=backend)
    f(arange(torch))
    return lambda: torch.fx.symbolic_trace(f), (f,)


def attention_math(torch, backend):
    """28: attention runs the math kernel, because the others are switched off."""
    from torch.nn.functional import scaled_dot_product_attention as attention

    q = torch.ones(1, 2, 16, 8)

    def attend(x):
        return attention(x, x, x) * 2

    f = torch.compile(attend, backend=backend)

    def step():
        with only_math(torch):
            return f(q)

    return step, (f,)


def only_math(torch):
    """Attention with all fused kernels switched off."""
    kernels = getattr(torch.nn, "attention", None)
    if hasattr(kernels, "sdpa_kernel"):
        return kernels.sdpa_kernel(kernels.SDPBackend.MATH)
    return torch.backends.cuda.sdp_kernel(enable_flash=False, enable_mem_efficient=False, enable_math=True)


def through(graph_module, example_inputs):
    """A backend that costs nothing, for mechanisms that lie before the backend."""
    return graph_module.forward


BACKENDS = {"through": through, "inductor": "inductor"}

PROGRAMS = {
    name: value
    for name, value in sorted(globals().items())
    if isinstance(value, types.FunctionType) and (value.__doc__ or "")[:1].isdigit()
}
"""Every program by its name: those functions whose words begin with the number of a mechanism."""
