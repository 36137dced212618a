"""The true cause of a recompile. Sequences are what torch 2.13 wrote for the program that each test is named after."""

from __future__ import annotations

from torchprobes.compilelog.events import GuardFailure
from torchprobes.compilelog.ledger.cause import Cause, Seen, in_view_of, true_cause
from torchprobes.compilelog.ledger.guards import read_guard

Listed = list[tuple[str, str]]


def size(expected: int, actual: int, name: str = "x") -> str:
    return f"tensor '{name}' size mismatch at index 0. expected {expected}, actual {actual}"


def dtype(expected: str, actual: str) -> str:
    return f"tensor 'x' dtype mismatch. expected {expected}, actual {actual}"


def causes(*recompiles: Listed) -> list[str]:
    """The cause of each recompile of one function, one after the other."""
    seen = Seen()
    found = [true_cause(tuple(GuardFailure(*failure) for failure in listed), seen) for listed in recompiles]
    return [f"{listed[one.index][0]} {one.guard.kind}" for listed, one in zip(recompiles, found, strict=True) if one]


def last(*recompiles: Listed) -> Cause:
    seen = Seen()
    found = [true_cause(tuple(GuardFailure(*failure) for failure in listed), seen) for listed in recompiles]
    assert found[-1] is not None
    return found[-1]


GRAD = "GLOBAL_STATE changed: grad_mode"


def test_one_guard_is_the_cause() -> None:
    assert causes([("0/0", size(4, 5))]) == ["0/0 size"]
    assert true_cause((), Seen()) is None


def test_grad_mode_then_a_size_with_the_other_entry_listed_first() -> None:
    assert causes([("0/0", GRAD)], [("0/0", GRAD), ("0/1", size(4, 5))]) == ["0/0 global state", "0/1 size"]


def test_grad_mode_is_not_the_cause_where_an_entry_had_the_right_one_even_if_never_seen() -> None:
    assert causes([("0/1", GRAD), ("0/0", size(4, 1))]) == ["0/0 size"]


def test_size_and_then_dtype_which_every_entry_fails() -> None:
    double = [("0/1", dtype("Float", "Double")), ("0/0", dtype("Float", "Double"))]
    assert causes([("0/0", size(4, 5))], double) == ["0/0 size", "0/1 dtype"]


def test_a_size_where_an_entry_of_the_other_dtype_was_used_last() -> None:
    listed = [("0/2", dtype("Double", "Float")), ("0/1", size(5, 7)), ("0/0", size(4, 7))]
    first = [("0/0", size(4, 5))], [("0/1", dtype("Float", "Double")), ("0/0", dtype("Float", "Double"))]
    assert causes(*first, listed)[-1] == "0/1 size"


def test_a_value_among_sizes() -> None:
    assert causes([("0/0", size(4, 5))], [("0/1", "s == 'a'"), ("0/0", size(4, 5))]) == ["0/0 size", "0/1 value"]


def test_two_values_of_which_an_old_one_is_listed_first() -> None:
    """False comes again between the floats, so that its entry is listed first, and fails as it did before."""
    listed = [("1/0", "flag == False"), ("1/1", "flag == 0.0")]
    assert causes([("1/0", "flag == False")], listed) == ["1/0 value", "1/1 value"]


def test_a_branch_on_a_dynamic_size() -> None:
    found = last([("0/0", size(7, 9))], [("0/1", "2 <= x.size()[0] <= 100"), ("0/0", size(7, 128))])
    assert (found.index, found.actual) == (0, "128")


def test_the_size_one_is_specialised_though_another_bound_is_listed_first() -> None:
    listed = [("0/2", "101 <= x.size()[0]"), ("0/1", "2 <= x.size()[0] <= 100"), ("0/0", size(7, 1))]
    found = last([("0/0", size(7, 9))], [("0/1", "2 <= x.size()[0] <= 100"), ("0/0", size(7, 128))], listed)
    assert (found.index, found.actual) == (1, "1")


def test_static_sizes_fail_one_after_the_other() -> None:
    assert causes([("0/0", size(2, 3))], [("0/1", size(3, 4)), ("0/0", size(2, 4))]) == ["0/0 size", "0/1 size"]


def test_the_newest_entry_decides_among_equals() -> None:
    assert causes([("0/1", size(3, 9)), ("0/3", size(5, 9)), ("0/2", size(4, 9))]) == ["0/3 size"]


def test_another_tensor_s_check_says_nothing_of_this_one() -> None:
    listed = [("0/1", "tensor 'y' dtype mismatch. expected Float, actual Half"), ("0/0", size(4, 5))]
    assert causes(listed) == ["0/1 dtype"]


def test_what_an_entry_was_made_for_is_what_came_then() -> None:
    seen = Seen()
    true_cause((GuardFailure("1/0", "flag == 1.0"),), seen)
    true_cause((GuardFailure("1/1", "flag == 2.0"), GuardFailure("1/0", "flag == 1.0")), seen)
    assert seen.made_for["1/1", "value", "flag", ""] == "2.0"


def test_true_and_false_are_values_though_up_to_2_6_they_are_compared_by_identity() -> None:
    static, heap = "___check_obj_id(L['flag'], 7642976)", "___check_obj_id(L['flag'], 139645606457088)"
    assert in_view_of(read_guard(static), Seen()).kind == "value"
    assert in_view_of(read_guard(heap), Seen()).kind == "object"
    seen = Seen()
    true_cause((GuardFailure("1/1", "L['flag'] == 0.0"),), seen)
    assert in_view_of(read_guard(heap), seen).kind == "value"
    training = "___check_obj_id(L['fn']._modules['1'].training, 139645606457088)"
    assert in_view_of(read_guard(training), Seen()).kind == "value"
    assert in_view_of(read_guard("Cache line invalidated because L['self'] got deallocated"), seen).kind == "object"


def test_memory_is_bounded() -> None:
    seen = Seen()
    for n in range(4200):
        true_cause((GuardFailure("0/0", f"n == {n}"),), seen)
    assert len(seen.texts) == 4096
