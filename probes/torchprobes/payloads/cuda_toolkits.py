"""cuda.toolkits: which CUDA toolkits are here, which one would a build take, and does it fit this PyTorch?

Nothing of torch is imported: its CUDA version is read from its files. Standard library only; parses on Python 3.8.
Every path begins at the parameter `root`, so that a test can hand in a machine of its own.
"""

import glob
import os
import re
import subprocess
import sys

import torchdoctor_files as files
import torchdoctor_kit as kit
import torchdoctor_nvidia as nvidia

MOST = 16
_NVCC_S = 10.0


def run(request):
    """The probe."""
    kit.started()
    root = request.params.get("root", "/")
    build = files.torch_versions()
    kit.fact("torch.version", build.get("__version__"), files.torch_folder() or "no torch in this Python")
    kit.fact("torch.build.cuda", build.get("cuda"), "torch/version.py")
    tell_link(root)
    tell_installed(root)
    tell_compilers(root)
    tell_named(root)
    tell_home(root)
    kit.fact("toolkits.searched", True, "/usr/local/cuda*, nvcc on PATH and beside this Python, CUDA_HOME, CUDA_PATH")


def tell_link(root):
    """Where /usr/local/cuda leads, one link after the other: update-alternatives puts one between."""
    path, steps = os.path.join(root, "usr/local/cuda"), []
    state = link_state(path, root, steps)
    kit.fact("link", state, " -> ".join(["/usr/local/cuda"] + steps))
    if state in ("link", "folder"):
        tell_version("link.version", os.path.realpath(path), "/usr/local/cuda")


def link_state(path, root, steps):
    """What a path is: absent, folder, link, dangling or circular; the targets of its links are added to `steps`."""
    if not os.path.lexists(path):
        return "absent"
    if not os.path.islink(path):
        return "folder"
    seen = set()
    while os.path.islink(path):
        if path in seen or len(seen) > 40:
            return "circular"
        seen.add(path)
        target = os.readlink(path)
        steps.append(target)
        path = below(root, target) if target.startswith("/") else os.path.join(os.path.dirname(path), target)
        path = os.path.normpath(path)
    return "link" if os.path.isdir(path) else "dangling"


def below(root, path):
    """An absolute path as it is below `root`."""
    return path if root == "/" or path.startswith(root) else os.path.join(root, path.lstrip("/"))


def tell_installed(root):
    """Every /usr/local/cuda-* with the version that it holds."""
    found = sorted(glob.glob(os.path.join(root, "usr/local/cuda-*")))
    folders = [path for path in found if os.path.isdir(path) and not os.path.islink(path)]
    for index, path in enumerate(folders[:MOST]):
        tell_version("toolkit.%d" % index, path)
    kit.fact("toolkits", len(folders), " ".join(folders[:MOST]) or "no /usr/local/cuda-*")


def tell_compilers(root):
    """Every nvcc on PATH in order, and the one of this Python's conda environment."""
    found = on_path(root)
    for index, path in enumerate(found[:MOST]):
        tell_version("nvcc.%d" % index, toolkit_of(path), path)
    kit.fact("nvccs", len(found), " ".join(found[:MOST]) or "no nvcc on PATH")
    conda = unique([os.path.join(p, "bin", "nvcc") for p in (os.environ.get("CONDA_PREFIX"), sys.prefix) if p])
    if conda:
        tell_version("nvcc.conda", toolkit_of(conda[0]), conda[0])


def on_path(root):
    """Every nvcc on PATH, in its order."""
    places = [below(root, p) for p in os.environ.get("PATH", "").split(os.pathsep) if p.startswith("/")]
    return unique([os.path.join(p, "nvcc") for p in places])


def unique(paths):
    """Those of the paths that can be run, each once, in their order."""
    return list(dict.fromkeys(p for p in paths if os.path.isfile(p) and os.access(p, os.X_OK)))


def toolkit_of(nvcc):
    """The toolkit that an nvcc belongs to, links followed."""
    return os.path.dirname(os.path.dirname(os.path.realpath(nvcc)))


def tell_named(root):
    """The toolkits that the environment names."""
    for name in ("CUDA_HOME", "CUDA_PATH"):
        value = os.environ.get(name)
        if value:
            path = below(root, value)
            kit.fact("named.%s" % name, value, "environment")
            kit.fact("named.%s.nvcc" % name, os.path.isfile(os.path.join(path, "bin", "nvcc")), path + "/bin/nvcc")
            tell_version("named.%s.version" % name, path)


def tell_home(root):
    """The toolkit that torch.utils.cpp_extension takes: CUDA_HOME, CUDA_PATH, nvcc on PATH, /usr/local/cuda."""
    named = [(n, os.environ[n]) for n in ("CUDA_HOME", "CUDA_PATH") if os.environ.get(n)]
    compilers = on_path(root)
    usual = os.path.join(root, "usr/local/cuda")
    if named:
        origin, path = named[0][0], below(root, named[0][1])
    elif compilers:
        origin, path = "nvcc on PATH", toolkit_of(compilers[0])
    elif os.path.isdir(usual):
        origin, path = "/usr/local/cuda", usual
    else:
        kit.fact("home", None, "a build with CUDA would find no toolkit")
        return
    kit.fact("home", path, origin)
    tell_version("home.version", path)


def tell_version(name, folder, evidence=None):
    """The version of a toolkit as a fact; None where its folder says none."""
    version, source = toolkit_version(folder)
    kit.fact(name, version, "%s (%s)" % (evidence or folder, source))


def toolkit_version(folder):
    """("12.4", where it was read): version.json, version.txt, cuda.h, and last what its nvcc says."""
    for name, pattern in (
        ("version.json", r'"cuda"\s*:\s*\{[^}]*"version"\s*:\s*"(\d+\.\d+)'),
        ("version.txt", r"CUDA Version (\d+\.\d+)"),
    ):
        found = re.search(pattern, files.text(os.path.join(folder, name)))
        if found:
            return found.group(1), name
    for header in ("include/cuda.h", "targets/x86_64-linux/include/cuda.h", "targets/sbsa-linux/include/cuda.h"):
        found = re.search(r"#define\s+CUDA_VERSION\s+(\d+)", files.text(os.path.join(folder, header), 1 << 20))
        if found:
            return nvidia.cuda_text(int(found.group(1))), header
    return nvcc_version(os.path.join(folder, "bin", "nvcc"))


def nvcc_version(path):
    """What an nvcc says of itself, within a few seconds."""
    if not os.access(path, os.X_OK):
        return None, "no version.json, no cuda.h, no nvcc"
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    try:
        done = subprocess.run([path, "--version"], timeout=_NVCC_S, check=False, **pipes)
    except (OSError, subprocess.SubprocessError) as error:
        return None, "nvcc --version: %s" % error
    found = re.search(r"release (\d+\.\d+)", done.stdout.decode("utf-8", "replace"))
    return (found.group(1), "nvcc --version") if found else (None, "nvcc --version says no release")
