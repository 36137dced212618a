"""`list` and `explain`: what can be asked, and what an answer means. Offline, from data alone."""

from __future__ import annotations

import re
import sys
from typing import Any, Final

import click

from torchprobes.catalogue import PROBES, TIERS
from torchprobes.quantity import quantity
from torchprobes.reports.text import plain

from ._options import json_flag, settings_options
from ._output import say

MAX_PASTE: Final = 64 << 20
"""Bytes of a pasted traceback that are read; of a large one the beginning and the end are looked at."""

WIDTH: Final = 79


@click.command("list")
@json_flag("The list")
@settings_options("read_only")
def list_(as_json: bool) -> None:
    """Every probe by group: its tier, what it asks, what it needs."""
    if as_json:
        import json

        rows: list[dict[str, Any]] = [
            {"name": p.name, "group": p.group, "tier": p.tier.value, "title": p.title, "needs": list(p.needs)}
            for p in PROBES
        ]
        say(json.dumps(rows, indent=2) + "\n")
        return
    say(list_text())


def list_text() -> str:
    """Every probe under its group: name, tier and needs in columns, and below them what it asks."""
    wide = max(len(probe.name) for probe in PROBES)
    lines: list[str] = []
    for group in dict.fromkeys(probe.group for probe in PROBES):
        members = [probe for probe in PROBES if probe.group == group]
        lines += [*([""] if lines else []), f"{group}  ({quantity(len(members), 'probes')})"]
        for probe in members:
            needs = f"needs {', '.join(probe.needs)}" if probe.needs else ""
            lines += [f"  {probe.name:{wide}}  {probe.tier.value:8}  {needs}".rstrip(), f"      {probe.title}"]
    tiers = ", ".join(f"{sum(probe.tier is tier for probe in PROBES)} {tier.value}" for tier in TIERS)
    return (
        "\n".join([*lines, "", f"{quantity(len(PROBES), 'probes')}: {tiers}. `torchdoctor check NAME` runs one."])
        + "\n"
    )


@click.command("explain")
@click.argument("card_id", metavar="ID|-")
@settings_options("read_only")
def explain_(card_id: str) -> int:
    """What a finding means and what to do about it.

    ID is what a finding shows (TD-CMP-001), or the beginning of several (TD-CMP). With - it reads a pasted traceback
    or log from stdin, and says which cards it leads to, at most three, best first.
    """
    if card_id == "-":
        say(pasted_text(sys.stdin.buffer.read(MAX_PASTE)))
        return 0
    from torchprobes.judge.cards import CARDS, card

    family = [one for one in CARDS if _FAMILY.fullmatch(card_id) and one.id.startswith(card_id.strip().upper() + "-")]
    say("".join(f"{one.id}  {one.title}\n" for one in family) or card_text(card(card_id)))
    return 0


_FAMILY: Final = re.compile(r"(?i)\s*TD-[A-Z]{3}\s*")
"""What all cards of a family begin with."""


def pasted_text(pasted: bytes) -> str:
    """What a pasted traceback or log leads to: each line that a card knows, what its place is worth, and the card."""
    import textwrap

    from torchprobes.judge.cards.tracebacks import recognise

    hits = recognise(pasted.decode(errors="replace"))
    if not hits:
        return (
            "No card knows a line of this. Run `torchdoctor check` where it happened: it tries the parts one by one.\n"
        )
    told = []
    for hit in hits:
        note = "".join(f"\n{text}" for text in textwrap.wrap(plain(hit.note), WIDTH - 2))
        told.append(f"line {hit.line}: {plain(hit.text)}{note}\n\n{card_text(hit.card)}")
    return ("\n" + "-" * WIDTH + "\n\n").join(told)


def card_text(card: Any) -> str:
    """A card as plain text of at most 79 columns."""
    import textwrap

    head = textwrap.wrap(f"{card.id}  {card.title}", 77, subsequent_indent=" " * (len(card.id) + 2))
    lines = [*head, "", *textwrap.wrap(card.why, 77)]
    if card.fix:
        needs = f", needs: {', '.join(card.fix.needs)}" if card.fix.needs else ""
        lines += ["", f"fix ({card.fix.scope.value}{needs}):", f"  {card.fix.command}"]
    holds = textwrap.wrap(f"holds for: {card.versions}", 77, subsequent_indent="  ")
    lines += ["", *holds, f"source: {card.source}"]
    return "\n".join(lines) + "\n"
