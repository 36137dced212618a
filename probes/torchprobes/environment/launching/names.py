"""Host names, addresses and interfaces as the ranks will meet them. The resolver may block: one call an item."""

from __future__ import annotations

import array
import fcntl
import ipaddress
import os
import socket
import struct

from ..process import read_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MOST_ADDRESSES = 64
MOST_INTERFACES = 256
REACH_S = 1.0
"""A host of one data centre answers within milliseconds; what takes longer is filtered or gone."""

_SIOCGIFCONF = 0x8912
_IFREQ = 40
"""Size of struct ifreq on 64-bit Linux: a name of 16 bytes, then a socket address (netdevice(7))."""


def own() -> dict[str, Any]:
    """This host's name and what it resolves to."""
    return endpoint(socket.gethostname())


def endpoint(host: str) -> dict[str, Any]:
    """A host's addresses, and from which of our own addresses packets to the first one leave ("" if from none).

    `error` is the resolver's reason for no address, "" if there is one.
    """
    try:
        found = socket.getaddrinfo(host, None, proto=socket.IPPROTO_TCP)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        return {"host": host, "addresses": [], "error": reason, "source": ""}
    addresses = list(dict.fromkeys(str(row[4][0]) for row in found))[:MOST_ADDRESSES]
    return {"host": host, "addresses": addresses, "error": "", "source": _source(addresses[0]) if addresses else ""}


def _source(address: str) -> str:
    """The kernel's choice of our own address towards another: connecting a datagram socket sends nothing."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((address, 9))
            return str(probe.getsockname()[0])
    except OSError:
        return ""


def reach(host: str, port: int) -> dict[str, str]:
    """What became of a connection to an endpoint: open, refused, silent, or another error; it is closed at once.

    `refused` is an answer of the host: nobody listens there yet.
    """
    try:
        with socket.create_connection((host, port), REACH_S):
            return {"answer": "open", "error": ""}
    except ConnectionRefusedError:
        return {"answer": "refused", "error": ""}
    except TimeoutError:
        return {"answer": "silent", "error": f"no answer in {REACH_S:g} s"}
    except OSError as error:
        return {"answer": "failed", "error": error.strerror or str(error)}


def interfaces() -> list[dict[str, Any]]:
    """Every interface: name, whether it is switched on, has a carrier, is a loopback or virtual, and its addresses.

    `virtual` is one without a card behind it: docker0, veth, tun.
    """
    folder = "/sys/class/net"
    addresses = _addresses()
    rows = []
    for name in sorted(os.listdir(folder))[:MOST_INTERFACES]:
        if not os.path.isdir(f"{folder}/{name}"):
            continue  # bonding_masters is a file
        flags = int(_word(f"{folder}/{name}/flags") or "0", 16)
        rows.append(
            {
                "name": name,
                "up": bool(flags & 0x1),
                "carrier": _word(f"{folder}/{name}/operstate") not in ("down", "lowerlayerdown", "notpresent"),
                "loopback": bool(flags & 0x8),
                "virtual": not _has_card(f"{folder}/{name}"),
                "addresses": addresses.get(name, []),
            }
        )
    return rows


def _has_card(at: str, depth: int = 3) -> bool:
    """Whether packets of an interface leave through a card: its own, or that of what it is made of (a bond, a VLAN).

    A bridge is made of the interfaces of containers too: it has a card only if one of them has.
    """
    if os.path.exists(f"{at}/device") or depth == 0:
        return depth > 0
    below = [entry for entry in os.listdir(at) if entry.startswith("lower_")][:MOST_INTERFACES]
    return any(_has_card(f"{at}/{entry}", depth - 1) for entry in below)


def _word(path: str) -> str:
    try:
        return read_file(path, 256).decode(errors="replace").strip()
    except OSError:
        return ""


def _addresses() -> dict[str, list[str]]:
    """Addresses by interface: IPv4 from the kernel's list, IPv6 without those that hold for one link only."""
    found: dict[str, list[str]] = {}
    for name, address in [*_ipv4(), *_ipv6()]:
        found.setdefault(name, []).append(address)
    return found


def _ipv4() -> list[tuple[str, str]]:
    """All of them in one call: rows of struct ifreq, whose address begins at byte 20 (netdevice(7), SIOCGIFCONF)."""
    room = array.array("B", bytes(MOST_INTERFACES * _IFREQ))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        told = fcntl.ioctl(asked.fileno(), _SIOCGIFCONF, struct.pack("iP", len(room), room.buffer_info()[0]))
    rows = room.tobytes()[: struct.unpack("iP", told)[0]]
    starts = range(0, len(rows) - _IFREQ + 1, _IFREQ)
    return [(_name(rows[at : at + 16]), socket.inet_ntop(socket.AF_INET, rows[at + 20 : at + 24])) for at in starts]


def _name(raw: bytes) -> str:
    """An alias (`eth0:1`) belongs to its interface."""
    return raw.partition(b"\0")[0].decode(errors="replace").partition(":")[0]


def _ipv6() -> list[tuple[str, str]]:
    """From /proc/net/if_inet6: address, index, prefix length, scope, flags, name. Scope 0x20 is the link's."""
    try:
        lines = read_file("/proc/net/if_inet6").decode(errors="replace").splitlines()
    except OSError:
        return []
    rows = [line.split() for line in lines]
    return [(row[5], str(ipaddress.IPv6Address(int(row[0], 16)))) for row in rows if len(row) == 6 and row[3] != "20"][
        :MOST_INTERFACES
    ]
