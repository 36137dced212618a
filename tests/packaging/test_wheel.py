"""The wheel: what is in it, and that it works where nothing else of this repository is."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import click
import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this working tree, built by its own back end, without a network."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def fresh(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the wheel in it; what the wheel needs it sees through a .pth."""
    folder = tmp_path_factory.mktemp("fresh")
    venv.create(folder, with_pip=False, symlinks=True)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    site_packages = folder / "lib" / version / "site-packages"
    # A folder named in a .pth is searched, but its own .pth files are not read: our editable install stays out.
    (site_packages / "outer.pth").write_text(sysconfig.get_path("purelib") + "\n")
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install", "-q"]
    options = ["--no-deps", "--no-index", "--no-compile", "--disable-pip-version-check", str(wheel)]
    subprocess.run([*pip, *options], check=True, capture_output=True, timeout=120)
    return folder


def names(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def test_exactly_two_packages_land_in_site_packages(wheel: Path) -> None:
    top = {name.partition("/")[0] for name in names(wheel)}
    assert {name for name in top if not name.endswith(".dist-info")} == {"torchdoctor", "torchprobes"}


def test_every_source_file_is_in_it_and_nothing_else(wheel: Path) -> None:
    ours = {
        path.relative_to(root).as_posix()
        for root in (ROOT / "tui", ROOT / "probes")
        for path in root.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    packed = {name for name in names(wheel) if ".dist-info/" not in name}
    assert packed == ours


def test_files_that_run_in_other_interpreters_are_in_it_as_files(wheel: Path) -> None:
    from torchprobes.catalogue import PROBES

    for stem in {"kit", "bootstrap", *(probe.payload for probe in PROBES)}:
        assert f"torchprobes/payloads/{stem}.py" in names(wheel)
    assert "torchprobes/runner/guardian.py" in names(wheel)
    assert "torchdoctor/data/torchdoctor-record.service" in names(wheel)
    assert {"torchdoctor/py.typed", "torchprobes/py.typed"} <= set(names(wheel))


def test_it_brings_no_torch_and_a_licence(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = (name for name in archive.namelist() if name.endswith("METADATA"))
        text = archive.read(metadata).decode()
    always = [line for line in text.splitlines() if line.startswith("Requires-Dist:") and "extra ==" not in line]
    assert not [line for line in always if re.search(r"\b(torch|numpy|triton)\b", line)]
    assert any(name.endswith("licenses/LICENSE") for name in names(wheel))


def run(fresh: Path, *arguments: str) -> str:
    command = [str(fresh / "bin" / arguments[0]), *arguments[1:]]
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(fresh)}
    done = subprocess.run(command, cwd="/", env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_runs_installed_by_its_name_and_as_a_module(fresh: Path) -> None:
    from torchprobes import __version__
    from torchprobes.catalogue import PROBES

    where = run(
        fresh, "python", "-c", "import torchdoctor, torchprobes; print(torchdoctor.__file__, torchprobes.__file__)"
    )
    assert all(path.startswith(str(fresh)) for path in where.split())
    assert run(fresh, "torchdoctor", "--version") == f"torchdoctor {__version__}\n"
    rows = json.loads(run(fresh, "python", "-m", "torchdoctor", "list", "--json"))
    assert [row["name"] for row in rows] == [probe.name for probe in PROBES]


def test_its_metadata_tell_the_version_that_it_says(fresh: Path) -> None:
    from torchprobes import __version__

    program = "from importlib.metadata import version; print(version('torchdoctor'))"
    assert run(fresh, "python", "-c", program) == f"{__version__}\n"


# --- what the README promises ----------------------------------------------------------------------------------


def commands_of_the_readme() -> list[str]:
    """Lines of shell blocks in the README, in order."""
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.strip()]


def test_the_first_commands_of_the_readme_open_the_console_and_test() -> None:
    first, second = commands_of_the_readme()[:2]
    assert first.startswith("python3 -m venv .venv && .venv/bin/pip install")
    assert first.endswith("&& .venv/bin/torchdoctor")
    assert second.endswith("&& .venv/bin/python -m pytest -q -n 2 --dist loadgroup")
    for line in (first, second):
        subprocess.run(["bash", "-n", "-c", line], check=True)


def test_ci_runs_the_very_test_command_of_the_readme() -> None:
    command = commands_of_the_readme()[1].rpartition("&& ")[2]
    assert f"step tests {command}\n" in (ROOT / ".ci" / "run").read_text()
    subprocess.run(["bash", "-n", str(ROOT / ".ci" / "run")], check=True)


def test_every_command_that_the_readme_names_is_there_with_its_options() -> None:
    from torchdoctor.cli import torchdoctor

    text = (ROOT / "README.md").read_text().partition("## Exit codes")[0]
    context = click.Context(torchdoctor)
    for name, rest in re.findall(r"torchdoctor ([a-z]+)((?: [^`\n]*)?)`", text):
        command = torchdoctor.get_command(context, name)
        assert command is not None, f"the README names {name}"
        options = {option for parameter in command.params for option in parameter.opts}
        assert set(re.findall(r"--[a-z-]+", rest)) <= options
