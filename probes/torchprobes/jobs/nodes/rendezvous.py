"""What a launch on several nodes lacks, found on each node by itself, so that the same command works on all of them.

Measured (reference, 2.6): with nothing but `--nnodes 2 --rdzv-endpoint A:P` on two hosts whose names resolve to a
loopback, both agents wait 60 s and give up, because torchrun looks for the endpoint among the addresses of the host's
*name* and so nobody serves it (c10d_rendezvous_backend.py: _matches_machine_hostname). Told who serves it, gloo fails
next: it takes the address of the host's name as well. So the kernel is asked instead of the name: the endpoint is
ours if packets to it would leave from its own address, and from the same answer come our address and its interface.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from .. import torchrun_options
from ..launch_plan import LaunchOptions
from ..preflight.intent import Intent, address
from ..preflight.looks import Interface, Looks, Name, look
from ..torchrun_options import Options

LOOK_S = 2.0
RESOLVE_S = 30.0
RETRY_S = 1.0


@dataclass(frozen=True, slots=True)
class Completed:
    """The options with what was added, in words too. `serves` says whether this node serves the rendezvous."""

    options: LaunchOptions
    notes: tuple[str, ...] = ()
    serves: bool | None = None


def complete(
    options: LaunchOptions,
    environ: Mapping[str, str],
    tell: Callable[[str], None] = lambda _: None,
    resolve_s: float = RESOLVE_S,
) -> Completed:
    """Look at this node and add what is missing; what the person wrote stays, and one node needs nothing.

    Raises:
        OptionError: one line: what of the options cannot be.
    """
    given = torchrun_options.read(options.torchrun, environ)
    endpoint = given.value("rdzv-endpoint") or ""
    if options.launcher == "command" or torchrun_options.one_node(given) or not endpoint:
        return Completed(options)
    host, _ = address(endpoint)
    looks = _resolved(host, tell, resolve_s) if host else None
    return add(options, given, looks.endpoint if looks else None, (looks.interfaces if looks else None) or (), environ)


def _resolved(host: str, tell: Callable[[str], None], resolve_s: float) -> Looks:
    """What is seen once the endpoint's name has an address: a pod's name gets one only when the pod runs."""
    deadline, told = time.monotonic() + resolve_s, False
    while True:
        looks = look(Intent(host=host), LOOK_S)
        name = looks.endpoint
        if name is None or not name.error or time.monotonic() > deadline:
            return looks
        if not told:
            tell(f"waiting up to {resolve_s:g} s for an address of {host}: {name.error}")
            told = True
        time.sleep(RETRY_S)


def add(
    options: LaunchOptions,
    given: Options,
    name: Name | None,
    interfaces: Sequence[Interface],
    environ: Mapping[str, str],
) -> Completed:
    """What is to be added, from what was seen: pure."""
    words, notes, env = list(options.torchrun), [], dict(options.env)
    if not given.has("rdzv-backend", "node-rank"):
        words.append("--rdzv-backend=c10d")
        notes.append("--rdzv-backend c10d: the nodes find each other at the endpoint")
    static = (given.value("rdzv-backend") or ("static" if given.has("node-rank") else "c10d")) == "static"
    source = name.source if name else ""
    serves = source in name.addresses if name and source else None
    if serves is not None and not static and "is_host" not in (given.value("rdzv-conf") or ""):
        words = _with_host(words, given, serves)
        notes.append(
            f"this node {'serves' if serves else 'does not serve'} the endpoint: packets to it leave from {source}"
        )
    if source and not given.has("local-addr"):
        words.append(f"--local-addr={source}")
        notes.append(f"--local-addr {source}: peers reach this node there")
    device = next((one.name for one in interfaces if source and source in one.addresses), "")
    if device and "GLOO_SOCKET_IFNAME" not in {*environ, *env}:
        env["GLOO_SOCKET_IFNAME"] = device
        notes.append(f"GLOO_SOCKET_IFNAME={device}: gloo takes the address of the host's name without it")
    changed = msgspec.structs.replace(options, torchrun=tuple(words), env=env)
    return Completed(changed, tuple(notes), serves)


def _with_host(words: list[str], given: Options, serves: bool) -> list[str]:
    """The whole of --rdzv-conf, because torchrun takes the last one alone: what the person set there goes along."""
    conf = given.value("rdzv-conf") or ""
    pairs = [pair for pair in conf.split(",") if pair]
    return [*words, "--rdzv-conf=" + ",".join([*pairs, f"is_host={str(serves).lower()}"])]
