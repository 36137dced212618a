"""A real Slurm of several nodes on this one machine, in a folder of its own: munged, slurmctld, and a slurmd a host.

Debian's `slurm-wlm` is enough: each slurmd runs on a host of `hosts.py`, so that what Slurm starts there sees another
machine. Everything ends with the hosts.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import hosts as hosts_
from hosts import Hosts

PROGRAMS = ("munged", "slurmctld", "slurmd", "srun", "squeue", "scontrol", "sinfo")
CONTROL = "10.79.1.254"
CPUS = os.cpu_count() or 1

CONFIG = """\
ClusterName=tdtest
SlurmctldHost={host}({control})
SlurmctldPort={port}
SlurmdPort={node_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/ctld
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/ctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/ctld.log
SlurmdLogFile={folder}/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/builtin
MpiDefault=none
ReturnToService=2
KillWait=5
SwitchType=switch/none
{nodes}
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP OverSubscribe=FORCE:4
"""


@dataclass(frozen=True)
class Cluster:
    """`nodes` are those of its `hosts` that run slurmd; `environ` makes Slurm's commands speak to it."""

    hosts: Hosts
    environ: dict[str, str]
    folder: Path
    nodes: tuple[str, ...]

    def freeze(self, node: str) -> None:
        """Stop the slurmd of a node (SIGSTOP), as on a machine that hangs: nothing new starts there."""
        pid = (self.folder / f"{node}.pid").read_text().strip()
        subprocess.run(self.hosts.command(node, "kill", "-STOP", pid), check=True)

    def ask(self, *command: str, timeout: float = 60) -> str:
        done = subprocess.run(
            command, env={**os.environ, **self.environ}, capture_output=True, text=True, timeout=timeout, check=False
        )
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        return done.stdout


def why_not() -> str:
    """Why there can be no Slurm here, "" if there can."""
    paths = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])
    missing = [program for program in PROGRAMS if shutil.which(program, path=paths) is None]
    return f"no Slurm here: {', '.join(missing)} missing (apt-get install slurm-wlm)" if missing else hosts_.why_not()


@contextlib.contextmanager
def cluster(folder: Path, nodes: int, login: str = "") -> Iterator[Cluster]:
    """Bring it up and wait until every node is idle; `login` names one host more, on which no slurmd runs.

    Raises:
        AssertionError: with the last words of its daemons, if it does not come up.
    """
    names = [f"n{number}" for number in range(1, nodes + 1)]
    with hosts_.hosts(folder, [*names, *filter(None, [login])], CONTROL.rpartition(".")[0]) as made:
        config = _write_config(folder, made, names)
        environ = {"SLURM_CONF": str(config), "PATH": f"{os.environ['PATH']}:/usr/sbin"}
        found = Cluster(made, environ, folder, tuple(names))
        try:
            _start(found, config)
            yield found
        finally:
            for name in ("ctld.pid", "munged.pid"):
                with contextlib.suppress(OSError, ValueError):
                    os.kill(int((folder / name).read_text()), signal.SIGTERM)


def _write_config(folder: Path, made: Hosts, names: list[str]) -> Path:
    (folder / "ctld").mkdir()
    rows = [
        f"NodeName={name} NodeAddr={address} NodeHostname={name} CPUs={CPUS} RealMemory=1000 State=UNKNOWN"
        for name, address in zip(names, made.addresses, strict=False)
    ]
    ports = {"port": _free_port(), "node_port": _free_port()}
    text = CONFIG.format(host=socket.gethostname(), control=CONTROL, folder=folder, nodes="\n".join(rows), **ports)
    config = folder / "slurm.conf"
    config.write_text(text)
    return config


def _start(found: Cluster, config: Path) -> None:
    folder, environ = found.folder, {**os.environ, **found.environ}
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    files = [f"--{name}={folder}/{file}" for name, file in (
        ("key-file", "munge.key"), ("socket", "munge.socket"), ("pid-file", "munged.pid"),
        ("log-file", "munged.log"), ("seed-file", "munged.seed"),
    )]  # fmt: skip
    commands = [["munged", "--force", *files], ["slurmctld", "-f", str(config)]]
    commands += [found.hosts.command(name, "slurmd", "-N", name, "-f", str(config)) for name in found.nodes]
    for name in found.nodes:
        (folder / f"spool.{name}").mkdir()
    for command in commands:
        subprocess.run(command, env=environ, check=True, capture_output=True, timeout=60)
    deadline = time.monotonic() + 60
    while found.ask("sinfo", "-h", "-t", "idle", "-o", "%D").split() != [str(len(found.nodes))]:
        assert time.monotonic() < deadline, [log.read_text()[-600:] for log in folder.glob("*.log")]
        time.sleep(0.2)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("0.0.0.0", 0))
        return int(probe.getsockname()[1])
