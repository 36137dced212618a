"""The far end of a launcher prefix: unpacks the payload in a fresh place, runs it, sends what it says home.

Runs inside the target: standard library only, parses on Python 3.8. It arrives over stdin (`order.py` builds the
program) and finds BUNDLE there: files, modules, argv, env, request, marker, grace_s. stdin stays open as the
lifeline: its end means that everything here is killed. Only this process writes to stdout, so that records
(`runner/wire.py` reads them) and the payload's own output never tear each other.
"""

import base64
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time

import torchdoctor_places as places
import torchdoctor_processes as processes

TICK_S = 0.05
KILL_S = 5.0
LONGEST_LINE = 3900
ARTIFACT_BYTES = 16 << 20
CHUNK = 24 << 10


def send(data):
    """Write everything to stdout; whoever reads it being gone ends this process's work."""
    view = memoryview(data)
    while view:
        view = view[os.write(1, view) :]


class Remote:
    """One payload in this place."""

    def __init__(self, bundle):
        self.bundle = bundle
        self.marker = bundle["marker"].encode()
        self.place = places.make_exec_place("torchdoctor-") or sys.exit("no folder here can hold compiled code")
        self.census = processes.Census(os.getpid())
        self.offsets = {}
        self.left_behind = []

    def record(self, kind, body):
        """Send one record home."""
        send(self.marker + kind + b" " + body + b"\n")

    def fill(self, value):
        """`value` with the tokens for this place and this interpreter replaced, also inside lists and objects."""
        if isinstance(value, str):
            return value.replace("{TORCHDOCTOR_PLACE}", self.place).replace("{TORCHDOCTOR_PYTHON}", sys.executable)
        if isinstance(value, list):
            return [self.fill(v) for v in value]
        if isinstance(value, dict):
            return {k: self.fill(v) for k, v in value.items()}
        return value

    def unpack(self):
        """Write the payload's files and its request."""
        for folder in ("payloads", "environment", "events", "artifacts", "compile"):
            os.mkdir(os.path.join(self.place, folder))
        files = dict(self.bundle["files"])
        files["request.json"] = json.dumps(self.fill(self.bundle["request"]))
        for name, text in files.items():
            with open(os.path.join(self.place, name), "w", encoding="utf-8") as file:
                file.write(text)

    def run(self):
        """Start the payload, forward until it and what it started is gone; how it ended."""
        env = dict(os.environ)
        env.update(self.fill(self.bundle["env"]))
        self.child = subprocess.Popen(
            self.fill(self.bundle["argv"]), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, cwd=self.place, env=env,
            start_new_session=True,
        )  # fmt: skip
        self.record(b"P", json.dumps({"pid": self.child.pid}).encode())
        os.set_blocking(self.child.stdout.fileno(), False)
        ended, open_fds = None, [0, self.child.stdout.fileno()]
        while True:
            ready, _, _ = select.select(open_fds, [], [], TICK_S)
            if 0 in ready and not os.read(0, 4096):
                return None
            if len(open_fds) > 1 and open_fds[1] in ready and not self.forward():
                open_fds.pop()
            self.events()
            if self.child.poll() is not None:
                ended = ended or time.monotonic()
                if not self.outlived(time.monotonic() - ended):
                    return self.child.returncode

    def forward(self):
        """Send the payload's output home; False at its end."""
        try:
            chunk = os.read(self.child.stdout.fileno(), 1 << 16)
        except BlockingIOError:
            return True
        send(chunk)
        return bool(chunk)

    def outlived(self, seconds):
        """Whether to wait on for what the payload started; past the grace it is named."""
        if not processes.reap_all():
            return False
        if seconds < self.bundle["grace_s"]:
            return True
        if processes.proc_is_ours():
            living = self.census.living()
            self.left_behind = [{"pid": p.pid, "command": processes.command_line(p.pid)} for p in living[:20]]
        else:
            self.left_behind = [{"pid": "?", "command": "(unnamed: /proc there is another namespace's)"}]
        return False

    def events(self):
        """Send the new whole lines of every event file home."""
        folder = os.path.join(self.place, "events")
        for name in sorted(os.listdir(folder)):
            with open(os.path.join(folder, name), "rb") as file:
                file.seek(self.offsets.get(name, 0))
                for line in file:
                    if not line.endswith(b"\n"):
                        break
                    self.offsets[name] = self.offsets.get(name, 0) + len(line)
                    self.record(b"E", name.encode() + b" " + line[:-1][:LONGEST_LINE])

    def artifacts(self):
        """Send the artifacts home, and what compiling left to read; 16 MiB at most, caches stay here."""
        self.budget = ARTIFACT_BYTES
        self.send_files(b"A", os.path.join(self.place, "artifacts"), ())
        self.send_files(b"C", os.path.join(self.place, "compile"), ("inductor", "triton"))

    def send_files(self, kind, top, without):
        """Send the plain files below a folder, but for some of its own folders."""
        for folder, folders, files in os.walk(top):
            if folder == top:
                folders[:] = [name for name in folders if name not in without]
            for name in sorted(files):
                path = os.path.join(folder, name)
                if os.path.islink(path) or not os.path.isfile(path) or os.path.getsize(path) > self.budget:
                    continue
                self.budget -= os.path.getsize(path)
                with open(path, "rb") as file:
                    for chunk in iter(lambda: file.read(CHUNK), b""):  # noqa: B023 - used up within the turn
                        self.record(kind, os.path.relpath(path, top).encode() + b" " + base64.b64encode(chunk))

    def end(self):
        """Kill everything that is left here; where /proc is another namespace's, by session alone."""
        if not processes.proc_is_ours():
            try:
                os.killpg(self.child.pid, signal.SIGKILL)
            except OSError:
                pass
            return
        processes.end_all(self.census.living, lambda: not processes.reap_all(), KILL_S)


def main():
    """Run BUNDLE's payload; nothing of it stays, neither processes nor files.

    A launcher that starts several tasks (srun in a larger allocation) gives the program to each: the first runs it.
    """
    if os.environ.get("SLURM_PROCID", "0") != "0":
        return
    processes.become_subreaper()
    remote = Remote(BUNDLE)  # noqa: F821 - the program defines it
    try:
        remote.unpack()
        status = remote.run()
        remote.end()
        if status is None:
            return
        remote.events()
        remote.artifacts()
        name = signal.Signals(-status).name if status < 0 else None
        told = {"code": status if status >= 0 else None, "signal": name, "left_behind": remote.left_behind}
        remote.record(b"X", json.dumps(told).encode())
    finally:
        if hasattr(remote, "child"):
            remote.end()
        shutil.rmtree(remote.place, ignore_errors=True)


main()
