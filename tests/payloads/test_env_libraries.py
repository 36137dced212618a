"""env.libraries for real, and its parts on files of ours: identities, names, copies, stand-ins, NCCL's plugins."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
from pathlib import Path
from types import ModuleType

import pytest
from elf_file import library
from payload_modules import load
from payload_process import run_payload, run_untouched

from torchprobes.model import Verdict

NAME = "env.libraries"
NEEDS = ("files", "nvidia", "elf", "cuda_libraries", "nccl_plugins")


@pytest.fixture
def libraries(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return load(monkeypatch, "env_libraries", *NEEDS)


@pytest.fixture
def told(libraries: ModuleType, monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[object, str]]:
    """The facts that are told, instead of events."""
    facts: dict[str, tuple[object, str]] = {}
    monkeypatch.setattr(
        libraries.kit, "fact", lambda name, value, evidence="": facts.__setitem__(name, (value, evidence))
    )
    return facts


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    said = run_untouched(tmp_path_factory.mktemp("libraries"), NAME)
    assert (said.judgement.verdict, said.ids) == (Verdict.PASS, []), (said.judgement, said.stderr[-2000:])
    return {f.name: str(f.value) for f in said.readings.facts if f.name.startswith("library.")}


def test_every_library_of_this_torch_is_known_by_its_content(sound: dict[str, str]) -> None:
    assert {"library.libtorch_cpu.so", "library.libc.so.6", "library.torch/_C"} <= sound.keys()
    assert all(re.search(r"build-id [0-9a-f]{16,}|sha256 [0-9a-f]{64}", value) for value in sound.values()), sound
    assert sound["library.libtorch_cpu.so"].endswith(", torch")


def test_a_build_id_is_what_readelf_reads(sound: dict[str, str]) -> None:
    readelf = shutil.which("readelf")
    if readelf is None:
        pytest.skip("binutils is not installed")
    maps = Path("/proc/self/maps").read_text().splitlines()
    libc = next(line.split(None, 5)[5] for line in maps if line.endswith("/libc.so.6"))
    said = subprocess.run([readelf, "-n", libc], capture_output=True, text=True, check=True).stdout
    found = re.search(r"Build ID: ([0-9a-f]+)", said)
    assert found is not None
    assert f"build-id {found[1]}, " in sound["library.libc.so.6"]


def test_a_file_without_a_build_id_is_hashed_whole_and_a_large_one_at_its_ends(
    libraries: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = library(tmp_path / "libown.so", ["libc.so.6"])
    whole = hashlib.sha256(path.read_bytes()).hexdigest()
    assert libraries.identity(str(path)) == ("", f"sha256 {whole}", "")
    monkeypatch.setattr(libraries, "HASHED_BYTES", 64)
    monkeypatch.setattr(libraries, "ENDS_BYTES", 32)
    data = path.read_bytes()
    ends = hashlib.sha256(data[:32] + data[-32:]).hexdigest()
    assert libraries.identity(str(path)) == ("", f"{len(data)} bytes, sha256 of its ends {ends}", "")


@pytest.mark.parametrize("content", [b"", b"no library", b"\x7fELF\x02\x01\x01" + b"\xff" * 200])
def test_what_is_no_library_is_hashed_as_it_is(libraries: ModuleType, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "libodd.so").write_bytes(content)
    assert libraries.identity(str(tmp_path / "libodd.so"))[1] == f"sha256 {hashlib.sha256(content).hexdigest()}"


def test_what_cannot_be_read_says_why_and_has_no_identity(libraries: ModuleType, tmp_path: Path) -> None:
    assert libraries.identity(str(tmp_path / "gone.so")) == ("", "", f"{tmp_path}/gone.so: No such file or directory")
    assert "replaced or removed" in libraries.identity("/lib/libx.so (deleted)")[2]


@pytest.mark.parametrize(
    ("path", "soname", "name"),
    [
        ("/x/libz.so.1.2.13", "libz.so.1", "libz.so.1"),
        ("/site/numpy.libs/libgfortran-040039e1-0352e75f.so.5.0.0", "libgfortran-040039e1-0352e75f.so.5.0.0",
         "libgfortran.so.5"),
        ("/site/torch/lib/libgomp-a34b3233.so.1", "libgomp-a34b3233.so.1", "libgomp.so.1"),
        ("/site/torch/_C.cpython-311-x86_64-linux-gnu.so", "", "torch/_C"),
        ("/py/lib/python3.11/lib-dynload/_ssl.cpython-311-x86_64-linux-gnu.so", "", "lib-dynload/_ssl"),
        ("/site/mine/ops.abi3.so", "", "mine/ops"),
        ("/x/libplain.so", "", "libplain.so"),
    ],
)  # fmt: skip
def test_a_library_has_the_same_name_in_every_environment(
    libraries: ModuleType, path: str, soname: str, name: str
) -> None:
    place = object.__new__(libraries.Place)
    place.sites = ["/site"]
    assert libraries.name_of(path, soname, place) == name


def test_a_library_that_stands_in_for_the_wheels_is_a_finding(tmp_path: Path) -> None:
    spec = importlib.util.find_spec("torch")
    assert spec is not None
    assert spec.origin is not None
    own = Path(spec.origin).parent / "lib" / "libgomp.so.1"
    if not own.is_file():
        pytest.skip(f"this torch brings no {own.name} under its plain soname")
    copy = shutil.copy(own, tmp_path)
    said = run_payload(tmp_path / "run", NAME, environ={"LD_PRELOAD": str(copy)})
    assert (said.judgement.verdict, said.ids) == (Verdict.DEGRADED, ["TD-CUD-051"]), said.judgement
    assert f"LD_PRELOAD {copy} gives {copy}" in said.judgement.reason


# --- plugins of NCCL -------------------------------------------------------------------------------------------------


def test_plugins_that_are_there_are_told_with_what_leads_to_them(
    libraries: ModuleType, told: dict[str, tuple[object, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = library(tmp_path / "libnccl-net-ofi.so")
    monkeypatch.setenv("LD_LIBRARY_PATH", f"{tmp_path}:relative")
    libraries.plugins.tell(set(), "/site/torch", libraries.identity)
    known = hashlib.sha256(path.read_bytes()).hexdigest()
    assert told["nccl.plugin.libnccl-net-ofi.so"] == (f"sha256 {known}, there", f"{path}, LD_LIBRARY_PATH")
    libraries.plugins.tell({os.path.realpath(path)}, "/site/torch", libraries.identity)
    assert told["nccl.plugin.libnccl-net-ofi.so"][0] == f"sha256 {known}, loaded"


@pytest.mark.parametrize(
    ("value", "missing"),
    [("ofi", False), ("libnccl-net-ofi.so", False), ("{here}/libnccl-net-ofi.so", False), ("none", False), ("", False),
     ("ofi,aws", True), ("aws", True), ("/nowhere/libnccl-net.so", True)],
)  # fmt: skip
def test_only_a_name_that_nothing_has_is_missing(
    libraries: ModuleType,
    told: dict[str, tuple[object, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    value: str,
    missing: bool,
) -> None:
    library(tmp_path / "libnccl-net-ofi.so")
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    monkeypatch.setenv("NCCL_NET_PLUGIN", value.format(here=tmp_path))
    libraries.plugins.tell(set(), "/site/torch", libraries.identity)
    assert ("nccl.plugin.missing" in told) is missing
