"""env.identity in real processes: a sound PyTorch, one that is absent, one that raises, one that kills."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest
from payload_modules import load
from payload_process import Said, run_payload

from torchprobes.model import Verdict

NAME = "env.identity"
NEEDS = ("files", "import_cost", "programs", "stack")


def value(said: Said, name: str) -> object:
    fact = said.readings.fact(name)
    assert fact is not None, f"{name} was not told"
    return fact.value


def with_fake_torch(tmp_path: Path, code: str) -> dict[str, str]:
    """An environment in which `import torch` runs `code`."""
    package = tmp_path / "fake" / "torch"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(code)
    return {"PYTHONPATH": str(tmp_path / "fake")}


def test_a_sound_pytorch_is_identified_and_answers(tmp_path: Path) -> None:
    said = run_payload(tmp_path / "run", NAME, environ={"LD_PRELOAD": ""})
    assert value(said, "torch.version") == importlib.metadata.version("torch")
    assert value(said, "python.executable") == sys.executable
    assert value(said, "torch.process") == "ended"
    assert value(said, "cpu.answer") == "right"
    assert value(said, "environ.LD_PRELOAD") == ""
    assert {"import_s", "import_cpu_s", "import_modules"} <= {figure.name for figure in said.readings.figures}
    assert value(said, "torch.filesystem")


def test_a_pytorch_that_raises_on_import_is_a_fail_with_its_words(tmp_path: Path) -> None:
    cause = "libcudart.so.12: cannot open shared object file"
    said = run_payload(tmp_path / "run", NAME, environ=with_fake_torch(tmp_path, f"raise ImportError({cause!r})"))
    assert said.judgement.verdict is Verdict.FAIL
    assert "TD-ENV-002" in said.ids
    assert cause in said.judgement.reason
    assert cause in (said.folder / "artifacts" / "torch.import.traceback.txt").read_text()


def test_a_pytorch_that_kills_its_process_is_a_fail_with_the_signal(tmp_path: Path) -> None:
    code = "import os, signal; os.kill(os.getpid(), signal.SIGILL)"
    said = run_payload(tmp_path / "run", NAME, environ=with_fake_torch(tmp_path, code))
    assert said.judgement.verdict is Verdict.FAIL
    assert "TD-ENV-003" in said.ids
    assert "killed by SIGILL" in said.judgement.reason


def test_a_python_without_pytorch_is_a_fail_that_says_so_once(tmp_path: Path) -> None:
    hide = tmp_path / "hide"
    hide.mkdir()
    (hide / "sitecustomize.py").write_text(
        "import sys, site\nsite.main = None\nsys.path[:] = [p for p in sys.path if 'site-packages' not in p]\n"
    )
    said = run_payload(tmp_path / "run", NAME, environ={"PYTHONPATH": str(hide)})
    assert said.judgement.verdict is Verdict.FAIL
    assert [i for i in said.ids if i <= "TD-ENV-003"] == ["TD-ENV-001"]


def test_interpreters_are_told_apart_by_file_and_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    identity = load(monkeypatch, "identity", *NEEDS).identity
    real = tmp_path / "usr" / "python3.11"
    real.parent.mkdir()
    real.touch()
    for name in ("one", "two"):
        folder = tmp_path / name / "bin"
        folder.mkdir(parents=True)
        (tmp_path / name / "pyvenv.cfg").touch()
        (folder / "python").symlink_to(real)
        (folder / "python3").symlink_to("python")
    alias = tmp_path / "alias"
    alias.symlink_to(tmp_path / "one" / "bin" / "python3")
    one = identity(str(tmp_path / "one" / "bin" / "python"))
    assert identity(str(tmp_path / "one" / "bin" / "python3")) == one
    assert identity(str(alias)) == one
    assert identity(str(tmp_path / "two" / "bin" / "python")) != one
    assert identity(str(real)) != one


def test_a_loop_of_links_ends(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert load(monkeypatch, "identity", *NEEDS).identity(str(tmp_path / "a"))[1] == ""


JOB = """
import mmap, sys, time
with open(sys.argv[1], "rb") as file:
    mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
print("mapped", flush=True)
time.sleep(600)
"""


def test_a_job_that_runs_is_told_with_the_torch_that_it_has_loaded(tmp_path: Path) -> None:
    """A Python of this user that has mapped the library of another torch; it is read in /proc and left alone."""
    library = tmp_path / "other" / "torch" / "lib" / "libtorch_cpu.so"
    library.parent.mkdir(parents=True)
    library.write_bytes(b"a library of a test")
    (tmp_path / "other" / "torch" / "version.py").write_text("__version__ = '1.13.1'\n")
    command = [sys.executable, "-c", JOB, str(library)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env={"HF_TOKEN": "hf_secretsecretsecret"}) as job:
        try:
            assert job.stdout is not None
            assert job.stdout.readline() == b"mapped\n"
            broken = with_fake_torch(tmp_path, "raise ImportError('not needed here')")
            said = run_payload(tmp_path / "run", NAME, environ=broken)
            assert job.poll() is None
        finally:
            job.kill()
    assert value(said, f"job.{job.pid}.torch") == "1.13.1"
    assert value(said, f"job.{job.pid}.python") == sys.executable
    assert "hf_secret" not in "".join(path.read_text() for path in (tmp_path / "run" / "events").iterdir())


def test_torchrun_of_another_environment_is_told_with_its_torch(tmp_path: Path) -> None:
    other = tmp_path / "other"
    (other / "bin").mkdir(parents=True)
    (other / "bin" / "python").symlink_to(sys.executable)
    (other / "pyvenv.cfg").write_text("version = 3.11.7\n")
    package = other / "lib" / "python3.11" / "site-packages" / "torch"
    package.mkdir(parents=True)
    (package / "version.py").write_text("__version__ = '1.13.1'\n")
    torchrun = other / "bin" / "torchrun"
    torchrun.write_text(f"#!{other}/bin/python\nimport torch\n")
    torchrun.chmod(0o755)
    environ = with_fake_torch(tmp_path, "raise ImportError('not needed here')")
    said = run_payload(tmp_path / "run", NAME, environ={**environ, "PATH": f"{torchrun.parent}:/usr/bin:/bin"})
    assert value(said, "shell.torchrun.python") == f"{other}/bin/python"
    assert value(said, "shell.torchrun.same") is False
    assert value(said, "shell.python.torch") is not None
