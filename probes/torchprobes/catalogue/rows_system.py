"""ddp.*, data.*, serving.* and system.*: ranks, data, a server, and the machine around them."""

from __future__ import annotations

from ..model import Tier
from .probe import Probe

PROBES: tuple[Probe, ...] = (
    Probe("ddp.init", Tier.STANDARD, "Do ranks form a communicator every time?", "ddp", 240,
          {"part": "init"}, needs=("torch", "2 ranks"), timed=True, launch="torchrun"),
    Probe("ddp.allreduce", Tier.STANDARD, "Do ranks reduce rightly and as fast as their links?", "ddp", 300,
          {"part": "allreduce"}, needs=("torch", "2 ranks"), timed=True, launch="torchrun"),
    Probe("ddp.training", Tier.STANDARD, "Do ranks train to the same bits, steadily, as one process would?", "ddp", 240,
          {"part": "training"}, needs=("torch", "2 ranks"), timed=True, launch="torchrun"),
    Probe("data.loader", Tier.STANDARD, "Do DataLoader workers start, keep order and leave nothing?", "dataloader",
          180, needs=("torch",), place="host"),
    Probe("data.image", Tier.STANDARD, "Does a JPEG become the right tensor, and how fast?", "image", 60,
          needs=("torch", "PIL or cv2"), timed=True, place="host"),
    Probe("data.csv", Tier.STANDARD, "Does pandas read a large CSV rightly, how fast, in how much memory?",
          "csv_frame", 300, needs=("pandas",), timed=True, place="host"),
    Probe("serving.fastapi", Tier.STANDARD, "Does a model answer from FastAPI while the server stays awake?",
          "serving", 120, needs=("torch", "fastapi", "uvicorn"), timed=True, helpers=True),
    Probe("system.cpu", Tier.QUICK, "Has torch the cores that it thinks it has, near the GPU and awake?", "cpu", 30,
          needs=("torch",), warm=True, timed=True, place="host"),
    Probe("system.disk", Tier.QUICK, "Are the folders of caches and models there, writable and not full?", "disk", 30,
          place="host", bare=True),
)  # fmt: skip
