"""`snapshot --only-jobs`: what this node says of its jobs, for another node that asks over a prefix."""

from __future__ import annotations

import socket
import time

import msgspec

from torchdoctor.settings import Settings
from torchprobes import __version__
from torchprobes.jobs.nodes import wire
from torchprobes.model import SCHEMA
from torchprobes.reports import exit_codes

from ._job_evidence import evidence_of_all, jobs_here
from ._look import look
from ._output import say_bytes, say_document


def say_jobs(settings: Settings, what: str, *, ping: bool, twice: bool = False) -> int:
    """Say the document; with `ping` as the other end of `jobs.nodes.asking` wants it: clock first, then on one line."""
    if ping:
        wire.answer_pings(0, 1)
    sample = look(settings.thresholds).sample
    document = {
        "schema": SCHEMA,
        "torchdoctor": __version__,
        "taken": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "host": socket.gethostname(),
        "jobs": evidence_of_all(jobs_here(what), sample, twice=twice),
    }
    if ping:
        say_bytes(msgspec.json.encode(document) + b"\n")
    else:
        say_document(document)
    return exit_codes.OK
