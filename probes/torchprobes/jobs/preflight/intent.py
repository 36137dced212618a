"""What torchrun will be asked for, read from its own options as torchrun reads them.

An option given twice counts as last given; one that is not given may come from the environment as PET_<NAME>
(torch/distributed/argparse_util.py); `-` and `_` in names are the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..torchrun import release

DEFAULT_PORT = 29500
"""Of a c10d endpoint that names none (elastic/rendezvous/c10d_rendezvous_backend.py), and of a static one."""

ALONE_SINCE = (2, 13)
"""From here on one node without an endpoint and a port gets any free port (run.py of 2.13.0; 2.6.0 takes 29500)."""

_OPTIONS = {
    "nnodes": "1", "nproc_per_node": "1", "rdzv_backend": "static", "rdzv_endpoint": "", "rdzv_conf": "",
    "node_rank": "0", "master_addr": "127.0.0.1", "master_port": "", "local_addr": "",
}  # fmt: skip
"""Those that a launch is judged by, with torchrun's defaults."""

_ENDPOINT = re.compile(r"\[(?P<six>[^\]]+)\](?::(?P<port6>\d{1,5}))?|(?P<host>[^:]+)(?::(?P<port>\d{1,5}))?")


@dataclass(frozen=True, slots=True)
class Intent:
    """One node's part of a launch.

    `ranks` is how many ranks this node gets: a number, or the word that torchrun resolves (gpu, cpu, auto). `nodes`
    is the largest number of nodes. `host` and `port` are the rendezvous endpoint's; port 0 is any free one, host ""
    none that must be found. `hosts` says whether this node is to serve it; None: torchrun goes by names.
    """

    ranks: int | str = 1
    nodes: int = 1
    backend: str = "static"
    host: str = ""
    port: int = 0
    hosts: bool | None = None
    local_addr: str = ""

    @property
    def endpoint(self) -> str:
        """The endpoint as it was meant, "" if there is none."""
        return f"{self.host}:{self.port}" if self.host else ""


def read(arguments: Sequence[str], environ: Mapping[str, str], version: str = "") -> Intent:
    """The intent of torchrun's options (without program and script) in an environment, for a PyTorch's `version`."""
    told = {name: environ.get(f"PET_{name.upper()}", default) for name, default in _OPTIONS.items()}
    standalone = environ.get("PET_STANDALONE", "0") not in ("0", "")
    words = list(arguments)
    for at, word in enumerate(words):
        option, given, value = word.partition("=")
        name = option.lstrip("-").replace("-", "_")
        standalone = standalone or option == "--standalone"
        if option.startswith("--") and name in _OPTIONS:
            told[name] = value if given else "".join(words[at + 1 : at + 2])
    return _intent(told, standalone, release(version) >= ALONE_SINCE)


def _intent(told: Mapping[str, str], standalone: bool, finds_port: bool) -> Intent:
    nproc = told["nproc_per_node"]
    ranks = int(nproc) if nproc.isdigit() else nproc
    nodes = told["nnodes"].rpartition(":")[2]
    backend, endpoint = told["rdzv_backend"], told["rdzv_endpoint"]
    bare = backend == "static" and not endpoint
    if standalone or (finds_port and bare and nodes == "1" and not told["master_port"]):
        return Intent(ranks=ranks, backend="c10d", host="localhost")
    pairs = [part.strip().partition("=") for part in told["rdzv_conf"].split(",")]
    conf = {name: value for name, _, value in pairs}
    if bare:
        endpoint = f"{told['master_addr']}:{told['master_port'] or DEFAULT_PORT}"
    host, port = address(endpoint)
    return Intent(
        ranks=ranks,
        nodes=int(nodes) if nodes.isdigit() else 1,
        backend=backend,
        host=host,
        port=port,
        hosts=_hosts(backend, conf.get("is_host", ""), told["node_rank"]),
        local_addr=told["local_addr"],
    )


def _hosts(backend: str, is_host: str, node_rank: str) -> bool | None:
    """Static: node 0 serves the store; c10d: whoever was told to, else whoever finds itself in the endpoint."""
    if backend == "static":
        return node_rank == "0"
    words = {"1": True, "true": True, "t": True, "yes": True, "y": True}
    return None if not is_host else words.get(is_host.lower(), False)


def address(endpoint: str) -> tuple[str, int]:
    """Host and port of an endpoint; the port is the default one where none is named."""
    found = _ENDPOINT.fullmatch(endpoint.strip())
    if found is None:
        return "", 0
    port = found["port"] or found["port6"]
    return found["host"] or found["six"], int(port) if port else DEFAULT_PORT
