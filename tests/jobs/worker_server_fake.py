"""A worker server as torch's is seen from outside: HTTP over a Unix socket, served by this very process."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torchprobes.distributed import RankIdentity
from torchprobes.runner import processes


class FakeServer:
    """Answers `POST /handler/NAME` with the body of that name; None hangs. `asked` is what was asked, in order."""

    def __init__(self, path: Path, bodies: Mapping[str, bytes | None], head: str = "HTTP/1.1 200 OK") -> None:
        self.path, self.bodies, self.head = str(path), bodies, head
        self.asked: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(self.path)
        self._socket.listen(8)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(client,), daemon=True).start()

    def _answer(self, client: socket.socket) -> None:
        with client:
            request = client.recv(4096).decode()
            if not request:
                return
            name = request.split(" ")[1].rpartition("/")[2]
            self.asked.append(name)
            if not name:
                body: bytes | None = ("[" + ",".join(f'"{one}"' for one in self.bodies) + "]").encode()
            elif name not in self.bodies:
                client.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone")
                return
            else:
                body = self.bodies[name]
            if body is None:
                time.sleep(30)
                return
            with contextlib.suppress(OSError):
                client.sendall(f"{self.head}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)

    def close(self) -> None:
        self._socket.close()


def myself(**fields: Any) -> RankIdentity:
    """This process as a rank: the one that serves."""
    me = processes.read(os.getpid())
    assert me is not None
    return RankIdentity(**{"rank": 0, "pid": me.pid, "start_ticks": me.start, "uid": os.getuid(), **fields})
