"""The helper that payloads share: one whole line an event, whatever a payload hands it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

import torchprobes
from torchprobes.model import Event

KIT = Path(torchprobes.__file__).parent / "payloads" / "kit.py"
LOAD = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("torchdoctor_kit", sys.argv[1])
kit = importlib.util.module_from_spec(spec)
sys.modules["torchdoctor_kit"] = kit
spec.loader.exec_module(kit)
kit.open_events()
"""

Run = Callable[..., list[Event]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run a piece of payload in a process of its own; its events, decoded as the console does."""

    def _run(code: str, **environ: str) -> list[Event]:
        (tmp_path / "events").mkdir()
        (tmp_path / "artifacts").mkdir()
        request = {"probe": "t.t", "artifacts": str(tmp_path / "artifacts"), "params": {}}
        (tmp_path / "request.json").write_text(json.dumps(request))
        environ |= {
            "TORCHDOCTOR_EVENTS": str(tmp_path / "events"),
            "TORCHDOCTOR_REQUEST": str(tmp_path / "request.json"),
        }
        subprocess.run([sys.executable, "-c", LOAD + code, str(KIT)], env=os.environ | environ, check=False, timeout=60)
        files = sorted((tmp_path / "events").iterdir())
        return [msgspec.json.decode(line, type=Event) for f in files for line in f.read_bytes().splitlines()]

    return _run


def test_a_line_stays_below_the_atomic_write_and_says_what_was_cut(run: Run) -> None:
    (event,) = run('kit.fact("long", "x" * 100_000, evidence="y" * 50_000)')
    assert event.name == "long"
    assert isinstance(event.value, str)
    assert event.value.endswith("[cut]")
    assert len(msgspec.json.encode(event)) < 4096


@pytest.mark.parametrize("number", ["nan", "inf", "-inf"])
def test_what_is_no_number_cannot_pass_for_one(run: Run, number: str) -> None:
    (event,) = run(f'kit.figure("speed", float("{number}"), "GB/s")')
    assert event.value == number


def test_a_rank_writes_its_own_file_and_a_fork_another(run: Run, tmp_path: Path) -> None:
    events = run(
        'kit.progress("parent")\nimport os\npid = os.fork()\nkit.progress("child" if pid == 0 else "after")\n'
        "os.waitpid(pid, 0) if pid else os._exit(0)",
        RANK="3",
        TORCHELASTIC_RESTART_COUNT="1",
    )
    assert sorted(e.text for e in events) == ["after", "child", "parent"]
    assert len({e.pid for e in events}) == 2
    assert {(e.rank, e.attempt) for e in events} == {(3, 1)}
    assert all(p.name.endswith(".r3.a1.jsonl") for p in (tmp_path / "events").iterdir())


@pytest.mark.parametrize(
    ("body", "ok", "error", "skip"),
    [
        ("pass", True, None, None),
        ("raise kit.Skip('needs torch 2.6')", True, None, "needs torch 2.6"),
        ("raise ValueError('bad batch')", False, "ValueError: bad batch", None),
        ("raise KeyboardInterrupt", False, "KeyboardInterrupt", None),
        ("import sys; sys.exit(3)", False, "SystemExit: 3", None),
    ],
)
def test_every_way_to_end_is_said(run: Run, body: str, ok: bool, error: str | None, skip: str | None) -> None:
    event = run(f"def work(request):\n    {body}\nkit.main(work)")[-1]
    assert (event.ev, event.ok, event.error, event.skip) == ("end", ok, error, skip)


def test_what_the_system_under_test_raised_is_kept_whole(run: Run, tmp_path: Path) -> None:
    events = run('try:\n    {}["x"]\nexcept KeyError as e:\n    kit.raised("compile", e)')
    assert [(e.ev, e.name, e.value) for e in events[:2]] == [
        ("fact", "compile", "builtins.KeyError"),
        ("fact", "compile.message", "'x'"),
    ]
    assert "KeyError" in (tmp_path / events[2].path).read_text()


def test_what_is_timed_never_overlaps(run: Run, tmp_path: Path) -> None:
    events = run(
        "import os, time\nkit.request.locks = " + repr(str(tmp_path)) + "\n"
        "for _ in range(3):\n    if os.fork() == 0:\n        with kit.timed('cuda:0'):\n"
        "            kit.progress('in'); time.sleep(0.05); kit.progress('out')\n        os._exit(0)\n"
        "for _ in range(3):\n    os.wait()"
    )
    order = [e.text for e in sorted(events, key=lambda e: e.m_ns)]
    assert order == ["in", "out"] * 3
