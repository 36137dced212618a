"""The looks before a launch for real: a taken port with its holder, a resolver that hangs, a session's settings."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from torchprobes import child
from torchprobes.environment.launching import names, ports, ranks, session
from torchprobes.jobs.launch_plan import LaunchOptions
from torchprobes.jobs.preflight import looks as looking
from torchprobes.jobs.preflight import preflight
from torchprobes.jobs.preflight.intent import Intent

ALONE = LaunchOptions(torchrun=("--standalone",))

HOLDER = """
import socket, sys
listener = socket.socket(); listener.bind(("127.0.0.1", 0)); listener.listen()
print(listener.getsockname()[1], flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holder() -> Iterator[SimpleNamespace]:
    """A process that listens on a port: its pid and the port."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        yield SimpleNamespace(pid=process.pid, port=int(process.stdout.readline()))
    finally:
        process.stdin.close()
        process.stdout.close()
        process.wait(20)


def test_a_taken_port_is_told_with_its_holder_in_time(holder: SimpleNamespace) -> None:
    words = ("--nnodes=1", "--rdzv-backend=c10d", f"--rdzv-endpoint=127.0.0.1:{holder.port}")
    found = {f.id: f for f in preflight(LaunchOptions(torchrun=words), None, {}, deadline_s=20.0)}
    assert "TD-JOB-003" in found, found
    seen = found["TD-JOB-003"].seen
    assert f"port {holder.port}: pid {holder.pid} of " in seen
    assert "import socket, sys" in seen
    assert "127.0.0.1" in seen


def test_every_look_answers_on_this_machine() -> None:
    looks = looking.look(Intent(ranks=2, nodes=2, host="127.0.0.1", port=1), 20.0)
    assert looks.unread == {}
    assert looks.name is not None
    assert looks.name.host == socket.gethostname()
    assert looks.interfaces is not None
    assert "127.0.0.1" in next(i.addresses for i in looks.interfaces if i.loopback)
    assert looks.shm is not None
    assert looks.shm.total >= looks.shm.free > 0
    assert looks.tasks is not None
    assert looks.tasks.own >= len(os.listdir("/proc/self/task"))
    assert looks.endpoint is not None
    assert looks.endpoint.source == "127.0.0.1"


def test_a_look_that_hangs_holds_up_no_other_and_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = {
        "name": child.Part("hung", cause="no answer"),
        "shm": child.Part("done", {"total": 1 << 40, "free": 1 << 39}),
    }
    monkeypatch.setattr(child, "ask_each", lambda *_: parts)
    found = {f.id: f.seen for f in preflight(ALONE, None, {})}
    assert found["TD-JOB-002"] == "this host's own name: no answer"


def test_a_child_that_hangs_as_a_whole_is_told_within_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "INSPECTOR", Path("/dev/null"))
    begin = time.monotonic()
    found = preflight(ALONE, None, {}, deadline_s=10.0)
    assert time.monotonic() - begin < 10.0
    assert {f.id for f in found} == {"TD-JOB-002", "TD-JOB-030"}


def test_an_answer_that_is_not_understood_is_unread() -> None:
    looks = looking.read({"shm": child.Part("done", {"total": "much"}), "tasks": child.Part("failed", cause="denied")})
    assert looks.shm is None
    assert set(looks.unread) == {"shm", "tasks"}


def test_a_free_port_can_be_bound_and_has_no_listener() -> None:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        free = one.getsockname()[1]
    assert ports.bindable(free) == ""
    assert ports.listeners(free) == []


def test_reaching_an_endpoint(holder: SimpleNamespace) -> None:
    assert names.reach("127.0.0.1", holder.port)["answer"] == "open"
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        assert names.reach("127.0.0.1", one.getsockname()[1])["answer"] == "refused"


def test_addresses_of_listeners_are_in_the_order_of_the_machine() -> None:
    assert ports._address("0100007F:7347") == "127.0.0.1"
    assert ports._address("00000000000000000000000001000000:7347") == "::1"


# --- the session -----------------------------------------------------------------------------------------------------


def node(root: Path, files: dict[str, str]) -> str:
    (root / "run/systemd/sessions").mkdir(parents=True)
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return str(root)


@pytest.mark.parametrize(
    ("files", "kills"),
    [
        ({}, False),
        ({"etc/systemd/logind.conf": "[Login]\nKillUserProcesses=yes\n"}, True),
        ({"etc/systemd/logind.conf": "[Login]\n#KillUserProcesses=yes\n"}, False),
        ({"usr/lib/systemd/logind.conf": "[Login]\nKillUserProcesses=on\n"}, True),
        (
            {
                "etc/systemd/logind.conf": "[Login]\nKillUserProcesses=no\n",
                "usr/lib/systemd/logind.conf.d/50.conf": "[Login]\nKillUserProcesses=1\n",
            },
            True,
        ),
        (
            {
                "usr/lib/systemd/logind.conf.d/50.conf": "[Login]\nKillUserProcesses=1\n",
                "etc/systemd/logind.conf.d/50.conf": "",
            },
            False,
        ),
        ({"etc/systemd/logind.conf": "[Login]\nKillUserProcesses=yes\nKillExcludeUsers=ann\n"}, False),
        ({"etc/systemd/logind.conf": "[Login]\nKillUserProcesses=yes\nKillOnlyUsers=bob\n"}, False),
        ({"etc/systemd/logind.conf": "[Login\nKillUserProcesses=yes\n"}, False),
    ],
)
def test_what_logind_does_to_what_a_session_leaves(tmp_path: Path, files: dict[str, str], kills: bool) -> None:
    assert session.kills(node(tmp_path, files), "ann") is kills


def test_root_is_spared_unless_it_says_otherwise(tmp_path: Path) -> None:
    root = node(tmp_path, {"etc/systemd/logind.conf": "[Login]\nKillUserProcesses=yes\n"})
    assert session.kills(root, "root") is False
    assert session.kills(str(tmp_path / "elsewhere"), "ann") is None


@pytest.mark.parametrize(
    ("cgroup", "expected"),
    [
        ("0::/user.slice/user-1000.slice/session-4.scope", {"scope": "session-4.scope", "manager": False}),
        ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/t.scope", {"scope": "", "manager": True}),
        ("0::/system.slice/slurmstepd.scope/job_12/step_0/user/task_0", {"job": "12", "step": "0", "scope": ""}),
        ("9:pids:/slurm/uid_1000/job_12/step_batch", {"job": "12", "step": "batch"}),
    ],
)
def test_where_this_process_lives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cgroup: str, expected: dict[str, object]
) -> None:
    for name in ("SLURM_JOB_ID", "SLURM_STEP_ID", "SLURM_PTY_PORT"):
        monkeypatch.delenv(name, raising=False)
    found = session.session(node(tmp_path, {"proc/self/cgroup": cgroup + "\n"}))
    assert {name: found[name] for name in expected} == expected


# --- ranks without a launcher ----------------------------------------------------------------------------------------

ORPHAN = """
import os, subprocess, sys
rank = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()", "the-orphan"],
                        env={**os.environ, "RANK": "2", "WORLD_SIZE": "4", "TORCHELASTIC_RUN_ID": "gone"})
print(rank.pid, flush=True)
"""


@pytest.mark.skipif(not os.path.exists("/proc/1"), reason="pid 1 is hidden: no process can be seen to be an orphan")
def test_a_rank_whose_launcher_is_gone_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    launcher = subprocess.Popen(
        [sys.executable, "-c", ORPHAN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True, text=True
    )
    assert launcher.stdout is not None
    assert launcher.stdin is not None
    pid = int(launcher.stdout.readline())
    launcher.wait(20)
    try:
        parent = ranks.process.parent(pid)
        if parent != 1:  # a subreaper of this sandbox took it in: it stands for init
            monkeypatch.setattr(ranks, "_REAPERS", frozenset({ranks.process.name(parent)}))
            monkeypatch.setattr(ranks, "_LAUNCHER", ranks.re.compile("no launcher"))
        rows = {row["pid"]: row for row in ranks.orphans()}
        assert pid in rows, parent
        assert (rows[pid]["rank"], rows[pid]["world"], rows[pid]["run"]) == (2, 4, "gone")
        assert "the-orphan" in rows[pid]["command"]
        assert rows[pid]["devices"] == []
    finally:
        launcher.stdin.close()
        launcher.stdout.close()
