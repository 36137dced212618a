"""The user's own model: found by name, put back after each call, its answers compared whatever their shape."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from payload_modules import load

FACTORIES = """
import torch

def sound(device):
    torch.manual_seed(0)
    return torch.nn.Linear(4, 2), (torch.ones(3, 4),)

def dropout(device):
    return torch.nn.Dropout(0.5), torch.ones(64)

def norm(device):
    return torch.nn.BatchNorm1d(4), (torch.randn(8, 4),)

def scaled_in_place(device):
    return (lambda x: x.mul_(2)), (torch.ones(4),)

calls = []

def unsteady(device):
    def step(x):
        calls.append(x)
        return x + 1e-3 * len(calls)
    return step, (torch.ones(4),)

def raises(device):
    raise RuntimeError("no weights at " + device)

def three(device):
    return 1, 2, 3

NOT_CALLABLE = 3
"""


@pytest.fixture
def entry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    module = load(monkeypatch, "entry")
    monkeypatch.setattr(module.kit, "fact", lambda *_a, **_k: None)
    monkeypatch.setattr(module.kit, "figure", lambda *_a, **_k: None)
    monkeypatch.chdir(tmp_path)
    return module


def made(entry: ModuleType, folder: Path, name: str) -> Any:
    (folder / "mine.py").write_text(FACTORIES)
    return entry.load(torch, SimpleNamespace(device="cpu", params={"entry": name, "folder": str(folder)}))


@pytest.mark.parametrize("place", ["mine.py", "mine"])
def test_a_factory_is_found_by_file_and_by_module(
    entry: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setattr("sys.path", list(__import__("sys").path))
    monkeypatch.delitem(__import__("sys").modules, "mine", raising=False)
    found = made(entry, tmp_path, f"{place}:sound")
    assert found.call().shape == (3, 2)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("mine.py:raises", r"mine\.py:raises\('cpu'\) raised RuntimeError: no weights at cpu"),
        ("mine.py:three", r"returned a tuple of 3 \(int, int, int\); a factory takes the device string"),
        ("mine.py:absent", r"there is no function 'absent'; it has dropout, norm"),
        ("mine.py:NOT_CALLABLE", "there is no function 'NOT_CALLABLE'"),
        ("nowhere.py:f", r"nowhere\.py cannot be imported: FileNotFoundError"),
        ("no_such_module_here:f", "cannot be imported: ModuleNotFoundError"),
    ],
)
def test_what_is_wrong_with_an_entry_is_one_line(entry: ModuleType, tmp_path: Path, name: str, words: str) -> None:
    with pytest.raises(entry.EntryError, match=words) as caught:
        made(entry, tmp_path, name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("name", "moved"), [("sound", 0), ("norm", 3), ("scaled_in_place", 1)])
def test_what_a_call_changes_is_put_back(entry: ModuleType, tmp_path: Path, name: str, moved: int) -> None:
    subject = made(entry, tmp_path, f"mine.py:{name}")
    assert subject.remember() == moved
    before = [t.detach().clone() for t in subject.tensors()]
    subject.call()
    subject.call()
    subject.restore()
    assert all(torch.equal(a, b) for a, b in zip(before, subject.tensors(), strict=True))


def steadiness(entry: ModuleType, folder: Path, name: str) -> Any:
    subject = made(entry, folder, f"mine.py:{name}")
    subject.remember()
    return entry.Steadiness(torch, subject)


def test_randomness_and_non_determinism_are_told_apart(entry: ModuleType, tmp_path: Path) -> None:
    sound, dropout, unsteady = (steadiness(entry, tmp_path, n) for n in ("sound", "dropout", "unsteady"))
    assert (sound.spread, sound.random) == (0.0, False)
    assert (dropout.spread, dropout.random) == (0.0, True)
    assert unsteady.spread > 1e-4
    assert not unsteady.random


def test_answers_of_any_shape_are_compared_by_their_tensors(entry: ModuleType) -> None:
    a = {"x": torch.ones(2), "y": [SimpleNamespace(z=torch.zeros(3)), (torch.arange(4), None, "words")]}
    b = {"x": torch.ones(2), "y": [SimpleNamespace(z=torch.zeros(3)), (torch.tensor([0, 1, 2, 9]), None, "words")]}
    first, second = entry.leaves(torch, a), entry.leaves(torch, b)
    assert [t.shape for t in first] == [(2,), (3,), (4,)]
    assert entry.distance(torch, first, second) == 0.25


def test_nan_is_not_close_to_a_number_and_shapes_must_agree(entry: ModuleType) -> None:
    nan, one = torch.tensor([float("nan"), 1.0]), torch.tensor([2.0, 1.0])
    assert entry.distance(torch, [nan], [nan]) == 0.0
    assert entry.distance(torch, [nan], [one]) == float("inf")
    assert entry.distance(torch, [one], [one[:1]]) is None
    assert entry.eps_of(torch, [one.bfloat16(), one]) == torch.finfo(torch.bfloat16).eps
