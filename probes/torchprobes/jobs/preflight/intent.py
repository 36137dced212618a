"""What torchrun will be asked for, from the options of a launch, as torchrun and our plan read them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from .. import torchrun_options
from ..launch_plan import LaunchOptions
from ..torchrun import release
from ..torchrun_options import Options

DEFAULT_PORT: Final = 29500
"""Of a c10d endpoint that names none (elastic/rendezvous/c10d_rendezvous_backend.py), and of a static one."""

ALONE_SINCE: Final = (2, 13)
"""From here on one node without an endpoint and a port gets any free port (run.py of 2.13.0; 2.6.0 takes 29500)."""

CHOICES: Final = ("rdzv-backend", "rdzv-endpoint", "rdzv-conf", "master-addr", "master-port", "local-addr")
"""Without one of them our plan gives a single node the loopback and any free port."""

_ENDPOINT: Final = re.compile(r"\[(?P<six>[^\]]+)\](?::(?P<port6>\d{1,5}))?|(?P<host>[^:]+)(?::(?P<port>\d{1,5}))?")


@dataclass(frozen=True, slots=True)
class Intent:
    """One node's part of a launch.

    `ranks` is how many ranks this node gets: a number, the word that torchrun resolves (gpu, cpu, auto), or "" where
    the command starts them itself. `nodes` is the largest number of nodes. `host` and `port` are the rendezvous
    endpoint's; port 0 is any free one, host "" none. `hosts` says whether this node is to serve it; None: torchrun
    goes by names.
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


def read(options: LaunchOptions, environ: Mapping[str, str], version: str = "") -> Intent:
    """The intent of a launch in an environment, for a PyTorch's `version`.

    Raises:
        OptionError: one line: what of the options cannot be.
    """
    if options.launcher == "command":
        return Intent(ranks="", backend="")
    given = torchrun_options.read(options.torchrun, environ)
    alone = torchrun_options.one_node(given)
    nproc = given.value("nproc-per-node") or "1"
    ranks = int(nproc) if nproc.isdigit() else nproc
    if alone and (given.flag("standalone") or not given.has(*CHOICES) or _finds_port(given, version)):
        return Intent(ranks=ranks, backend="c10d", host="localhost")
    return _meant(given, ranks)


def _finds_port(given: Options, version: str) -> bool:
    """Whether torchrun itself takes any free port for its one node."""
    static = (given.value("rdzv-backend") or "static") == "static"
    return static and not given.has("rdzv-endpoint", "master-port") and release(version) >= ALONE_SINCE


def _meant(given: Options, ranks: int | str) -> Intent:
    backend = given.value("rdzv-backend") or "static"
    endpoint = given.value("rdzv-endpoint") or ""
    if backend == "static" and not endpoint:
        endpoint = f"{given.value('master-addr') or '127.0.0.1'}:{given.value('master-port') or DEFAULT_PORT}"
    host, port = address(endpoint)
    most = (given.value("nnodes") or "1").rpartition(":")[2]
    return Intent(
        ranks=ranks,
        nodes=int(most),
        backend=backend,
        host=host,
        port=port,
        hosts=_hosts(backend, given.value("rdzv-conf") or "", given.value("node-rank") or "0"),
        local_addr=given.value("local-addr") or "",
    )


def _hosts(backend: str, conf: str, node_rank: str) -> bool | None:
    """Static: node 0 serves the store; c10d: whoever was told to, else whoever finds itself in the endpoint."""
    if backend == "static":
        return node_rank == "0"
    pairs = [part.strip().partition("=") for part in conf.split(",")]
    told = {name: value.lower() for name, _, value in pairs}.get("is_host", "")
    return None if not told else told in ("1", "true", "t", "yes", "y")


def address(endpoint: str) -> tuple[str, int]:
    """Host and port of an endpoint; the port is the default one where none is named."""
    found = _ENDPOINT.fullmatch(endpoint.strip())
    if found is None:
        return "", 0
    port = found["port"] or found["port6"]
    return found["host"] or found["six"], int(port) if port else DEFAULT_PORT
