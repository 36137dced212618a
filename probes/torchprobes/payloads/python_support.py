"""env.python: which Python is this, and does this PyTorch know it?

Everything is read from files, so that a torch that cannot be imported is told apart from one that is not there.
Standard library, parses on Python 3.8.
"""

import importlib.machinery
import os
import platform
import sys
import sysconfig

import torchdoctor_files as files
import torchdoctor_kit as kit
import torchdoctor_packages as packages


def run(request):
    """The probe."""
    kit.started()
    _tell_python()
    folder = files.torch_folder()
    if not folder:
        raise kit.Skip("this Python finds no torch")
    kit.fact("torch.version", files.torch_versions().get("__version__"), os.path.join(folder, "version.py"))
    _tell_extension(folder)
    _tell_required(os.path.dirname(os.path.realpath(folder)))


def _tell_python():
    kit.fact("python.version", "%d.%d.%d" % sys.version_info[:3], sys.version.replace("\n", " "))
    kit.fact("python.implementation", platform.python_implementation(), "platform.python_implementation()")
    kit.fact("python.release", sys.version_info.releaselevel, "sys.version_info.releaselevel")
    no_gil = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
    kit.fact("python.free_threaded", no_gil, "Py_GIL_DISABLED of the build")
    asked = getattr(sys, "_is_gil_enabled", None)  # 3.13 and later
    kit.fact("python.gil", asked() if asked else True, "sys._is_gil_enabled()" if asked else "every Python before 3.13")
    kit.fact("python.machine", platform.machine(), "platform.machine()")


def _tell_extension(folder):
    """The compiled core that this Python would load: `_C.cpython-311-x86_64-linux-gnu.so`."""
    there = sorted(name for name in os.listdir(folder) if name.startswith("_C.") and name.endswith((".so", ".pyd")))
    wanted = ["_C" + suffix for suffix in importlib.machinery.EXTENSION_SUFFIXES]
    kit.fact(
        "torch.extension", next((name for name in wanted if name in there), None), "of " + (" ".join(there) or "none")
    )
    kit.fact("python.suffix", wanted[0], "importlib.machinery.EXTENSION_SUFFIXES")


def _tell_required(home):
    for distribution in packages.distributions([home]):
        if distribution.name != "torch":
            continue
        for line in files.text(os.path.join(distribution.path, "METADATA")).split("\n\n", 1)[0].splitlines():
            if line.startswith("Requires-Python:"):
                kit.fact("torch.requires_python", line.partition(":")[2].strip(), distribution.path)
