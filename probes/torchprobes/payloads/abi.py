"""env.abi: do the compiled parts fit each other: PyTorch with numpy, OpenCV with this system's libraries?

numpy is really used, because it is the use that fails. OpenCV is not imported, it may end the process: the libraries
that it needs are looked for. Standard library and torch 2.1 or later; parses on Python 3.8.
"""

import glob
import importlib.util
import json
import os
import subprocess
import sys
import time
import warnings

import torchdoctor_fatbin as fatbin
import torchdoctor_kit as kit
import torchdoctor_packages as packages

READ_S = 1.0
LOAD_S = 10.0
MOST_LIBRARIES = 300

TRY_TO_LOAD = """
import ctypes, json, sys
missing = []
for name in json.load(sys.stdin):
    try:
        ctypes.CDLL(name)
    except OSError as error:
        missing.append([name, str(error)])
print(json.dumps(missing))
"""
"""Run in a process of its own: loading runs the libraries' own code."""


def run(request):
    """The probe."""
    torch = kit.import_torch()
    kit.fact("torch.version", torch.__version__, "torch.__version__")
    _tell_numpy(torch)
    _tell_opencv()


def _tell_numpy(torch):
    """Whether numpy and torch speak to each other: numpy 2 and a torch before 2.3 do not."""
    if importlib.util.find_spec("numpy") is None:
        kit.fact("numpy.version", None, "not installed")
        return
    import numpy

    kit.fact("numpy.version", str(getattr(numpy, "__version__", "")), getattr(numpy, "__file__", ""))
    try:
        with warnings.catch_warnings(record=True):
            there = torch.arange(4, dtype=torch.float32).numpy()
            back = torch.from_numpy(there * 2)
        right = [float(n) for n in there] == [0, 1, 2, 3] and back.tolist() == [0, 2, 4, 6]
        kit.fact(
            "numpy.bridge", "right" if right else "wrong", "arange(4) to numpy, doubled, and back: %r" % back.tolist()
        )
    except Exception as error:
        kit.raised("numpy.bridge", error)


def _tell_opencv():
    """The libraries that OpenCV's own need and that neither it nor this system has."""
    spec = importlib.util.find_spec("cv2")
    if spec is None or not spec.submodule_search_locations:
        kit.fact("opencv.found", False, "importlib.util.find_spec, not imported")
        return
    folder = next(iter(spec.submodule_search_locations))
    kit.fact("opencv.found", True, folder)
    site = os.path.dirname(folder)
    names = [d.name for d in packages.distributions([site]) if d.name.startswith("opencv-")]
    for name in sorted(set(names)):
        kit.fact("opencv.distribution.%s" % name, True, site)
    own = glob.glob(os.path.join(folder, "*.so*")) + glob.glob(os.path.join(site, "opencv_*.libs", "*.so*"))
    wanted = _wanted(own[:MOST_LIBRARIES])
    kit.figure("opencv_libraries", len(wanted), "libraries")
    missing = _missing(wanted)
    if missing is None:
        return
    kit.fact("opencv.missing", len(missing), "of %d libraries that are not OpenCV's own" % len(wanted))
    for name, why in missing:
        kit.fact("opencv.missing.%s" % name, why)


def _wanted(own):
    """What these libraries link and do not bring themselves."""
    deadline, wanted = time.monotonic() + READ_S, set()
    for path in own:
        try:
            wanted.update(fatbin.read(path, deadline).needed)
        except (OSError, fatbin.NotElf):
            continue
    return sorted(wanted - {os.path.basename(path) for path in own})


def _missing(names):
    """[name, why] of each library that cannot be loaded here; None if that could not be tried."""
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-B", "-c", TRY_TO_LOAD],
            input=json.dumps(names).encode(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=LOAD_S,
        )  # fmt: skip
        return json.loads(done.stdout.decode("utf-8", "replace"))
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        kit.fact("opencv.missing", None, "could not be tried: %s" % error)
        return None
