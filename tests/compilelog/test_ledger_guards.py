"""Guards of all versions, read and told in words. Each text is as some torch wrote it."""

from __future__ import annotations

import time

import pytest

from torchprobes.compilelog.ledger.guards import AFTER_ALL, BEFORE_ALL, Guard, read_guard
from torchprobes.compilelog.ledger.names import function_name, is_foreign, source_name
from torchprobes.compilelog.ledger.words import reason, stop

WORDS = {
    "tensor 'L['x']' size mismatch at index 0. expected 2, actual 3": "size 0 of x is 3, it was compiled for 2",
    "tensor 'x' size mismatch at index 1. expected 4, actual 5": "size 1 of x is 5, it was compiled for 4",
    "tensor 'L['args'][0]' size mismatch at index 0. expected 16, actual 20": (
        "size 0 of args[0] is 20, it was compiled for 16"
    ),
    "tensor 'x' stride mismatch at index 0. expected 4, actual 1": "stride 0 of x is 1, it was compiled for 4",
    "tensor 'x' rank mismatch. expected 1, actual 2": "the number of dimensions of x is 2, it was compiled for 1",
    "tensor 'x' dtype mismatch. expected Float, actual Double": (
        "the dtype of x is float64, it was compiled for float32"
    ),
    "tensor 'L['x']' requires_grad mismatch. expected requires_grad=0": (
        "requires_grad of x is True, it was compiled for False"
    ),
    "tensor 'x' requires_grad mismatch. expected requires_grad=1": (
        "requires_grad of x is False, it was compiled for True"
    ),
    "tensor 'x' dispatch key set mismatch. expected DispatchKeySet(CPU), actual DispatchKeySet(CUDA)": (
        "x is a tensor of another sort than before (inference mode, subclass, conjugate or device)"
    ),
    "tensor 'x' Tensor device index mismatch. Expected device index to be 0, got 1 instead": (
        "the device of x is 1, it was compiled for 0"
    ),
    "expected type of 'L['m']' to be a tensor type, ' but found <class 'NoneType'>": (
        "the type of m is NoneType, it was compiled for a tensor"
    ),
    "___check_type_id(n, 140156588096736), type=<class 'int'>": "the type of n is not int, for which it was compiled",
    "___check_type_id(L['n'], 139645606526176)": "the type of n has changed",
    "___check_obj_id(L['fn'], 139645606526176)": "fn is another object than the one it was compiled for",
    "Cache line invalidated because L['self'] got deallocated": (
        "self is another object than the one it was compiled for"
    ),
    "L['s'] == 'a'": "s is not 'a', for which it was compiled",
    "flag == False                                            # return x.cos() + flag  # f.py:13 in g": (
        "flag is not False, for which it was compiled"
    ),
    "G['GL'] == 1": "GL is not 1, for which it was compiled",
    "L['___stack0'] == 1.8451122045516968": (
        "a value from before the graph break is not 1.8451122045516968, for which it was compiled"
    ),
    "L['h'].__closure__[0].cell_contents == 2": "closure variable 0 of h is not 2, for which it was compiled",
    "m is None": "m is not None, for which it was compiled",
    "len(L['xs']) == 2": "the length of xs is not 2, for which it was compiled",
    "len(d) != 1": "the length of d is not 1, for which it was compiled",
    "not L['xs']": "the length of xs is not empty, for which it was compiled",
    "list(dict.keys(d))[0] == 'a'": "the keys of d have changed: key 0 was 'a' when it was compiled",
    "list(L['d'].keys()) == ['a', 'b']": "the keys of d have changed",
    "'k' in L['d']": "d came without the key 'k'",
    "not ___dict_contains('k', L['d'])": "d came with the key 'k'",
    "hasattr(L['x'], '_dynamo_dynamic_indices') == False": (
        "x has, or no longer has, the attribute '_dynamo_dynamic_indices'"
    ),
    "GLOBAL_STATE changed: grad_mode ": "torch's global state has changed: grad mode",
    "___check_global_state()": "torch's global state has changed",
    "___is_grad_enabled()": "gradients are off, it was compiled with them",
    "not ___is_grad_enabled()": "gradients are on, it was compiled without",
    "___skip_backend_check() or ___current_backend() == ___lookup_backend(140)": (
        "it is compiled with another backend or other options"
    ),
    "2 <= L['x'].size()[0]": (
        "size 0 of x is 0 or 1: sizes 0 and 1 are compiled for themselves, a dynamic size starts at 2"
    ),
    "2 <= x.size()[0] <= 100  # if x.shape[0] > 100:  # d.py:5 in f": (
        "size 0 of x does not fit: it was compiled for 2 <= x.size()[0] <= 100"
    ),
    "L['y'].size()[0] == L['x'].size()[0]": (
        "size 0 of y does not fit: it was compiled for y.size()[0] == x.size()[0]"
    ),
    "Eq(Mod(s0, 8), 0) and something new": "a guard failed: Eq(Mod(s0, 8), 0) and something new",
}


@pytest.mark.parametrize("text", WORDS)
def test_in_words(text: str) -> None:
    assert reason(read_guard(text)) == WORDS[text]


@pytest.mark.parametrize("text", WORDS)
def test_every_known_kind_says_what_would_stop_it(text: str) -> None:
    guard = read_guard(text)
    assert bool(stop(guard)) == (guard.kind != "other")
    assert "{" not in stop(guard)


def test_what_stops_it_names_the_user_s_own() -> None:
    assert stop(read_guard("tensor 'L['x']' size mismatch at index 1. expected 4, actual 5")).startswith(
        "torch._dynamo.mark_dynamic(x, 1)"
    )
    assert "mark_unbacked(x, 0)" in stop(read_guard("2 <= x.size()[0]"))
    assert "same relation" in stop(read_guard("y.size()[0] == x.size()[0]"))
    assert "branches on this size" in stop(read_guard("2 <= x.size()[0] <= 100"))
    assert "capture_scalar_outputs" in stop(read_guard("___stack0 == 1.5"))
    assert "allow_unspec_int_on_nn_module" in stop(read_guard("self.n == 2"))
    assert "train() and one for eval()" in stop(read_guard("self.drop.training == True"))


def test_an_attribute_that_torch_calls_static_is_said_to_be_one() -> None:
    hint = (
        "L['self'].n == 0   HINT: torch.compile considers integer attributes of the nn.Module to be static. If you are "
        "observing recompilation, you might want to make this integer dynamic"
    )
    guard = read_guard(hint)
    assert (guard.kind, guard.source, guard.expected) == ("value", "self.n", "0")
    assert "allow_unspec_int_on_nn_module" in stop(guard)


def test_when_torch_checks_it() -> None:
    state, dtype, size, shape = (
        read_guard(text).step
        for text in (
            "GLOBAL_STATE changed: grad_mode",
            "tensor 'x' dtype mismatch. expected Float, actual Double",
            "tensor 'x' size mismatch at index 0. expected 2, actual 3",
            "2 <= x.size()[0]",
        )
    )
    assert BEFORE_ALL == state < dtype < size < shape == AFTER_ALL


def test_an_actual_value_that_another_guard_told_is_used() -> None:
    assert reason(Guard("value", "flag", expected="0.0"), "1.0") == "flag is 1.0, it was compiled for 0.0"
    assert reason(read_guard("2 <= x.size()[0] <= 100"), "1").startswith("size 0 of x is 1: sizes 0 and 1")
    assert reason(read_guard("2 <= x.size()[0] <= 100"), "128").startswith("size 0 of x is 128: it was compiled for")


@pytest.mark.parametrize("bad", ["'" * 70_000, "tensor '" * 9_000, "x.size()[0]" * 6_000, "len(" * 9_000, "\0\n" * 99])
def test_hostile_guards_cost_nothing(bad: str) -> None:
    began = time.process_time()
    for _ in range(5):
        reason(read_guard(bad))
    assert time.process_time() - began < 1.0


def test_names_are_the_user_s() -> None:
    assert function_name("torch_dynamo_resume_in_forward_at_9") == "forward"
    assert function_name("torch_dynamo_resume_in_torch_dynamo_resume_in_f_at_3_at_9") == "f"
    assert function_name("<resume in f>") == "f"
    assert function_name("<lambda>") == "<lambda>"
    assert source_name("L['self']._modules['a']._parameters['weight']") == "self.a.weight"


@pytest.mark.parametrize(
    ("file", "foreign"),
    [
        ("/workspace/train.py", False),
        ("/home/me/lib/python_tools/a.py", False),
        ("/workspace/venv/lib/python3.11/site-packages/torch/optim/optimizer.py", True),
        ("/usr/lib/python3/dist-packages/numpy/__init__.py", True),
        ("/usr/local/lib/python3.11/contextlib.py", True),
        ("<frozen importlib._bootstrap>", True),
    ],
)
def test_whose_file(file: str, foreign: bool) -> None:
    assert is_foreign(file) == foreign
