"""Every distribution of a Python by the names of its records, and the system's packages that matter to GPUs.

Nothing is imported. The first of a name on the path counts; those that it shadows are told with it.
"""

from __future__ import annotations

import json
import os
import re

from ..interpreters import home_of
from ..places import read_regular
from .reading import Told, names, text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MOST_RECORDS = 5000
DPKG = "/var/lib/dpkg/status"
DPKG_BYTES = 32 << 20
SHOWN = 12
"""Digits of a commit or a hash that tell two builds apart."""

_EDITABLE = (
    re.compile(r"__editable__\.(.+?)-\d.*\.pth"),
    re.compile(r"__editable___(.+?)_\d.*_finder\.py"),
    re.compile(r"(.+)\.egg-link"),
)
"""What setuptools leaves beside an editable installation (PEP 660, and before it)."""

_SYSTEM = re.compile(
    r"(cuda|libcu(?:blas|da|dnn|fft|file|pti|rand|solver|sparse|tensor)|libnccl|libnv|nvidia|datacenter-gpu|libcudnn|cudnn|libibverbs|librdmacm|rdma-core|ibverbs|libmlx|mlnx"
    r"|doca|ucx|libucx|openmpi|libopenmpi|libfabric|gdrcopy|libgdrapi|nvshmem|rocm|hip|rccl|libze|intel-level-zero"
    r"|libmkl|libopenblas|libgomp|libomp|libstdc\+\+6|libc6|gcc-\d|g\+\+-\d|clang-\d|libjpeg|libnuma|lustre|slurmd$"
    r")[\w.+-]*"
)
"""Packages of the driver, CUDA, communication, mathematics and compilers; a node has a thousand others."""


def packages(python: str, python_path: list[str], user_base: str) -> Any:
    """Name (normalised, PEP 503) -> version, and what is special about it: editable, from a commit, shadowing another.

    What conda installed is told as `conda:NAME`, with its build.
    """
    told, home = Told(), home_of(python, python_path, user_base)
    found: dict[str, list[str]] = {}
    editable: set[str] = set()
    seen = 0
    for site in dict.fromkeys(map(os.path.realpath, home["sites"])):
        try:
            records = sorted(os.listdir(site))
        except FileNotFoundError:
            continue
        except OSError as error:
            told.unread[""] = f"{site}: {error.strerror}"
            continue
        editable |= {name for record in records if (name := _editable(record))}
        for record in records:
            name, version = _record(record)
            if name and seen < MOST_RECORDS:
                seen += 1
                found.setdefault(name, []).append(version + _origin(os.path.join(site, record)))
    for name in sorted(found):
        told.put(name, _said(found[name], name in editable))
    _conda(told, f"{home['prefix']}/conda-meta")
    return told.answer()


def normal(name: str) -> str:
    """A name as PEP 503 normalises it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _record(record: str) -> tuple[str, str]:
    """Name and version that the name of a `.dist-info` or `.egg-info` says; "" for anything else."""
    for end in (".dist-info", ".egg-info"):
        if record.endswith(end) and not record.startswith("~"):
            name, _, rest = record[: -len(end)].partition("-")
            version = rest if end == ".dist-info" else re.sub(r"-py[23]\.\d{1,2}.*$", "", rest)
            return normal(name), version or "?"
    return "", ""


def _editable(record: str) -> str:
    return next((normal(match[1]) for pattern in _EDITABLE if (match := pattern.fullmatch(record))), "")


def _origin(record: str) -> str:
    """Where it was installed from, if that was no index: commit, archive or folder (PEP 610). No address is told."""
    path = os.path.join(record, "direct_url.json")
    if not os.path.exists(path):
        return ""
    try:
        told = json.loads(read_regular(path, 64 << 10))
    except (OSError, ValueError, RecursionError):
        return " (not from an index; its record cannot be read)"
    told = told if isinstance(told, dict) else {}
    kinds = {kind: told[kind] for kind in ("vcs_info", "dir_info", "archive_info") if isinstance(told.get(kind), dict)}
    if "vcs_info" in kinds:
        return f" (commit {str(kinds['vcs_info'].get('commit_id', '?'))[:SHOWN]})"
    if kinds.get("dir_info", {}).get("editable") is True:
        return " (editable)"
    return " (from a folder)" if "dir_info" in kinds else f" (from a file{_hash(kinds.get('archive_info', {}))})"


def _hash(archive: dict[str, Any]) -> str:
    hashes = archive.get("hashes")
    value = hashes.get("sha256") if isinstance(hashes, dict) else str(archive.get("hash", "")).partition("=")[2]
    return f", sha256 {str(value)[:SHOWN]}" if value else ""


def _said(versions: list[str], editable: bool) -> str:
    first = versions[0] if not editable or "editable" in versions[0] else f"{versions[0]} (editable)"
    hidden = [version for version in versions[1:] if version != versions[0]]
    same = len(versions) - 1 - len(hidden)
    words = ", ".join([*hidden, *(["the same again"] if same else [])])
    return f"{first}, shadows {words}" if words else first


def _conda(told: Told, folder: str) -> None:
    """What conda recorded, by the names of its files: `NAME-VERSION-BUILD.json`."""
    for record in names(folder)[:MOST_RECORDS]:
        parts = record[: -len(".json")].rsplit("-", 2) if record.endswith(".json") else []
        if len(parts) == 3:
            told.put(f"conda:{parts[0]}", f"{parts[1]} {parts[2]}")


def system_packages(root: str = "") -> Any:
    """`deb:NAME` -> version, of those that matter; of RPM's database only that it is there and is not read."""
    told = Told()
    try:
        status = text(root + DPKG, DPKG_BYTES)
    except FileNotFoundError:
        if os.path.isdir(f"{root}/var/lib/rpm") or os.path.isdir(f"{root}/usr/lib/sysimage/rpm"):
            told.unread["rpm:"] = "RPM's database is not read"
        return told.answer()
    for entry in status.split("\n\n"):
        rows = dict(line.split(": ", 1) for line in entry.splitlines() if ": " in line and not line.startswith(" "))
        name = rows.get("Package", "")
        if _SYSTEM.fullmatch(name) and rows.get("Status", "").endswith(" installed"):
            told.put(f"deb:{name}", rows.get("Version", "?"))
    return told.answer()
