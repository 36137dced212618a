"""Names of nodes as people and Slurm write them: `n[01-16,20],gpu07`, taken apart without asking anybody."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Final

from torchprobes.jobs.nodes.asking import NODE_NAME, ViaError

from .gathering import MOST_NODES

_PART: Final = re.compile(r"[^\[\],]+|\[[0-9,-]{1,4096}\]|,")
_RANGE: Final = re.compile(r"([0-9]{1,9})(?:-([0-9]{1,9}))?")


def expand(text: str) -> tuple[str, ...]:
    """The names in a list, each once, in its order; the numbers keep their leading noughts (scontrol(1), hostlist).

    Raises:
        ViaError: in one line: it is no list, a name cannot be one, or there are more than MOST_NODES.
    """
    names: dict[str, None] = {}
    for parts in _items(text):
        for picked in itertools.product(*parts):
            name = "".join(picked)
            if not NODE_NAME.fullmatch(name):
                raise ViaError(f"{name[:60]!r} is no name of a node")
            names[name] = None
            if len(names) > MOST_NODES:
                raise ViaError(f"{text[:60]!r} names more than {MOST_NODES} nodes")
    return tuple(names)


def _items(text: str) -> Iterator[list[list[str]]]:
    """Each item of the list as its parts, each part as what it can be."""
    item: list[list[str]] = []
    end = 0
    for found in _PART.finditer(text):
        if found.start() != end:
            break
        end, part = found.end(), found[0]
        if part != ",":
            item.append(_numbers(part[1:-1]) if part.startswith("[") else [part.strip()])
        elif item:
            yield item
            item = []
    if end != len(text):
        raise ViaError(f"{text[:60]!r} is no list of nodes: write n1,n2 or n[01-16]")
    if item:
        yield item


def _numbers(text: str) -> list[str]:
    found: list[str] = []
    for word in text.split(","):
        match = _RANGE.fullmatch(word)
        if match is None:
            raise ViaError(f"[{text[:60]}] is no range of numbers")
        first, last = match[1], match[2] or match[1]
        if not 0 <= int(last) - int(first) < MOST_NODES:
            raise ViaError(f"[{text[:60]}] is no range, or one of more than {MOST_NODES}")
        found += [f"{number:0{len(first)}d}" for number in range(int(first), int(last) + 1)]
    return found
