"""Cards of `cuda.*`; those of `accel.*` are in accel.py."""

from __future__ import annotations

from ...model import Fix, Scope
from .base import Card

_COMPATIBILITY = "https://docs.nvidia.com/deploy/cuda-compatibility/"
_CODES = "https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__TYPES.html"
_VARIABLES = "https://docs.nvidia.com/cuda/cuda-programming-guide/05-appendices/environment-variables.html"
_MATRIX = "https://github.com/pytorch/pytorch/blob/main/RELEASE.md#pytorch-cuda-support-matrix"

CARDS: tuple[Card, ...] = (
    Card(
        id="TD-CUD-001",
        title="An NVIDIA GPU is on the bus, and no driver is loaded",
        why="The kernel sees the device, and neither /proc/driver/nvidia nor /dev/nvidia0 is there: the module was "
        "not built for this kernel, not loaded, or was taken by another driver (nouveau, vfio-pci).",
        fix=Fix(command="modprobe nvidia; dmesg | grep -i nvidia | tail", scope=Scope.NODE, needs=("root",)),
        source="/sys/bus/pci/devices, /proc/driver/nvidia/version",
    ),
    Card(
        id="TD-CUD-002",
        title="The driver's library libcuda.so.1 cannot be loaded",
        why="The device files are here, the library is not. In a container the runtime mounts it, and does so only "
        "if it was started with GPUs and with the capability `compute`.",
        fix=Fix(command="docker run --gpus all -e NVIDIA_DRIVER_CAPABILITIES=compute,utility ..."),
        source="https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/docker-specialized.html",
    ),
    Card(
        id="TD-CUD-003",
        title="A stub stands in for libcuda.so.1",
        why="A toolkit's lib64/stubs holds a libcuda for linking only; in LD_LIBRARY_PATH it comes before the "
        "driver's.",
        fix=Fix(command="unset LD_LIBRARY_PATH    # or take the folder that ends in /stubs out of it"),
        source=_CODES,
    ),
    Card(
        id="TD-CUD-004",
        title="The NVIDIA driver is too old for this PyTorch",
        why="A driver takes the CUDA that it was made with, every earlier one, and later minor versions of its own "
        "major. A later major needs a later driver; on data-centre GPUs the package cuda-compat of that major does "
        "instead.",
        fix=Fix(
            command="python -m pip install --force-reinstall torch --index-url "
            "https://download.pytorch.org/whl/cu<a major that the driver takes>    # or upgrade the driver"
        ),
        source=_COMPATIBILITY + "minor-version-compatibility.html",
    ),
    Card(
        id="TD-CUD-005",
        title="The fabric manager is not ready (802)",
        why="On a machine with NVSwitch no CUDA program starts before the fabric manager, of the driver's very "
        "version, has trained the fabric. nvidia-smi looks fine all the while.",
        fix=Fix(
            command="systemctl restart nvidia-fabricmanager; journalctl -u nvidia-fabricmanager | tail",
            scope=Scope.NODE,
            needs=("root", "drained"),
        ),
        source="https://github.com/pytorch/pytorch/issues/35710",
    ),
    Card(
        id="TD-CUD-006",
        title="Driver module and driver library are of different versions (803)",
        why="The driver was upgraded while its kernel module stayed loaded, or the container brings a library of its "
        "own. The module goes only when nobody uses a GPU.",
        fix=Fix(
            command="rmmod nvidia_uvm nvidia_drm nvidia_modeset nvidia && modprobe nvidia    # or reboot",
            scope=Scope.NODE,
            needs=("root", "drained"),
        ),
        source=_CODES,
    ),
    Card(
        id="TD-CUD-007",
        title="Forward compatibility is not supported on this GPU (804)",
        why="A library of the package cuda-compat was loaded in place of the driver's; it works on data-centre GPUs "
        "only. Images bring it in /usr/local/cuda/compat and put it into LD_LIBRARY_PATH.",
        fix=Fix(
            command="export LD_LIBRARY_PATH=<the same without the folder compat>; rm -f /etc/ld.so.conf.d/*compat*"
        ),
        source=_COMPATIBILITY + "forward-compatibility.html",
    ),
    Card(
        id="TD-CUD-008",
        title="The driver answers, and shows no device",
        why="The module is loaded, and no GPU is left for this process: lost from the bus, all in MIG mode without "
        "an instance, or kept out of the container.",
        fix=Fix(command="nvidia-smi -L; dmesg | grep -i -e nvrm -e xid | tail", scope=Scope.NODE),
        source=_CODES,
    ),
    Card(
        id="TD-CUD-009",
        title="The driver cannot be initialised",
        why="cuInit failed with the code above. 46: exclusive compute mode with another process on the GPU; 304 and "
        "999: the module nvidia-uvm is missing or the machine was suspended; others: a GPU that fell ill.",
        fix=Fix(
            command="modprobe -r nvidia_uvm && modprobe nvidia_uvm; nvidia-smi -q -d COMPUTE | grep -i mode",
            scope=Scope.NODE,
            needs=("root", "idle"),
        ),
        source=_CODES,
    ),
    Card(
        id="TD-CUD-010",
        title="The driver does not answer",
        why="cuInit did not return. A GPU fell off its bus, the fabric is being trained, or a process that dies "
        "holds the driver's lock: all CUDA programs of the node will hang too.",
        fix=Fix(command="dmesg | grep -i -e nvrm -e xid | tail; nvidia-smi -q | head", scope=Scope.NODE),
        source="measured: cuda_question.py in a process of its own",
    ),
    Card(
        id="TD-CUD-011",
        title="Asking the driver kills the process",
        why="The process that loaded libcuda.so.1 and called cuInit died: libraries that do not belong together, or "
        "a sandbox that forbids a system call.",
        fix=Fix(command="env -u LD_LIBRARY_PATH -u LD_PRELOAD nvidia-smi"),
        source="measured: cuda_question.py in a process of its own",
    ),
    Card(
        id="TD-CUD-012",
        title="The device files may not be opened",
        why="EPERM: the device cgroup of this container or job does not allow it; EACCES: the file's mode does not; "
        "ENOENT: the file was not made (nvidia-uvm is made when its module loads).",
        fix=Fix(
            command="nvidia-modprobe -u -c=0; ls -l /dev/nvidia*    # in a container: start it with --gpus",
            scope=Scope.NODE,
            needs=("root",),
        ),
        source="open(2); https://github.com/NVIDIA/nvidia-docker/issues/1671",
    ),
    Card(
        id="TD-CUD-013",
        title="CUDA_VISIBLE_DEVICES hides all GPUs",
        why="An empty value, or one that begins with -1, shows no GPU to CUDA.",
        fix=Fix(command="unset CUDA_VISIBLE_DEVICES"),
        source=_VARIABLES,
    ),
    Card(
        id="TD-CUD-014",
        title="CUDA_VISIBLE_DEVICES names a GPU that is not here",
        why="CUDA drops the first unknown entry and all after it. In a container, or under a scheduler that shows a "
        "job only its own GPUs, indices begin at 0 again.",
        fix=Fix(command="unset CUDA_VISIBLE_DEVICES; nvidia-smi -L"),
        source=_VARIABLES,
    ),
    Card(
        id="TD-CUD-015",
        title="The MPS daemon does not let this process in",
        why="CUDA_MPS_PIPE_DIRECTORY, or the default folder, leads to a daemon that is gone, full, or another user's.",
        fix=Fix(
            command="echo get_server_list | nvidia-cuda-mps-control; ls -ld ${CUDA_MPS_PIPE_DIRECTORY:-/tmp/nvidia-mps}"
        ),
        source="https://docs.nvidia.com/deploy/mps/",
    ),
    Card(
        id="TD-CUD-016",
        title="Driver and PyTorch meet by minor-version compatibility",
        why="Both belong to one major version of CUDA, and the driver to an earlier minor. Compiled code runs; PTX "
        "of the later version does not (a device that the build holds no machine code for, JIT linking), nor do "
        "features that came with it.",
        source=_COMPATIBILITY + "minor-version-compatibility.html",
    ),
    Card(
        id="TD-CUD-017",
        title="A forward-compatibility library is in use",
        why="libcuda comes from the package cuda-compat, newer than the kernel module. Supported on data-centre GPUs.",
        source=_COMPATIBILITY + "forward-compatibility.html",
    ),
    Card(
        id="TD-CUD-018",
        title="This NCCL was built for a later CUDA than the driver takes",
        why="A communicator cannot be made: NCCL's own kernels need the driver that its CUDA needs.",
        fix=Fix(
            command="python -m pip uninstall nvidia-nccl-cu<the later one>; python -m pip install --force-reinstall "
            "torch"
        ),
        source="https://docs.nvidia.com/deeplearning/nccl/release-notes/",
    ),
    Card(
        id="TD-CUD-019",
        title="libcuda.so.1 is of another version than the driver's module",
        why="It answers now; some calls will fail with 803. The next reboot, or the image that brings the library, "
        "decides.",
        fix=Fix(command="ls -l /usr/lib/*/libcuda.so*; cat /proc/driver/nvidia/version", scope=Scope.NODE),
        source=_CODES,
    ),
    Card(
        id="TD-CUD-021",
        title="CUDA is not available, and the driver does not say why",
        why="Build, driver, device files and environment were looked at and none of them explains it; what PyTorch "
        "says is above.",
        fix=Fix(command="python -c 'import torch; torch.cuda.init()'"),
        source="https://github.com/pytorch/pytorch/issues/30528",
    ),
    Card(
        id="TD-CUD-022",
        title="A kernel on this GPU failed or gave a wrong answer",
        why="One small kernel was launched and its answer read back. Nothing that follows can be trusted.",
        fix=Fix(command="torchdoctor gpus    # XIDs, ECC errors and a lost GPU come first", scope=Scope.GPU),
        source="measured",
    ),
    Card(
        id="TD-CUD-023",
        title="CUDA_VISIBLE_DEVICES ends at an entry that names no GPU",
        why="The GPUs before it are visible, those after it are not, and nothing says so.",
        fix=Fix(command="export CUDA_VISIBLE_DEVICES=<entries that nvidia-smi -L shows>"),
        source=_VARIABLES,
    ),
    Card(
        id="TD-CUD-030",
        title="This PyTorch holds no kernel for this GPU",
        why="Neither machine code of the device's major version nor PTX that the driver could compile is in the "
        "wheel: every kernel ends in `no kernel image is available`, while torch.cuda.is_available() stays True.",
        fix=Fix(
            command="python -m pip install --force-reinstall torch --index-url "
            "https://download.pytorch.org/whl/<the build named above>"
        ),
        source=_MATRIX,
    ),
    Card(
        id="TD-CUD-031",
        title="Kernels are compiled by the driver on first use",
        why="The wheel holds only PTX of an older architecture for this GPU. It works, with a long first use of each "
        "kernel, and without what the newer architecture could do.",
        fix=Fix(
            command="python -m pip install --force-reinstall torch --index-url "
            "https://download.pytorch.org/whl/<the build named above>"
        ),
        source="https://docs.nvidia.com/cuda/cuda-programming-guide/ (just-in-time compilation); " + _MATRIX,
    ),
    Card(
        id="TD-CUD-040",
        title="/usr/local/cuda leads nowhere",
        why="The link's target was removed or it leads back to itself. Whatever builds with CUDA and is not told "
        "another place looks there.",
        fix=Fix(
            command="ln -sfn /usr/local/cuda-<a version that is there> /usr/local/cuda",
            scope=Scope.NODE,
            needs=("root",),
        ),
        source="torch/utils/cpp_extension.py, _find_cuda_home",
    ),
    Card(
        id="TD-CUD-041",
        title="The toolkit that builds would use is of another major version than PyTorch",
        why="PyTorch refuses to build an extension with it (flash-attn, DeepSpeed's kernels, "
        "torch.utils.cpp_extension). PyTorch itself runs: its wheel brings its own libraries.",
        fix=Fix(command="export CUDA_HOME=/usr/local/cuda-<PyTorch's version>; export PATH=$CUDA_HOME/bin:$PATH"),
        source="torch/utils/cpp_extension.py, CUDA_MISMATCH_MESSAGE; https://github.com/deepspeedai/DeepSpeed/issues/3223",
    ),
    Card(
        id="TD-CUD-042",
        title="Two CUDA toolkits, and what is asked decides which one answers",
        why="The link /usr/local/cuda, the nvcc on PATH and CUDA_HOME name different versions. Builds mix headers of "
        "one with the compiler of the other, and switching the link by hand changes them all for everybody.",
        fix=Fix(command="export CUDA_HOME=/usr/local/cuda-<PyTorch's version>; export PATH=$CUDA_HOME/bin:$PATH"),
        source="torch/utils/cpp_extension.py, _find_cuda_home",
    ),
    Card(
        id="TD-CUD-043",
        title="CUDA_HOME names no toolkit",
        why="There is no bin/nvcc below it. PyTorch takes it all the same, before PATH and /usr/local/cuda.",
        fix=Fix(command="unset CUDA_HOME CUDA_PATH    # or name a folder that holds bin/nvcc"),
        source="torch/utils/cpp_extension.py, _find_cuda_home",
    ),
    Card(
        id="TD-CUD-044",
        title="The toolkit is of another minor version than PyTorch",
        why="Extensions build, with a warning, and usually work.",
        source="torch/utils/cpp_extension.py, CUDA_MISMATCH_WARN",
    ),
    Card(
        id="TD-CUD-050",
        title="Two copies of one library are loaded",
        why="The wheel's and another one: each has its own state, and which one answers depends on the order of "
        "loading.",
        fix=Fix(command="unset LD_LIBRARY_PATH LD_PRELOAD"),
        source="/proc/self/maps",
    ),
    Card(
        id="TD-CUD-051",
        title="A library from outside stands in for the one that PyTorch was built with",
        why="The wheel brings its own; LD_PRELOAD, LD_LIBRARY_PATH (where the wheel has no RPATH) or a package that "
        "was imported before put another one in its place: not the version that PyTorch was tested with.",
        fix=Fix(command="unset LD_LIBRARY_PATH LD_PRELOAD    # or take the folder named above out of it"),
        source="https://github.com/pytorch/pytorch/issues/80637",
    ),
    Card(
        id="TD-CUD-060",
        title="cuDNN is not available on a device with CUDA",
        why="Convolutions fall back to slow kernels. `cudnn.enabled` is a toggle and is True without cuDNN too.",
        fix=Fix(command="python -m pip install --force-reinstall torch    # brings the cuDNN that it is pinned to"),
        source="torch/backends/cudnn/__init__.py",
    ),
    Card(
        id="TD-CUD-061",
        title="Another cuDNN was loaded than PyTorch was built with",
        why="PyTorch compares the cuDNN it was built with to the one that was loaded; LD_LIBRARY_PATH often puts a "
        "toolkit's in front.",
        fix=Fix(command="unset LD_LIBRARY_PATH"),
        source="https://github.com/pytorch/pytorch/issues/80637",
    ),
    Card(
        id="TD-CUD-062",
        title="A convolution gives wrong numbers",
        why="Forward and gradients were held against float64 on the CPU, from the same rounded inputs.",
        fix=Fix(
            command="python -c 'import torch; torch.backends.cudnn.enabled = False'    # and try again: is it cuDNN?"
        ),
        source="measured",
    ),
    Card(
        id="TD-CUD-063",
        title="A convolution raises an error",
        why="The library could not run a common convolution on this device: not enough memory for a workspace, "
        "libraries that do not belong together, or a device that it does not know.",
        fix=Fix(command="env -u LD_LIBRARY_PATH torchdoctor check cuda.cudnn cuda.libraries"),
        source="measured",
    ),
    Card(
        id="TD-CUD-064",
        title="cuDNN is switched off",
        why="torch.backends.cudnn.enabled is False in a fresh process: a sitecustomize or a plug-in did it.",
        fix=Fix(command="python -c 'import torch; print(torch.backends.cudnn.enabled)'    # and look for who sets it"),
        source="torch/backends/cudnn/__init__.py",
    ),
    Card(
        id="TD-CUD-065",
        title="cudnn.benchmark finds a faster convolution",
        why="With fixed shapes the first call tries all algorithms and keeps the fastest. With shapes that change it "
        "tries them again each time.",
        fix=Fix(command="torch.backends.cudnn.benchmark = True    # in the program, where shapes are fixed"),
        source="measured",
    ),
)
