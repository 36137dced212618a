"""A person's launcher, and the command that it starts on the nodes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Final

from torchprobes.jobs.nodes.asking import SAFE_WORD, ViaError

from .nodelist import expand

SRUN_OPTIONS: Final = ("--kill-on-bad-exit=0", "--wait=0", "--label")
"""A task that fails takes no other along, whatever the site's default is, and every line says whose it is (srun(1)).
They come first, so that the person's own options win."""

_EXITED: Final = re.compile(rb"srun: error: ([A-Za-z0-9][\w.,\[\]-]{0,4096}): tasks? [\d,-]{1,4096}: (.{1,200})")
_FAILED: Final = re.compile(rb"srun: error: Node failure on ([A-Za-z0-9][\w.,\[\]-]{0,4096})")
_LABELLED: Final = re.compile(rb" {0,6}(\d{1,5}): (.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Launcher:
    """`words` as the person gave them; with {node} in one of them it starts one node, and is started for each."""

    words: tuple[str, ...]

    @classmethod
    def of(cls, words: Sequence[str]) -> Launcher:
        """The launcher of the words after `--`; one word with spaces in it is taken apart.

        Raises:
            ViaError: there is none, or it cannot be taken apart.
        """
        try:
            parts = shlex.split(words[0]) if len(words) == 1 else list(words)
        except ValueError as error:
            raise ViaError(f"the launcher {words[0]!r} cannot be split into words: {error}") from None
        if not parts or not parts[0]:
            raise ViaError("name the launcher after --: `-- srun -N 8`, `-- ssh {node}`")
        return cls(tuple(parts))

    @property
    def each(self) -> bool:
        """Whether it is started for each node by itself."""
        return any("{node}" in word for word in self.words)

    @property
    def is_srun(self) -> bool:
        """Whether it is Slurm's, which takes no word apart and shares its file system with the nodes."""
        return PurePath(self.words[0]).name == "srun"

    def command(self, program: Sequence[str], words: Sequence[str], node: str = "") -> list[str]:
        """The whole command, for one node or for all.

        Raises:
            ViaError: a word could be taken apart by a shell on the node.
        """
        unsafe = next((word for word in words if not SAFE_WORD.fullmatch(word)), None)
        if unsafe is not None and not self.is_srun:
            raise ViaError(f"{unsafe[:60]!r} has characters that a shell on the node could take apart")
        own = [word.replace("{node}", node) for word in self.words]
        extra = SRUN_OPTIONS if self.is_srun and not self.each else ()
        return [own[0], *extra, *own[1:], *program, *words]


class Remarks:
    """What srun says of its tasks beside their own words: how they ended, and the last line of each that was noise."""

    def __init__(self) -> None:
        self._ends: dict[str, str] = {}
        self._last: dict[int, str] = {}
        self._own = ""

    def take(self, line: bytes) -> None:
        """Take in a line that was none of ours."""
        ends = list(_ends_in(line[:8192]))
        for name, how in ends:
            self._ends.setdefault(name, how)
        if line.startswith(b"srun: error: ") and not ends:
            self._own = line[:213].decode(errors="replace").removeprefix("srun: error: ").strip()
        labelled = _LABELLED.fullmatch(line[:400])
        if labelled and labelled[2].strip() and len(self._last) < 1 << 13:
            self._last[int(labelled[1])] = labelled[2].decode(errors="replace").strip()[:200]

    def of(self, node: str, task: int | None, otherwise: str = "") -> str:
        """How a node's task ended, else `otherwise` and what srun said last of itself; and the task's last words."""
        how = self._ends.get(node) or "; ".join(filter(None, [otherwise, self._own and f"srun: {self._own}"]))
        last = self._last.get(task, "") if task is not None else ""
        return ": ".join(filter(None, [how, last]))


def _ends_in(line: bytes) -> Iterator[tuple[str, str]]:
    exited, failed = _EXITED.search(line), _FAILED.search(line)
    names, how = failed[1] if failed else b"", "Slurm says that the node failed"
    if exited:
        said = exited[2].decode(errors="replace").strip()
        names, how = exited[1], said[:1].lower() + said[1:]
    try:
        yield from ((name, how) for name in (expand(names.decode()) if names else ()))
    except ViaError:
        return
