"""env.wheel: which accelerators was this PyTorch built for, and which does this node have?

The build is read from `torch/version.py` and the libraries beside it, the node from its device files: nothing is
imported, so it answers where torch or a driver is broken. Standard library, parses on Python 3.8.
"""

import glob
import os

import torchdoctor_files as files
import torchdoctor_kit as kit

NODES = (
    ("nvidia", ("/dev/nvidia[0-9]*", "/dev/dxg", "/dev/nvhost-gpu", "/dev/nvgpu/igpu*")),
    ("amd", ("/dev/kfd",)),
    ("ascend", ("/dev/davinci[0-9]*",)),
    ("cambricon", ("/dev/cambricon_dev[0-9]*",)),
    ("moore-threads", ("/dev/mtgpu.[0-9]*",)),
    ("kunlun", ("/dev/xpu[0-9]*",)),
    ("gaudi", ("/dev/accel/accel[0-9]*",)),
)
"""Vendor -> its device files. dxg is the GPU of Windows in WSL2, nvhost-gpu and nvgpu are Jetson's."""

LIBRARIES = (("cuda", "libtorch_cuda.so"), ("hip", "libtorch_hip.so"), ("xpu", "libtorch_xpu.so"))
INTEL = "0x8086"


def run(request):
    """The probe."""
    kit.started()
    folder = files.torch_folder()
    if not folder:
        raise kit.Skip("this Python finds no torch")
    versions = files.torch_versions()
    kit.fact("torch.version", versions.get("__version__"), os.path.join(folder, "version.py"))
    for name in ("cuda", "hip", "xpu"):
        kit.fact("torch.build.%s" % name, versions.get(name), "torch/version.py")
    for name, library in LIBRARIES:
        path = os.path.join(folder, "lib", library)
        kit.fact("torch.library.%s" % name, os.path.isfile(path), path)
    found = nodes()
    for vendor, paths in found.items():
        kit.fact("node.%s" % vendor, len(paths), " ".join(paths[:16]))
    if not found:
        raise kit.Skip("no accelerator's device file is here: any build of torch does")


def nodes():
    """Vendor -> the device files that are here."""
    found = {vendor: sorted(path for p in patterns for path in glob.glob(p)) for vendor, patterns in NODES}
    found["intel"] = _intel_nodes()
    return {vendor: paths for vendor, paths in found.items() if paths}


def _intel_nodes():
    return [
        "/dev/dri/%s" % os.path.basename(path)
        for path in sorted(glob.glob("/sys/class/drm/renderD*"))
        if files.text(os.path.join(path, "device", "vendor"), 16).strip() == INTEL
        and os.path.exists("/dev/dri/%s" % os.path.basename(path))
    ]
