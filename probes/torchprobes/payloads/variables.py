"""env.variables: which environment variables change what PyTorch does here, and how fast?

Every variable of the families is told, secrets masked; what it means is judged elsewhere. Standard library,
parses on Python 3.8.
"""

import os

import torchdoctor_files as files
import torchdoctor_kit as kit
from torchdoctor_shared import masking
from torchdoctor_shared.environment import families

OURS = ("TORCHDOCTOR_", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED", "PYTHONFAULTHANDLER")
CACHES = ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR")
"""What the runner sets for a probe says nothing about the patient."""

VALUE = 1000


def run(request):
    """The probe."""
    kit.started()
    kit.fact("torch.version", files.torch_versions().get("__version__"), "torch/version.py, not imported")
    kit.fact("cores", _cores(), "cores that this process may run on")
    theirs = {name: value for name, value in os.environ.items() if not _is_ours(name, value, request)}
    theirs.update(request.data.get("user_environ") or {})  # what the runner's own stand in the place of
    told = masking.mask_environment({n: v for n, v in theirs.items() if n.startswith(families.FAMILIES)})
    for name, value in sorted(told.items()):
        kit.fact("environ.%s" % name, value[:VALUE], "%d characters" % len(value) if len(value) > VALUE else "")
    kit.figure("variables_set", len(theirs), "variables")
    kit.figure("variables_told", len(told), "variables")


def _is_ours(name, value, request):
    if name.startswith(OURS):
        return True
    place = os.path.dirname(os.path.abspath(request.artifacts))
    if name in CACHES or name in ("TORCH_COMPILE_DEBUG_DIR", "TORCH_COMPILE_DEBUG"):
        folder = os.environ.get("TORCH_COMPILE_DEBUG_DIR", "") if name == "TORCH_COMPILE_DEBUG" else value
        return folder.startswith((place + os.sep, request.compile_dir))
    return name == "CUDA_VISIBLE_DEVICES" and bool(request.data.get("gpus"))


def _cores():
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
