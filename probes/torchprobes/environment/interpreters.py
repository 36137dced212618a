"""Questions about interpreters, answered in the inspector child from files alone: tier 0 runs and imports nothing.

An interpreter is followed link by link as the kernel and Python's own start-up do it (`Modules/getpath.py`): a
`pyvenv.cfg` beside the name as given makes it a virtual environment, else its prefix is where the last link leads.
Standard library only.
"""

from __future__ import annotations

import ast
import os
import re
import stat
import subprocess
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from .ownership import why_foreign
from .places import kind_of, read_regular

MAX_HOPS = 40
"""Symbolic links in a row, as the kernel allows (path_resolution(7))."""

MAX_BYTES = 64 << 10
MAX_PTH = 200
MAX_LOG_NAMES = 1_000

IDENTIFY = "import sys; print('torchdoctor', sys.executable, '%d.%d.%d' % sys.version_info[:3], sys.prefix, sep='\\n')"
FIND_TORCH = (
    "import importlib.util as u; s = u.find_spec('torch'); "
    "print('torchdoctor', (s.submodule_search_locations or [''])[0] if s else '', sep='\\n')"
)


def interpreters(
    candidates: list[list[str]], python_path: list[str], user_base: str, root: bool, own: str
) -> dict[str, Callable[[], Any]]:
    """Describe each candidate ([key, path]).

    `python_path` are the folders of PYTHONPATH, `user_base` is the prefix of `pip install --user` ("" if it is
    switched off), `own` the prefix whose code already runs as this user.
    """
    return {key: partial(describe, path, python_path, user_base, root, own) for key, path in candidates}


def describe(path: str, python_path: list[str], user_base: str, root: bool, own: str) -> dict[str, Any]:
    """What files say about one interpreter: torch, versions, and why root may not run it.

    Raises:
        OSError: in words: it is missing, no regular file, not executable, or a loop of links.
    """
    hops = follow(path)
    _require_executable(hops[-1])
    script = read_regular(hops[-1], 2) == b"#!"
    prefix, settings = _environment(path, hops[-1])
    version = settings.get("version") or settings.get("version_info") or _version_of(hops[-1], prefix)
    sites = [*python_path, *_sites(prefix, settings, user_base, version)]
    package = _torch_folder(sites)
    versions = torch_versions(package) if package else {}
    foreign = ""
    if root:
        code = [prefix, os.path.join(prefix, "pyvenv.cfg"), *_libraries(prefix, settings)]
        code += [*sites, *_start_up_files(sites), *filter(None, [package])]
        trusted = own if os.path.realpath(prefix) == os.path.realpath(own) else None
        foreign = why_foreign([*hops, *code], trusted)
    return {
        "real": hops[-1],
        "prefix": prefix,
        "script": script,
        "torch": versions.get("__version__"),
        "cuda": versions.get("cuda"),
        "version": version,
        "foreign": foreign,
    }


def follow(path: str) -> list[str]:
    """Every name from `path` to the file that it leads to, link by link.

    Raises:
        OSError: in words: no such file, or links that lead in a circle.
    """
    hops = [os.path.abspath(path)]
    while stat.S_ISLNK(os.lstat(hops[-1]).st_mode):
        if len(hops) > MAX_HOPS:
            raise OSError(f"its symbolic links lead in a circle (more than {MAX_HOPS})")
        hops.append(os.path.normpath(os.path.join(os.path.dirname(hops[-1]), os.readlink(hops[-1]))))
    return hops


def _require_executable(path: str) -> None:
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode):
        raise OSError(f"it is {kind_of(mode)}, not an interpreter")
    if not os.access(path, os.X_OK):
        raise OSError("it is not executable")


def _environment(path: str, real: str) -> tuple[str, dict[str, str]]:
    """The prefix, and the lines of `pyvenv.cfg` if it is a virtual environment."""
    folder = os.path.dirname(os.path.abspath(path))
    for prefix in (os.path.dirname(folder), folder):
        try:
            text = read_regular(os.path.join(prefix, "pyvenv.cfg"), MAX_BYTES).decode(errors="replace")
        except OSError:
            continue
        pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
        return prefix, {key.strip().lower(): value.strip() for key, _, value in pairs}
    return os.path.dirname(os.path.dirname(real)), {}


def _libraries(prefix: str, settings: dict[str, str]) -> list[str]:
    """The folders of the standard library: the interpreter's own, and that which a virtual environment borrows."""
    homes = [os.path.dirname(settings["home"])] if settings.get("home") else []
    folders = [os.path.join(each, name) for each in (prefix, *homes) for name in ("lib", "lib64")]
    return [os.path.join(f, name) for f in folders for name in _names(f) if re.fullmatch(r"python3\.\d+t?", name)]


def _sites(prefix: str, settings: dict[str, str], user_base: str, version: str) -> list[str]:
    """The folders that this interpreter imports packages from, best first, with what their `.pth` files add.

    The user's own folder comes first where it counts: not in a virtual environment that is closed (PEP 370, 405).
    """
    prefixes = [prefix]
    borrows = settings.get("include-system-site-packages", "").lower() == "true"
    if borrows and settings.get("home"):
        prefixes.append(os.path.dirname(settings["home"]))
    if not settings and prefix == "/usr":
        prefixes.insert(0, "/usr/local")
    if user_base and (borrows or not settings):
        prefixes.insert(1 if borrows else 0, user_base)
    sites = [site for each in prefixes for site in _sites_below(each, version)]
    return [*sites, *(folder for site in sites for folder in _pth_folders(site))]


def _sites_below(prefix: str, version: str) -> list[str]:
    """The package folders below a prefix: of this version (`3.11` of `3.11.7`), or of any if it is not known."""
    minor = ".".join(version.split(".")[:2])
    pattern = rf"python3({re.escape(minor[1:])}t?)?" if minor else r"python3(\.\d+t?)?"
    found = []
    for library in ("lib", "lib64"):
        base = os.path.join(prefix, library)
        for name in sorted(_names(base), reverse=True):
            if re.fullmatch(pattern, name):
                found += [os.path.join(base, name, kind) for kind in ("site-packages", "dist-packages")]
    return [site for site in found if os.path.isdir(site)]


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _pth_folders(site: str) -> list[str]:
    """Absolute folders that `.pth` files add; a line of code in one is not run, so what it adds stays unknown."""
    folders = []
    for name in [n for n in sorted(_names(site)) if n.endswith(".pth")][:MAX_PTH]:
        try:
            lines = read_regular(os.path.join(site, name), MAX_BYTES).decode(errors="replace").splitlines()
        except OSError:
            continue
        folders += [line.strip() for line in lines if line.startswith("/") and os.path.isdir(line.strip())]
    return folders


def _start_up_files(sites: Iterable[str]) -> list[str]:
    """Files that Python runs by itself when it starts."""
    found = []
    for site in sites:
        names = [n for n in _names(site) if n.endswith(".pth") or n.split(".")[0] in ("sitecustomize", "usercustomize")]
        found += [os.path.join(site, name) for name in names]
    return found


def home_of(path: str, python_path: list[str], user_base: str) -> dict[str, Any]:
    """Where an interpreter lives and imports from: `real` file, `prefix`, `version` ("" if unknown), `sites`.

    Raises:
        OSError: in words: it is missing, no regular file, not executable, or a loop of links.
    """
    real = follow(path)[-1]
    _require_executable(real)
    prefix, settings = _environment(path, real)
    version = settings.get("version") or settings.get("version_info") or _version_of(real, prefix)
    sites = [*python_path, *_sites(prefix, settings, user_base, version)]
    return {"real": real, "prefix": prefix, "version": version, "sites": list(dict.fromkeys(sites))}


NCCL = re.compile(r"nvidia_nccl_cu\d+-(\d[\w.+]{0,40})\.dist-info")


def nccl_version(path: str) -> str:
    """The version of the NCCL wheel beside an interpreter's torch, from the names of files; "" where none lies there.

    Raises:
        OSError: if it is no interpreter that could be started.
    """
    names = (name for site in home_of(path, [], "")["sites"] for name in _names(site))
    return next((match[1] for match in map(NCCL.fullmatch, names) if match), "")


def _torch_folder(sites: Iterable[str]) -> str | None:
    folders = (os.path.join(site, "torch") for site in sites)
    return next((folder for folder in folders if os.path.exists(os.path.join(folder, "version.py"))), None)


def torch_versions(package: str) -> dict[str, str | None]:
    """The plain assignments of `torch/version.py`, parsed and never run; {} if it cannot be read."""
    try:
        tree = ast.parse(read_regular(os.path.join(package, "version.py"), MAX_BYTES))
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return {"__version__": ""}
    found: dict[str, str | None] = {"__version__": ""}
    for node in tree.body:
        for name in _assigned(node):
            value = getattr(node, "value", None)
            if isinstance(value, ast.Constant):
                found[name] = None if value.value is None else str(value.value)[:200]
    return found


def _assigned(node: ast.stmt) -> list[str]:
    targets = [node.target] if isinstance(node, ast.AnnAssign) else getattr(node, "targets", [])
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _version_of(real: str, prefix: str) -> str:
    match = re.search(r"python(3\.\d+)", os.path.basename(real))
    if match:
        return match[1]
    found = [m[1] for name in _names(os.path.join(prefix, "lib")) if (m := re.fullmatch(r"python(3\.\d+)", name))]
    return found[0] if len(found) == 1 else ""


# --- run, where a person named it ------------------------------------------------------------------------------


def identify(path: str, deadline_s: float) -> dict[str, str]:
    """Run the interpreter that a person named, isolated, and let it say who it is.

    Raises:
        OSError: it cannot be run; ValueError: it is no Python.
    """
    lines = _say(path, ["-I", "-S", "-B", "-c", IDENTIFY], deadline_s)
    if len(lines) != 4:
        raise ValueError("it is not a Python interpreter")
    return {"executable": lines[1], "version": lines[2], "prefix": lines[3]}


def find_torch(path: str, deadline_s: float) -> dict[str, str | None]:
    """Where this interpreter itself finds torch, and that torch's versions; nothing is imported of it."""
    lines = _say(path, ["-B", "-c", FIND_TORCH], deadline_s)
    return torch_versions(lines[1]) if len(lines) > 1 and lines[1] else {}


def torch_names(path: str, cwd: str, deadline_s: float) -> dict[str, Any]:
    """The torch that this interpreter would import in `cwd`: its version, and the names that its TORCH_LOGS knows.

    The interpreter runs, for what it stands for may depend on the folder (a shim); nothing of torch is imported.
    {} where it finds none.
    """
    lines = _say(path, ["-B", "-c", FIND_TORCH], deadline_s, cwd)
    if len(lines) < 2 or not lines[1]:
        return {}
    return {"version": torch_versions(lines[1]).get("__version__") or "", "names": log_names(lines[1])}


def log_names(package: str) -> list[str]:
    """What `torch/_logging/_registrations.py` registers, parsed and never run; [] if it cannot be read."""
    try:
        tree = ast.parse(read_regular(os.path.join(package, "_logging", "_registrations.py"), MAX_BYTES))
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and node.args]
    return [name for call in calls if (name := _registered(call))][:MAX_LOG_NAMES]


def _registered(call: ast.Call) -> str:
    name = call.args[0]
    if not isinstance(call.func, ast.Name) or call.func.id not in ("register_log", "register_artifact"):
        return ""
    return name.value[:64] if isinstance(name, ast.Constant) and isinstance(name.value, str) else ""


def _say(path: str, arguments: list[str], deadline_s: float, cwd: str = "/") -> list[str]:
    """The lines after our own mark on stdout, the mark first; [] when it said anything else."""
    done = subprocess.run(
        [path, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        timeout=deadline_s,
        check=False,
        cwd=cwd,
    )
    lines = done.stdout[:MAX_BYTES].decode(errors="replace").splitlines()
    return lines[lines.index("torchdoctor") :] if done.returncode == 0 and "torchdoctor" in lines else []


def which(names: list[str], folders: list[str]) -> dict[str, Callable[[], Any]]:
    """Folder by folder of a PATH, which of the names are executables there, with their paths."""
    return {folder: partial(_executables, names, folder) for folder in folders}


def _executables(names: list[str], folder: str) -> dict[str, str]:
    paths = {name: os.path.join(folder, name) for name in names}
    return {name: path for name, path in paths.items() if os.access(path, os.X_OK) and not os.path.isdir(path)}


ANSWERS: dict[str, Callable[..., Any]] = {
    "interpreters": interpreters,
    "identify": identify,
    "find-torch": find_torch,
    "torch-names": torch_names,
    "which": which,
    "nccl-version": nccl_version,
}
