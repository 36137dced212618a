"""`check --like PID`: what differs comes first, secrets appear nowhere, and what cannot be is one line and exit 2."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_process import environment, torchdoctor

SECRET = "s3cr3t-" + "x" * 20


@pytest.fixture
def job(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A training of the same interpreter, as far as `check` cares."""
    environ = {**environment(tmp_path), "WANDB_API_KEY": SECRET, "OMP_NUM_THREADS": "3", "RANK": "1"}
    argv = [sys.executable, "-c", "print(flush=True); input()", f"--token={SECRET}"]
    with subprocess.Popen(argv, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        yield process
        process.kill()


def test_what_differs_is_told_first_and_kept_and_holds_no_secret(tmp_path: Path, job: subprocess.Popen[bytes]) -> None:
    said = torchdoctor(tmp_path, "check", "env.variables", "--like", str(job.pid), "--json", "report.json")
    lines = said.out.splitlines()
    assert lines[1].startswith(f"like pid {job.pid} (")
    assert "  OMP_NUM_THREADS: 3, here not set" in lines
    assert lines.index("  OMP_NUM_THREADS: 3, here not set") < next(
        n for n, line in enumerate(lines) if "env.var" in line
    )
    report = json.loads((tmp_path / "report.json").read_text())
    like = report["target"]["like"]
    assert like["pid"] == job.pid
    assert report["target"]["origin"] == f"pid {job.pid}"
    told = {each["what"]: each for each in like["differences"]}
    assert not told["variables of its rank"]["applied"]
    facts = {f["name"]: f["value"] for result in report["results"] for f in result["facts"]}
    assert any("OMP_NUM_THREADS" in name for name in facts), "the probe saw the variable of the job"
    kept = [f for f in tmp_path.rglob("*") if f.is_file() and SECRET.encode() in f.read_bytes()]
    assert kept == []
    assert SECRET not in said.out + said.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--like", "4194304"), "it has ended"),
        (("--like", "0"), "0 is not in the range"),
        (("--like", "1", "--python", "python3"), "goes with no --python"),
        (("--like", "1", "--resume", "x"), "no --like"),
    ],
)
def test_what_cannot_be_is_one_line(tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    said = torchdoctor(tmp_path, "check", *([] if "--resume" in arguments else ["env.python"]), *arguments)
    assert said.code == 2
    assert words in said.one_line()


def test_a_run_is_not_resumed_like_a_process_that_is_gone(tmp_path: Path, job: subprocess.Popen[bytes]) -> None:
    done = torchdoctor(tmp_path, "check", "env.python", "--like", str(job.pid))
    run = Path(done.out.split("run: ")[1].split()[0])
    (run / "results.jsonl").unlink()
    job.kill()
    job.wait()
    again = torchdoctor(tmp_path, "check", "--resume", run.name)
    assert again.code == 2
    assert "it has ended" in again.one_line()


@pytest.mark.parametrize("device", ["CUDA:0", "cuda:", "cuda:x", "xpu:0:1", "-1"])
def test_a_device_that_is_none_is_refused(tmp_path: Path, device: str) -> None:
    said = torchdoctor(tmp_path, "check", "env.python", f"--device={device}")
    assert (said.code, "is no device" in said.one_line()) == (2, True)


def test_a_device_that_nobody_can_watch_is_skipped_with_the_reason(tmp_path: Path) -> None:
    said = torchdoctor(tmp_path, "check", "cuda.arch", "env.python", "--device", "npu:0", "--json", "-")
    results = {r["name"]: r for r in json.loads(said.out)["results"]}
    assert results["cuda.arch"]["verdict"] == "skip"
    assert "npu:0 cannot be seen here" in results["cuda.arch"]["reason"]
    assert results["env.python"]["verdict"] != "skip", "the host's probes run whatever the devices do"
