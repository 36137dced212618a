"""What a look before the launch found, as types. A look without an answer is None, and `unread` says why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from ... import child
from ...model import Frozen
from .intent import Intent


class Name(Frozen, frozen=True, kw_only=True):
    """A host's name and its addresses; `error` is the resolver's, `source` our address towards the first."""

    host: str
    addresses: tuple[str, ...] = ()
    error: str = ""
    source: str = ""


class Interface(Frozen, frozen=True, kw_only=True):
    """A network interface. `virtual`: no card carries its packets (docker0, veth, tun)."""

    name: str
    up: bool
    carrier: bool
    loopback: bool
    virtual: bool
    addresses: tuple[str, ...] = ()


class Listener(Frozen, frozen=True, kw_only=True):
    """Who listens on a port. `pid` is None where the process of another user is not ours to see."""

    address: str
    uid: int
    user: str
    pid: int | None = None
    started: int | None = None
    command: str = ""


class Reach(Frozen, frozen=True, kw_only=True):
    """What a connection to the endpoint met: open, refused, silent or failed."""

    answer: str
    error: str = ""


class Room(Frozen, frozen=True, kw_only=True):
    """Bytes of /dev/shm."""

    total: int
    free: int


class Limits(Frozen, frozen=True, kw_only=True):
    """Soft limits as they bind this user; None is no limit. `memlock` is in bytes."""

    memlock: int | None = None
    nofile: int | None = None
    nproc: int | None = None


class TaskGroup(Frozen, frozen=True, kw_only=True):
    """A control group that limits tasks."""

    path: str
    now: int
    most: int


class Tasks(Frozen, frozen=True, kw_only=True):
    """Tasks of this user, and of the control groups above us that have a limit."""

    own: int
    groups: tuple[TaskGroup, ...] = ()


class Session(Frozen, frozen=True, kw_only=True):
    """The login session or batch step; see `environment.launching.session`."""

    user: str = ""
    scope: str = ""
    manager: bool = False
    kills: bool | None = None
    lingers: bool = False
    job: str = ""
    step: str = ""
    interactive: bool = False


class Orphan(Frozen, frozen=True, kw_only=True):
    """A rank whose launcher is gone. `devices` are the accelerators' device files that it has open."""

    rank: int
    world: int
    pid: int
    started: int
    run: str = ""
    user: str = ""
    command: str = ""
    devices: tuple[str, ...] = ()


class Looks(Frozen, frozen=True, kw_only=True):
    """All of them. `gpus` are bus ids of GPUs with a driver; `bind` is why the port cannot be bound, "" if it can."""

    name: Name | None = None
    interfaces: tuple[Interface, ...] | None = None
    shm: Room | None = None
    limits: Limits | None = None
    tasks: Tasks | None = None
    session: Session | None = None
    gpus: tuple[str, ...] | None = None
    ranks: tuple[Orphan, ...] | None = None
    endpoint: Name | None = None
    port: tuple[Listener, ...] | None = None
    bind: str | None = None
    reach: Reach | None = None
    unread: dict[str, str] = msgspec.field(default_factory=dict)


TYPES: Final = {field.name: field.type for field in msgspec.structs.fields(Looks) if field.name != "unread"}


def look(intent: Intent, deadline_s: float) -> Looks:
    """Every look that the intent calls for, all at once, within the deadline; what did not answer is `unread`."""
    host = intent.host if intent.host not in ("", "localhost") else ""
    arguments = {"host": host, "port": intent.port, "reach": intent.nodes > 1 and intent.hosts is not True}
    try:
        parts = child.ask_each("launching", arguments, deadline_s)
    except (child.Hung, child.ChildFailed) as error:
        return Looks(unread=dict.fromkeys(TYPES, str(error)))
    return read(parts)


def read(parts: Mapping[str, child.Part]) -> Looks:
    """The answers as types; one that is not understood counts as unread."""
    found: dict[str, Any] = {}
    unread: dict[str, str] = {}
    for name, part in parts.items():
        if name not in TYPES:
            continue
        if part.state != "done":
            unread[name] = part.cause or part.state
            continue
        try:
            found[name] = msgspec.convert(part.value, TYPES[name])
        except msgspec.ValidationError as error:
            unread[name] = str(error)
    return Looks(**found, unread=unread)
