"""A log view on a file that a test writes, with the keys that it presses and the screen that it sees."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from log_app import OneWidgetApp, screen_text, until
from textual.pilot import Pilot
from textual.widgets import Input

from torchdoctor.widgets.log_view import LogView


class Bench:
    """A view on a file that the test writes."""

    def __init__(self, pilot: Pilot[None], view: LogView, path: Path) -> None:
        self.pilot, self.view, self.path, self.lines = pilot, view, path, view.lines

    def write(self, data: bytes) -> None:
        """Let the file grow."""
        with self.path.open("ab") as file:
            file.write(data)

    async def until(self, holds: Callable[[], object]) -> None:
        """Tick until it holds."""
        await until(self.pilot, holds, self.view.refresh_data)

    async def press(self, *keys: str) -> None:
        """Press keys, and let the screen answer."""
        await self.pilot.press(*keys)
        await self.pilot.pause()

    def screen(self) -> list[str]:
        """The rows of the screen."""
        return [row.rstrip() for row in screen_text(self.pilot.app)]

    async def ask(self, key: str, words: str) -> None:
        """Open the prompt by `key`, have `words` in it at once, and press enter."""
        await self.press(key)
        self.view.query_one(Input).value = words
        await self.press("enter")

    async def filter(self, words: str) -> None:
        """Filter by `words`."""
        await self.ask("ampersand", words)

    @property
    def settled(self) -> bool:
        """Whether the whole file is known, and what is on screen is at hand."""
        view, pages = self.lines.view, self.lines.pages
        return view.indexed and view.revision > 0 and not pages.late and not pages.tail

    def numbers(self) -> list[int]:
        """The line numbers on screen."""
        found = (re.match(r"\s*(\d+) ", row) for row in self.screen()[: self.lines.size.height])
        return [int(match[1]) for match in found if match]

    @property
    def bar(self) -> str:
        """The row below the lines."""
        return self.screen()[-1].strip()


Start = Callable[..., AbstractAsyncContextManager[Bench]]


@pytest.fixture
def bench(tmp_path: Path) -> Start:
    """Starts a view on a file that holds `data`; `options` as `LogView.open` takes them."""

    @asynccontextmanager
    async def start(data: bytes, *, size: tuple[int, int] = (80, 24), **options: Any) -> AsyncIterator[Bench]:
        path = tmp_path / "stderr.log"
        path.write_bytes(data)
        view = LogView()
        app = OneWidgetApp(view, ascii_signs=options.pop("ascii_signs", False))
        async with app.run_test(size=size) as pilot:
            view.open(str(path), **options)
            view.lines.focus()
            made = Bench(pilot, view, path)
            await made.until(lambda: made.settled)
            yield made
            view.close()

    return start


def numbered(count: int, first: int = 1) -> bytes:
    """Lines that say their numbers."""
    return b"".join(b"line %d\n" % n for n in range(first, first + count))
