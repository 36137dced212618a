"""Questions to a file system that may give no answer: each in a forked child, which is killed when its time is up.

A thread would be left behind: where the kernel waits whatever happens (a disk or a driver that is gone), a process
with such a thread cannot end, while one with such a child can. Runs inside the target: standard library only, parses
on Python 3.8. The bootstrap loads this file under the name `torchdoctor_looks`.
"""

import os
import pickle
import select
import signal
import time

import torchdoctor_kit as kit

LEAVE_S = 0.5
"""How long a killed child is waited for; one that sleeps in the kernel is the guardian's."""

PATH_S = 1.5

_inside = False
"""Whether this process is such a child: it belongs to the group of the first one, and dies with it."""


class Hung(Exception):
    """What was asked gave no answer in time: a file system that hangs."""


class Look:
    """`function(*arguments)`, asked in a child. Facts and figures that it tells are told, also when it hangs later.

    Its answer, or the exception that it raised, must be one that pickle knows.
    """

    def __init__(self, function, *arguments):
        self.begin = time.monotonic()
        self.reading, writing = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            _reply(writing, function, arguments)
        os.close(writing)
        self._grouped = not _inside and _lead(self.pid)

    def answer(self, deadline):
        """What the function returned; it is waited for until `deadline` (time.monotonic()).

        Raises:
            Hung: no answer until then; RuntimeError: the child died; else whatever the function raised.
        """
        try:
            said = self._said(deadline)
        finally:
            os.close(self.reading)
            self._end()
        if not said:
            raise RuntimeError("the process that looked at it died")
        value, error = pickle.loads(said)
        if error is not None:
            raise error
        return value

    def _said(self, deadline):
        chunks = []
        while select.select([self.reading], [], [], max(0.0, deadline - time.monotonic()))[0]:
            chunk = os.read(self.reading, 1 << 16)
            if not chunk:
                return b"".join(chunks)
            chunks.append(chunk)
        raise Hung("no answer in %g s" % round(deadline - self.begin, 1))

    def _end(self):
        """Kill what is left of it, and what it started."""
        try:
            (os.killpg if self._grouped else os.kill)(self.pid, signal.SIGKILL)
        except OSError:
            pass
        until = time.monotonic() + LEAVE_S
        while os.waitpid(self.pid, os.WNOHANG)[0] == 0 and time.monotonic() < until:
            time.sleep(0.002)


def _lead(pid):
    """Make the child the leader of a group, from both sides: whichever comes first. Whether it is one."""
    try:
        os.setpgid(pid, pid)
    except OSError:
        return False  # it has ended
    return True


def _reply(writing, function, arguments):
    """The child's whole life."""
    global _inside
    try:
        if not _inside:
            _lead(0)
        _inside = True
        try:
            said = pickle.dumps((function(*arguments), None))
        except Exception as error:
            said = _raised(error)
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(said)
    finally:
        os._exit(0)


def _raised(error):
    """The exception for the parent; one that does not survive the way is told by its words."""
    try:
        said = pickle.dumps((None, error))
        pickle.loads(said)
    except Exception:
        return pickle.dumps((None, RuntimeError("%s: %s" % (type(error).__name__, error))))
    return said


def within(seconds, function, *arguments):
    """What `function` returns, asked in a child of its own.

    Raises:
        Hung: no answer within `seconds`; else what `Look.answer` raises.
    """
    look = Look(function, *arguments)
    return look.answer(look.begin + seconds)


def bounded(name, seconds, function, *arguments):
    """Let `function` tell what it finds. When it gives no answer in time the fact `<name>.state` is "hung"."""
    try:
        return within(seconds, function, *arguments)
    except Hung as error:
        kit.fact(name + ".state", "hung", str(error))
        return None


# --- PATH ------------------------------------------------------------------------------------------------------------


def leave_hung_path():
    """Take the folders that give no answer out of PATH, for this process and what it starts; tell which they are.

    Whoever looks for a program that lies in none of the folders before them waits there for ever.
    """
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    hung = [folder for folder in _hung(folders, PATH_S) if os.path.isabs(folder)]
    if hung:
        os.environ["PATH"] = os.pathsep.join(folder for folder in folders if folder not in hung)
        kit.fact("path.state", "hung", "PATH: no answer in %g s from %s" % (PATH_S, ", ".join(hung)))


def _hung(folders, seconds):
    """Those of the folders that give no answer. All are asked by one child, and only if it hangs each by its own."""
    try:
        within(seconds, _look_up, folders)
        return []
    except Hung:
        looks = [(folder, Look(_look_up, [folder])) for folder in folders]
    deadline, found = time.monotonic() + seconds, []
    for folder, look in looks:
        try:
            look.answer(deadline)
        except Hung:
            found.append(folder)
    return found


def _look_up(folders):
    """Look for a file that is not there, which nobody can answer from memory."""
    for folder in folders:
        os.path.lexists(os.path.join(folder, ".torchdoctor-%d" % os.getpid()))
