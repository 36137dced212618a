"""A real browser for tests: chromium without a window, driven over its debugging pipe. Standard library only."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
WAIT_S = 60.0

_FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-extensions", "--disable-sync",
    "--remote-debugging-pipe",
)  # fmt: skip


@dataclass
class Loaded:
    """One page as the browser has it."""

    text: str
    """What a person can see of it: `innerText`."""
    title: str
    requests: list[str]
    """Every address that was asked for, whether it was allowed or not; the page's own is the first."""
    scripts: int
    """Elements that could run."""
    violations: list[str]
    wide: int
    """Pixels by which it is wider than the window."""


@dataclass
class Browser:
    """One browser with one page."""

    process: subprocess.Popen[bytes]
    to: int
    of: int
    session: str = ""
    _last: int = 0
    _rest: bytes = b""
    events: list[dict[str, Any]] = field(default_factory=list)

    def ask(self, method: str, **params: object) -> dict[str, Any]:
        """The answer to one command; events that come before it are kept."""
        self._last += 1
        message = {"id": self._last, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        while True:
            said = self._next()
            if said.get("id") == self._last:
                if "error" in said:
                    raise AssertionError(f"{method}: {said['error']}")
                return dict(said["result"])
            self.events.append(said)

    def wait(self, method: str) -> None:
        """Until an event has come."""
        while not any(event.get("method") == method for event in self.events):
            self.events.append(self._next())

    def _next(self) -> dict[str, Any]:
        until = time.monotonic() + WAIT_S
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self.of], [], [], max(0.0, until - time.monotonic()))
            piece = os.read(self.of, 1 << 20) if ready else b""
            if not piece:
                raise AssertionError(f"the browser says nothing (exit {self.process.poll()})")
            self._rest += piece
        line, _, self._rest = self._rest.partition(b"\0")
        return dict(json.loads(line))

    def attach(self) -> None:
        """Open a page, and listen to what it asks for."""
        page = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.ask("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Log", "Runtime"):
            self.ask(f"{domain}.enable")

    def load(self, path: Path, width: int = 1200) -> Loaded:
        """Open a file and look at it."""
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        self.events.clear()
        self.ask("Page.navigate", url=path.as_uri())
        self.wait("Page.loadEventFired")
        look = "document.querySelectorAll('script,iframe,object,embed,img,link').length"
        overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        return Loaded(
            text=str(self.value("document.body.innerText")),
            title=str(self.value("document.title")),
            scripts=int(self.value(look)),
            requests=[
                e["params"]["request"]["url"] for e in self.events if e.get("method") == "Network.requestWillBeSent"
            ],
            violations=[e["params"]["entry"]["text"] for e in self.events if e.get("method") == "Log.entryAdded"],
            wide=int(self.value(overflow)),
        )

    def value(self, expression: str) -> Any:
        """What an expression comes to in the page; this is the debugger's own, which no policy forbids."""
        return self.ask("Runtime.evaluate", expression=expression)["result"].get("value")


@contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    """A browser of one's own, which ends with the block; its files lie in `folder`."""
    assert CHROMIUM is not None
    theirs_in, to = os.pipe()
    of, theirs_out = os.pipe()
    # Chromium reads from descriptor 3 and writes to 4, whatever numbers they have here.
    command = f'exec "$0" "$@" 3<&{theirs_in} 4>&{theirs_out}'
    argv = ["bash", "-c", command, CHROMIUM, *_FLAGS, f"--user-data-dir={folder}", "about:blank"]
    process = subprocess.Popen(
        argv, pass_fds=(theirs_in, theirs_out), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, env={**os.environ, "HOME": str(folder)},
    )  # fmt: skip
    os.close(theirs_in)
    os.close(theirs_out)
    one = Browser(process, to, of)
    try:
        one.attach()
        yield one
        one.session = ""
        one.ask("Browser.close")
        process.wait(WAIT_S)
    finally:
        process.kill()
        process.wait()
        os.close(to)
        os.close(of)
