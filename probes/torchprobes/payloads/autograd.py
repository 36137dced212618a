"""compute.autograd: are gradients right here, are they all there, and would it be seen if they were not?

Runs inside the target: standard library and torch 2.1 or later, parses on Python 3.8. `torch.autograd.gradcheck`
compares analytic gradients with finite differences in float64, on the device. A function whose backward is wrong on
purpose must be caught by it: without that, a pass would mean nothing.
"""

import torchdoctor_gpu as gpu
import torchdoctor_kit as kit
import torchdoctor_measure as measure

TOLERANCE = 1e-7
"""Two backward passes may differ by this: atomic additions in float64 come in any order."""


def run(request):
    """The probe."""
    torch = kit.import_torch()
    where = measure.device(torch, request.device)
    gpu.tell_device(torch, where)
    try:
        torch.ones(2, dtype=torch.float64, device=where).sum().item()
    except Exception as error:
        raise kit.Skip("gradcheck needs float64, which %s lacks: %s" % (where, measure.first_line(error)))
    torch.manual_seed(22)
    cases = _cases(torch)
    for index, (name, function, shapes) in enumerate(cases):
        kit.progress("gradcheck of %s" % name, index / (len(cases) + 2))
        _check(torch, where, name, function, shapes)
    kit.progress("a backward that is wrong on purpose", 0.8)
    _detector(torch, where)
    kit.progress("one training step", 0.9)
    for label, dtype in (("fp32", None), ("bf16", torch.bfloat16)):
        try:
            _step(torch, where, label, dtype)
        except Exception as error:
            kit.raised("autograd.step.%s" % label, error)


def _cases(torch):
    functional = torch.nn.functional
    return (
        ("linear", functional.linear, ((3, 5), (4, 5), (4,))),
        ("conv", lambda x, w, b: functional.conv2d(x, w, b, padding=1), ((2, 3, 5, 5), (4, 3, 3, 3), (4,))),
        ("attention", functional.scaled_dot_product_attention, ((1, 2, 4, 3),) * 3),
        ("layernorm", lambda x, w, b: functional.layer_norm(x, (6,), w, b), ((3, 6), (6,), (6,))),
        ("custom", _cube(torch, 3.0).apply, ((4, 3),)),
    )


def _cube(torch, factor):
    """x^3 as a function of one's own; its backward is right for factor 3 only."""

    class Cube(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx, gradient):
            (x,) = ctx.saved_tensors
            return gradient * factor * x**2

    return Cube


def _operands(torch, where, shapes):
    return tuple(torch.randn(shape, dtype=torch.float64).to(where).requires_grad_() for shape in shapes)


def _check(torch, where, name, function, shapes):
    fact = "autograd.gradcheck.%s" % name
    try:
        torch.autograd.gradcheck(function, _operands(torch, where, shapes), nondet_tol=TOLERANCE)
        kit.fact(fact, "right", "torch.autograd.gradcheck, float64")
    except torch.autograd.gradcheck.GradcheckError as error:
        kit.fact(fact, "wrong", " ".join(str(error).split())[:600])
    except Exception as error:
        kit.raised(fact, error)


def _detector(torch, where):
    caught = not torch.autograd.gradcheck(
        _cube(torch, 3.01).apply, _operands(torch, where, ((4, 3),)), raise_exception=False
    )
    kit.fact("autograd.detector", caught, "a backward that is 0.3 % too large")


def _step(torch, where, label, dtype):
    """One step of a small network, in bf16 under autocast: every parameter has a gradient, finite, and not all zero."""
    nn = torch.nn
    torch.manual_seed(23)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 16), nn.LayerNorm(16),
        nn.GELU(), nn.Linear(16, 4),
    ).to(where)  # fmt: skip
    x, target = torch.randn(16, 3, 8, 8).to(where), (torch.arange(16) % 4).to(where)
    with torch.autocast(where.type, dtype=dtype, enabled=dtype is not None):
        loss = nn.functional.cross_entropy(model(x), target)
    loss.backward()
    named = list(model.named_parameters())
    missing = [name for name, p in named if p.grad is None]
    bad = [name for name, p in named if p.grad is not None and not bool(torch.isfinite(p.grad).all())]
    # A constant added before a batch norm has no effect: its gradient is 0 up to rounding.
    zero = [name for name, p in named if p.grad is not None and name != "0.bias" and not bool(p.grad.any())]
    kit.figure("gradients", len(named) - len(missing), "gradients", step=label)
    for what, names in (("missing", missing), ("not_finite", bad), ("zero", zero)):
        kit.fact("autograd.step.%s.%s" % (label, what), len(names), ", ".join(names))
