"""Factories of a user's own model, in pairs: with a fault that torch.compile does not tell, and with its fix applied.

Read by `check --entry`; runs inside the target: torch 2.1 or later.
"""

import torch


class _Chain(torch.nn.Module):
    """What fusing helps: elementwise work on a tensor larger than the caches of a core."""

    def forward(self, x):
        for _ in range(6):
            x = torch.sin(x) * 1.5 + torch.cos(x)
        return x


def _inputs(device):
    torch.manual_seed(0)
    return (torch.randn(512, 1024, device=device),)


def sound(device):
    return torch.compile(_Chain()), _inputs(device)


class _Logging(_Chain):
    """A scale that is read back to the CPU in the middle of the step."""

    def forward(self, x):
        x = super().forward(x)
        scale = x.abs().max().item()
        return super().forward(x / (scale + 1.0))


class _Quiet(_Chain):
    def forward(self, x):
        x = super().forward(x)
        return super().forward(x / (x.abs().max() + 1.0))


def item(device):
    return torch.compile(_Logging()), _inputs(device)


def item_cured(device):
    return torch.compile(_Quiet()), _inputs(device)


def backend(device):
    return torch.compile(_Chain(), backend="eager"), _inputs(device)


_CHAIN = _Chain()


def _named(x, name):
    """A name that changes with every batch: a guard on it fails at every call."""
    return _CHAIN(x) * len(name + "x")


def storm(device):
    compiled, calls = torch.compile(_named), []
    torch._dynamo.config.cache_size_limit = torch._dynamo.config.accumulated_cache_size_limit = 10_000

    def step(x):
        calls.append(None)
        return compiled(x, f"batch-{len(calls):05d}")

    return step, _inputs(device)


def _sized(x, size):
    return _CHAIN(x) * size


def storm_cured(device):
    compiled, calls = torch.compile(_sized), []

    def step(x):
        calls.append(None)
        return compiled(x, torch.tensor(len(f"batch-{len(calls):05d}") + 1.0, device=x.device))

    return step, _inputs(device)


def limit(device):
    """A length that changes at every call, and dynamic shapes forbidden."""
    compiled, calls = torch.compile(_Chain(), dynamic=False), []

    def step(x):
        calls.append(None)
        return compiled(x[: 256 + len(calls) % 200])[:256]

    return step, _inputs(device)


def limit_cured(device):
    compiled, calls = torch.compile(_Chain(), dynamic=True), []

    def step(x):
        calls.append(None)
        return compiled(x[: 256 + len(calls) % 200])[:256]

    return step, _inputs(device)


def counted(device):
    """FLOPs are counted around every step."""
    from torch.utils.flop_counter import FlopCounterMode

    compiled = torch.compile(_Chain())

    def step(x):
        with FlopCounterMode(display=False):
            return compiled(x)

    return step, _inputs(device)


@torch.compiler.disable
def _normalised(x):
    return x / (x.abs().amax() + 1.0)


def _plain(x):
    return x / (x.abs().amax() + 1.0)


class _Helped(_Chain):
    def __init__(self, helper):
        super().__init__()
        self.helper = helper

    def forward(self, x):
        return super().forward(self.helper(super().forward(x)))


def disabled(device):
    return torch.compile(_Helped(_normalised)), _inputs(device)


def disabled_cured(device):
    return torch.compile(_Helped(_plain)), _inputs(device)


def past(device):
    """The model is compiled in place, and its forward is called instead of the model."""
    model = _Chain()
    model.compile()

    def step(x):
        return model.forward(x)

    return step, _inputs(device)


class _Branching(torch.nn.Module):
    """A branch on the data: no graph holds both sides."""

    def forward(self, x):
        return torch.sin(x) if x.sum() > 0 else torch.cos(x)


class _Conditional(torch.nn.Module):
    def forward(self, x):
        return torch.cond(x.sum() > 0, torch.sin, torch.cos, (x,))


def branching(device):
    return _Branching(), _inputs(device)


def branching_cured(device):
    return _Conditional(), _inputs(device)
