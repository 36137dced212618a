"""The commands as data: what is there, where it is, and what it is for. Imports nothing."""

from __future__ import annotations

from typing import Final

COMMANDS: Final[dict[str, tuple[str, str]]] = {
    "status": ("machine", "Say in at most 24 plain lines how this node is."),
    "check": ("check", "Run probes without a screen, and report."),
    "list": ("catalogue", "Every probe: what it asks and what it needs."),
    "explain": ("catalogue", "What a finding means and what to do; - reads a traceback."),
    "gpus": ("gpus", "One sample of every GPU, with findings."),
    "snapshot": ("machine", "All passive evidence of this node; nothing is run on it."),
    "record": ("record", "Record the telemetry into a file, or as a flight recorder."),
    "replay": ("replay", "Play a recording in the console, or say what is in it."),
    "launch": ("launch", "Launch a distributed job that outlives this terminal."),
    "jobs": ("jobs", "Every distributed job of this node, ours or not."),
    "attach": ("attach", "Watch a job read-only, ours or not."),
    "diagnose": ("diagnose", "Why a job is stuck or failed; --at, what was there then."),
    "stop": ("stop", "End a job that torchdoctor launched; nothing is left of it."),
    "env": ("env", "The exports that make any job diagnosable later."),
    "capture": ("capture", "Run any command and keep what torch.compile says of it."),
    "logs": ("logs", "Open the console on logs or a torch_compile_debug tree."),
    "runs": ("runs", "The runs that are kept: list, rename, prune, delete."),
    "report": ("report", "A stored run as a report: text, JSON, Markdown, HTML."),
    "compare": ("compare", "Hold reports against each other: what differs, and why."),
    "fleet": ("fleet", "Look at many nodes over a launcher of yours, and compare them."),
    "release": ("release", "Close every driver handle that torchdoctor holds."),
}
"""Name -> (module in `commands`, one line of help). The module has a click command of that name."""
