"""What a process compiles is seen whoever asks for it, and what a callable is made of without calling it."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from payload_modules import load

torch = pytest.importorskip("torch")


@pytest.fixture
def regions(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    yield load(monkeypatch, "regions", "coverage")
    torch._dynamo.reset()


@pytest.fixture
def look(monkeypatch: pytest.MonkeyPatch, regions: ModuleType) -> Any:
    return functools.partial(load(monkeypatch, "callables").look, torch)


def through(graph_module: Any, example_inputs: Any) -> Any:
    return graph_module.forward


def double(x: Any) -> Any:
    return x * 2 + 1


class Model(torch.nn.Module):  # type: ignore[misc]
    def forward(self, x: Any) -> Any:
        return double(x)


def test_entries_graphs_and_backends_are_counted_whoever_compiles(regions: ModuleType) -> None:
    with regions.Watch(torch) as watch:
        compiled = torch.compile(Model(), backend=through)
        for _ in range(3):
            compiled(torch.ones(2))
    assert (watch.calls, watch.compiled, watch.ops, watch.missing) == (3, 1, 2, [])
    assert [graph.backend for graph in watch.graphs] == ["through"]
    assert len(watch.wrappers) == 1
    assert "Model" in watch.wrappers[0]
    compiled(torch.ones(2))
    assert watch.calls == 4, "what was compiled under the watch is counted for good"


def test_without_entries_nothing_stands_between_compiled_code_and_a_clock(regions: ModuleType) -> None:
    with regions.Watch(torch, entries=False) as watch:
        torch.compile(double, backend=through)(torch.ones(3))
    assert (watch.calls, watch.compiled, watch.sees_calls) == (0, 1, False)


def test_every_hook_is_taken_away_again(regions: ModuleType) -> None:
    def hooked() -> list[Any]:
        places = [(importlib.import_module(module), owner, name) for module, owner, name, _ in regions._HOOKS]
        return [getattr(getattr(place, owner) if owner else place, name) for place, owner, name in places]

    before = hooked()
    with regions.Watch(torch):
        assert all(now is not then for now, then in zip(hooked(), before, strict=True))
    assert all(now is then for now, then in zip(hooked(), before, strict=True))


def test_a_hook_that_has_no_place_is_named_and_its_count_unknown(
    regions: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = ("torch._dynamo.output_graph", "OutputGraphOfTomorrow", "call_user_compiler", regions._compiler)
    monkeypatch.setattr(regions, "_HOOKS", (gone, *regions._HOOKS[1:]))
    with regions.Watch(torch) as watch:
        torch.compile(double, backend=through)(torch.ones(4))
    assert watch.missing == ["call_user_compiler"]
    assert not watch.sees_calls


def test_dispatch_modes_of_the_user_are_named_and_the_compilers_own_are_not(regions: ModuleType) -> None:
    from torch.utils.flop_counter import FlopCounterMode

    with regions.Watch(torch) as watch:
        with FlopCounterMode(display=False):
            torch.ones(2).add(1)
        torch.compile(double, backend="aot_eager")(torch.ones(5))
    assert list(watch.modes) == ["_FlopCounterMode"]
    assert [graph.backend for graph in watch.graphs] == ["aot_eager"]


def test_wrappers_are_found_below_closures_partials_and_methods(look: Any) -> None:
    compiled = torch.compile(double, backend=through)

    class Holder:
        def __init__(self) -> None:
            self.step = compiled

        def run(self, x: Any) -> Any:
            return self.step(x)

    for thing in (compiled, lambda x: compiled(x), functools.partial(compiled), Holder().run, [Holder()]):
        assert "double" in look(thing).wrappers[0], thing
    plain = look(double, Model(), torch.nn.Linear(2, 2), torch.ones(1), None, "text")
    assert [plain.wrappers, plain.disabled, plain.builtin, plain.compiled] == [[], [], [], []]


def test_disabled_functions_and_self_compiled_modules_are_told_apart(look: Any) -> None:
    @torch.compiler.disable
    def inner(x: Any) -> Any:
        return x

    own, theirs = Model(), torch.nn.Linear(2, 2)
    own.compile(backend=through)
    theirs.compile(backend=through)
    found = look(lambda x: inner(x), torch.nn.ModuleList([own, theirs]))
    assert "inner" in found.disabled[0]
    assert found.builtin == ["torch.nn.modules.linear.Linear"]
    assert "Model" in found.compiled[0]


def test_an_object_that_objects_is_passed_over(look: Any) -> None:
    class Hostile:
        def __getattribute__(self, name: str) -> Any:
            raise RuntimeError(name)

    compiled = torch.compile(double, backend=through)
    assert "double" in look(Hostile(), [Hostile(), compiled]).wrappers[0]
