"""Readings of sound runs of env.*; a test breaks one thing in them."""

from __future__ import annotations

from sound import Facts, figure

from torchprobes.model import Figure

PACKAGES: Facts = {
    "torch.copies": 1,
    "torch.folder": "/env/lib/python3.11/site-packages/torch",
    "torch.version": "2.11.0+cu130",
    "torch.records": 1,
    "torch.recorded": "2.11.0",
    "requires.triton": "~=3.6.0",
    "found.triton": "3.6.0",
    "requires.nvidia-cudnn-cu13": "==9.19.0.56",
    "found.nvidia-cudnn-cu13": "9.19.0.56",
    "requires.nvidia-cublas": "==13.1.1.3.*",
    "found.nvidia-cublas": "13.1.1.3",
    "installed.nvidia-cudnn-cu13": "9.19.0.56",
    "wants.torchvision": "==2.11.0",
    "conda.packages": 0,
}

JUPYTER: Facts = {
    "target.python": "/env/bin/python",
    "target.state": "read",
    "target.torch": "2.11.0+cu130",
    "target.CUDA_VISIBLE_DEVICES": None,
    "target.PYTHONPATH": None,
    "kernelspec.python3.state": "read",
    "kernelspec.python3.python": "/env/bin/python",
    "kernelspec.python3.torch": "2.11.0+cu130",
    "kernelspec.python3.same": True,
    "kernel.4711.state": "read",
    "kernel.4711.python": "/env/bin/python",
    "kernel.4711.torch": "2.11.0+cu130",
    "kernel.4711.same": True,
    "kernel.4711.CUDA_VISIBLE_DEVICES": None,
    "kernel.4711.PYTHONPATH": None,
}

WHEEL: Facts = {
    "torch.version": "2.11.0+cu130",
    "torch.build.cuda": "13.0",
    "torch.build.hip": None,
    "torch.build.xpu": None,
    "torch.library.cuda": True,
    "torch.library.hip": False,
    "torch.library.xpu": False,
    "node.nvidia": 8,
}

PYTHON: Facts = {
    "python.version": "3.11.7",
    "python.release": "final",
    "python.free_threaded": False,
    "python.gil": True,
    "python.suffix": "_C.cpython-311-x86_64-linux-gnu.so",
    "torch.version": "2.11.0+cu130",
    "torch.extension": "_C.cpython-311-x86_64-linux-gnu.so",
    "torch.requires_python": ">=3.10",
}

VARIABLES: Facts = {"torch.version": "2.11.0+cu130", "cores": 64, "environ.OMP_NUM_THREADS": "32"}

ABI: Facts = {
    "torch.version": "2.11.0+cu130",
    "numpy.version": "2.1.0",
    "numpy.bridge": "right",
    "opencv.found": True,
    "opencv.distribution.opencv-python-headless": True,
    "opencv.missing": 0,
}

EXTENSIONS: Facts = {
    "torch.version": "2.11.0+cu130",
    "torch.build.cuda": "13.0",
    "extension.flash_attn_2_cuda.cpython-311.so.links": "libc10.so libtorch.so libcudart.so.13",
    "extension.flash_attn_2_cuda.cpython-311.so.archs": "sm_80 sm_90",
    "extension.kernels/sm90/ops.so.archs": "sm_90a",
    "extension.kernels/sm100/ops.so.archs": "sm_100a",
    "search.complete": True,
    "devices": 2,
    "device.0.name": "NVIDIA H200",
    "device.0.capability": "9.0",
    "device.1.name": "NVIDIA H200",
    "device.1.capability": "9.0",
}

IMAGE: Facts = {
    "container": "docker",
    "caches.complete": True,
    "conda.root": None,
    "conda.owns_target": False,
    "opencv.opencv-python-headless": True,
    "machine": "x86_64",
    "python.arch": "x86_64",
    "torch.arch": "x86_64",
    "emulation": "none",
}

LIBRARIES: Facts = {
    "torch.version": "2.11.0+cu130",
    "use.answer": "right",
    "nccl.version": "2.28.9",
    "library.libnccl.so.2": "22809, build-id 2b7e, wheel",
    "library.libgomp.so.1": "build-id 91aa, torch",
    "nccl.plugin.libnccl-net.so": "build-id 77cd, there",
}

FACTS: dict[str, Facts] = {
    "env.packages": PACKAGES,
    "env.jupyter": JUPYTER,
    "env.wheel": WHEEL,
    "env.python": PYTHON,
    "env.variables": VARIABLES,
    "env.abi": ABI,
    "env.extensions": EXTENSIONS,
    "env.image": IMAGE,
    "env.libraries": LIBRARIES,
}

FIGURES: dict[str, tuple[Figure, ...]] = {
    "env.packages": (figure("distributions", 120),),
    "env.variables": (figure("variables_set", 40), figure("variables_told", 1)),
    "env.extensions": (figure("libraries_read", 800),),
    "env.libraries": (figure("libraries", 90), figure("libraries_identified", 89)),
    "env.image": (figure("cache_bytes", 3 << 20, place="pip"),),
}

PROOFS: dict[str, str] = {
    "env.packages": "one torch, 2.11.0+cu130, among 120 packages; 3 requirements compared, all met",
    "env.jupyter": "2 of 2 kernels, installed or running, have torch 2.11.0+cu130: python3, 4711",
    "env.wheel": "torch 2.11.0+cu130 is built for CUDA 13.0, and there is /dev/nvidia0",
    "env.python": "Python 3.11.7 and torch 2.11.0+cu130: _C.cpython-311-x86_64-linux-gnu.so is there, "
    "and torch.compile takes Python up to 3.14",
    "env.variables": "40 variables set, 1 of them for torch 2.11.0+cu130 and its libraries: "
    "none of those known to slow it down or to change its answers",
    "env.abi": "torch 2.11.0+cu130 and numpy 2.1.0: numbers went there and back; OpenCV's libraries are all here",
    "env.extensions": "NVIDIA H200 is 9.0: machine code for it in flash_attn_2_cuda, kernels; 800 libraries read",
    "env.image": "a docker image: 3 MiB of installers' caches; Python and torch for x86_64 on x86_64",
    "env.libraries": "90 libraries mapped, one copy each, known by their content, 1 of them unread; "
    "a convolution and a product are right on cuda:0",
}
"""What the pass of each sound run says."""
