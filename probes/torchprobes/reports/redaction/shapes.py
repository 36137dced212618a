"""What shows by its shape that it names a machine, a device or a person: addresses, UUIDs, bus ids, names of domains.

Each pattern is bounded and begins with what few texts have; hostile text costs no more than its length.
"""

from __future__ import annotations

import functools
import ipaddress
import re
from collections.abc import Callable
from typing import Final, NamedTuple

from .names import Names
from .places import NODE_LIST, nodes_of
from .vocabulary import KNOWN_PLACES, ORDINARY


class Shape(NamedTuple):
    """A shape, whether a text can have it, which is found out faster than whether it has, and what stands for it."""

    there: Callable[[str], object]
    pattern: re.Pattern[str]
    instead: Callable[[Names, re.Match[str]], str]


def _has(sign: str) -> Callable[[str], bool]:
    return lambda text: sign in text


def _many(sign: str, least: int) -> Callable[[str], bool]:
    return lambda text: text.count(sign) >= least


# --- names of machines and people ----------------------------------------------------------------------------------


def _host(names: Names, name: str) -> str:
    """A host; that of an address is left to the address's own shape, and what the whole field knows is none."""
    low = name.lower().rstrip(".")
    if low in ORDINARY or _is_address(low.strip("[]")) or low.endswith(tuple(f".{place}" for place in KNOWN_PLACES)):
        return name
    if low in KNOWN_PLACES or "***" in low:
        return name
    names.learn("host", low)
    return names.stand_in("host", low)


_LOCAL: Final = frozenset({"chrome://", "about://", "env://", "file://", "unix://", "ipc://", "inproc://"})
"""Schemes whose addresses name no machine."""


def _url(names: Names, match: re.Match[str]) -> str:
    scheme, user, secret, host = match.groups()
    if scheme.lower() in _LOCAL:
        return match[0]
    who = f"{_user(names, user)}{secret or ''}@" if user else ""
    return f"{scheme}{who}{_host(names, host)}"


def _user(names: Names, user: str) -> str:
    if user.lower() in ORDINARY or "***" in user:
        return user
    names.learn("user", user)
    return names.stand_in("user", user)


def _at(names: Names, match: re.Match[str]) -> str:
    """`alice@node7` of a shell is a user at a host, `alice@lab.org` an e-mail address unless ssh or scp reads it."""
    user, host = match.groups()
    if host.lower() in KNOWN_PLACES:
        return match[0]
    if "." in host and match.string[match.end() : match.end() + 1] != ":":
        names.learn("user", user)
        return names.stand_in("email", match[0])
    return f"{_user(names, user)}@{_host(names, host)}"


_WIDE: Final = (
    "com|org|edu|gov|mil|corp|lan|intra|intranet|internal|localdomain|arpa|de|fr|ch|nl|eu|uk|jp|cn|kr|fi|dk|au|it|at|se"
    "|no"
)
_NARROW: Final = "net|local|io|ai|cloud|dev|cluster|site|tech|science|us|in|es|ca|be|sg|hk|tw|info"
"""Ends of domains. The narrow ones end names of Python, too (`self.net`): they count from three labels on."""

_LABEL: Final = r"[a-z0-9][a-z0-9-]{0,62}\."
_DOMAIN: Final = re.compile(
    rf"(?i)(?<![a-z0-9_.@-])(?:(?:{_LABEL}){{1,8}}(?:{_WIDE})|(?:{_LABEL}){{2,8}}(?:{_NARROW}))"
    r"(?![a-z0-9_(-])(?!\.[a-z0-9])"
)

_DOMAIN_END: Final = re.compile(rf"(?i)\.(?:{_WIDE}|{_NARROW})(?![a-z0-9_(-])")

# --- addresses ------------------------------------------------------------------------------------------------------

_TELLING: Final = frozenset({"0.0.0.0", "127.0.0.1", "255.255.255.255", "::", "::1"})  # noqa: S104 - read, not bound
"""Addresses that every machine has."""

_VERSION_BEFORE: Final = re.compile(
    r"(?i)(?:[=<>~!]=\s?|\bv|(?:\bso\.)|(?:version|release|driver|firmware|vbios|cudnn|nccl|cu(?:da|blas|fft|rand|sparse"
    r"|solver|dnn)[\w.-]{0,24}|-cu\d{2}|nvidia-[\w.-]{1,32}|python|wheel|toolkit|package|build|kernel)"
    r"[\s:=(_'\"-]{1,4}|[a-z]\w{0,32}[-_])$"
)
_VERSION_AFTER: Final = re.compile(r"[+~]\w|-(?:cp|py|\d+ubuntu|\d+\.)|(?:rc|post|dev|a|b)\d|_amd64|\.(?:post|dev|whl)")


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return True


def _ipv4(names: Names, match: re.Match[str]) -> str:
    text = match[0]
    if text in _TELLING or text in names.versions or not _is_address(text):
        return text
    before = match.string[max(0, match.start() - 48) : match.start()]
    if _VERSION_BEFORE.search(before) or _VERSION_AFTER.match(match.string, match.end()):
        return text
    return names.stand_in("ip", text)


def _ipv6(names: Names, match: re.Match[str]) -> str:
    """An IPv6 address; `c10::d` of C++ is valid as one too, and too short to be one of a network."""
    text = match[0]
    lead = text[: 1 if text.startswith(":") and not text.startswith("::") else 0]
    end = ":" if text.endswith(":") and not text.endswith("::") else ""
    address = text[len(lead) : len(text) - len(end)]
    groups = [group for group in address.split(":") if group]
    if address.count(":") < 2 or address in _TELLING or not _is_address(address):
        return text
    if len(groups) < 3 and (not groups or len(groups[0]) < 4):
        return text
    return f"{lead}{names.stand_in('ip', str(ipaddress.ip_address(address)))}{end}"


def _mac(names: Names, match: re.Match[str]) -> str:
    return names.stand_in("mac", match[0].replace("-", ":"))


# --- devices --------------------------------------------------------------------------------------------------------


def _uuid(names: Names, match: re.Match[str]) -> str:
    prefix, text = match[1], match[2].replace("_", "-")
    names.learn("uuid", text)
    return prefix + names.stand_in("uuid", text)


def _short_uuid(names: Names, match: re.Match[str]) -> str:
    """The beginning of a UUID is enough for CUDA_VISIBLE_DEVICES: the same device as the whole one."""
    return match[1] + names.stand_in("uuid", names.whole("uuid", match[2]) or match[2])


def _bus_id(names: Names, match: re.Match[str]) -> str:
    """A function of a device; the kernel's log names the device alone (`Xid (PCI:0000:3b:00)`), whose first it is."""
    domain, rest = match[1], match[2].lower() + (match[3] or ".0")
    whole = f"{int(domain, 16):04x}:{rest}"
    names.learn("pci", rest, same_as=whole)
    return names.stand_in("pci", whole)


def _nccl_bus_id(names: Names, match: re.Match[str]) -> str:
    """NCCL writes a bus id as one hexadecimal number without its zeros: domain, bus, device, function."""
    number = int(match[2], 16)
    bus, device, function = number >> 12 & 0xFF, number >> 4 & 0xFF, number & 0xF
    return match[1] + names.stand_in("pci", f"{number >> 20:04x}:{bus:02x}:{device:02x}.{function}")


def _one_of(kind: str) -> Callable[[Names, re.Match[str]], str]:
    """After what says what it is (group 1), the thing itself (group 2)."""

    def instead(names: Names, match: re.Match[str]) -> str:
        names.learn(kind, match[2])
        return match[1] + names.stand_in(kind, match[2])

    return instead


_RUN_NAME: Final = re.compile(r"(?<!\d)(\d{8}T\d{6}Z-)([\w.-]{1,64})(?=-[0-9a-f]{6}(?![0-9a-zA-Z]))")
"""What `rundir.new_name` makes: a run is named after its host."""


def _run_host(names: Names, match: re.Match[str]) -> str:
    return match[1] + names.stand_in("host", match[2])


def _node_list(names: Names, match: re.Match[str]) -> str:
    """`onyx[07-09]` of Slurm, once one of its nodes is known; `rank[0-3]` is none."""
    nodes = nodes_of(match[0])
    if not any(names.knows(node) for node in nodes):
        return match[0]
    return ",".join(names.stand_in("host", node) for node in nodes)


_HEX2: Final = "[0-9A-Fa-f]{2}"
_GUID_SIGN: Final = re.compile(r"(?i)guid")
_SERIAL_SIGN: Final = re.compile(r"(?i)serial")
_CONTAINER: Final = re.compile(r"(\b(?:docker|containerd|crio|libpod|cri-o)[/:-]{1,3})([0-9a-f]{64})(?![0-9a-zA-Z])")
_INTERNET: Final = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?!\.?\d)(?![A-Za-z_])")
_INTERNET_6: Final = re.compile(
    r"(?:(?<![\w.])|(?<=:))[0-9A-Fa-f:]{3,39}(?:(?<=:)\d{1,3}(?:\.\d{1,3}){3})?(?![0-9A-Za-z_])"
)
_BUS_ID: Final = re.compile(
    r"(?<![0-9A-Za-z.])(?<![0-9A-Fa-f]:)([0-9A-Fa-f]{8}|[0-9A-Fa-f]{4}):([0-9A-Fa-f]{2}:[01][0-9A-Fa-f])"
    r"(?:(\.[0-7])(?![0-9A-Za-z])|(?=\)|,|\s|$))"
)
_GUID: Final = re.compile(r"(?i)(guid[\"']?[\s:=]{1,4}[\"']?)((?:0x)?[0-9a-f]{16})(?![0-9a-z])")
_AMAZON: Final = re.compile(r"(?i)(?<![0-9a-z])(ip-\d{1,3}(?:-\d{1,3}){3}(?:\.[a-z][\w-]{0,62}){0,6})(?![\w-])")


def _hardware(text: str) -> bool:
    return text.count(":") > 4 or text.count("-") > 4


SHAPES: Final[tuple[Shape, ...]] = (
    Shape(_has("://"), re.compile(
        r"(?i)(?<![a-z0-9+.-])([a-z][a-z0-9+.-]{1,15}://)(?:([^/\s@:'\"]{1,256})(:[^@\s/'\"]{0,256})?@)?"
        r"(\[[0-9a-f:.%]{2,64}\]|[\w.-]{1,253})"), _url),
    Shape(_has("@"), re.compile(r"(?<![\w.+/=-])([A-Za-z][\w.+-]{0,63})@([A-Za-z0-9](?:[\w-]|\.(?=\w)){0,252})"), _at),
    Shape(_has("["), NODE_LIST, _node_list),
    Shape(_has("Z-"), _RUN_NAME, _run_host),
    Shape(_has("-"), _AMAZON, lambda names, match: _host(names, match[1])),
    Shape(_DOMAIN_END.search, _DOMAIN, lambda names, match: _host(names, match[0])),
    Shape(_many("-", 4), re.compile(
        r"(?i)(?:(?<![0-9a-z])|(?<=pod))((?:MIG-)?(?:GPU-)?)"
        r"([0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12})(?![0-9a-z])"), _uuid),
    Shape(_many("_", 4), re.compile(
        r"(?i)(?:(?<![0-9a-z])|(?<=pod))()([0-9a-f]{8}_(?:[0-9a-f]{4}_){3}[0-9a-f]{12})(?![0-9a-z])"), _uuid),
    Shape(_has("GPU-"), re.compile(r"(?<![0-9A-Za-z])(GPU-)([0-9a-f]{4,8}(?:-[0-9a-f]{1,4}){0,3})(?![0-9A-Za-z-])"),
          _short_uuid),
    Shape(_many(":", 2), _BUS_ID, _bus_id),
    Shape(_has("busId "), re.compile(r"(\bbusId )([0-9a-f]{4,12})(?![0-9a-zA-Z])"), _nccl_bus_id),
    Shape(_hardware, re.compile(
        rf"(?<![0-9A-Fa-f]){_HEX2}([:-]){_HEX2}(?:\1{_HEX2}){{4}}(?:(?:\1{_HEX2}){{2}}(?:(?:\1{_HEX2}){{12}})?)?"
        r"(?![0-9A-Fa-f])"), _mac),
    Shape(_many(":", 2), _INTERNET_6, _ipv6),
    Shape(_many(":", 3), re.compile(r"(?<![0-9A-Fa-f:])[0-9a-f]{4}(?::[0-9a-f]{4}){3}(?![0-9A-Fa-f:])"), _mac),
    Shape(_GUID_SIGN.search, _GUID, _one_of("mac")),
    Shape(_many(".", 3), _INTERNET, _ipv4),
    Shape(_SERIAL_SIGN.search, re.compile(
        r"(?i)(\bserial(?:[ _-]?(?:number|no|num))?\.?[\"']?\s{0,8}[:=#]?\s{0,8}[\"']?)"
        r"((?=[A-Za-z/-]*\d)[\w/-]{5,64})(?![\w/-])"),
        _one_of("serial")),
    Shape(_CONTAINER.search, _CONTAINER, _one_of("container")),
)  # fmt: skip
"""In the order in which a text is looked at: what another shape is a part of comes first."""


def without_shapes(text: str, names: Names) -> str:
    """The text without what its shape gives away."""
    for shape in SHAPES:
        if shape.there(text):
            text = shape.pattern.sub(functools.partial(shape.instead, names), text)
    return text
