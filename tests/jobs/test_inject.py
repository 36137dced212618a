"""What is put into a launched rank: it tells, answers its private signal, and changes nothing for the script."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from launched_job import lines, until

from torchprobes.distributed import RankIdentity
from torchprobes.jobs.flight.parse import parse
from torchprobes.jobs.node import NodeFolder
from torchprobes.jobs.stacks.dumps import parse_dump
from torchprobes.jobs.told import told
from torchprobes.runner.order import PAYLOADS

INJECT = PAYLOADS / "inject"
LAUNCHER = (
    "import subprocess, sys\n"
    "sys.exit(subprocess.call([sys.executable, '-I', '-S', '-B', sys.argv[2], sys.argv[1], *sys.argv[3:]]))\n"
)
"""Starts one rank by the shim, which looks for the run id among its parent's arguments."""


class Rank:
    """A rank started by the shim alone, without torch."""

    def __init__(self, folder: Path, *program: str, **environ: str) -> None:
        self.node = NodeFolder(folder / "node")
        for path in (self.node.events, self.node.stacks):
            path.mkdir(parents=True)
        env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "TORCH"))}
        env |= {"RANK": "3", "WORLD_SIZE": "4", "TORCHDOCTOR_NODE": str(self.node.path)}
        env |= {"TORCHDOCTOR_INJECT": str(INJECT), **environ}
        argv = [sys.executable, "-I", "-S", "-c", LAUNCHER, "td-x", str(PAYLOADS / "rank_shim.py"), *program]
        self.process = subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def end(self) -> str:
        """What it printed; nothing may have been said on stderr."""
        out, err = self.process.communicate(timeout=60)
        assert (self.process.returncode, err) == (0, "")
        return out

    def events(self, ev: str = "") -> list[dict[str, Any]]:
        """All events of all processes, or of one kind."""
        found = [event for file in sorted(self.node.events.iterdir()) for event in lines(file)]
        return [event for event in found if ev in ("", event["ev"])]


def python(text: str) -> tuple[str, ...]:
    return (sys.executable, "-c", text)


def test_a_rank_tells_its_beginning_and_its_end(tmp_path: Path) -> None:
    rank = Rank(tmp_path, *python("import os; print(os.getpid())"), TORCHELASTIC_RESTART_COUNT="2")
    pid = int(rank.end())
    assert [file.name for file in rank.node.events.iterdir()] == [f"{pid}.r3.a2.jsonl"]
    assert [event["ev"] for event in rank.events() if event["ev"] != "hb"] == ["start", "init", "end"]
    assert {(event["pid"], event["rank"], event["attempt"]) for event in rank.events()} == {(pid, 3, 2)}
    assert rank.events("end")[0]["name"] == "atexit"


def test_what_a_script_raises_is_told(tmp_path: Path) -> None:
    rank = Rank(tmp_path, *python("raise ValueError('bad batch')"))
    _, err = rank.process.communicate(timeout=60)
    assert rank.process.returncode == 1
    assert err.endswith("ValueError: bad batch\n")
    assert "torchdoctor" not in err
    end = rank.events("end")[0]
    assert (end["name"], end["ok"], end["error"]) == ("raised", False, "ValueError: bad batch")


FAMILY = """
import multiprocessing, os, subprocess, sys
if __name__ == "__main__":
    print(os.environ.get("PYTHONPATH"), any("inject" in path for path in sys.path))
    for method in ("fork", "spawn", "forkserver"):
        child = multiprocessing.get_context(method).Process(target=print, args=(method,), kwargs={"flush": True})
        child.start()
        child.join()
    subprocess.check_call([sys.executable, "-c", "print('subprocess')"])
    if not os.fork():
        sys.exit(0)  # runs what is registered for the end of the interpreter
    os.wait()
    print("sitecustomize" in sys.modules and sys.modules["sitecustomize"].__dict__.get("mine"))
"""


def test_children_of_a_rank_get_nothing_and_the_users_own_sitecustomize_runs(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "sitecustomize.py").write_text("mine = 'it ran'\n")
    script = tmp_path / "family.py"
    script.write_text(FAMILY)
    rank = Rank(tmp_path, sys.executable, str(script), PYTHONPATH=str(theirs))
    assert rank.end().split("\n")[:-1] == [f"{theirs} False", "fork", "spawn", "forkserver", "subprocess", "it ran"]
    assert len(list(rank.node.events.iterdir())) == 1
    assert len(rank.events("end")) == 1


def test_what_the_users_sitecustomize_raises_is_told_as_ever(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("raise RuntimeError('theirs')\n")
    rank = Rank(tmp_path, *python("print('went on')"), PYTHONPATH=str(tmp_path))
    out, err = rank.process.communicate(timeout=60)
    plain = subprocess.run(
        python("print('went on')"), env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert (out, err) == (plain.stdout, plain.stderr)
    assert "theirs" in err
    assert rank.events("end")


@pytest.mark.parametrize("switch", ["-I", *(pytest.param(s, marks=pytest.mark.trials) for s in ("-S", "-E"))])
def test_a_python_that_reads_no_sitecustomize_goes_without(tmp_path: Path, switch: str) -> None:
    below = "import subprocess, sys; print('ran', flush=True); subprocess.call([sys.executable, '-c', 'print(1)'])"
    rank = Rank(tmp_path, sys.executable, switch, "-c", below)
    assert rank.end() == "ran\n1\n"
    assert rank.events() == []  # nor does its child pass for the rank


def test_a_script_of_the_shell_may_start_the_rank(tmp_path: Path) -> None:
    text = f"{sys.executable} -c 'print(1)'; {sys.executable} -c 'print(2)'"
    rank = Rank(tmp_path, "sh", "-c", text)
    assert rank.end() == "1\n2\n"
    assert len(rank.events("start")) == 2


def test_a_node_that_cannot_be_written_stops_no_rank(tmp_path: Path) -> None:
    rank = Rank(tmp_path, *python("print('ran')"), TORCHDOCTOR_NODE="/nowhere")
    out, err = rank.process.communicate(timeout=60)
    assert out == "ran\n"
    assert re.fullmatch(r"torchdoctor: this rank cannot be made diagnosable: .*nowhere.*\n", err)


HANDLERS = """
import faulthandler, os, signal, sys, time
seen = []
for number in (signal.SIGUSR1, signal.SIGUSR2):
    signal.signal(number, lambda n, f: seen.append(n))
faulthandler.enable()
if {own}:
    faulthandler.register(signal.SIGUSR2, file=open(sys.argv[1], "w"))
def waits_here():
    print(os.getpid(), flush=True)
    deadline = time.monotonic() + 60
    while not os.path.exists(sys.argv[1] + ".go") and time.monotonic() < deadline:
        time.sleep(0.01)
waits_here()
if {own}:
    os.kill(os.getpid(), signal.SIGUSR2)
print(seen)
"""


@pytest.mark.parametrize("own", [False, True], ids=["handlers", "its own faulthandler"])
def test_stacks_come_on_a_private_signal_and_the_script_sees_none(tmp_path: Path, own: bool) -> None:
    mine = tmp_path / "mine.txt"
    rank = Rank(tmp_path, sys.executable, "-u", "-c", HANDLERS.format(own=own), str(mine))
    assert rank.process.stdout is not None
    pid = int(rank.process.stdout.readline())
    identity = RankIdentity(rank=3, pid=pid, start_ticks=0)
    said = told(rank.node, identity)
    assert said.stack_signal is not None
    assert signal.SIGRTMIN <= said.stack_signal <= signal.SIGRTMAX
    assert said.stack_file is not None
    os.kill(pid, said.stack_signal)
    file = said.stack_file

    def where() -> set[str]:
        stack = parse_dump(file.read_text(), "faulthandler", 1)
        return {frame.function for thread in stack.threads for frame in thread.frames} if stack else set()

    until(lambda: "waits_here" in where())
    Path(f"{mine}.go").touch()
    assert rank.end() == "[]\n"
    assert (mine.read_text() != "") if own else not mine.exists()


def test_sockets_of_ranks_that_were_killed_are_removed(tmp_path: Path) -> None:
    def bound(name: str) -> socket.socket:
        one = socket.socket(socket.AF_UNIX)
        one.bind(str(tmp_path / name))
        return one

    bound("1-dead").close()
    bound("3-young").close()
    (tmp_path / "no-socket").touch()
    with bound("2-alive") as alive:
        alive.listen()
        for name in ("1-dead", "2-alive", "no-socket"):
            os.utime(tmp_path / name, (1, 1))
        text = f"import sys; sys.path.insert(0, {str(INJECT)!r}); import torchdoctor_server as s; s.sweep(sys.argv[1])"
        subprocess.run([sys.executable, "-I", "-S", "-B", "-c", text, str(tmp_path)], check=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2-alive", "3-young", "no-socket"]


PYTHONS = tuple(filter(None, os.environ.get("TORCHDOCTOR_MATRIX_PYTHON", sys.executable).split(":")))
"""Interpreters of other versions, paths separated by a colon; else this one alone."""


@pytest.mark.trials
@pytest.mark.parametrize("number", range(len(PYTHONS)))
def test_it_works_on_every_torch(tmp_path: Path, number: int) -> None:
    """One gloo rank on each PyTorch: steps are counted, what is absent is told with its reason."""
    interpreter = PYTHONS[number]
    version = subprocess.check_output([interpreter, "-c", "import torch; print(torch.__version__)"], text=True).strip()
    script = tmp_path / "train.py"
    script.write_text(TRAIN)
    env = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0", "RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0"}
    rank = Rank(tmp_path, interpreter, "-u", str(script), **env, PYTHONWARNINGS="ignore")
    out, err = rank.process.communicate(timeout=120)
    assert (rank.process.returncode, "Traceback" in err) == (0, False), err[-2000:]
    labels = {name: text for event in rank.events("init") for name, text in event["labels"].items()}
    facts = {event["name"]: event["evidence"] for event in rank.events("fact")}
    print(version, out.strip(), labels, facts)
    assert "beat" not in " ".join(facts)
    assert rank.events("step")[-1]["n"] == 40
    assert len(list(rank.node.events.iterdir())) == len(rank.events("end")) == 1
    assert ("server" in labels) != ("inject.server" in facts)
    assert bool(rank.events("coll")) != ("inject.flight" in facts) or version.startswith(("2.4.", "2.6."))


TRAIN = """
import glob, os, sys, time, torch
import torch.distributed as dist
told = glob.glob(os.environ["TORCHDOCTOR_NODE"] + "/events/*")[0]
while not any(word in open(told).read() for word in ('"server"', "inject.server")):
    time.sleep(0.05)
child = os.fork()
if not child:
    sys.exit(0)  # its interpreter ends as any does: no thread of the server is there to be waited for
assert os.waitpid(child, 0)[1] == 0
assert len(list(torch.utils.data.DataLoader(range(8), num_workers=2))) == 8
dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
model = torch.nn.Linear(4, 4)
optimizer = torch.optim.SGD(model.parameters(), 0.1)
for _ in range(40):
    model(torch.randn(2, 4)).sum().backward()
    dist.all_reduce(torch.ones(1))
    optimizer.step()
    time.sleep(0.05)
print(torch.__version__)
"""


@pytest.mark.trials
def test_what_a_step_costs(tmp_path: Path) -> None:
    """The hook's own time, µs a step, and a beat's in which phase, step and collective all changed."""
    (tmp_path / "events").mkdir()
    env = {"RANK": "0", "TORCHDOCTOR_NODE": str(tmp_path), "PATH": os.environ["PATH"]}
    text = (
        f"import os, sys, timeit; sys.path.insert(0, {str(INJECT)!r}); import torch, torchdoctor_beat as beat\n"
        "import torch.distributed as dist, torchdoctor_inject\n"
        "dist.init_process_group('gloo', store=dist.HashStore(), rank=0, world_size=1)\n"
        "steps = beat.Steps(); o = object()\n"
        "hook = min(timeit.repeat(lambda: steps(o), number=100000, repeat=5)) * 10\n"
        "import torchdoctor_groups, torchdoctor_record; events = torchdoctor_inject.Events(os.environ)\n"
        "groups = torchdoctor_groups.Groups(events, torchdoctor_record.newest)\n"
        "b = beat.Beat(events, lambda events: None, groups)\n"
        "one = torch.ones(1)\n"
        "def both():\n    dist.all_reduce(one); b.steps(o); b._told['phase'] = ''; b.beat()\n"
        "whole = min(timeit.repeat(both, number=300, repeat=5)) / 300 * 1e6\n"
        "bare = min(timeit.repeat(lambda: dist.all_reduce(one), number=300, repeat=5)) / 300 * 1e6\n"
        "print(f'{hook:.2f} {whole - bare:.1f}')\n"
    )
    hook, each = map(float, subprocess.check_output([sys.executable, "-c", text], text=True, env=env).split())
    print(f"hook {hook:.2f} µs a step; beat {each:.1f} µs, twice a second: {each * 2e-6:.6%} of a core")
    assert hook < 10  # 0.1 % of a step of 10 ms
    assert each * 2e-6 < 0.001


RECORDED = """
import json, sys, types
entries = [{"collective_seq_id": n, "profiling_name": "nccl:all_reduce", "process_group": ["0", "default_pg"],
            "input_sizes": [[1024]], "input_dtypes": ["Float"], "state": "completed"} for n in range(1, 101)]
fake = types.ModuleType("torch._C._distributed_c10d")
fake._dump_nccl_trace_json = lambda includeCollectives, onlyActive: json.dumps({"version": "2.10", "entries": entries})
sys.modules[fake.__name__] = fake
"""


def test_the_record_of_a_rank_that_left_is_kept(tmp_path: Path) -> None:
    rank = Rank(tmp_path, *python(RECORDED))
    rank.node.flight.mkdir()
    rank.end()
    (path,) = rank.node.flight.iterdir()
    assert (path.name, path.stat().st_mode & 0o777) == (f"{rank.events('end')[0]['pid']}.r3.a0.json", 0o600)
    flight = parse(path.read_bytes(), "file", 1)
    assert [entry.seq for entry in flight.entries] == list(range(37, 101))
    assert (flight.entries[-1].op, flight.entries[-1].input_sizes) == ("all_reduce", ((1024,),))
    assert not rank.events("fact")


@pytest.mark.parametrize("broken", ["lambda **_: 'no JSON'", "lambda: '{}'", "lambda **_: '{}'", "None", "int"])
def test_a_recorder_that_cannot_be_asked_leaves_nothing(tmp_path: Path, broken: str) -> None:
    rank = Rank(tmp_path, *python(RECORDED + f"\nfake._dump_nccl_trace_json = {broken}"))
    rank.node.flight.mkdir()
    rank.end()
    assert list(rank.node.flight.iterdir()) == []
