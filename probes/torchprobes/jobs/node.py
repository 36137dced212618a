"""The folder of one node in the run directory of a job: `nodes/<host>/`, one writer a file."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from pathlib import Path

import msgspec

from ..distributed import JobView
from ..rundir import RunDir, RunError, decode


@dataclass(frozen=True, slots=True)
class NodeFolder:
    """Its paths. The supervisor writes `supervisor.jsonl`, the watcher `watch.jsonl`, `view.json` and `evidence/`."""

    path: Path

    @property
    def host(self) -> str:
        """The node's name as a folder."""
        return self.path.name

    @property
    def supervisor(self) -> Path:
        """What the supervisor did and saw: start, processes, the agent's end, the end."""
        return self.path / "supervisor.jsonl"

    @property
    def watch(self) -> Path:
        """Edges that the watcher saw: ranks, exits, signs, triggers, verdicts."""
        return self.path / "watch.jsonl"

    @property
    def view(self) -> Path:
        """The newest `JobView` of this node, replaced atomically."""
        return self.path / "view.json"

    @property
    def evidence(self) -> Path:
        """`NodeEvidence` documents, one each time that evidence was collected."""
        return self.path / "evidence"

    @property
    def agent_log(self) -> Path:
        """What torchrun itself printed."""
        return self.path / "agent.log"

    @property
    def logs(self) -> Path:
        """The layout that torchrun makes of the ranks' stdout and stderr."""
        return self.path / "logs"

    @property
    def events(self) -> Path:
        """The ranks' own events: `<pid>.r<rank>.a<attempt>.jsonl`."""
        return self.path / "events"

    @property
    def stacks(self) -> Path:
        """What faulthandler writes: `<pid>.r<rank>.a<attempt>.txt`."""
        return self.path / "stacks"

    @property
    def flight(self) -> Path:
        """Dumps of the flight recorder."""
        return self.path / "flight"

    @property
    def nccl(self) -> Path:
        """NCCL's own logs."""
        return self.path / "nccl"

    @property
    def marks(self) -> Path:
        """When the bytes of the ranks' logs came: `a<attempt>.r<rank>.out|err.marks`."""
        return self.path / "marks"

    @property
    def stop(self) -> Path:
        """A file that asks the supervisor to end the job; it works over a shared file system too."""
        return self.path / "stop"

    def read_view(self) -> JobView | None:
        """The newest view, None before the first.

        Raises:
            RunError: if it is of a later schema, or broken.
        """
        try:
            raw = self.view.read_bytes()
        except OSError:
            return None
        return decode(raw, JobView, str(self.view))


def node_name(host: str | None = None) -> str:
    """A host's name as a folder: ours by default."""
    return re.sub(r"[^\w.-]", "-", host or socket.gethostname())[:64] or "host"


def node_folder(run: RunDir, host: str | None = None) -> NodeFolder:
    """The folder of a node in a run; it may not exist yet."""
    return NodeFolder(run.path / "nodes" / node_name(host))


def nodes(run: RunDir) -> list[NodeFolder]:
    """The folders of all nodes of a run, by name."""
    try:
        return [NodeFolder(path) for path in sorted((run.path / "nodes").iterdir()) if path.is_dir()]
    except OSError:
        return []


def views(run: RunDir) -> list[JobView]:
    """The newest view of every node that has one; a broken one is passed over."""
    found = []
    for node in nodes(run):
        try:
            view = node.read_view()
        except (RunError, msgspec.MsgspecError):
            continue
        if view is not None:
            found.append(view)
    return found
