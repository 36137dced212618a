"""The target is found by reading files: nothing is run or imported unless a person named it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from torchprobes.environment.interpreters import torch_versions
from torchprobes.target import Candidate, TargetError, find_targets

VERSION = '__version__ = "2.6.0+cu124"\ncuda: "str | None" = "12.4"\nhip = None\nimport os; os.abort()\n'


def plant(root: Path, *, torch: str | None = VERSION, venv: bool = True) -> Path:
    """A virtual environment as files alone: its interpreter is a text that no kernel can run."""
    site = root / "lib" / "python3.12" / "site-packages"
    site.mkdir(parents=True)
    (root / "bin").mkdir()
    python = root / "bin" / "python"
    python.write_bytes(b"\x7fELF not really")
    python.chmod(0o755)
    if venv:
        (root / "pyvenv.cfg").write_text("home = /usr/bin\nversion = 3.12.3\n")
    if torch is not None:
        (site / "torch").mkdir()
        (site / "torch" / "version.py").write_text(torch)
    return python


def by_origin(environ: dict[str, str]) -> dict[str, Candidate]:
    return {c.origin: c for c in find_targets(None, environ=environ).candidates}


def test_the_first_of_the_usual_order_that_has_torch_is_taken(tmp_path: Path) -> None:
    without, with_torch = plant(tmp_path / "a", torch=None), plant(tmp_path / "b")
    environ = {"VIRTUAL_ENV": str(tmp_path / "a"), "CONDA_PREFIX": str(tmp_path / "b"), "PATH": "/nowhere"}
    choice = find_targets(None, environ=environ)
    assert choice.chosen is not None
    assert choice.chosen.python == str(with_torch)
    assert (choice.chosen.torch, choice.chosen.cuda, choice.chosen.python_version) == ("2.6.0+cu124", "12.4", "3.12.3")
    assert "CONDA_PREFIX" in choice.why
    assert choice.candidates[0].python == str(without)
    assert choice.candidates[0].torch is None


def test_path_is_searched_for_python3_and_python(tmp_path: Path) -> None:
    python = plant(tmp_path / "env", venv=False)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python3").symlink_to(python)
    found = by_origin({"PATH": f"relative:{tmp_path / 'bin'}"})["python3 on PATH"]
    assert found.python == str(tmp_path / "bin" / "python3")
    assert found.torch == "2.6.0+cu124"


def test_a_script_that_stands_for_an_interpreter_is_told_and_passed_over(tmp_path: Path) -> None:
    shim = tmp_path / "python3"
    shim.write_text("#!/bin/sh\ntouch " + str(tmp_path / "ran"))
    shim.chmod(0o755)
    found = by_origin({"PATH": str(tmp_path)})["python3 on PATH"]
    assert "script" in found.note
    assert not (tmp_path / "ran").exists()


def test_torch_behind_a_pth_file_and_pythonpath_is_found(tmp_path: Path) -> None:
    plant(tmp_path / "base")
    plant(tmp_path / "venv", torch=None)
    base_site = tmp_path / "base" / "lib" / "python3.12" / "site-packages"
    pth = tmp_path / "venv" / "lib" / "python3.12" / "site-packages" / "x.pth"
    environ = {"VIRTUAL_ENV": str(tmp_path / "venv"), "PATH": ""}
    assert by_origin(environ)["VIRTUAL_ENV"].torch is None
    assert by_origin(environ | {"PYTHONPATH": str(base_site)})["VIRTUAL_ENV"].torch == "2.6.0+cu124"
    pth.write_text(f"import os; os.abort()\n{base_site}\n")
    assert by_origin(environ)["VIRTUAL_ENV"].torch == "2.6.0+cu124"


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("__version__ = '2.1.2'\n", "2.1.2"),
        ("__version__: str = '2.1.2'\n", "2.1.2"),
        ("", ""),
        ("__version__ = compute()\n", ""),
        ("def broken(:\n", ""),
        ("(" * 5000, ""),
        ("\x00", ""),
    ],
)
def test_a_version_file_is_parsed_and_never_run(tmp_path: Path, text: str, version: str) -> None:
    (tmp_path / "version.py").write_text(text)
    assert torch_versions(str(tmp_path))["__version__"] == version


def make_fifo(path: Path) -> None:
    os.mkfifo(path)
    path.chmod(0o755)


def make_loop(path: Path) -> None:
    path.symlink_to(path.with_name("other"))
    path.with_name("other").symlink_to(path)


def make_not_executable(path: Path) -> None:
    path.write_text("x")
    path.chmod(0o644)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: None, "No such file"),
        (Path.mkdir, "a folder"),
        (make_fifo, "a FIFO"),
        (make_loop, "circle"),
        (lambda path: path.symlink_to("absent"), "No such file"),
        (make_not_executable, "not executable"),
        (lambda path: path.symlink_to("/bin/true"), "not a Python"),
        (lambda path: path.symlink_to("/dev/zero"), "a device"),
    ],
)
def test_what_is_no_interpreter_is_one_clear_line(tmp_path: Path, make: object, words: str) -> None:
    path = tmp_path / "python"
    make(path)  # type: ignore[operator]
    with pytest.raises(TargetError, match=words) as caught:
        find_targets(str(path))
    assert "\n" not in str(caught.value)
    assert "--python" in str(caught.value)


def test_an_interpreter_without_torch_says_how_to_bring_one(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "pyvenv.cfg").write_text("home = " + str(Path(sys.base_prefix) / "bin"))
    python = tmp_path / "bin" / "python"
    python.symlink_to(os.path.realpath(sys.executable))
    with pytest.raises(TargetError, match="pip install torch"):
        find_targets(str(python))


def test_the_environment_names_a_target_below_the_flag(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="TORCHDOCTOR_PYTHON"):
        find_targets(None, environ={"TORCHDOCTOR_PYTHON": str(tmp_path / "absent")})
    with pytest.raises(TargetError, match="--python /nope"):
        find_targets("/nope", environ={"TORCHDOCTOR_PYTHON": sys.executable})


def test_our_own_interpreter_named_by_hand_is_a_target() -> None:
    chosen = find_targets(sys.executable).chosen
    assert chosen is not None
    assert chosen.torch
    assert chosen.python_version.startswith(f"{sys.version_info.major}.{sys.version_info.minor}.")


@pytest.mark.parametrize("text", ["python", "", "docker 'exec"])
def test_a_launcher_prefix_that_is_none_is_one_clear_line(text: str) -> None:
    with pytest.raises(TargetError, match="--target"):
        find_targets(None, text)


def test_a_launcher_prefix_keeps_its_words() -> None:
    chosen = find_targets(None, "docker exec -i 'my trainer' /opt/bin/python").chosen
    assert chosen is not None
    assert chosen.prefix == ("docker", "exec", "-i", "my trainer")
    assert chosen.python == "/opt/bin/python"
    assert chosen.torch == ""


def test_packages_of_the_user_count_where_python_reads_them(tmp_path: Path) -> None:
    system, venv = plant(tmp_path / "system", torch=None, venv=False), plant(tmp_path / "venv", torch=None)
    (system.parent / "python3.12").symlink_to(system)
    (tmp_path / "home" / ".local").mkdir(parents=True)
    for version, torch in (("3.11", "1.0"), ("3.12", "2.9.0")):
        package = tmp_path / "home" / ".local" / "lib" / f"python{version}" / "site-packages" / "torch"
        package.mkdir(parents=True)
        (package / "version.py").write_text(f"__version__ = '{torch}'\n")
    environ = {"HOME": str(tmp_path / "home"), "PATH": ""}
    assert by_origin(environ | {"VIRTUAL_ENV": str(system.parents[1])})["VIRTUAL_ENV"].torch == "2.9.0"
    assert by_origin(environ | {"VIRTUAL_ENV": str(venv.parents[1])})["VIRTUAL_ENV"].torch is None
    off = environ | {"VIRTUAL_ENV": str(system.parents[1]), "PYTHONNOUSERSITE": "1"}
    assert by_origin(off)["VIRTUAL_ENV"].torch is None


@pytest.mark.parametrize(
    ("prefix", "words"),
    [
        ("docker exec trainer python", "add -i"),
        ("docker exec -it trainer python", "leave out -t"),
        ("podman run --rm image python", "add -i"),
        ("ssh node7 docker exec trainer python", "add -i"),
        ("kubectl -n jobs exec trainer-0 -- python", "add -i"),
        ("kubectl exec --stdin --tty trainer-0 -- python", "leave out -t"),
    ],
)
def test_a_launcher_that_gives_no_stdin_is_told_what_it_lacks(prefix: str, words: str) -> None:
    with pytest.raises(TargetError, match=words) as refused:
        find_targets(None, prefix)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "prefix",
    [
        "kubectl -n test exec -i trainer-0 -- python",
        "docker exec --interactive -e A=1 trainer python",
        "apptainer exec --nv new.sif python",
        "srun --jobid 7 --overlap python",
    ],
)
def test_a_launcher_that_will_do_is_taken(prefix: str) -> None:
    assert find_targets(None, prefix).chosen is not None
