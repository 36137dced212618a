"""The keys of a log view, as a table. Each has an id, by which `config.toml` gives it another key."""

from __future__ import annotations

from typing import Final

from textual.binding import Binding, BindingType


def _bind(keys: str, action: str, description: str, name: str, tooltip: str, show: bool = False) -> Binding:
    return Binding(keys, action, description, show=show, id=f"log.{name}", tooltip=tooltip)


KEYS: Final[list[BindingType]] = [
    _bind("f", "follow", "Follow", "follow", "Stay at the end as lines come; any move upwards ends it", True),
    _bind("space", "pause", "Pause", "pause", "Hold the view still; nothing is lost", True),
    _bind("slash", "search", "Search", "search", "Search all of the log; ctrl+r for a regular expression", True),
    _bind("n", "hit(1)", "Next hit", "hit.next", "To the next line that the search found"),
    _bind("N", "hit(-1)", "Previous hit", "hit.previous", "To the previous line that the search found"),
    _bind("A", "search_all", "Search all files", "search.all", "Search all files of the tree"),
    _bind("ampersand", "filter", "Filter", "filter", "Show only some lines: by level, rank, compile id, words", True),
    _bind("e", "mark(1)", "Next error", "error.next", "To the next error, graph break, recompile or limit", True),
    _bind("E", "mark(-1)", "Previous error", "error.previous", "To the previous one"),
    _bind("w", "warning(1)", "Next warning", "warning.next", "To the next warning"),
    _bind("W", "warning(-1)", "Previous warning", "warning.previous", "To the previous warning"),
    _bind("m", "bookmark", "Bookmark", "bookmark", "Mark the line under the cursor, or take its mark away"),
    _bind("apostrophe", "next_bookmark", "Next bookmark", "bookmark.next", "To the next line that you marked"),
    _bind("enter", "jump", "Follow up", "jump", "To the artefact or the source that the line points at", True),
    _bind("j,down", "move(1)", "Down", "down", "One line down"),
    _bind("k,up", "move(-1)", "Up", "up", "One line up"),
    _bind("ctrl+d", "page(0.5)", "Half a page down", "half.down", "Half a screenful down"),
    _bind("ctrl+u", "page(-0.5)", "Half a page up", "half.up", "Half a screenful up"),
    _bind("pagedown,ctrl+f", "page(1.0)", "Page down", "page.down", "One screenful down"),
    _bind("pageup,b,ctrl+b", "page(-1.0)", "Page up", "page.up", "One screenful up"),
    _bind("g,home", "top", "Top", "top", "To the first line"),
    _bind("G,end", "bottom", "Bottom", "bottom", "To the last line, and follow"),
    _bind("left", "sideways(-16)", "Left", "left", "Show what is to the left"),
    _bind("right", "sideways(16)", "Right", "right", "Show what is to the right of the window"),
    _bind("l", "wrap", "Wrap", "wrap", "Wrap long lines, or show one screen line of each"),
    _bind("full_stop", "prefix", "Prefix", "prefix", "Show torch's line prefix whole, or shortened"),
    _bind("y", "copy('line')", "Copy", "copy", "Copy the line under the cursor"),
    _bind("Y", "copy('screen')", "Copy screen", "copy.screen", "Copy the lines on screen"),
    _bind("M", "copy('bookmarks')", "Copy marked", "copy.bookmarks", "Copy the lines that you marked"),
    _bind("x", "export", "Export", "export", "Write the lines that the filter shows into a file"),
    _bind("escape", "clear", "Clear", "clear", "End the search, then the filter"),
]
