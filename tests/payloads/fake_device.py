"""A device of our own: PrivateUse1 as "doctor", written in Python, its tensors kept on the CPU.

Emulated: allocation, copies in and out, add and mul with a number. It stands in for a vendor's plug-in; the module is
imported through an entry point of `torch.backends`, or by its name. FAKE_DEVICE=wrong makes its products wrong, and
FAKE_DEVICE=broken makes its import fail. Needs torch._C._acc (2.10 and later).
"""

import os

if os.environ.get("FAKE_DEVICE") == "broken":
    raise ImportError("libdoctor.so.7: cannot open shared object file: No such file or directory")

import torch
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

_setup_privateuseone_for_python_backend("doctor")


class Held(torch.Tensor):
    """A tensor that says it is on the device, and the CPU tensor that it really is."""

    @staticmethod
    def __new__(cls, size, dtype, raw=None):
        made = torch._C._acc.create_empty_tensor(size, dtype)  # pyright: ignore[reportAttributeAccessIssue]
        made.__class__ = cls
        return made

    def __init__(self, size, dtype, raw=None):
        self.raw = torch.empty(size, dtype=dtype) if raw is None else raw


def wrap(raw):
    return Held(raw.shape, raw.dtype, raw)


def empty(size, dtype=None, layout=None, device=None, pin_memory=None, memory_format=None):
    return Held(size, dtype or torch.get_default_dtype())


def empty_strided(size, stride, dtype=None, layout=None, device=None, pin_memory=None):
    return Held(size, dtype or torch.get_default_dtype())


def copy_from(source, target, non_blocking=False):
    where = target.raw if isinstance(target, Held) else target
    where.copy_(source.raw if isinstance(source, Held) else source)
    return target


def multiplied(one, other):
    factor = 3 if os.environ.get("FAKE_DEVICE") == "wrong" else 1
    return wrap(one.raw * (other.raw if isinstance(other, Held) else other) * factor)


def added(one, other, alpha=1):
    return wrap(one.raw + alpha * (other.raw if isinstance(other, Held) else other))


LIBRARY = torch.library.Library("aten", "IMPL")
for name, function in (
    ("empty.memory_format", empty),
    ("empty_strided", empty_strided),
    ("_copy_from", copy_from),
    ("mul.Tensor", multiplied),
    ("add.Tensor", added),
):
    LIBRARY.impl(name, function, "PrivateUse1")


def autoload():
    """What the entry point names: there is nothing more to do."""
