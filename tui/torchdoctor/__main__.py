"""The entry point: `torchdoctor` and `python -m torchdoctor`."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

WINDOWS = "torchdoctor runs on Linux and macOS: on Windows, start it inside WSL2"


def main() -> None:
    """Run the command line and leave with its exit code."""
    if os.name == "nt":
        sys.exit(WINDOWS)
    if "check" in sys.argv:  # before anything that can fail or wait: a gate stands in front of every job
        _leave_by_the_gate(sys.argv[1:])
    _open_standard_streams()
    _undo_locale_coercion()
    if sys.argv[1:] == ["--version"]:  # asked by scripts on every start: nothing else is loaded for it
        from torchprobes import __version__

        sys.stdout.write(f"torchdoctor {__version__}\n")
        return
    from torchdoctor import early

    early.begin(sys.argv[1:])
    from torchdoctor.cli import run

    _leave(run(sys.argv[1:]))


def _leave_by_the_gate(arguments: list[str]) -> None:
    """Judge and leave if this is `check --gate`; what cannot even be imported is no fault of the node."""
    if not any(word.startswith("--gate") for word in arguments):
        return
    try:
        from torchdoctor import gate

        if gate.wanted(arguments):
            gate.main(arguments)
    except Exception as error:  # noqa: BLE001 - a prolog that fails takes the node away from everybody
        os.write(2, f"torchdoctor gate: not judged: {type(error).__name__}: {error}\n".encode(errors="replace"))
        os._exit(0)


def _leave(code: int) -> NoReturn:
    """Leave with this exit code; after a screen at once.

    Its threads are daemons that nobody waits for, and one that imports a module while the interpreter is taken down can
    crash it. By then everything is written: `run` has closed the streams.
    """
    if "textual" in sys.modules:
        os._exit(code)
    sys.exit(code)


def _open_standard_streams() -> None:
    """Streams that the caller closed become /dev/null, so that no file of ours ever gets their numbers."""
    handle = os.open(os.devnull, os.O_RDWR)
    while handle <= 2:
        handle = os.dup(handle)
    os.close(handle)
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - lives as long as we do


def _undo_locale_coercion() -> None:
    """Take back the LC_CTYPE that Python sets at its start in the C locale (PEP 538).

    What the person said about their terminal must stay readable, and the target gets their environment as it was.
    """
    try:
        with open("/proc/self/environ", "rb") as file:
            given = file.read().split(b"\0")
    except OSError:  # no /proc: macOS
        return
    if not any(entry.startswith(b"LC_CTYPE=") for entry in given):
        os.environ.pop("LC_CTYPE", None)


if __name__ == "__main__":
    main()
