"""What a headless command writes: to stdout, to stderr, to files that were checked before anything ran."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import click


class Undelivered(Exception):
    """What was made could not be written; the text is one line that says where to and why."""


def note(line: str) -> None:
    """One line on stderr for the person; a stderr that is gone is no reason to stop."""
    try:
        sys.stderr.write(line.replace("\n", " ") + "\n")
        sys.stderr.flush()
    except (OSError, ValueError):
        pass


def say(text: str) -> None:
    """Text on stdout; characters that its encoding lacks become escapes.

    Raises:
        Undelivered: if it cannot be written (a full disk). A reader that went away (`| head`) is no error.
    """
    encoding = sys.stdout.encoding or "utf-8"
    say_bytes(text.encode(encoding, "backslashreplace"))


def say_document(document: object) -> None:
    """A document as indented JSON on stdout; as `say`."""
    import msgspec

    say_bytes(msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")


def say_bytes(data: bytes) -> None:
    """Bytes on stdout; as `say`."""
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        _silence(1)
    except OSError as error:
        _silence(1)
        raise Undelivered(f"cannot write standard output: {error.strerror}") from None


def close_streams() -> bool:
    """Flush stdout and stderr before the program ends; False if stdout failed, which is said.

    Nothing is left for Python to flush: where it cannot, it would change the exit code to 120.
    """
    delivered = _close_stdout()
    try:
        sys.stderr.flush()
    except (OSError, ValueError):
        _silence(2)
    return delivered


def _close_stdout() -> bool:
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _silence(1)
    except (OSError, ValueError) as error:
        _silence(1)
        note(f"torchdoctor: cannot write standard output: {getattr(error, 'strerror', None) or error}")
        return False
    return True


def _silence(stream: int) -> None:
    """Point a stream at /dev/null: what Python still holds for it goes nowhere, without a word at exit."""
    handle = os.open(os.devnull, os.O_WRONLY)
    os.dup2(handle, stream)
    os.close(handle)


@dataclass(frozen=True, slots=True)
class Destination:
    """A file for an export, or stdout (`-`), that was found writable before the work began."""

    flag: str
    path: str

    @property
    def is_stdout(self) -> bool:
        """Whether it is `-`."""
        return self.path == "-"

    @property
    def absolute(self) -> str:
        """The path, right in any working directory."""
        return self.path if self.is_stdout else os.path.abspath(self.path)

    @classmethod
    def checked(cls, flag: str, path: str | None) -> Destination | None:
        """The destination that an option names, tried out; None if the option was not given.

        Raises:
            click.UsageError: if nothing can be written there.
        """
        if path is None:
            return None
        if path != "-":
            cause = _why_not(Path(path))
            if cause:
                raise click.UsageError(f"{flag} {path}: {cause}")
        return cls(flag, path)

    def deliver(self, data: bytes) -> None:
        """Write `data`: a regular file is replaced in one step, anything else (a device, a pipe) written to.

        Raises:
            Undelivered: if it cannot be written.
        """
        if self.is_stdout:
            say_bytes(data)
            return
        path = Path(self.path)
        try:
            if _replaceable(path):
                _replace(path.resolve(), data)
            else:
                path.write_bytes(data)
        except OSError as error:
            raise Undelivered(f"{self.flag} {self.path}: cannot be written: {error.strerror}") from None


def only_one_to_stdout(targets: Mapping[str, Destination | None]) -> None:
    """Refuse a command line of which two forms want stdout; `targets` is form -> where it goes.

    Raises:
        click.UsageError: if they do.
    """
    wanting = [f"--{form} -" for form, target in targets.items() if target and target.is_stdout]
    if len(wanting) > 1:
        raise click.UsageError(f"{' and '.join(wanting)} both want stdout: name a file for one of them")


def _replaceable(path: Path) -> bool:
    return not path.exists() or stat.S_ISREG(path.stat().st_mode)


def _why_not(path: Path) -> str:
    """Why `path` cannot be written, "" if it can; nothing is left behind."""
    try:
        if path.is_dir():
            return "is a folder: name a file"
        if not _replaceable(path):
            return "" if os.access(path, os.W_OK) else "cannot be written"
        import tempfile  # deferred: five milliseconds that no start pays

        with tempfile.TemporaryFile(dir=path.resolve().parent):
            return ""
    except (OSError, ValueError) as error:
        return f"cannot be written: {getattr(error, 'strerror', None) or error}"


def _replace(path: Path, data: bytes) -> None:
    """As `rundir.write_atomically`, with the permissions that the person's umask gives a new file."""
    import tempfile

    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        umask = os.umask(0o077)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
