"""Which sources say anything about a rank now, and for each that does not: why, and the command that would obtain it.

`facts` come from a child (`find/facts.py`); `rows` makes the table of them and is pure. A row is available only where
something positive was seen: a file that opens, a socket that listens, a right that was tried.
"""

from __future__ import annotations

import getpass
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from .. import child
from ..distributed import RankIdentity, SourceName, SourceState
from ..model import Frozen
from .find import PROGRAM

SYS_PTRACE: Final = 19
SYS_ADMIN: Final = 21
SYSLOG: Final = 34
"""Bits of CapEff (capabilities(7))."""

RAS_SINCE: Final = (2, 24)
DIAGNOSABLE: Final = "torchdoctor env --diagnosable"
LAUNCH: Final = "torchdoctor launch … -- SCRIPT"
ENDED: Final = "it has ended"
LOCKED: Final = "its memory gave no answer in time: stuck in the kernel, or being dumped"


class Reader(Frozen, frozen=True, kw_only=True):
    """What this process may do. `yama` and `dmesg_restrict` are None where the kernel has no such rule."""

    uid: int = 0
    capabilities: int = 0
    no_new_privs: bool = False
    yama: int | None = None
    dmesg_restrict: int | None = None
    kmsg: str = ""
    journal: bool = False
    hidepid: str = ""
    pyspy: str = ""
    python: str = "python3"
    devices: bool = False
    container: bool = False
    kubernetes: bool = False
    pidfd: bool = True

    def has(self, capability: int) -> bool:
        """Whether this process holds a capability."""
        return bool(self.capabilities >> capability & 1)


class Seen(Frozen, frozen=True, kw_only=True):
    """What stands between us and one rank. None is unread; `done` is whether all of it was read in time."""

    seen: bool = False
    ended: bool = False
    there: bool = False
    state: str = ""
    nested: bool = False
    namespaces: dict[str, bool | None] = msgspec.field(default_factory=dict)
    environ: dict[str, str] | None = None
    denied: str = ""
    memory: bool | None = None
    nccl: str = ""
    torch: str = ""
    libraries: bool | None = None
    dump: str = ""
    logs: dict[str, bool] = msgspec.field(default_factory=dict)
    ras: bool | None = None
    done: bool = False

    @property
    def told(self) -> Mapping[str, str]:
        """Its environment as far as it is wanted; {} where it cannot be read."""
        return self.environ or {}


class Facts(Frozen, frozen=True, kw_only=True):
    """All that the rows of one rank are made of."""

    rank: RankIdentity
    reader: Reader
    seen: Seen
    me: str = ""

    @property
    def foreign(self) -> bool:
        """Whether the rank is another user's and we may not act as any."""
        return self.rank.uid is not None and self.rank.uid != self.reader.uid and self.reader.uid != 0

    @property
    def ended(self) -> bool:
        """Whether there is no such process any more, or only what its parent has not fetched yet."""
        return not self.seen.seen and (self.seen.ended or not self.seen.there)

    @property
    def user(self) -> str:
        """Whose rank it is, for a command."""
        return self.rank.user or str(self.rank.uid)


def sources(rank: RankIdentity, deadline_s: float = 1.0, proc: Path = Path("/proc")) -> tuple[SourceState, ...]:
    """The table of one rank."""
    return all_sources((rank,), deadline_s, proc)[0]


def all_sources(
    ranks: Sequence[RankIdentity], deadline_s: float = 1.0, proc: Path = Path("/proc")
) -> tuple[tuple[SourceState, ...], ...]:
    """The tables of some ranks of this node, in their order, from one child, within the deadline."""
    asked = [
        {"pid": rank.pid, "start_ticks": rank.start_ticks, "rank": rank.rank, "logs": [rank.stdout, rank.stderr]}
        for rank in ranks
    ]
    try:
        answer = child.ask("sources", {"proc": str(proc), "ranks": asked}, deadline_s, program=PROGRAM)
        reader = msgspec.convert(answer["reader"], Reader)
        seen = msgspec.convert(answer["ranks"], tuple[Seen, ...])
    except (child.Hung, child.ChildFailed, msgspec.ValidationError, KeyError) as error:
        why = f"what may be read was not found out: {error}"
        unread = tuple(SourceState(source=name, available=False, why=why) for name, _ in ROWS)
        return tuple(unread for _ in ranks)
    me = _me()
    return tuple(rows(Facts(rank=rank, reader=reader, seen=one, me=me)) for rank, one in zip(ranks, seen, strict=False))


def _me() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


def rows(facts: Facts) -> tuple[SourceState, ...]:
    """A row a source, the cheapest first."""
    return tuple(_row(name, find(facts)) for name, find in ROWS)


Why = tuple[str, str]
"""Why a source says nothing, and the command that would obtain it; ("", "") if it does say something."""

YES: Final[Why] = ("", "")


class Partly(tuple[str, str]):
    """A source that says something, but not all: what is missing, and the command that would obtain that."""

    __slots__ = ()


def _row(name: SourceName, found: Why) -> SourceState:
    available = found == YES or isinstance(found, Partly)
    return SourceState(source=name, available=available, why=found[0], command=found[1])


# --- the rows ----------------------------------------------------------------------------------------------------


def _process(facts: Facts) -> Why:
    if facts.seen.seen:
        return YES
    if not facts.ended:
        words = f"/proc hides it (hidepid={facts.reader.hidepid or '?'}): it belongs to another user"
        return words, _as_root(facts, "diagnose")
    return ENDED, ""


def _exit(facts: Facts) -> Why:
    """pidfd_open(2) asks for no right; the exit code in /proc/PID/stat asks for that to trace (proc(5))."""
    if facts.ended and not facts.seen.ended:
        return f"{ENDED}, and nobody watched it then", ""
    if not facts.reader.pidfd:
        return "this kernel or Python has no pidfd (Linux 5.3, Python 3.9)", ""
    if facts.foreign and not facts.reader.has(SYS_PTRACE):
        return Partly(
            (f"the moment of its end, not its exit code: that is shown to {facts.user} and root", _as_user(facts))
        )
    return YES


def _kernel(facts: Facts) -> Why:
    reader = facts.reader
    if not reader.kmsg or reader.journal:
        return YES
    who = shlex.quote(facts.me) if facts.me else "$USER"
    if reader.dmesg_restrict:
        why = "the kernel log is closed (kernel.dmesg_restrict=1, no CAP_SYSLOG), and the journal is not ours to read"
        return why, _privileged(
            facts, f"sudo usermod -aG systemd-journal {who}  # or sudo sysctl kernel.dmesg_restrict=0"
        )
    if reader.container:
        return f"/dev/kmsg: {reader.kmsg}: a container has none of its own", "torchdoctor diagnose … on the host"
    return f"/dev/kmsg: {reader.kmsg}, and the journal is not ours to read", _as_root(facts, "diagnose")


def _gpu(facts: Facts) -> Why:
    if facts.rank.gpu_uuid or facts.reader.devices:
        return YES
    if facts.reader.container:
        return "no device of a GPU driver in this container", "docker run --gpus all … (Kubernetes: a GPU in limits)"
    return "no device of a GPU driver on this node", ""


def _log(facts: Facts) -> Why:
    paths = [path for path in (facts.rank.stderr, facts.rank.stdout) if path]
    if not paths:
        why = facts.rank.log_why or "where its output goes is not known"
        return why, LAUNCH if "start it through" in why else _as_user(facts)
    if facts.seen.namespaces.get("mnt"):
        return f"{paths[0]} lies in its container (another mount namespace)", _inside(facts)
    if not facts.seen.done and not facts.seen.logs:
        return f"{paths[0]}: its file system gave no answer in time", ""
    closed = [path for path in paths if not facts.seen.logs.get(path)]
    return (f"{closed[0]} may not be read by us, or is gone", _as_user(facts)) if closed else YES


def _unread(facts: Facts) -> Why | None:
    """Why nothing can be said about its environment, None if something can."""
    if not facts.seen.seen:
        return _process(facts)
    if facts.seen.denied == "owner":
        whose = "root's" if facts.user == "root" else f"{facts.user}'s and root's"
        return f"its environment is {whose} to read", _as_user(facts)
    if facts.seen.environ is None:
        return LOCKED, ""
    return None


def _events(facts: Facts) -> Why:
    if facts.seen.told.get("TORCHDOCTOR_NODE") or facts.seen.told.get("TORCHDOCTOR_EVENTS"):
        return YES
    return _unread(facts) or ("only ranks that torchdoctor launched tell events", LAUNCH)


def _injected(facts: Facts) -> Why:
    if facts.seen.told.get("TORCHDOCTOR_INJECT"):
        return YES
    if facts.seen.told.get("TORCHDOCTOR_NODE"):
        return "it was launched with --no-inject", "torchdoctor launch without --no-inject"
    return _unread(facts) or ("nothing of ours is in it: torchdoctor did not launch it", LAUNCH)


def _server(facts: Facts) -> Why:
    found = _injected(facts)
    if found == YES and facts.seen.torch and _version(facts.seen.torch) < (2, 5):
        return f"torch {facts.seen.torch} has no worker server (2.5 or later)", ""
    return found


def _ras(facts: Facts) -> Why:
    told, seen = facts.seen.told, facts.seen
    if not seen.seen:
        return _process(facts)
    if seen.namespaces.get("net"):
        return "it listens in another network namespace", _inside(facts, "--net")
    if told.get("NCCL_RAS_ENABLE") == "0":
        return "NCCL_RAS_ENABLE=0 in its environment", "unset NCCL_RAS_ENABLE"
    if seen.libraries and not seen.nccl:
        return "no NCCL is in it: a job on CPUs (gloo, MPI), or not yet loaded", ""
    if _version(seen.nccl) and _version(seen.nccl) < RAS_SINCE:
        return f"NCCL {seen.nccl} has no RAS (2.24 or later)", "pip install --upgrade torch"
    address = told.get("NCCL_RAS_ADDR") or "localhost:28028"
    if seen.ras:
        return YES
    if seen.ras is None:
        return LOCKED if not seen.done else "the ports of its network namespace cannot be read", _as_user(facts)
    return (
        f"nothing listens on {address}: no communicator yet, or NCCL was built or told not to",
        "export NCCL_RAS_ENABLE=1",
    )


def _flight(facts: Facts) -> Why:
    """On call by a pipe or a server of ours; a dump of its own comes only when NCCL's watchdog runs out of patience."""
    told = facts.seen.told
    if facts.seen.dump or told.get("TORCH_NCCL_DEBUG_INFO_PIPE_FILE"):
        return YES
    if told.get("TORCHDOCTOR_INJECT") and _server(facts) == YES:
        return YES
    if facts.seen.torch and _version(facts.seen.torch) < (2, 2):
        return f"torch {facts.seen.torch} has no flight recorder", "pip install --upgrade torch"
    unread = _unread(facts)
    if unread:
        return unread
    size = told.get("TORCH_FR_BUFFER_SIZE") or told.get("TORCH_NCCL_TRACE_BUFFER_SIZE")
    if size == "0":
        return "its flight recorder is off (a buffer of 0 entries)", f"{DIAGNOSABLE}  # TORCH_FR_BUFFER_SIZE=2000"
    file = told.get("TORCH_FR_DUMP_TEMP_FILE") or told.get("TORCH_NCCL_DEBUG_INFO_TEMP_FILE")
    when = (
        f"it is dumped only at a timeout{f', to {file}{facts.rank.rank}' if file else ''}: no pipe in its environment"
    )
    return when, f"export TORCH_NCCL_DEBUG_INFO_PIPE_FILE=/tmp/flight_  # before the launch: {DIAGNOSABLE}"


def _pyspy(facts: Facts) -> Why:
    reader, seen = facts.reader, facts.seen
    if not seen.seen:
        return _process(facts)
    if not reader.pyspy:
        return "py-spy is not installed", f"{shlex.quote(reader.python)} -m pip install py-spy"
    if seen.state.startswith("D"):
        return "it is in uninterruptible sleep (D): its memory is left alone", f"sudo cat /proc/{facts.rank.pid}/stack"
    if seen.memory:
        return YES
    if seen.memory is None:
        return LOCKED, ""
    return next(cause for applies, cause in _ptrace(facts) if applies)


def _ptrace(facts: Facts) -> list[tuple[bool, Why]]:
    """Why the kernel refuses to let its memory be read (ptrace(2), "Ptrace access mode checking"), in its order."""
    reader, yama = facts.reader, facts.reader.yama or 0
    capable = reader.has(SYS_PTRACE)
    scope = f"kernel.yama.ptrace_scope={yama}"
    grant = _debug(facts) if reader.kubernetes else "docker run --cap-add SYS_PTRACE …"
    relax = _privileged(facts, "sudo sysctl kernel.yama.ptrace_scope=0")
    whose = f"it belongs to {facts.user}, and CAP_SYS_PTRACE is missing"
    root = _as_root(facts, "diagnose")
    other = "the kernel refuses: it made itself undumpable (prctl), or a security module forbids it"
    return [
        (facts.foreign and not capable, (whose, _as_user(facts))),
        (
            reader.container and not capable,
            (f"this container has no CAP_SYS_PTRACE{f' ({scope})' * bool(yama)}", grant),
        ),
        (yama >= 3, (f"{scope} forbids it to everybody until the next boot", "")),
        (yama == 2 and not capable, (f"{scope} wants CAP_SYS_PTRACE", root)),
        (yama == 1 and not capable, (f"{scope}: only a process's own ancestors may read it", relax)),
        (reader.uid == 0 and not capable, ("even root needs CAP_SYS_PTRACE, and it was taken from us", grant)),
        (bool(facts.seen.namespaces.get("user")), ("it lives in another user namespace", root)),
        (True, (other, root)),
    ]


ROWS: Final[tuple[tuple[SourceName, Callable[[Facts], Why]], ...]] = (
    ("process", _process),
    ("exit", _exit),
    ("kernel", _kernel),
    ("gpu", _gpu),
    ("log", _log),
    ("events", _events),
    ("ras", _ras),
    ("flight", _flight),
    ("py-spy", _pyspy),
    ("faulthandler", _injected),
    ("server", _server),
)


# --- commands ----------------------------------------------------------------------------------------------------


def _as_user(facts: Facts) -> str:
    if facts.reader.uid == 0 or facts.rank.uid in (None, facts.reader.uid):
        return ""
    return _privileged(facts, f"sudo -u {shlex.quote(facts.user)} torchdoctor diagnose {facts.rank.pid}")


def _as_root(facts: Facts, command: str) -> str:
    if facts.reader.uid == 0:
        return ""
    return _privileged(facts, f"sudo torchdoctor {command} {facts.rank.pid}")


def _privileged(facts: Facts, command: str) -> str:
    """A command with sudo, which a process that may gain no rights has to leave to another shell."""
    away = facts.reader.no_new_privs and command.startswith("sudo")
    return f"{command}  # from another shell: no_new_privs is set here" if away else command


def _inside(facts: Facts, namespaces: str = "--mount --pid --net") -> str:
    if facts.reader.kubernetes:
        return _debug(facts)
    sudo = "" if facts.reader.uid == 0 else "sudo "
    pid = facts.rank.inner_pid or facts.rank.pid
    inner = pid if "--pid" in namespaces else facts.rank.pid
    return _privileged(facts, f"{sudo}nsenter --target {facts.rank.pid} {namespaces} torchdoctor diagnose {inner}")


def _debug(facts: Facts) -> str:
    return "kubectl debug POD -it --image=IMAGE --target=CONTAINER --profile=sysadmin -- torchdoctor diagnose " + str(
        facts.rank.inner_pid or facts.rank.pid
    )


def _version(text: str) -> tuple[int, ...]:
    found = re.match(r"(\d{1,4})\.(\d{1,4})", text)
    return (int(found[1]), int(found[2])) if found else ()
