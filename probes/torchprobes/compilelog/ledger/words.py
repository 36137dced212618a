"""What a failed guard means, and what would stop it from failing: one row a kind of guard."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from .guards import AFTER_ALL, STATIC, Guard

_DTYPES: Final = {
    "Float": "float32",
    "Double": "float64",
    "Half": "float16",
    "BFloat16": "bfloat16",
    "Long": "int64",
    "Int": "int32",
    "Short": "int16",
    "Byte": "uint8",
    "Char": "int8",
    "Bool": "bool",
}
"""c10's names of dtypes, and the user's."""

_MADE_BY_BREAK: Final = "___stack"
"""What Dynamo calls a value that was left on the stack at a graph break."""


@dataclass(frozen=True, slots=True)
class Words:
    """How a kind of guard is told: what was expected and came, and what would end it."""

    reason: Callable[[Guard], str]
    stop: Callable[[Guard], str]


def reason(guard: Guard, actual: str = "") -> str:
    """Why the call did not fit: what came, and what the code was compiled for."""
    known = guard if guard.actual or not actual else replace(guard, actual=actual)
    return _WORDS.get(guard.kind, _OTHER).reason(known)


def stop(guard: Guard, actual: str = "") -> str:
    """What would stop this guard from failing again and again; "" where nothing general can be said."""
    known = guard if guard.actual or not actual else replace(guard, actual=actual)
    return _WORDS.get(guard.kind, _OTHER).stop(known)


def _source(guard: Guard) -> str:
    if guard.source.startswith(_MADE_BY_BREAK):
        return "a value from before the graph break"
    return guard.source or "a value"


def _change(what: str, guard: Guard) -> str:
    if guard.actual and guard.expected:
        return f"{what} is {guard.actual}, it was compiled for {guard.expected}"
    if guard.expected:
        return f"{what} is not {guard.expected}, for which it was compiled"
    return f"{what} has changed"


def _size(guard: Guard) -> str:
    what = f"size {guard.at} of {_source(guard)}" if guard.at else f"the size of {_source(guard)}"
    if guard.step < AFTER_ALL:
        return _change(what, guard)
    came = f"{what} is {guard.actual}" if guard.actual else f"{what} does not fit"
    if _is_specialised(guard):
        came = f"{what} is {guard.actual or '0 or 1'}"
        return f"{came}: sizes 0 and 1 are compiled for themselves, a dynamic size starts at 2"
    return f"{came}: it was compiled for {guard.expected}"


def _is_specialised(guard: Guard) -> bool:
    """A size that is guarded by nothing but the lower bound of all dynamic sizes is 0 or 1 where that fails."""
    if not guard.expected.startswith("2 <= "):
        return False
    return guard.actual in ("0", "1") or not (guard.actual or "<=" in guard.expected[5:])


def _stop_size(guard: Guard) -> str:
    if _is_specialised(guard):
        unbacked = f"torch._dynamo.decorators.mark_unbacked({_argument(guard)})"
        return f"pad or skip a size of {guard.actual or '0 or 1'}, or {unbacked}"
    if guard.expected.count(".size()") > 1:
        return "keep these sizes in the same relation, or take one compile for each"
    if guard.step == AFTER_ALL:
        return f"the code branches on this size: make one branch serve all of {guard.source}'s sizes"
    return f"torch._dynamo.mark_dynamic({_argument(guard)}), or torch.compile(dynamic=True)"


def _argument(guard: Guard) -> str:
    return ", ".join(part for part in (guard.source or "x", guard.at) if part)


def _dtype(guard: Guard) -> str:
    expected, actual = (_DTYPES.get(name, name) for name in (guard.expected, guard.actual))
    return _change(f"the dtype of {_source(guard)}", replace(guard, expected=expected, actual=actual))


def _value(guard: Guard) -> str:
    if guard.step == AFTER_ALL:
        return f"{_source(guard)} does not fit: it was compiled for {guard.expected}"
    return _change(_source(guard), guard)


def _stop_value(guard: Guard) -> str:
    if guard.source.startswith(_MADE_BY_BREAK):
        return "keep .item() in the graph (torch._dynamo.config.capture_scalar_outputs = True), or keep it a tensor"
    if guard.source.endswith(".training"):
        return "one compile for train() and one for eval() is as it must be; change it for all modules at once"
    if guard.at == STATIC or ("." in guard.source and guard.expected.lstrip("-").isdecimal()):
        return (
            f"make {guard.source} a tensor; of an nn.Module, torch._dynamo.config.allow_unspec_int_on_nn_module = True"
        )
    return f"pass {guard.source or 'it'} as a tensor, or as few different values as there must be"


def _state(guard: Guard) -> str:
    what = guard.actual.replace("grad_mode", "grad mode").strip()
    return f"torch's global state has changed: {what}" if what else "torch's global state has changed"


def _grad(guard: Guard) -> str:
    return (
        "gradients are on, it was compiled without"
        if guard.expected
        else "gradients are off, it was compiled with them"
    )


def _keys(guard: Guard) -> str:
    if guard.at.isdecimal():
        came = f", is {guard.actual} now" if guard.actual else " when it was compiled"
        return f"the keys of {_source(guard)} have changed: key {guard.at} was {guard.expected}{came}"
    if guard.expected and not guard.expected.startswith(("[", "{", "dict_keys")):
        without = "with" if guard.at else "without"
        return f"{_source(guard)} came {without} the key {guard.expected}"
    return f"the keys of {_source(guard)} have changed"


def _length(guard: Guard) -> str:
    return _change(f"the length of {_source(guard)}", guard)


def _fixed(text: str) -> Callable[[Guard], str]:
    return lambda guard: text.format(source=_source(guard), guard=guard.text, expected=guard.expected or "its kind")


_SAME_STATE: Final = "call it in the same state each time: grad mode, autocast, default dtype and device set once"

_WORDS: Final = {
    "size": Words(_size, _stop_size),
    "stride": Words(
        lambda guard: _change(f"stride {guard.at} of {_source(guard)}", guard),
        _fixed("give it the same layout each time: {source}.contiguous() before the call"),
    ),
    "dtype": Words(_dtype, _fixed("cast {source} to one dtype before the call")),
    "device": Words(
        lambda guard: _change(f"the device of {_source(guard)}", guard), _fixed("keep {source} on one device")
    ),
    "requires_grad": Words(
        lambda guard: _change(f"requires_grad of {_source(guard)}", guard),
        _fixed("call it with {source} always, or never, in need of gradients (detach())"),
    ),
    "rank": Words(
        lambda guard: _change(f"the number of dimensions of {_source(guard)}", guard),
        _fixed("give {source} the same number of dimensions each time"),
    ),
    "dispatch keys": Words(
        _fixed("{source} is a tensor of another sort than before (inference mode, subclass, conjugate or device)"),
        _fixed("make {source} in the same way each time: no mix of inference_mode and normal tensors"),
    ),
    "type": Words(
        lambda guard: _change(f"the type of {_source(guard)}", guard), _fixed("pass {source} with one type each time")
    ),
    "value": Words(_value, _stop_value),
    "attribute": Words(
        _fixed("{source} has, or no longer has, the attribute {expected}"),
        _fixed("mark or set up {source} in the same way on every call"),
    ),
    "object": Words(
        _fixed("{source} is another object than the one it was compiled for"),
        _fixed("make {source} once, outside of what is called again and again"),
    ),
    "global state": Words(_state, _fixed(_SAME_STATE)),
    "grad mode": Words(_grad, _fixed(_SAME_STATE)),
    "backend": Words(
        _fixed("it is compiled with another backend or other options"),
        _fixed("compile it once, with one backend and one set of options"),
    ),
    "length": Words(_length, _fixed("keep the length of {source} the same, or stack it into one tensor")),
    "keys": Words(_keys, _fixed("give {source} the same keys, in the same order, each time")),
    "aliasing": Words(
        _fixed("two arguments are the same tensor, or no longer are"),
        _fixed("pass separate tensors, or clone one of them"),
    ),
}

_OTHER: Final = Words(_fixed("a guard failed: {guard}"), lambda guard: "")
