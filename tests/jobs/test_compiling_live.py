"""Real processes: one that compiles C++ below frames of torch's, one that sleeps, one whose stack may not be read."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from torchprobes.jobs.compiling import ask
from torchprobes.jobs.compiling.family import helpers, read
from torchprobes.jobs.compiling.looking import Gone, look
from torchprobes.jobs.stacks import find_pyspy
from torchprobes.jobs.stacks.pyspy import NoStack
from torchprobes.rank_evidence import Stack

COMPILER = """
import sys, time
sys.stdout.write("up\\n"); sys.stdout.flush()
while True:
    sum(range(20000))
"""
"""Stands in for cc1plus: it takes the name and the command line of one, and a core."""


@contextmanager
def running(*argv: str, env: dict[str, str] | None = None) -> Iterator[subprocess.Popen[str]]:
    pipe, environ = subprocess.PIPE, {**os.environ, **(env or {})}
    with subprocess.Popen(argv, stdout=pipe, text=True, env=environ, start_new_session=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "up\n"
            yield process
        finally:
            os.killpg(process.pid, signal.SIGKILL)  # with what it has started


def program(folder: Path) -> tuple[str, ...]:
    """A user's program in a frame of `torch/_inductor/async_compile.py: wait`, with a cc1plus of its own below it."""
    package = folder / "site-packages" / "torch" / "_inductor"
    package.mkdir(parents=True)
    (package / "async_compile.py").write_text(
        textwrap.dedent(
            """
            import subprocess
            def wait(argv):
                with subprocess.Popen(argv) as child:
                    child.wait()
            """
        )
    )
    cc1plus = folder / "cc1plus"
    cc1plus.symlink_to(sys.executable)
    script = folder / "train.py"
    source = f"sys.path.insert(0, {str(package)!r}); import async_compile"
    child = [str(cc1plus), "-I", "-S", "-c", COMPILER, "/tmp/torchinductor_me/ab/cab.cpp"]
    script.write_text(f"import sys\n{source}\nasync_compile.wait({child!r})\n")
    return (sys.executable, str(script))


@pytest.mark.skipif(not find_pyspy(), reason="py-spy is not installed")
def test_a_compiling_process_has_its_phase_its_line_and_its_compilers(tmp_path: Path) -> None:
    with running(*program(tmp_path), env={"TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache")}) as process:
        found = ask(process.pid)
        assert found is not None
        assert found.state == "compiling", found
        assert found.line.startswith("compiling: Inductor: waiting for kernels of train.py:3 in <module>; 1 g++ at ")
        assert found.waiting_for == 1
        (row,) = found.helpers
        assert row.kind == "g++"
        assert row.cpu_percent > 0
        assert found.threads is not None
        assert found.caches[0].path == str(tmp_path / "cache")


def _forbidden(_pid: int, _deadline_s: float) -> Stack:
    raise NoStack("py-spy: not allowed to read its memory: needs the ptrace right (root or CAP_SYS_PTRACE)")


def test_without_ptrace_its_children_tell_and_it_is_said(tmp_path: Path) -> None:
    with running(*program(tmp_path)) as process:
        found = look(process.pid, 0.2, _forbidden)
    assert found.state == "compiling"
    assert "files of torch.compile's cache" in found.line
    assert "ptrace" in found.degraded
    assert found.command


def test_growth_of_its_cache_is_seen_within_the_look(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()

    def writes(_pid: int, _deadline_s: float) -> Stack:
        (cache / "kernel.so").write_bytes(b"x" * 4096)
        raise NoStack("py-spy: no")

    sleeper = (sys.executable, "-c", "print('up', flush=True); import time; time.sleep(600)")
    with running(*sleeper, env={"TORCHINDUCTOR_CACHE_DIR": str(cache), "OMP_NUM_THREADS": "3"}) as process:
        found = look(process.pid, 0.05, writes)
    assert found.caches[0].new_files == 1
    assert found.caches[0].new_bytes == 4096
    assert found.omp_threads == "3"
    assert found.state == "not sure"
    assert "its caches grow" in found.line


@pytest.mark.skipif(not find_pyspy(), reason="py-spy is not installed")
def test_a_sleeping_process_is_not_compiling(tmp_path: Path) -> None:
    script = tmp_path / "serve.py"
    script.write_text("print('up', flush=True)\nimport time\ntime.sleep(600)\n")
    with running(sys.executable, str(script)) as process:
        found = look(process.pid, 0.05)
    assert found.line == "not compiling: its main thread is at serve.py:3 in <module>"
    assert found.torch is False


def test_a_process_that_is_gone_is_none() -> None:
    with subprocess.Popen(["true"]) as process:
        process.wait()
    with pytest.raises(Gone):
        look(process.pid, 0.0)
    assert ask(process.pid) is None


def test_a_driver_and_what_it_starts_are_one_compiler(tmp_path: Path) -> None:
    lines = {
        1: "1 (python3) S 0 1 1 0 -1 0 0 0 0 0 {cpu} 0 0 0 20 0 1 0 100",
        2: "2 (g++) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 101",
        3: "3 (cc1plus) R 2 1 1 0 -1 0 0 0 0 0 {cpu} 0 0 0 20 0 1 0 102",
        4: "4 (a) b) R 9 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 103",
    }
    trees = []
    for at, cpu in ((0.0, 0), (1.0, 50)):
        for pid, line in lines.items():
            (tmp_path / str(pid)).mkdir(exist_ok=True)
            (tmp_path / str(pid) / "stat").write_text(line.format(cpu=cpu))
        trees.append(read(1, at, tmp_path))
    before, after = trees
    assert before is not None
    assert after is not None
    (row,) = helpers(before, after)
    assert (row.kind, row.count, row.busy) == ("g++", 1, 1)
    assert row.cpu_percent == pytest.approx(100 * 50 / os.sysconf("SC_CLK_TCK"))
