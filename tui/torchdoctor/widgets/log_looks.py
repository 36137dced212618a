"""How the parts of a line of a log look: one table of names, and the stylesheet that gives each of them its tokens."""

from __future__ import annotations

from typing import Final

from torchdoctor.widgets.highlight import WHOS

LOOKS: Final = (
    "dim", "error", "warning", "mark", "book", "hit", "name", "keyword", "string", "comment", "number", "cursor",
    *(f"who{n}" for n in range(WHOS)),
)  # fmt: skip
"""`who0` to `who7` tell ranks, compile ids and files apart; what they are called stands there, too."""

COLOURS: Final = """
LogLines {
    height: 1fr;
    background: $background;
    color: $foreground;
    scrollbar-color: $panel-lighten-2;
    scrollbar-background: $background;
    scrollbar-size-horizontal: 0;
    scrollbar-size-vertical: 1;
}
LogLines > .log--dim { color: $text-muted; }
LogLines > .log--error { color: $text-error; text-style: bold; }
LogLines > .log--warning { color: $text-warning; }
LogLines > .log--mark { color: $text-accent; text-style: bold; }
LogLines > .log--book { color: $text-warning; text-style: bold; }
LogLines > .log--hit { text-style: reverse bold; }
LogLines > .log--name { color: $text-primary; }
LogLines > .log--keyword { color: $text-accent; }
LogLines > .log--string { color: $text-success; }
LogLines > .log--comment { color: $text-muted; text-style: italic; }
LogLines > .log--number { color: $text-secondary; }
LogLines > .log--who0 { color: $text-primary; }
LogLines > .log--who1 { color: $text-secondary; }
LogLines > .log--who2 { color: $text-success; }
LogLines > .log--who3 { color: $foreground; text-style: bold; }
LogLines > .log--who4 { color: $text-primary; text-style: bold; }
LogLines > .log--who5 { color: $text-secondary; text-style: bold; }
LogLines > .log--who6 { color: $text-success; text-style: bold; }
LogLines > .log--who7 { color: $foreground; }
LogLines > .log--cursor { background: $surface-lighten-1; }
LogLines:focus > .log--cursor { background: $primary-muted; text-style: bold; }
LogLines:ansi > .log--cursor, LogLines:ansi:focus > .log--cursor { background: $background; }
LogLines:ansi > .log--cursor, LogLines:nocolor > .log--cursor { text-style: bold underline; }
LogLines:ansi > .log--dim, LogLines:nocolor > .log--dim { color: $foreground; text-style: dim; }
LogLines:nocolor > .log--warning { text-style: bold; }
"""
