"""A watch over phases that may hang: it beats while they run, and ends the process with a named fact when they do.

A collective that hangs blocks the thread that called it, and NCCL's own watchdog would abort the process without a
word that a rule could read. This thread says which phase hung, keeps the stacks, says the payload's end and exits.
Standard library only; parses on Python 3.8.
"""

import faulthandler
import os
import threading
import time

import torchdoctor_kit as kit

BEAT_S = 1.0


class Watch:
    """One thread; `phase(name, limit_s)` starts a phase and ends the one before it.

    `last_words` is called when a phase hangs, before the process ends: it may tell what it knows, and must not wait.
    """

    def __init__(self, label, last_words=None):
        self.label = label
        self.last_words = last_words
        self.name, self.ends = "start", None
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._run, name="torchdoctor-watch", daemon=True)
        self.thread.start()

    def phase(self, name, limit_s):
        """`name` begins and must end within `limit_s` seconds."""
        self.name, self.ends = name, time.monotonic() + limit_s
        kit.emit("hb", name=name)

    def stop(self):
        """No phase is left; no fact or beat comes after this."""
        self.over.set()
        self.thread.join()

    def _run(self):
        while not self.over.wait(BEAT_S):
            name, ends = self.name, self.ends
            if ends is not None and time.monotonic() > ends:
                self._hung(name)
            kit.emit("hb", name=name)

    def _hung(self, name):
        path = os.path.join(kit.request.artifacts, "hang.%s.txt" % self.label)
        with open(path, "w", encoding="utf-8") as file:
            faulthandler.dump_traceback(file, all_threads=True)
        kit.artifact("stacks", path, "where rank %s stood when %s hung" % (self.label, name))
        kit.fact("ddp.hung.%s" % self.label, name, "its limit passed; the stacks are kept")
        try:
            if self.last_words is not None:
                self.last_words()
        finally:
            kit.emit("end", ok=True)
            os._exit(0)
