"""What a callable is made of, without calling it: compiled wrappers, disabled functions, self-compiled modules.

Runs inside the target: standard library and torch 2.1 or later, parses on Python 3.8. The bootstrap loads this file
under the name `torchdoctor_callables`. Nothing of the user's is run: attributes that are there are read, closures,
bound objects, named globals and submodules are followed, to a limit.
"""

import functools
import types

import torchdoctor_regions as regions

_MOST_OBJECTS = 5000
_MOST_NAMES = 5


class Parts:
    """Names found below one callable.

    `wrappers`: what torch.compile returned. `disabled`: functions and modules under torch.compiler.disable.
    `builtin`: modules of torch's own classes on which `Module.compile()` was called. `compiled`: the same of others.
    """

    def __init__(self):
        self.wrappers = []
        self.disabled = []
        self.builtin = []
        self.compiled = []


def look(torch, *things):
    """The Parts of callables and their arguments. An object that cannot be read is passed over."""
    parts, seen, todo = Parts(), set(), list(things)
    while todo and len(seen) < _MOST_OBJECTS:
        thing = todo.pop()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        try:
            if _worth(torch, thing):
                _note(torch, thing, parts)
                todo += _below(torch, thing)
        except Exception:  # somebody's own __getattr__ or descriptor
            continue
    for names in vars(parts).values():
        names[:] = sorted(set(names))[:_MOST_NAMES]
    return parts


def _note(torch, thing, parts):
    if _is_wrapper(thing):
        inner = getattr(thing, "_orig_mod", None) or thing._torchdynamo_orig_callable
        (parts.disabled if _is_disabled(thing) else parts.wrappers).append(regions.name_of(inner))
    elif isinstance(thing, torch.nn.Module) and thing.__dict__.get("_compiled_call_impl") is not None:
        own = type(thing).__module__.startswith("torch.")
        (parts.builtin if own else parts.compiled).append(regions.name_of(thing))


def _is_wrapper(thing):
    """Whether torch.compile or torch.compiler.disable returned it; parts of the compiler keep what they wrap alike."""
    # Read from the instance alone: a module asked for what it lacks may answer with somebody's code.
    if "_torchdynamo_orig_callable" not in getattr(thing, "__dict__", ()) or not callable(thing):
        return False
    code = getattr(thing, "__code__", None)
    return code is None or code.co_filename.replace("\\", "/").endswith(_MADE_IN)


_MADE_IN = ("_dynamo/eval_frame.py", "_dynamo/decorators.py")
"""Where PyTorch keeps the code of the functions that both return."""


def _is_disabled(thing):
    context = getattr(thing, "dynamo_ctx", None)
    return bool(vars(thing).get("_torchdynamo_disable")) or type(context).__name__ == "DisableContext"


def _below(torch, thing):
    """What `thing` refers to and may call; of a wrapper what it wraps, not the compiler."""
    if _is_wrapper(thing):
        return [getattr(thing, "_orig_mod", None) or thing._torchdynamo_orig_callable]
    if isinstance(thing, torch.nn.Module):
        return [*thing.children(), vars(type(thing)).get("forward"), *_values(thing)]
    if isinstance(thing, types.MethodType):
        return [thing.__self__, thing.__func__]
    if isinstance(thing, functools.partial):
        return [thing.func, *thing.args, *thing.keywords.values()]
    if isinstance(thing, types.FunctionType):
        return [*_closure(thing), *_globals(thing), *_values(thing), *(thing.__defaults__ or ())]
    if isinstance(thing, (list, tuple)):
        return thing[:100]
    if isinstance(thing, dict):
        return list(thing.values())[:100]
    return [*_values(thing), vars(type(thing)).get("__call__")]


def _values(thing):
    return list(getattr(thing, "__dict__", {}).values())[:100]


def _closure(function):
    found = []
    for cell in function.__closure__ or ():
        try:
            found.append(cell.cell_contents)
        except ValueError:  # not filled yet
            continue
    return found


def _globals(function):
    names = function.__code__.co_names
    return [function.__globals__[name] for name in names if name in function.__globals__]


def _worth(torch, thing):
    """Whether to follow it: not torch's own functions, whose insides are disabled for good reasons, nor plain data."""
    if thing is None or isinstance(thing, (str, bytes, int, float, torch.Tensor, types.ModuleType, type)):
        return False
    home = getattr(thing, "__module__", None) or ""
    own = isinstance(home, str) and home.startswith("torch.")
    return not own or isinstance(thing, torch.nn.Module) or _is_wrapper(thing)
