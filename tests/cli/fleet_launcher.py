"""Stand-ins for a cluster: a launcher of all nodes that labels lines as `srun --label` does, and what runs on a node.

`srun` of `write_srun` starts a process a node with Slurm's variables, waits for all that end, says how they ended as
srun does, and only then starts the node `cut`, which says that it lives and hangs. What a node does is its name:
`ok…` answers with a snapshot, `notorch` too, of a node without torch, `exits` exits with 7, `garbage` writes garbage,
`missing` has no torchdoctor, `future` is of a later version, `cut` hangs after its first word, `silent` before it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

NODE = """\
import json, os, sys, time
sys.path[:1] = {roots!r}
import msgspec
from torchprobes.reports.fleet.wire import Answer, Message, Voice

words, environ = sys.argv[1:], os.environ
token = words[words.index("--answer") + 1]
name = words[words.index("--as") + 1] if "--as" in words else environ["SLURMD_NODENAME"]
if name == "silent":
    time.sleep(3600)
if name in ("exits", "missing"):
    os.write(2, b"libcuda.so.1: cannot open\\n" if name == "exits" else b"sh: torchdoctor: not found\\n")
    sys.exit(7 if name == "exits" else 127)
if name == "garbage":
    os.write(1, b"@td1 " + token.encode() + b" garbage 1 1 1 00000000 AAAA ;\\n" + os.urandom(2000) + b"\\nbye\\n")
    sys.exit(0)
voice, task = Voice(1, token, name), int(environ.get("SLURM_PROCID", "0"))
voice.message(Message(torchdoctor="0.1.0", host=name, nodelist=environ.get("SLURM_STEP_NODELIST", ""), task=task))
if name == "cut":
    time.sleep(3600)
snapshot = json.load(open({snapshot!r}))
snapshot["machine"]["host"] = name
if name == "notorch":
    snapshot["target"] = dict(chosen=None, candidates=[], why="no interpreter with PyTorch was found")
if name == "future":
    snapshot["schema"] = 99
print("Welcome to", name, end="", flush=True)
document = msgspec.Raw(json.dumps(snapshot).encode())
voice.answer(Answer(kind="snapshot", torchdoctor="0.0.9" if name == "older" else {version!r}, document=document))
"""

SRUN = """\
#!{python}
import os, subprocess, sys, threading
words = sys.argv[1:]
at = next(place for place, word in enumerate(words) if word.startswith("--nodelist="))
assert words[:at] == ["--kill-on-bad-exit=0", "--wait=0", "--label"], words
nodes, command = words[at].partition("=")[2].split(","), words[at + 1 :]

def start(task):
    slurm = dict(SLURM_STEP_NODELIST=",".join(nodes), SLURM_NNODES=str(len(nodes)), SLURM_NODEID=str(task),
                 SLURM_PROCID=str(task), SLURM_LOCALID="0", SLURMD_NODENAME=nodes[task])
    process = subprocess.Popen(command, env={{**os.environ, **slurm}}, stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    reader = threading.Thread(target=label, args=(task, process.stdout), daemon=True)
    reader.start()
    return process, reader

def label(task, lines):
    for line in lines:
        os.write(1, b"%d: %b" % (task, line))

first = [task for task, name in enumerate(nodes) if name not in ("cut", "silent")]
later = [task for task, name in enumerate(nodes) if name in ("cut", "silent")]
for task, (process, reader) in [(task, start(task)) for task in first]:
    code = process.wait()
    reader.join()
    if code:
        os.write(2, b"srun: error: %b: task %d: Exited with exit code %d\\n" % (nodes[task].encode(), task, code))
for process, _ in [start(task) for task in later]:
    process.wait()
"""


def write_cluster(folder: Path, snapshot: object, version: str) -> str:
    """Write `srun`, `on` (a launcher of one node: `on NODE COMMAND`) and `node.py`; the `--program` that runs it."""
    (folder / "snapshot.json").write_text(json.dumps(snapshot))
    roots = [str(ROOT / "probes")]
    node = folder / "node.py"
    node.write_text(NODE.format(roots=roots, snapshot=str(folder / "snapshot.json"), version=version))
    for name, text in (("srun", SRUN.format(python=sys.executable)), ("on", '#!/bin/sh\nshift\nexec "$@"\n')):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return f"{sys.executable} -B {node}"
