"""Functions that a graph breaks in, each for one known cause; the line that breaks it ends with `# trap`.

Part of compile.breaks. Each takes a float tensor of shape (4, 4) and gives a tensor, compiled or not the same. Loaded
as `torchdoctor_traps`; standard library and torch, parses on Python 3.8.
"""

import logging
import os

_log = logging.getLogger("torchdoctor.traps")
_log.addHandler(logging.NullHandler())
_log.propagate = False


class Trap:
    """`name`, the function, and what Dynamo's words must contain to be about this cause (a regular expression)."""

    def __init__(self, name, function, words):
        self.name = name
        self.function = function
        self.words = words


def corpus(torch, where):
    """Every trap that this environment can set; numpy's only where numpy is."""
    made = [
        Trap("print", _prints, r"print"),
        Trap("logging", _logs, r"[Ll]ogg"),
        Trap("item", _item, r"item|local_scalar_dense"),
        Trap("branch", _branch, r"branch|jump|control flow"),
        Trap("shape-from-data", _shape_from_data, r"[Dd]ynamic shape|nonzero"),
        Trap("file", _file, r"open"),
        Trap("generator", _generator, r"[Gg]enerator"),
        Trap("graph_break()", _asks_for_it(torch), r"graph_break"),
        Trap("disabled function", _calls_disabled(torch), r"disable"),
        Trap("hook", _hooked(torch), r"print"),
        Trap("custom operator", _operator(torch, where), r"operator|fake"),
    ]
    try:
        import numpy
    except Exception:
        return made
    return [*made, Trap("numpy", _numpy(numpy), r"[Nn]umpy|local_scalar_dense|float")]


def plain(x):
    """The control: nothing here breaks a graph."""
    return (x + 1).relu() * 2


def _prints(x):
    y = x + 1
    print("", end="")  # noqa: T201 # trap
    return y * 2


def _logs(x):
    y = x + 1
    _log.warning("torchdoctor: a trap")  # trap
    return y * 2


def _item(x):
    y = x + 1
    return y * y.sum().item()  # trap


def _branch(x):
    y = x + 1
    if y.sum() > 0:  # trap
        return y * 2
    return y * 3


def _shape_from_data(x):
    y = x + 1
    return y.nonzero().sum() + y  # trap


def _file(x):
    y = x + 1
    file = open(os.devnull)  # trap
    file.close()
    return y * 2


def _generator(x):  # trap
    y = x + 1
    yield y * 2


def _asks_for_it(torch):
    def asks(x):
        y = x + 1
        torch._dynamo.graph_break()  # trap
        return y * 2

    return asks


def _calls_disabled(torch):
    @torch._dynamo.disable
    def disabled(x):
        return x * 3

    def calls(x):
        return disabled(x + 1) * 2  # trap

    return calls


def _hooked(torch):
    module = torch.nn.ReLU()

    def hook(module, args, out):
        print("", end="")  # noqa: T201 # trap

    module.register_forward_hook(hook)

    def hooked(x):
        return module(x + 1) * 2

    return hooked


def _operator(torch, where):
    """An operator with a kernel and nothing that tells its result's shape: how a custom operator usually begins."""
    library = torch.library.Library("torchdoctor_trap", "DEF")
    library.define("doubled(Tensor x) -> Tensor")
    library.impl("doubled", lambda x: x * 2, _dispatch_key(torch, where))

    def operator(x):
        y = x + 1
        return torch.ops.torchdoctor_trap.doubled(y) * 3  # trap

    operator.library = library  # an operator lives as long as its library
    return operator


def _dispatch_key(torch, where):
    key_of = getattr(torch._C, "_dispatch_key_for_device", None)
    return key_of(where.type) if key_of is not None else where.type.upper()


def _numpy(numpy):
    def counts(x):
        y = x + 1
        return y * float(numpy.sum(y.detach().cpu().numpy()))  # trap

    return counts
