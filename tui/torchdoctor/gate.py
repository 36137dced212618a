"""`check --gate prolog`: may the next job start here? Passive, two seconds, and no node is drained by our own fault.

A process of its own looks; this one waits, and has nothing that a driver, a file system or a lock could hold: by the
time it waits it opens no file, imports nothing and takes no lock, and what it has to say another child says. It leaves
with 1 only when the looker wrote, whole and in time, that it found something critical that is sure; with 0 otherwise,
whatever happens. A looker that is stuck in the kernel is left to it: it holds none of our streams.

Only the standard library, and as little of it as can be: each file may lie on the file system that hangs.
"""

from __future__ import annotations

import os
import signal
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Final, NoReturn

    Answer = tuple[str, str]
    """"drain", "fine" or "unsure", and the line that says why."""

LIMIT_S = 2.0
"""From the start of the process to its end."""

TELLING_S = 0.25
"""Of it, for syslog and stderr."""

MOST_AGE_S = 60.0
"""An interpreter that took longer to start is none: then the clocks are of two namespaces."""

AFTER_S = 0.5
"""So long after it should have been killed the looker ends itself: whoever watched it is gone."""

LOOK_S = 0.01
ANSWER_BYTES = 16 << 10
SYSLOG = "/dev/log"
DAEMON: Final = 3 << 3
CRITICAL: Final = 2
WARNING: Final = 4

ENDING: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

DRAIN: Final = "drain"
WORDS: Final = (DRAIN, "fine", "unsure")


def wanted(arguments: Sequence[str]) -> bool:
    """Whether this command line asks for the gate: `check` is its first command, and `--gate` stands behind it."""
    words = [word for word in arguments if not word.startswith("-")]
    return words[:1] == ["check"] and any(word == "--gate" or word.startswith("--gate=") for word in arguments)


def main(arguments: Sequence[str]) -> NoReturn:
    """Judge and leave; nothing that goes wrong in here makes another exit code than 0."""
    code = 0
    try:
        code = run(arguments)
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is ours and not the node's
        _say(f"torchdoctor gate: not judged: {type(error).__name__}: {error}")
    finally:
        os._exit(code)


def run(arguments: Sequence[str], look: Callable[[], Answer] | None = None) -> int:
    """1 if the node should be drained, else 0; the reason is in syslog and on stderr, of a drain on stdout, too."""
    begun = time.monotonic() - _age_s()
    refused = _refused(arguments)
    answer = ("unsure", refused) if refused else _watched(look or _look, begun + LIMIT_S - TELLING_S)
    word, line = answer
    if word != "fine":
        _told(word, line)
    return int(word == DRAIN)


def _refused(arguments: Sequence[str]) -> str:
    """What is wrong with the command line, "" if nothing: a recipe with a slip in it drains no node either."""
    rest = [word for word in arguments if word not in ("check", "--read-only")]
    if rest in (["--gate", "prolog"], ["--gate=prolog"]):
        return ""
    return f"not judged: {' '.join(arguments)!r:.200} is no `check --gate prolog`, and it takes no other option"


def _age_s() -> float:
    """How long this process has been there (proc(5), field 22); 0 where nobody says."""
    try:
        handle = os.open("/proc/self/stat", os.O_RDONLY | os.O_CLOEXEC)
        try:
            stat = os.read(handle, 4096)
        finally:
            os.close(handle)
        ticks = int(stat.rpartition(b")")[2].split()[19])
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):
        return 0.0
    return age if 0.0 < age < MOST_AGE_S else 0.0


# --- the looker, watched -----------------------------------------------------------------------------------------


_signals: list[int] = []
"""What somebody sent to end us. It is noted, not raised: Python loses what is raised inside its own fork."""


def _note(number: int, _: object) -> None:
    _signals.append(number)


def _watched(look: Callable[[], Answer], deadline: float) -> Answer:
    """The looker's answer, or why there is none."""
    for number in ENDING:
        signal.signal(number, _note)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    looker = 0
    try:
        _occupy_streams()
        source, sink = os.pipe()
        looker = os.fork()
        if not looker:
            _looks(look, sink, deadline)
        os.close(sink)
        os.set_blocking(source, False)
        return _answer(*_read(source, looker, deadline))
    except (OSError, MemoryError) as error:
        return "unsure", f"not judged: {error}"
    finally:
        _kill(looker)


def _occupy_streams() -> None:
    """Where the caller closed a standard stream, no pipe of ours may get its number; `/` is always there."""
    while (handle := os.open("/", os.O_RDONLY)) <= 2:
        pass
    os.close(handle)


def _read(source: int, looker: int, deadline: float) -> tuple[bytes, str]:
    """What the looker said, and in words how it ended, if it did: a whole line is waited for, or the deadline."""
    said = b""
    while True:
        ended = _how_it_ended(looker)  # first: what it said before its end is in the pipe
        said += _there(source)
        if b"\n" in said or len(said) > ANSWER_BYTES or ended:
            return said, ended
        if _signals:
            return said, f"ended by {signal.Signals(_signals[0]).name}"
        if time.monotonic() >= deadline:
            return said, f"no answer within {LIMIT_S:g} s"
        time.sleep(LOOK_S)


def _there(source: int) -> bytes:
    """What is in the pipe now."""
    try:
        return os.read(source, ANSWER_BYTES + 1)
    except BlockingIOError:
        return b""


def _how_it_ended(child: int) -> str:
    """In words; "" as long as it lives. It is not reaped: its number stays its own as long as we may kill it."""
    try:
        ended = os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:  # somebody else reaped it
        return "it ended"
    if ended is None:
        return ""
    how = "exit code" if ended.si_code == os.CLD_EXITED else "signal"
    return f"it ended with {how} {ended.si_status}"


def _answer(said: bytes, ended: str) -> Answer:
    """Only a whole line that begins with one of our words is an answer; all else is the looker's failure."""
    line, newline, _ = said.decode("utf-8", "replace").partition("\n")
    word, _, text = line.partition(" ")
    if newline and word in WORDS:
        return word, text
    words = f"it said {line[:80]!r}" if line else "it said nothing"
    return "unsure", f"not judged: {', '.join(part for part in (ended, words) if part)}"


def _kill(child: int) -> None:
    """End a child and what is of its session; it is not waited for."""
    if not child:
        return
    for kill in (os.killpg, os.kill):
        try:
            kill(child, signal.SIGKILL)
        except OSError:
            pass


def _looks(look: Callable[[], Answer], sink: int, deadline: float) -> NoReturn:
    """The looker's life: in a session of its own, without our streams, and no longer than it is waited for."""
    try:
        os.setsid()
        for number in (*ENDING, signal.SIGALRM):
            signal.signal(number, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, max(0.01, deadline - time.monotonic()) + AFTER_S)
        _leave_streams()
        word, line = look()
    except BaseException as error:  # noqa: BLE001 - its failure is an answer
        word, line = "unsure", f"not judged: {type(error).__name__}: {error}"
    try:
        text = " ".join(f"{word} {line}".split())
        os.write(sink, text.encode("utf-8", "replace")[: ANSWER_BYTES - 1] + b"\n")
    finally:
        os._exit(0)


def _leave_streams() -> None:
    """A caller waits until its pipe is closed: a looker that hangs must not hold it."""
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for stream in range(3):
        os.dup2(null, stream)


def _look() -> Answer:
    from torchdoctor.commands._gate import look

    return look()


# --- what is said ------------------------------------------------------------------------------------------------


def _told(word: str, line: str) -> None:
    """Say it in a child: syslog, stdout and stderr can block, and none of them is worth a node."""
    try:
        teller = os.fork()
    except (OSError, MemoryError):
        os.set_blocking(2, False)  # nobody else can say it, and nobody may hold us
        _tell(word, line)
        return
    if not teller:
        try:
            os.setsid()
            for number in ENDING:
                signal.signal(number, signal.SIG_DFL)
            _tell(word, line)
        finally:
            os._exit(0)
    deadline = time.monotonic() + TELLING_S
    while not _how_it_ended(teller) and time.monotonic() < deadline:
        time.sleep(LOOK_S)
    _kill(teller)


def _tell(word: str, line: str) -> None:
    text = f"torchdoctor gate: {'drain: ' if word == DRAIN else ''}{_harmless(line)}"
    _log(CRITICAL if word == DRAIN else WARNING, text)
    if word == DRAIN:
        _say(text, 1)
    _say(text)


def _harmless(line: str) -> str:
    """One line without control characters: it stands in an admin's terminal."""
    return "".join(char if char.isprintable() else "?" for char in line)[:1000]


def _say(text: str, stream: int = 2) -> None:
    try:
        os.write(stream, text.encode("utf-8", "replace") + b"\n")
    except OSError:
        pass


def _log(level: int, text: str) -> None:
    """A line in syslog as glibc's `syslog(3)` writes it, LOG_DAEMON; nobody there, or no room there, is no error.

    Not by `syslog` itself, which waits for a daemon that reads no more.
    """
    try:
        import _socket

        stamp = time.strftime("%b %e %H:%M:%S")
        record = f"<{DAEMON | level}>{stamp} torchdoctor[{os.getppid()}]: {text}".encode("utf-8", "replace")
        connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM)
        connection.setblocking(False)
        connection.sendto(record, SYSLOG)
    except (ImportError, OSError):
        pass
