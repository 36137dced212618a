"""The words of `launch`, taken apart: nothing of the script is ours, nothing of torchrun's is lost."""

from __future__ import annotations

import pytest

from torchdoctor.cli import run
from torchdoctor.commands._job_words import split

OURS = {"--headless": False, "--json": True, "--python": True, "--force": False, "--preset": True}


@pytest.mark.parametrize(
    ("line", "ours", "torchrun", "script"),
    [
        ("--nproc-per-node 2 -- train.py --lr 3", "", "--nproc-per-node 2", "train.py --lr 3"),
        ("--headless --nproc-per-node=2 --json - -- train.py", "--headless --json -", "--nproc-per-node=2", "train.py"),
        ("--nproc-per-node 2 --headless train.py --json x", "--headless", "--nproc-per-node 2", "train.py --json x"),
        ("--standalone train.py --force", "", "--standalone", "train.py --force"),
        ("--standalone -m pkg.train --force", "", "--standalone -m", "pkg.train --force"),
        ("-r 3 -t 3 -- -m pkg.train -x", "", "-r 3 -t 3 -m", "pkg.train -x"),
        ("--no-python -- ./run.sh -- --json", "", "--no-python", "./run.sh -- --json"),
        ("-- --no-python ./run.sh", "", "--no-python", "./run.sh"),
        ("--json=out.json --nnodes 1:2 -- t.py", "--json=out.json", "--nnodes 1:2", "t.py"),
        ("--rdzv_conf a=1,b=2 t.py a", "", "--rdzv_conf a=1,b=2", "t.py a"),
        ("--preset ddp --nproc-per-node 2", "--preset ddp", "--nproc-per-node 2", ""),
        ("--headless", "--headless", "", ""),
        ("--nproc-per-node -- t.py", "", "--nproc-per-node", "t.py"),
        ("t.py --nproc-per-node 2", "", "", "t.py --nproc-per-node 2"),
        ("", "", "", ""),
    ],
)
def test_three_parties_share_one_line(line: str, ours: str, torchrun: str, script: str) -> None:
    found = split(line.split(), OURS)
    assert (found.ours, found.torchrun, found.script) == (ours.split(), torchrun.split(), script.split())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--nproc-per-node", "2"], "no script"),
        (["--nproc-per-node", "2", "--", "/nonexistent/train.py"], "/nonexistent/train.py"),
        (["--nproc-per-node", "many!", "--", "train.py"], "--nproc-per-node 'many!'"),
        (["--rdzv-id", "x", "--", "train.py"], "--rdzv-id"),
        (["--log-dir", "x", "--", "train.py"], "--log-dir"),
        (["--on-hang", "pray", "--", "train.py"], "'wait', 'stop'"),
        (["--preset", "fsdp"], "'ddp'"),
        (["--json", "/nonexistent/x", "--headless", "--", "train.py"], "/nonexistent/x"),
        (["--read-only", "--", "train.py"], "--read-only is set"),
        (["--nnodes", "0", "--", "train.py"], "--nnodes '0'"),
        (["-q", "--", "train.py"], "'-q' is no option of torchrun"),
    ],
)
def test_what_cannot_be_launched_is_one_line_and_2(
    words: list[str], said: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "dumb")
    assert run(["launch", *words]) == 2
    told = capfd.readouterr()
    assert told.out == ""
    assert said in told.err.splitlines()[-1]
    assert "Traceback" not in told.err


def test_help_says_what_goes_to_torchrun(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["launch", "--help"]) == 0
    said = capfd.readouterr().out
    assert "[TORCHRUN OPTIONS]" in said
    assert "--no-inject" in said
