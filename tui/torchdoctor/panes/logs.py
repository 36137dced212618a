"""The Logs pane: the files of a run on the left, the lines of one of them on the right, both as they grow."""

from __future__ import annotations

import os
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widget import Widget
from textual.widgets import Static

from torchdoctor.text import ascii_only, safe, size_text
from torchdoctor.widgets.file_list import FileList
from torchdoctor.widgets.log_view import LogView
from torchprobes.compilelog.follow import FileView, Follower, Tree

NARROW = 76
"""Below this width the list takes a third of the height instead of a column."""

NO_RUN = (
    "",
    "What probes write shows up here as they run:",
    "start some in Probes.",
    "",
    "To read other logs, also while they grow:",
    "  torchdoctor logs DIR|FILE",
)


class LogsPane(Widget):
    """Follows one run directory, torch_compile_debug tree, folder or file."""

    HELP = """\
The left side lists what the run has written so far, with the size of each file; new files appear by themselves.
The right side shows the file under the cursor as it grows. `enter` goes to its lines, `tab` back to the list.
Torch's line prefixes are shown shortened; `.` shows them whole.
"""

    DEFAULT_CSS = """
    LogsPane { height: 1fr; width: 1fr; }
    LogsPane Horizontal { height: 1fr; }
    LogsPane FileList { width: 36%; min-width: 30; max-width: 72; height: 1fr; }
    LogsPane .title { height: 1; padding: 0 1; background: $panel; color: $foreground; }
    LogsPane .title { text-wrap: nowrap; text-overflow: clip; }
    LogsPane .read { width: 1fr; height: 1fr; }
    LogsPane.-narrow Horizontal { layout: vertical; }
    LogsPane.-narrow FileList { width: 1fr; max-width: 100%; height: 30%; min-height: 4; }
    LogsPane.-alone FileList, LogsPane.-zoomed FileList { display: none; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left_square_bracket", "file(-1)", "Previous file", show=False, id="logs.file.previous",
                tooltip="Show the previous file of the list"),
        Binding("right_square_bracket", "file(1)", "Next file", show=False, id="logs.file.next",
                tooltip="Show the next file of the list"),
        Binding("z", "zoom", "Zoom", id="logs.zoom", tooltip="Give the lines the whole width, or show the list again"),
    ]  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self.files = FileList()
        self.log_view = LogView()
        self.log_view.lines.nothing = NO_RUN
        self._title = Static("", markup=False, classes="title")
        self._follower: Follower | None = None
        self._tree = Tree()
        self._open = ""

    def compose(self) -> ComposeResult:
        """The list, and what is read."""
        with Horizontal():
            yield self.files
            with Vertical(classes="read"):
                yield self._title
                yield self.log_view

    # --- for the app ------------------------------------------------------------------------------------------

    def follow_run(self, run_path: str) -> None:
        """Show a run directory; one that is shown already stays as it stands."""
        self.show(run_path)

    def show(self, path: str) -> None:
        """Show a folder or a file, also one that does not exist yet."""
        if self._follower is not None:
            if self._tree.root == path:
                return
            self._follower.stop()
        self._follower = Follower(path).start()
        self.log_view.lines.nothing = ()
        self._tree, self._open = Tree(root=path), ""
        self.log_view.open(None)
        self.files.show(self._tree)
        self._say_title()

    def refresh_data(self) -> None:
        """Show what is new; called by the app's timer while this pane is visible."""
        if self._follower is None:
            return
        tree = self._follower.view()
        if tree.revision != self._tree.revision:
            self._tree = tree
            alone = len(tree.files) == 1 and tree.files[0].path == tree.root
            self.set_class(alone, "-alone")
            self.files.show(tree)
            self._say_title()
        self.log_view.refresh_data()

    def plain_text(self) -> str:
        """What is on screen of the log, as text."""
        lines = self.log_view.lines
        return "\n".join(lines.safe_lines(lines.scroll_offset.y, lines.size.height))

    def stop(self) -> None:
        """Let all threads and children of this pane end; does not wait."""
        if self._follower is not None:
            self._follower.stop()
        self.log_view.close()

    # --- inside -----------------------------------------------------------------------------------------------

    def on_mount(self) -> None:
        """Say that there is nothing yet."""
        self._say_title()

    def on_resize(self) -> None:
        """Columns where there is room, rows where there is none."""
        self.set_class(self.size.width < NARROW, "-narrow")
        self._say_title()

    def on_file_list_chosen(self, message: FileList.Chosen) -> None:
        """Show the file; with `enter` go to its lines."""
        message.stop()
        file = message.file
        if file.path != self._open:
            self._open = file.path
            self.log_view.open(file.path, file.kind.language, follow=file.kind.grows)
            self._say_title()
        if message.read:
            self.log_view.lines.focus()

    def on_log_view_copy_requested(self, message: LogView.CopyRequested) -> None:
        """Hand it to the app's clipboard."""
        message.stop()
        self.app.copy_to_clipboard(message.text)
        self.notify(f"copied {message.lines} line{'s' * (message.lines != 1)}", timeout=2)

    def action_file(self, delta: int) -> None:
        """Another file of the list."""
        self.files.action_move(delta)

    def action_zoom(self) -> None:
        """The lines alone, or the list beside them again."""
        self.toggle_class("-zoomed")
        if self.has_class("-zoomed"):
            self.log_view.lines.focus()

    def _say_title(self) -> None:
        self._title.update(self._title_text(), layout=False)

    def _title_text(self) -> Text:
        file = self.files.file
        if self._follower is None:
            return Text("No run yet")
        if file is None:
            cause = f": {self._tree.cause}" if self._tree.cause else ""
            return Text(self._safe(f"{self._tree.root}{cause}"))
        return self._about(file)

    def _about(self, file: FileView) -> Text:
        text = Text()
        text.append(self._safe(os.path.basename(file.name)), "bold")
        text.append(f"  {size_text(file.size_bytes)}", "dim")
        text.append(f"  {self._safe(file.cause) or file.kind.what}", "" if file.cause else "dim")
        return text

    def _safe(self, words: str) -> str:
        return safe(words, ascii_only=ascii_only(self.app))
