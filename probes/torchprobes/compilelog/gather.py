"""What the files below a root say: followed, read by their readers, and handed to the ledger."""

from __future__ import annotations

from dataclasses import replace

from .artefacts import ProcessNode, groups
from .explanation import NOTHING, Explanation
from .follow import Follower, Tree


class Gatherer:
    """One root. `step` takes in what is new; not for threads."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._follower = Follower(root)

    def step(self) -> bool:
        """Take in some of what is new; whether there is more."""
        self._follower.step()
        return False

    def once(self, deadline_s: float | None = None) -> None:
        """Take in all that is there now."""
        self.step()

    def state(self) -> object:
        """Equal to what it was before where nothing has changed."""
        return self._follower.view().revision

    def tree(self) -> Tree:
        """The files."""
        return self._follower.view()

    def explanation(self) -> Explanation:
        """What they say."""
        return replace(NOTHING, root=self._root)

    def groups(self, explanation: Explanation) -> tuple[ProcessNode, ...]:
        """The tree of processes, compiles and pieces."""
        return groups(self.tree(), explanation)
