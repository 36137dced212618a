"""A live process as probes get it, and in words what it has otherwise than this shell."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from subprocess import PIPE

import msgspec
import pytest

from torchprobes.environment import likeness
from torchprobes.environment.likeness import LikeError, Likeness, ranges
from torchprobes.model import Difference

SECRET = "hf_" + "a1" * 20
PROGRAM = "import resource, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (300, 400)); print(flush=True); input()"
HERE = {"PATH": "/usr/bin:/bin", "NCCL_DEBUG": "WARN", "TERM": "xterm", "BOTH": "1"}
THERE = {
    "PATH": "bin:/usr/bin:",
    "PYTHONPATH": "lib:/abs",
    "HF_TOKEN": SECRET,
    "OMP_NUM_THREADS": "7",
    "NCCL_DEBUG": "INFO",
    "RANK": "1",
    "MASTER_ADDR": "10.0.0.1",
    "TORCHDOCTOR_TOKEN": "x",
    "SLURM_JOB_ID": "12",
    "BOTH": "1",
}


@pytest.fixture
def job(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A Python in a folder of its own, on one core, with limits and an environment of its own."""
    core = min(os.sched_getaffinity(0))
    with subprocess.Popen(
        [sys.executable, "-c", f"import os; os.sched_setaffinity(0, {{{core}}}); " + PROGRAM],
        env=THERE,
        cwd=tmp_path,
        stdin=PIPE,
        stdout=PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        yield process
        process.kill()


def by_name(found: Likeness) -> dict[str, Difference]:
    return {each.what: each for each in found.like.differences}


def test_probes_get_what_it_has_but_are_no_rank_of_its_job(job: subprocess.Popen[bytes], tmp_path: Path) -> None:
    found = likeness.read(job.pid, environ=HERE)
    assert os.path.samefile(found.python, sys.executable)
    assert found.python == sys.executable, "as it was called: the file behind the link has no packages"
    assert found.cores == (min(os.sched_getaffinity(0)),)
    assert found.limits["RLIMIT_NOFILE"] == (300, 400)
    assert found.limits["RLIMIT_CORE"] == resource.getrlimit(resource.RLIMIT_CORE)
    assert found.environ["HF_TOKEN"] == SECRET, "the probes need it as it is"
    assert found.environ["PYTHONPATH"] == f"{tmp_path}/lib:/abs"
    assert found.environ["PATH"] == f"{tmp_path}/bin:/usr/bin:{tmp_path}/"
    assert not {"RANK", "MASTER_ADDR", "TORCHDOCTOR_TOKEN"} & found.environ.keys()
    assert found.like.folder == str(tmp_path)


def test_what_differs_is_told_in_order_and_holds_no_secret(job: subprocess.Popen[bytes]) -> None:
    found = likeness.read(job.pid, environ=HERE, python="/usr/bin/python3")
    told = by_name(found)
    assert next(iter(told)) == "interpreter"
    assert told["interpreter"].here == "/usr/bin/python3"
    assert (told["NCCL_DEBUG"].here, told["NCCL_DEBUG"].there) == ("WARN", "INFO")
    assert (told["OMP_NUM_THREADS"].here, told["OMP_NUM_THREADS"].there) == ("not set", "7")
    assert told["HF_TOKEN"].there == "***"
    assert told["limit nofile"].there == "300 (at most 400)"
    assert told["variables of its rank"].there == "MASTER_ADDR, RANK, TORCHDOCTOR_TOKEN"
    assert not told["variables of its rank"].applied
    assert told["1 other variables"].there == "SLURM_JOB_ID"
    assert not told["folder"].applied
    assert "BOTH" not in told
    assert "TERM" not in told
    if len(os.sched_getaffinity(0)) > 1:
        assert told["cores"].there == str(min(os.sched_getaffinity(0)))
    said = msgspec.json.encode(found.like).decode() + repr(found)
    assert SECRET not in said


def test_a_process_that_is_as_we_are_differs_in_nothing() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=PIPE) as twin:
        found = likeness.read(twin.pid, python=sys.executable)
        twin.kill()
    assert found.like.differences == ()


def test_an_interpreter_that_renamed_itself_is_found_by_its_environment(tmp_path: Path) -> None:
    """`setproctitle` and launchers write over argv[0]; the virtual environment still tells."""
    venv = {"VIRTUAL_ENV": sys.prefix} if sys.prefix != sys.base_prefix else {}
    argv = ["ray::worker", "-S", "-c", "print(flush=True); input()"]
    with subprocess.Popen(argv, executable=sys.executable, env=venv, stdin=PIPE, stdout=PIPE) as renamed:
        assert renamed.stdout is not None
        renamed.stdout.readline()
        assert os.path.samefile(likeness.read(renamed.pid).python, sys.executable)
        assert (likeness.read(renamed.pid).python == f"{sys.prefix}/bin/python") is bool(venv)
        renamed.kill()


@pytest.mark.parametrize(("argv", "words"), [(["sleep", "600"], "no Python interpreter"), (["cat"], "no Python")])
def test_what_is_no_python_is_refused_in_one_line(argv: list[str], words: str) -> None:
    with subprocess.Popen(argv, stdin=PIPE) as process:
        with pytest.raises(LikeError, match=words) as refused:
            likeness.read(process.pid)
        process.kill()
    assert "\n" not in str(refused.value)


def test_a_process_that_is_gone_or_another_by_now_is_refused(job: subprocess.Popen[bytes]) -> None:
    started = likeness.read(job.pid).like.started
    assert likeness.read(job.pid, started).like.pid == job.pid
    with pytest.raises(LikeError, match="another process has this pid by now"):
        likeness.read(job.pid, started + 1)
    job.kill()
    job.wait()
    with pytest.raises(LikeError, match="it has ended"):
        likeness.read(job.pid, started)


def test_an_interpreter_that_was_replaced_is_refused(tmp_path: Path) -> None:
    copy = tmp_path / "python3-copy"
    shutil.copy(os.path.realpath(sys.executable), copy)
    environ = {**os.environ, "PYTHONHOME": sys.base_prefix}
    argv = [str(copy), "-S", "-c", "print(flush=True); input()"]
    with subprocess.Popen(argv, env=environ, stdin=PIPE, stdout=PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        copy.unlink()
        with pytest.raises(LikeError, match="replaced or removed"):
            likeness.read(process.pid)
        process.kill()


def test_a_process_in_a_container_is_refused_with_the_way_into_it() -> None:
    argv = ["unshare", "--mount", sys.executable, "-c", "print(flush=True); input()"]
    with subprocess.Popen(argv, stdin=PIPE, stdout=PIPE) as process:
        assert process.stdout is not None
        if not process.stdout.readline():
            pytest.skip("LOUD: namespaces of our own are not permitted here")
        with pytest.raises(LikeError, match="docker exec -i NAME python"):
            likeness.read(process.pid)
        process.kill()


@pytest.mark.skipif(os.geteuid() != 0, reason="LOUD: needs root to have another user's process")
def test_as_root_the_code_of_another_user_is_not_run_without_being_asked() -> None:
    python = next(p for p in ("/usr/bin/python3", sys.executable) if os.path.exists(p))
    argv = ["/usr/bin/env", python, "-I", "-S", "-c", "print(flush=True); input()"]
    with subprocess.Popen(argv, user=65534, stdin=PIPE, stdout=PIPE) as process:
        assert process.stdout is not None
        if not process.stdout.readline():
            pytest.skip("LOUD: this interpreter is not readable for another user")
        with pytest.raises(LikeError, match="--as-root"):
            likeness.read(process.pid)
        assert likeness.read(process.pid, as_root=True).like.user.endswith("(uid 65534)")
        process.kill()


def test_cores_are_told_as_the_kernel_lists_them() -> None:
    assert ranges([0, 1, 2, 3, 8, 10, 11]) == "0-3,8,10-11"
    assert ranges([]) == ""
