"""Hosts on one machine: each a network, host name, process and mount namespace of its own, joined by a bridge.

What runs in one sees its own processes, its own loopback and address, and the same files, as nodes of a cluster with
a shared file system do. They share the kernel, and so the clock and the boot id. It needs root and `ip`.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

INIT = """\
import os, signal, socket, sys
signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # what is orphaned in here is reaped
socket.sethostname(sys.argv[1])
os.write(1, b"up\\n")
signal.pause()
"""


def why_not() -> str:
    """Why there can be no hosts here, "" if there can."""
    missing = [program for program in ("ip", "unshare", "nsenter") if shutil.which(program) is None]
    if os.geteuid() != 0 or missing:
        return "hosts in namespaces need root" if not missing else f"there is no {', '.join(missing)} here"
    tried = subprocess.run(
        ["unshare", "--net", "--pid", "--fork", "--mount-proc", "true"], capture_output=True, check=False
    )
    return "" if tried.returncode == 0 else f"no namespaces here: {tried.stderr.decode().strip()}"


@dataclass
class Hosts:
    """`names[i]` has the address `addresses[i]`; `on` is a program that runs a command on a host, as ssh would."""

    folder: Path
    names: tuple[str, ...]
    addresses: tuple[str, ...]
    inits: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def on(self) -> Path:
        """`on HOST COMMAND...`; of a host in `stopped/` its shell stops first, and so never runs the command."""
        return self.folder / "on"

    @property
    def via(self) -> str:
        return f"{self.on} {{node}}"

    def command(self, name: str, *words: str) -> list[str]:
        return [str(self.on), name, *words]

    def stop(self, name: str) -> None:
        """From now on every shell that comes to this host stops (SIGSTOP)."""
        (self.folder / "stopped").mkdir(exist_ok=True)
        (self.folder / "stopped" / name).touch()

    def _write_on(self) -> None:
        rows = "".join(f"  {name}) pid={init.pid};;\n" for name, init in self.inits.items())
        self.on.write_text(
            f"#!/bin/sh\nname=$1; shift\ncase $name in\n{rows}  *) echo no such host >&2; exit 255;;\nesac\n"
            f"[ -e {shlex.quote(str(self.folder))}/stopped/$name ] && kill -STOP $$\n"
            "child=$(cat /proc/$pid/task/$pid/children)\n"
            'exec nsenter --target ${child%% *} --net --uts --pid --mount -- "$@"\n'
        )
        self.on.chmod(0o755)


@contextlib.contextmanager
def hosts(folder: Path, names: Sequence[str], net: str = "10.79.0") -> Iterator[Hosts]:
    """Bring them up; when it is left, everything that runs on them is gone."""
    made = Hosts(folder, tuple(names), tuple(f"{net}.{place}" for place in range(1, len(names) + 1)))
    bridge = f"tdb{os.getpid() % 100000}"
    try:
        _ip("link", "add", bridge, "type", "bridge")
        _ip("addr", "add", f"{net}.254/24", "dev", bridge)
        _ip("link", "set", bridge, "up")
        for place, (name, address) in enumerate(zip(made.names, made.addresses, strict=True)):
            made.inits[name] = _up(name)
            _wire(_link(place), bridge, _inside(made.inits[name]), address)
        made._write_on()
        yield made
    finally:
        for init in made.inits.values():
            init.send_signal(signal.SIGKILL)
            init.wait()
        for link in (bridge, *(_link(place) for place in range(len(made.names)))):  # the kernel would, but later
            subprocess.run(["ip", "link", "del", link], check=False, capture_output=True)


def _link(place: int) -> str:
    return f"tdv{os.getpid() % 100000}x{place}"


def _up(name: str) -> subprocess.Popen[bytes]:
    command = [
        "unshare",
        "--net",
        "--uts",
        "--pid",
        "--fork",
        "--mount-proc",
        "--kill-child",
        sys.executable,
        "-c",
        INIT,
    ]
    init = subprocess.Popen([*command, name], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    assert init.stdout is not None
    assert init.stdout.readline() == b"up\n"
    return init


def _inside(init: subprocess.Popen[bytes]) -> str:
    return Path(f"/proc/{init.pid}/task/{init.pid}/children").read_text().split()[0]


def _wire(link: str, bridge: str, pid: str, address: str) -> None:
    _ip("link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", pid)
    _ip("link", "set", link, "master", bridge, "up")
    for words in (
        ["addr", "add", f"{address}/24", "dev", "eth0"],
        ["link", "set", "eth0", "up"],
        ["link", "set", "lo", "up"],
    ):
        subprocess.run(["nsenter", "--target", pid, "--net", "ip", *words], check=True, capture_output=True)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)
