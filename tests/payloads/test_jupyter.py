"""env.jupyter for real: kernelspecs and running kernels of ours, in environments that are folders of ours."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from env_folders import environment, kernelspec
from payload_modules import load
from payload_process import Said, run_payload

from torchprobes.model import Verdict

NAME = "env.jupyter"
TORCH = importlib.metadata.version("torch")
KERNEL = "import sys, time; open(sys.argv[2] + '.up', 'w').close(); time.sleep(600)"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


def said(tmp_path: Path, data: Path, environ: Mapping[str, str] | None = None, proc: str = "") -> Said:
    """What the probe says; without the machine's own /proc, because somebody may run kernels of their own."""
    (tmp_path / "proc").mkdir()
    home = {"HOME": str(tmp_path / "home"), "JUPYTER_PATH": str(data), "JUPYTER_DATA_DIR": str(tmp_path / "none")}
    more = {"params": {"proc": proc or str(tmp_path / "proc")}}
    return run_payload(tmp_path / "run", NAME, environ={**home, **(environ or {})}, more=more)


def value(told: Said, name: str) -> object:
    fact = told.readings.fact(name)
    assert fact is not None, f"{name} was not told"
    return fact.value


def test_a_kernel_of_the_target_passes(tmp_path: Path, data: Path) -> None:
    kernelspec(data, "mine", [sys.executable])
    told = said(tmp_path, data)
    assert value(told, "kernelspec.mine.torch") == value(told, "target.torch") == TORCH
    assert value(told, "kernelspec.mine.same") is True
    assert (told.judgement.verdict, told.ids) == (Verdict.PASS, []), told.judgement


def test_missing_other_and_absent_torches_are_told_each_with_its_kernel(tmp_path: Path, data: Path) -> None:
    kernelspec(data, "gone", [str(tmp_path / "removed" / "bin" / "python")])
    kernelspec(data, "old", [environment(tmp_path / "old", "1.13.1")])
    kernelspec(data, "bare", [environment(tmp_path / "bare", None)])
    kernelspec(data, "R", ["R"], language="R")
    (data / "kernels" / "broken").mkdir()
    (data / "kernels" / "broken" / "kernel.json").write_text('{"argv": 3')
    told = said(tmp_path, data)
    assert told.judgement.verdict is Verdict.FAIL
    assert sorted(told.ids) == ["TD-ENV-084", "TD-ENV-085", "TD-ENV-086", "TD-ENV-090"]
    seen = {f.id: f.seen for f in told.judgement.findings}
    assert "'gone'" in seen["TD-ENV-084"]
    assert "'bare'" in seen["TD-ENV-085"]
    assert f"'old' ({tmp_path}/old/bin/python) has torch 1.13.1, the target has {TORCH}" in seen["TD-ENV-086"]
    assert value(told, "kernelspec.R.state") == "other language"


def test_a_bare_python_is_the_servers_and_not_paths(tmp_path: Path, data: Path) -> None:
    """A `jupyter-lab` on PATH names the server's interpreter in its first line; `python` on PATH is another one."""
    server, decoy = environment(tmp_path / "server", "2.6.0"), environment(tmp_path / "decoy", "1.0.0")
    script = tmp_path / "server" / "bin" / "jupyter-lab"
    script.write_text(f"#!{server}\nimport jupyterlab\n")
    script.chmod(0o755)
    kernelspec(data, "python3", ["python"])
    path = f"{os.path.dirname(decoy)}:{script.parent}:/usr/bin:/bin"
    told = said(tmp_path, data, {"PATH": path})
    assert value(told, "kernelspec.python3.python") == server
    assert value(told, "kernelspec.python3.torch") == "2.6.0"
    assert told.ids == ["TD-ENV-086"]


def test_a_bare_python_of_another_version_than_the_servers_comes_from_path(tmp_path: Path, data: Path) -> None:
    server = environment(tmp_path / "server", "2.6.0")
    script = tmp_path / "server" / "bin" / "jupyter"
    script.write_text(f"#!{server}\n")
    script.chmod(0o755)
    other = tmp_path / "other" / "bin" / "python3.9"
    environment(tmp_path / "other", "1.13.1")
    other.symlink_to("python")
    kernelspec(data, "own", ["python3.11"])
    kernelspec(data, "paths", ["python3.9"])
    told = said(tmp_path, data, {"PATH": f"{other.parent}:{script.parent}:/usr/bin:/bin"})
    assert value(told, "kernelspec.own.python") == server
    assert value(told, "kernelspec.paths.python") == str(other)


def test_a_bare_python_without_a_server_is_not_guessed(tmp_path: Path, data: Path) -> None:
    kernelspec(data, "python3", ["python3"])
    told = said(tmp_path, data, {"PATH": "/usr/bin:/bin"})
    assert value(told, "kernelspec.python3.state") == "unresolved"
    assert told.ids == ["TD-ENV-091"]
    assert told.judgement.verdict is Verdict.UNSURE


def test_without_kernels_it_is_a_skip(tmp_path: Path, data: Path) -> None:
    told = said(tmp_path, data)
    assert told.judgement.verdict is Verdict.SKIP
    assert told.readings.number("kernelspecs") == 0


@pytest.fixture
def running(tmp_path: Path) -> Iterator[int]:
    """A process that looks like a kernel of another environment, with variables of its own; its pid."""
    python = environment(tmp_path / "kernels-env", "2.6.0")
    module = tmp_path / "kernels-env" / "lib" / "python3.11" / "site-packages" / "ipykernel_launcher.py"
    module.write_text(KERNEL)
    connection = tmp_path / "kernel-0a1b.json"
    environ = {"CUDA_VISIBLE_DEVICES": "3", "HF_TOKEN": "hf_secretsecretsecret", "PATH": "/usr/bin:/bin"}
    command = [python, "-m", "ipykernel_launcher", "-f", str(connection)]
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE) as process:
        try:
            while process.poll() is None and not os.path.exists(f"{connection}.up"):
                os.sched_yield()
            assert process.poll() is None
            yield process.pid
        finally:
            process.kill()


def test_a_running_kernel_is_compared_without_touching_it(tmp_path: Path, data: Path, running: int) -> None:
    told = said(tmp_path, data, proc="/proc")
    name = f"kernel.{running}"
    assert value(told, f"{name}.python") == str(tmp_path / "kernels-env" / "bin" / "python")
    assert value(told, f"{name}.torch") == "2.6.0"
    assert value(told, f"{name}.same") is False
    assert value(told, f"{name}.CUDA_VISIBLE_DEVICES") == "3"
    assert {"TD-ENV-087", "TD-ENV-088"} <= set(told.ids)
    assert "hf_secret" not in "".join(path.read_text() for path in (tmp_path / "run" / "events").iterdir())
    os.kill(running, 0)


def test_ten_interpreters_and_their_kernels_are_read_from_files(tmp_path: Path, data: Path) -> None:
    for n in range(10):
        kernelspec(data, f"k{n}", [environment(tmp_path / f"env{n}", TORCH)])
    told = said(tmp_path, data)
    assert told.judgement.verdict is Verdict.PASS, told.judgement
    assert {value(told, f"kernelspec.k{n}.torch") for n in range(10)} == {TORCH}
    print(f"ten interpreters: {told.readings.number('reading_s'):.3f} s")


@pytest.mark.parametrize(
    ("first", "found"),
    [
        ("#!/opt/env/bin/python3.11", "/opt/env/bin/python3.11"),
        ("#!/bin/sh\n'''exec' \"/a long/path/bin/python\" \"$0\" \"$@\"\n' '''", "/a long/path/bin/python"),
        ("#!/bin/sh\necho", ""),
        ("\x7fELF", ""),
    ],
)
def test_the_interpreter_of_a_script_is_its_first_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, first: str, found: str
) -> None:
    script = tmp_path / "torchrun"
    script.write_text(first + "\n")
    assert load(monkeypatch, "programs", "files").shebang(str(script)) == found


@pytest.mark.parametrize(
    ("argv", "kernel"),
    [
        (["/e/bin/python", "-m", "ipykernel_launcher", "-f", "/run/user/1/jupyter/kernel-1.json"], True),
        (["/e/bin/python", "-m", "ipykernel_launcher", "--f=/r/kernel-v2-9xYz.json"], True),
        (["/e/bin/python", "/e/lib/site-packages/ipykernel_launcher.py", "-f", "/r/kernel-2.json"], True),
        (["/e/bin/python", "-m", "ipykernel", "-f", "/tmp/tmp1x2y.json"], True),
        (["/e/bin/python", "train.py", "-f", "/r/kernel-2.json"], False),
        (["/e/bin/python", "-m", "ipykernel", "install", "--user"], False),
        (["vim", "ipykernel.py", "kernel-2.json"], False),
    ],
)
def test_a_kernel_is_known_by_its_command_line(
    monkeypatch: pytest.MonkeyPatch, argv: Sequence[str], kernel: bool
) -> None:
    assert load(monkeypatch, "programs", "files").is_kernel(argv) is kernel
