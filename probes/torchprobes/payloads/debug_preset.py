"""compile.debug: does TORCH_COMPILE_DEBUG=1 leave something to read, and where is it?

A helper compiles a small graph with the preset in a directory of its own; what it leaves there is counted. On 2.13 the
`debug.log` files stay empty and the content is in `torchinductor/model__*/`. Standard library and torch 2.1 or later;
parses on Python 3.8.
"""

import os

import torchdoctor_control as control
import torchdoctor_kit as kit
import torchdoctor_measure as measure
import torchdoctor_witness as witness

HELPER_LIMIT_S = 150.0
MOST_FILES = 2000
SHOWN = ("output_code.py", "fx_graph_readable.py", "fx_graph_runnable.py", "ir_post_fusion.txt")
"""Files that a person opens first: they become artifacts of the probe."""


def run(request):
    """The probe; with the parameter `role` = "compile", its helper."""
    folder = os.path.join(request.artifacts, "debug")
    if request.params.get("role") == "compile":
        os.chdir(folder)  # before torch: versions that know no other place write below the working directory
    torch = kit.import_torch()
    control.need_compile(torch)
    where = measure.device(torch, request.device)
    if request.params.get("role") == "compile":
        control.tell_small(torch, where, "debug", preset="debug")
        return
    control.need_backend(where)
    witness.tell_surroundings(torch, where)
    os.makedirs(folder, exist_ok=True)
    kit.progress("compile with TORCH_COMPILE_DEBUG=1")
    # A cache directory of its own: what is found in a cache is not compiled, and leaves no debug tree.
    fresh = os.path.join(request.compile_dir, "debug-cache")
    with control.environment(TORCH_COMPILE_DEBUG="1", TORCH_COMPILE_DEBUG_DIR=folder, TORCHINDUCTOR_CACHE_DIR=fresh):
        kit.fact("debug.ending", kit.spawn_self("compile", HELPER_LIMIT_S), "exit code of the helper")
    _tell_tree(folder)


def _tell_tree(folder):
    """Figures of what is there by name, facts of what is empty, and the files worth opening as artifacts."""
    found = _files(folder)
    kit.figure("debug_files", len(found), "files")
    kit.figure("debug_bytes", sum(size for _, size in found), "B")
    empty = sorted({os.path.basename(path) for path, size in found if size == 0})
    kit.fact("debug.empty", ", ".join(empty), "files of 0 bytes")
    roots = sorted({os.path.relpath(path, folder).split(os.sep)[0] for path, _ in found})
    kit.fact("debug.roots", ", ".join(roots), folder)
    for name in SHOWN:
        sizes = [(path, size) for path, size in found if os.path.basename(path) == name]
        kit.figure("debug_content_bytes", sum(size for _, size in sizes), "B", n=max(1, len(sizes)), file=name)
        for path, size in sizes[:3]:
            if size:
                kit.artifact("compile-debug", path, name)
    code = [path for path, size in found if os.path.basename(path) == "output_code.py" and size]
    if code:
        kit.fact("debug.output_code", os.path.relpath(code[0], folder), _kind_of_code(code[0]))


def _files(folder):
    found = []
    for at, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(at, name)
            try:
                found.append((path, os.lstat(path).st_size))
            except OSError:
                continue
            if len(found) >= MOST_FILES:
                return found
    return found


def _kind_of_code(path):
    """What output_code.py holds, in a word: the kernels of the device, or only a wrapper."""
    with open(path, encoding="utf-8", errors="replace") as file:
        text = file.read(1 << 20)
    for words, kind in (
        ("@triton.jit", "triton kernels"),
        ("cpp_pybinding", "C++ kernels"),
        ("cpp_fused", "C++ kernels"),
    ):
        if words in text:
            return kind
    return "no kernel of a known kind"
