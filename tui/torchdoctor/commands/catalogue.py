"""`list` and `explain`: what can be asked, and what an answer means. Offline, from data alone."""

from __future__ import annotations

import sys
from typing import Any

import click

from torchprobes.catalogue import PROBES
from torchprobes.reports.text import plain

from ._options import json_flag, settings_options
from ._output import say

MAX_PASTE = 1 << 20
"""Characters of a pasted traceback that are read."""


@click.command("list")
@json_flag("The list")
@settings_options("read_only")
def list_(as_json: bool) -> None:
    """Every probe: its tier, what it asks, what it needs."""
    rows: list[dict[str, Any]] = [
        {"name": p.name, "group": p.group, "tier": p.tier.value, "title": p.title, "needs": list(p.needs)}
        for p in PROBES
    ]
    if as_json:
        import json

        say(json.dumps(rows, indent=2) + "\n")
        return
    wide = max(len(row["name"]) for row in rows)
    for row in rows:
        needs = f"  (needs {', '.join(row['needs'])})" if row["needs"] else ""
        say(f"{row['name']:{wide}}  {row['tier']:8}  {row['title']}{needs}\n")


@click.command("explain")
@click.argument("card_id", metavar="ID|-")
@settings_options("read_only")
def explain_(card_id: str) -> int:
    """What a finding means and what to do about it.

    ID is what a finding shows (TD-CMP-001). With - it reads a pasted traceback or log from stdin, and says which
    cards its lines lead to.
    """
    from torchprobes.judge.cards import card

    if card_id != "-":
        say(card_text(card(card_id)))
        return 0
    from torchprobes.judge.cards.tracebacks import recognise

    hits = recognise(sys.stdin.buffer.read(MAX_PASTE).decode(errors="replace"))
    for hit in hits:
        say(f"line {hit.line}: {plain(hit.text)}\n\n{card_text(hit.card)}\n")
    if not hits:
        say("No card knows a line of this. Run `torchdoctor check` where it happened: it tries the parts one by one.\n")
    return 0


def card_text(card: Any) -> str:
    """A card as plain text of at most 79 columns."""
    import textwrap

    head = textwrap.wrap(f"{card.id}  {card.title}", 77, subsequent_indent=" " * (len(card.id) + 2))
    lines = [*head, "", *textwrap.wrap(card.why, 77)]
    if card.fix:
        needs = f", needs: {', '.join(card.fix.needs)}" if card.fix.needs else ""
        lines += ["", f"fix ({card.fix.scope.value}{needs}):", f"  {card.fix.command}"]
    lines += ["", f"holds for: {card.versions}", f"source: {card.source}"]
    return "\n".join(lines) + "\n"
