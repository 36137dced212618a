"""Switches: every name that is set is one that the torch at hand knows, or its `import torch` would end the program."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from torchprobes import child
from torchprobes.compilelog.switches import (
    COMPONENTS,
    SETS,
    SMALL,
    SwitchError,
    Torch,
    choose,
    known,
    release,
    theirs,
    variables,
)

VERSIONS = (
    "2.1.2",
    "2.2.2",
    "2.3.1",
    "2.4.1",
    "2.5.1",
    "2.6.0+cu124",
    "2.9.1",
    "2.11.0+cu130",
    "2.13.0",
    "2.14.1",
    "3.0",
)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", SETS)
def test_a_set_holds_only_what_the_version_is_sure_to_know(name: str, version: str) -> None:
    chosen = choose(name, Torch(version))
    sure = known(release(version) or (0, 0))
    assert {each.lstrip("+-") for each in chosen.logs} <= sure
    if release(version) >= (2, 3):  # type: ignore[operator]
        assert chosen.logs == SETS[name].logs
        assert chosen.debug == SETS[name].debug


def test_before_the_trace_dynamos_text_takes_its_place_and_it_is_said() -> None:
    chosen = choose("default", Torch("2.1.2"))
    assert chosen.logs == ("graph_breaks", "recompiles", "perf_hints", "+dynamo")
    assert not chosen.debug
    assert any("cudagraphs" in note for note in chosen.notes)
    assert any("writes no structured trace" in note for note in chosen.notes)
    assert choose("trace", Torch("2.1.2")).logs == ()


def test_of_an_unknown_version_only_what_every_version_knows() -> None:
    assert choose("default", Torch()).logs == ("graph_breaks", "recompiles", "perf_hints")
    with pytest.raises(SwitchError, match="name the interpreter with --python"):
        choose("cudagraphs", Torch())


def test_what_the_installed_file_registers_goes_before_the_table() -> None:
    torch = Torch("2.2.0.dev", frozenset({"dynamo", "recompiles", "made_yesterday"}))
    assert choose("made_yesterday,default", torch).logs == ("recompiles", "+dynamo", "made_yesterday")
    with pytest.raises(SwitchError, match="does not know guards"):
        choose("guards", torch)


@pytest.mark.parametrize(
    ("words", "logs"),
    [
        ("", SMALL),
        ("trace", ()),
        ("guards", ("guards",)),
        ("default, guards,graph_breaks", (*SMALL, "guards")),
        ("full,dynamo", (*SMALL, "guards", "output_code", "dynamo", "+inductor")),
        ("trace,-aot,+dynamic", ("-aot", "+dynamic")),
    ],
)
def test_sets_and_names_come_to_one_choice(words: str, logs: tuple[str, ...]) -> None:
    assert choose(words, Torch("2.13.0")).logs == logs


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("graph_brakes", "near it: graph_breaks"),
        ("defualt", "near it: default"),
        ("zzzzzz", "there are trace, default, debug, full"),
        ("torch._dynamo.guards", "there is no switch"),
        ("+guards", "leave out '\\+'"),
        ("autotuning", "there since 2.13"),
        pytest.param("a" * 10_000, "there is no switch", id="long"),
        ("x;rm -rf", "there is no switch"),
    ],
)
def test_a_switch_that_cannot_be_had_is_refused_with_what_there_is(word: str, says: str) -> None:
    with pytest.raises(SwitchError, match=says) as caught:
        choose(word, Torch("2.6.0"))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_variables_of_the_person_stay_and_are_told() -> None:
    chosen = choose("debug", Torch("2.13.0"))
    ours = variables(chosen, "/run/capture", {})
    assert ours["TORCH_TRACE"] == "/run/capture/trace"
    assert ours["TORCH_COMPILE_DEBUG"] == ours["PYTHONUNBUFFERED"] == "1"
    environ = {"TORCH_LOGS": "+dynamo", "TORCH_COMPILE_DEBUG": "0", "TORCH_TRACE": "", "PYTHONUNBUFFERED": "x"}
    assert set(variables(chosen, "/run/capture", environ)) == {"TORCH_TRACE", "TORCH_COMPILE_DEBUG_DIR"}
    assert [line.partition(" ")[0] for line in theirs(environ)] == ["TORCH_LOGS=+dynamo", "TORCH_COMPILE_DEBUG=0"]


def test_the_table_and_the_installed_torch_agree() -> None:
    found = child.ask("torch-names", {"path": sys.executable, "cwd": "/", "deadline_s": 20.0}, 21.0)
    version = release(found["version"])
    assert version is not None
    assert known(version) <= set(found["names"]), "each name of the table is registered"
    assert known((9999, 0)) >= COMPONENTS


def test_an_interpreter_without_torch_has_no_names(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
    python.chmod(0o755)
    assert child.ask("torch-names", {"path": str(python), "cwd": str(tmp_path), "deadline_s": 20.0}, 21.0) == {}


def test_the_names_are_those_of_the_folder_that_it_runs_in(tmp_path: Path) -> None:
    """A shim of pyenv is another interpreter in another folder, and a torch beside the script goes before others."""
    package = tmp_path / "torch"
    (package / "_logging").mkdir(parents=True)
    (package / "__init__.py").write_text("raise SystemExit('nothing of torch is imported')\n")
    (package / "version.py").write_text("__version__ = '2.2.9'\n")
    (package / "_logging" / "_registrations.py").write_text("register_log('dynamo', 'x')\nregister_artifact('mine')\n")
    found = child.ask("torch-names", {"path": sys.executable, "cwd": str(tmp_path), "deadline_s": 20.0}, 21.0)
    assert found == {"version": "2.2.9", "names": ["dynamo", "mine"]}


PYTHONS = list(filter(None, os.environ.get("TORCHDOCTOR_TEST_PYTHONS", "").split(os.pathsep))) or [sys.executable]


@pytest.mark.trials
@pytest.mark.parametrize("number", range(len(PYTHONS)))
def test_no_choice_ends_import_torch(number: int) -> None:
    """By hand: each set, and all names of the table at once, on every torch of TORCHDOCTOR_TEST_PYTHONS."""
    python = PYTHONS[number]
    found = child.ask("torch-names", {"path": python, "cwd": "/", "deadline_s": 60.0}, 61.0)
    by_table = Torch(found["version"])
    every = ",".join(sorted(known(release(by_table.version) or (2, 1))))
    for words in (*SETS, every):
        switched = variables(choose(words, by_table), "/nowhere", {})
        environ = {name: value for name, value in switched.items() if name == "TORCH_LOGS"}
        done = subprocess.run([python, "-c", "import torch"], env=environ, stderr=subprocess.PIPE, check=False)
        assert done.returncode == 0, (words, done.stderr[-500:])
