"""cuda.driver: does the NVIDIA driver answer, and is it new enough for this PyTorch and its NCCL?

Runs inside the target, also when its torch is broken: nothing of torch is imported, its build is read from its files.
Standard library only; parses on Python 3.8.
"""

import os
import re

import torchdoctor_files as files
import torchdoctor_kit as kit
import torchdoctor_nvidia as nvidia


def run(request):
    """The probe."""
    kit.started()
    node = nvidia.Node(request.params.get("root", "/"))
    nccl = tell_build()
    # The driver is asked, not what the user lets this process see of it.
    environ = {k: v for k, v in os.environ.items() if k != "CUDA_VISIBLE_DEVICES"}
    said = nvidia.ask_driver(environ, nccl, request.params.get("answer_s", nvidia.ANSWER_S))
    if not node.present and said.get("library") is None:
        raise kit.Skip("no NVIDIA device here: no /dev/nvidia*, no driver module, none on the PCI bus, no libcuda.so.1")
    nvidia.tell_node(node)
    nvidia.tell_driver(said)
    tell_library(said.get("library"), node.module)
    tell_nccl(said.get("nccl"), nccl)


def tell_build():
    """What torch and its NCCL were built for, from their files; returns the path of the NCCL that it would load."""
    folder = files.torch_folder()
    if not folder:
        kit.fact("torch.version", None, "no torch in this Python")
        return ""
    build = files.torch_versions()
    kit.fact("torch.version", build.get("__version__"), os.path.join(folder, "version.py"))
    kit.fact("torch.build.cuda", build.get("cuda"), os.path.join(folder, "version.py"))
    for name, version in sorted(nvidia.wheels(folder, "nvidia_nccl_cu").items()):
        major = re.match(r"nvidia-nccl-cu(\d+)$", name)
        if major:
            kit.fact("nccl.cuda", major.group(1), "%s %s is installed" % (name, version))
    return nvidia.wheel_library(folder, "libnccl") or ""


def tell_library(path, module):
    """Which libcuda.so.1 was loaded: the driver's own, a forward-compatibility package's, a stub for linking."""
    if path is None:
        return
    version = re.search(r"\.so\.(\d+\.\d+(?:\.\d+)?)$", path)
    kit.fact("driver.library.version", version.group(1) if version else None, path)
    kit.fact("driver.library.kind", kind_of(path, version.group(1) if version else None, module), path)
    for folder in os.environ.get("LD_LIBRARY_PATH", "").split(":"):
        if folder and os.path.realpath(folder) == os.path.dirname(path):
            kit.fact("driver.library.from", folder, "LD_LIBRARY_PATH names it")


def kind_of(path, version, module):
    """What a libcuda is: stub, compat, driver; "other" is one of another version than the kernel module."""
    folders = os.path.dirname(path).split("/")
    if "stubs" in folders:
        return "stub"
    if "compat" in folders or any(f.startswith("cuda-compat") for f in folders):
        return "compat"
    return "other" if version and module and version != module else "driver"


def tell_nccl(version, path):
    """NCCL's own answer; a text is what the loader said instead."""
    if isinstance(version, int):
        kit.fact("nccl.version", nccl_text(version), "ncclGetVersion of " + path)
    elif version:
        kit.fact("nccl.error", version, path)


def nccl_text(number):
    """2.18.1 of 21801; before 2.9 the number had one digit less."""
    return "%d.%d.%d" % (
        (number // 10000, number % 10000 // 100, number % 100)
        if number >= 10000
        else (number // 1000, number % 1000 // 100, number % 100)
    )
