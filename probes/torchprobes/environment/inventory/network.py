"""The network cards of a node: what they are, how fast their links are, and their firmware."""

from __future__ import annotations

import os

from .reading import Told, names, text, word

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MOST_CARDS = 64
_CARD = {"state": "operstate", "speed": "speed", "MTU": "mtu", "duplex": "duplex"}
_UNITS = {"speed": " Mb/s"}
_PORT = {"rate": "rate", "state": "state", "link layer": "link_layer"}
_DEVICE = {"firmware": "fw_ver", "board": "board_id", "type": "hca_type"}


def network(root: str = "") -> Any:
    """Ethernet cards that are real, bonds of them, and every InfiniBand or RoCE port. Addresses are not told."""
    told = Told()
    cards = f"{root}/sys/class/net"
    real = [name for name in names(cards) if os.path.exists(f"{cards}/{name}/device") or _is_bond(f"{cards}/{name}")]
    for card in real[:MOST_CARDS]:
        for what, file in _CARD.items():
            told.take(f"{card} {what}", lambda card=card, file=file: _of_card(f"{cards}/{card}", file))  # type: ignore[misc]
        driver = f"{cards}/{card}/device/driver"
        told.put(f"{card} driver", os.path.basename(os.path.realpath(driver)) if os.path.exists(driver) else "")
    for device in names(f"{root}/sys/class/infiniband")[:MOST_CARDS]:
        _ports(told, device, f"{root}/sys/class/infiniband/{device}")
    return told.answer()


def _is_bond(folder: str) -> bool:
    return os.path.isdir(f"{folder}/bonding")


def _of_card(folder: str, file: str) -> str:
    said = text(f"{folder}/{file}", 256)
    return "" if said == "-1" else said + _UNITS.get(file, "")


def _ports(told: Told, device: str, folder: str) -> None:
    for what, file in _DEVICE.items():
        told.put(f"{device} {what}", word(f"{folder}/{file}"))
    for port in names(f"{folder}/ports"):
        for what, file in _PORT.items():
            path = f"{folder}/ports/{port}/{file}"
            told.take(f"{device} port {port} {what}", lambda path=path: text(path, 256))  # type: ignore[misc]
