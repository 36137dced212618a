"""The palette: an entry for every action that works now, for every pane, and for every probe and group."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, cast

from textual.command import DiscoveryHit, Hit, Hits, Provider

from torchprobes.catalogue import OFFERED, select
from torchprobes.model import Tier

from .dialogs import bindings_of

if TYPE_CHECKING:
    from .app import TorchDoctor

_MOVING = ("List", "Log", "Files")
"""Groups of keys that move: nobody looks for them by name."""

Entry = tuple[str, str, Callable[[], object]]
"""(name, help, what it does)"""


class Actions(Provider):
    """Entries made from the bindings and the catalogue."""

    def _entries(self) -> Iterator[Entry]:
        app = cast("TorchDoctor", self.app)
        seen: set[str] = set()
        for node, group, binding in bindings_of(self.screen):
            if binding.action in seen or binding.action == "command_palette" or group in _MOVING:
                continue
            seen.add(binding.action)
            name = binding.description if group == "Everywhere" else f"{group}: {binding.description}"
            yield name, binding.tooltip, partial(_run_action, app, node, binding.action)
        if app.settings.read_only:
            return
        for tier in Tier:
            yield f"Run all of tier {tier.value}", "Every probe of this tier", partial(app.run_probes, select((), tier))
        for group in dict.fromkeys(probe.group for probe in OFFERED):
            members = select((group,), Tier.FULL)
            if len(members) > 1:
                yield f"Run {group}", f"{len(members)} probes", partial(app.run_probes, members)
        for probe in OFFERED:
            yield f"Run {probe.name}", probe.title, partial(app.run_probes, (probe,))

    async def discover(self) -> Hits:
        """All entries, before anything is typed."""
        for name, text, command in self._entries():
            yield DiscoveryHit(name, command, help=text)

    async def search(self, query: str) -> Hits:
        """Entries whose name matches."""
        matcher = self.matcher(query)
        for name, text, command in self._entries():
            score = matcher.match(name)
            if score > 0:
                yield Hit(score, matcher.highlight(name), command, help=text)


async def _run_action(app: TorchDoctor, node: object, action: str) -> None:
    await app.run_action(action, node)  # type: ignore[arg-type]
