"""Programs of mechanisms that a real GPU shows: CUDA graphs that are skipped, vanish or are recorded again.

Runs inside the target: standard library and torch 2.9 or later, parses on Python 3.8. Beside `mechanism_programs`;
all are examined in one process, so what they change in a configuration is put back by the payload.
"""

import types

from mechanism_programs import chain_of, only_math


def _x(torch, *shape):
    return torch.randn(*shape or (64, 64), device="cuda")


def _model(torch):
    nn = torch.nn
    return nn.Sequential(nn.Linear(64, 64), nn.GELU(), nn.Linear(64, 64), nn.ReLU()).eval().cuda()


def _no_grad(torch, function, *args):
    def step():
        with torch.no_grad():
            return function(*args)

    return step, (function,)


def graphs_sound(torch, backend):
    """0: nothing wrong: one launch a step."""
    return _no_grad(torch, torch.compile(_model(torch), mode="reduce-overhead"), _x(torch))


def graphs_with_a_cpu_op(torch, backend):
    """0: an operation on the CPU splits the recording in two, and both halves are launched."""

    def with_cpu(x):
        y = (x * 2).relu()
        on_cpu = y.sum().cpu() + 1
        return (y + on_cpu.to("cuda", non_blocking=True)).sigmoid()

    return _no_grad(torch, torch.compile(with_cpu, mode="reduce-overhead"), _x(torch))


def graphs_mutated(torch, backend):
    """21: the input is changed in place."""

    def mutate(x):
        x.add_(1)
        return (x * 2).relu()

    return _no_grad(torch, torch.compile(mutate, mode="reduce-overhead"), _x(torch))


def graphs_vanish(torch, backend):
    """22: every operation has a dynamic shape and those are not to be recorded: no partition is left."""
    torch._inductor.config.triton.cudagraph_skip_dynamic_graphs = True
    return _no_grad(torch, torch.compile(chain_of(torch), mode="reduce-overhead", dynamic=True), _x(torch))


def graphs_moved_weights(torch, backend):
    """23: the weights are at a new address at every step."""
    model, x, kept = _model(torch), _x(torch), []
    compiled = torch.compile(model, mode="reduce-overhead")

    def step():
        for parameter in model.parameters():
            kept.append(parameter.data)
            parameter.data = parameter.data.clone()
        with torch.no_grad():
            return compiled(x)

    return step, (compiled,)


def graphs_new_shapes(torch, backend):
    """23: every step has a new shape, and each wants a recording of its own."""
    compiled, rows = torch.compile(_model(torch), mode="reduce-overhead", dynamic=True), iter(range(3, 1000))

    def step():
        with torch.no_grad():
            return compiled(_x(torch, next(rows), 64))

    return step, (compiled,)


def attention_on_a_gpu(torch, backend):
    """0: nothing wrong: a fused attention kernel. Of a shape of its own: the caches of the compiler do not tell apart
    under which backend of attention a graph was traced."""
    return _attend(torch, heads=8)


def attention_math_on_a_gpu(torch, backend):
    """28: the fused kernels are switched off."""
    step, parts = _attend(torch)

    def math():
        with only_math(torch):
            return step()

    return math, parts


def _attend(torch, heads=4):
    q = torch.randn(2, heads, 256, 64, device="cuda", dtype=torch.float16)

    def attend(x):
        return torch.nn.functional.scaled_dot_product_attention(x, x, x) * 2

    return _no_grad(torch, torch.compile(attend), q)


ON_A_GPU = {
    name: value
    for name, value in sorted(globals().items())
    if isinstance(value, types.FunctionType) and (value.__doc__ or "")[:1].isdigit()
}
"""Every program of this file by its name."""
