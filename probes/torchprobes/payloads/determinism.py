"""compute.determinism: does the same seed give the same bits, and which operations do not?

Runs inside the target: standard library and torch 2.1 or later, parses on Python 3.8. Each operation runs several times
on the same operands, first as the process is, then under `torch.use_deterministic_algorithms`, which also says which
operations it cannot make deterministic. Different bits are no wrong answer: additions came in another order.
"""

import os
import warnings

import torchdoctor_gpu as gpu
import torchdoctor_kit as kit
import torchdoctor_measure as measure

REPEATS = 5
STEPS = 3


def run(request):
    """The probe."""
    torch = kit.import_torch()
    where = measure.device(torch, request.device)
    gpu.tell_device(torch, where)
    kit.fact("env.CUBLAS_WORKSPACE_CONFIG", os.environ.get("CUBLAS_WORKSPACE_CONFIG"), "environment")
    kit.progress("the same seed twice", 0.1)
    kit.fact(
        "determinism.seed", _same_twice(torch, lambda: _drawn(torch, where)), "torch.manual_seed, randn on the device"
    )
    kit.progress("operations, repeated", 0.2)
    _round(torch, where, "default")
    kit.progress("training steps, repeated", 0.5)
    kit.fact("determinism.default.training", _same_twice(torch, lambda: _train(torch, where)), "%d steps" % STEPS)
    kit.progress("the same under deterministic algorithms", 0.6)
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        _round(torch, where, "deterministic")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            kit.fact(
                "determinism.deterministic.training",
                _same_twice(torch, lambda: _train(torch, where)),
                "%d steps" % STEPS,
            )
        _tell_warned("training", caught)
    finally:
        torch.use_deterministic_algorithms(False)


def _drawn(torch, where):
    torch.manual_seed(23)
    return torch.randn(1000, device=where)


def _same_twice(torch, make):
    first, again = make(), make()
    return "same" if torch.equal(first, again) else "different"


def _operations(torch, where):
    """Operations that add in parallel: their order, and so their last bits, may be left to the hardware."""
    functional = torch.nn.functional
    draw = torch.Generator().manual_seed(24)
    many, width = 200000, 64
    index = torch.randint(0, width, (many,), generator=draw).to(where)
    values = torch.randn(many, generator=draw).to(where)
    image = torch.randn(4, 8, 32, 32, generator=draw).to(where)
    weight = torch.randn(8, 8, 3, 3, generator=draw).to(where)
    table = torch.randn(width, 32, generator=draw).to(where)
    square = torch.randn(512, 512, generator=draw).to(where)
    return (
        ("matmul", lambda: square @ square),
        ("index_add", lambda: torch.zeros(width, device=where).index_add(0, index, values)),
        ("scatter_add", lambda: torch.zeros(width, device=where).scatter_add(0, index, values)),
        ("cumsum", lambda: values.cumsum(0)),
        ("embedding backward", lambda: _gradient(torch, lambda w: functional.embedding(index[:20000], w), table)),
        ("convolution backward", lambda: _gradient(torch, lambda w: functional.conv2d(image, w), weight)),
        ("interpolate backward", lambda: _gradient(torch, lambda x: _resized(functional, x), image)),
    )


def _resized(functional, x):
    return functional.interpolate(x, scale_factor=1.7, mode="bilinear", align_corners=False)


def _gradient(torch, function, x):
    x = x.detach().clone().requires_grad_()
    out = function(x)
    out.backward(torch.sin(torch.arange(out.numel(), device=out.device, dtype=out.dtype)).view_as(out))
    return x.grad


def _round(torch, where, mode):
    """Facts of each operation in this mode: same, different (and by how much), or what it raised."""
    for name, operation in _operations(torch, where):
        fact = "determinism.%s.%s" % (mode, name)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                first = operation()
                others = [operation() for _ in range(REPEATS - 1)]
            except Exception as error:
                kit.raised(fact, error)
                continue
        worst = max(measure.difference(other, first) for other in others)
        same = all(torch.equal(other, first) for other in others)
        kit.fact(fact, "same" if same else "different", "%d times, largest difference %.2g" % (REPEATS, worst))
        if mode == "deterministic":
            _tell_warned(name, caught)


def _tell_warned(name, caught):
    """What PyTorch itself says that it cannot make deterministic."""
    texts = [str(w.message).splitlines()[0][:400] for w in caught if "determinis" in str(w.message)]
    if texts:
        kit.fact("determinism.warned.%s" % name, texts[0], "use_deterministic_algorithms(True, warn_only=True)")


def _train(torch, where):
    """All parameters after a few steps from the same seed, as one vector."""
    nn = torch.nn
    torch.manual_seed(25)
    model = nn.Sequential(
        nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.ReLU(), nn.Dropout(0.1), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(16 * 49, 32), nn.GELU(), nn.Linear(32, 8),
    ).to(where)  # fmt: skip
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    x, target = torch.randn(32, 3, 16, 16).to(where), (torch.arange(32) % 8).to(where)
    for _ in range(STEPS):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), target).backward()
        optimizer.step()
    return torch.cat([p.detach().flatten() for p in model.parameters()])
