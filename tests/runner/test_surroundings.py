"""Where a payload finds itself: folders, caches, modules, stdin; and the command that repeats it by hand."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from harness import finish, left_of, make, probe

from torchprobes.model import Event, Result, Verdict
from torchprobes.runner import places
from torchprobes.runner.check import Options


def facts(result: Result) -> dict[str, str]:
    return {fact.name: str(fact.value) for fact in result.facts}


def test_caches_are_fresh_the_folder_of_payloads_is_off_the_path_and_stdin_is_empty(tmp_path: Path) -> None:
    check = make(tmp_path, probe("prints_where_it_is"))
    said = facts(finish(check)["prints_where_it_is"])
    folder = f"{check.view().run}/probes/fault.prints_where_it_is"
    assert said["cwd"] == folder
    assert said["triton"].startswith(f"{folder}/compile/")
    assert said["inductor"] != said["triton"]
    assert said["stdin"] == os.devnull
    assert not [p for p in said["path"].split("|") if p.endswith(("payloads", "tests/runner"))]


def test_a_spawned_child_finds_the_payload_by_its_name(tmp_path: Path) -> None:
    result = finish(make(tmp_path, probe("spawns_by_name")))["spawns_by_name"]
    assert [f.value for f in result.figures] == [42.0]


def test_a_figure_that_is_no_number_is_a_fact_and_never_a_number(tmp_path: Path) -> None:
    result = finish(make(tmp_path, probe("not_numbers")))["not_numbers"]
    assert [f.name for f in result.figures] == ["fine"]
    assert facts(result)["nan"] == "nan"


def test_the_command_repeats_the_payload_by_hand_and_leaves_the_finished_probe_alone(tmp_path: Path) -> None:
    check = make(tmp_path, probe("sound"))
    result = finish(check)["sound"]
    events = Path(check.view().run, "probes/fault.sound/events")
    before = {f.name: f.read_bytes() for f in events.iterdir()}
    environ = {"PATH": os.environ["PATH"]}
    done = subprocess.run(["bash", "-c", result.command], capture_output=True, env=environ, timeout=60, check=True)
    said = [msgspec.json.decode(line, type=Event) for line in done.stdout.splitlines()]
    assert [e.ev for e in said] == ["start", "progress", "figure", "end"]
    assert before == {f.name: f.read_bytes() for f in events.iterdir()}
    assert "TORCHDOCTOR_TOKEN" not in result.command, "a repeated payload is the person's own process"


@pytest.mark.parametrize("bare", [False, True])
def test_probes_have_the_environment_cores_and_limits_that_they_are_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bare: bool
) -> None:
    monkeypatch.setenv("OF_THE_SHELL", "1")
    core = min(os.sched_getaffinity(0))
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    options = Options(
        device="cpu",
        base={"PATH": os.environ["PATH"], "OF_THE_JOB": "7"},
        cores=(core,),
        rlimits={"RLIMIT_NOFILE": (300, 400), "RLIMIT_CORE": (-1, -1)},
    )
    rows = [probe(name, bare=bare) for name in ("prints_what_binds_it", "prints_what_binds_it_too")]
    for result in finish(make(tmp_path, *rows, options=options)).values():
        said = facts(result)
        assert (said["own"], said["ours"]) == ("7", "None")
        assert said["cores"] == f"[{core}]"
        assert said["files"] == "(300, 400)"
        assert said["core"] == str((hard, hard)) or os.geteuid() == 0, "as far as it may be raised"


def test_cores_that_are_not_to_be_had_are_told(tmp_path: Path) -> None:
    options = Options(device="cpu", cores=(100_000,))
    result = finish(make(tmp_path, probe("sound"), options=options))["sound"]
    assert result.verdict is Verdict.ERROR
    assert "cannot run" in result.reason


@pytest.fixture
def noexec(tmp_path: Path) -> Iterator[Path]:
    """A place for runs where nothing can be executed."""
    place = tmp_path / "noexec"
    place.mkdir()
    options = ["mount", "-t", "tmpfs", "-o", "noexec,size=8m", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(options, check=False).returncode:
        pytest.skip("LOUD: a noexec place needs a mount, and that needs root")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_where_nothing_can_be_executed_caches_go_elsewhere_and_are_removed(tmp_path: Path, noexec: Path) -> None:
    assert places.can_execute(str(tmp_path))
    assert not places.can_execute(str(noexec))
    check = make(noexec, probe("prints_where_it_is"))
    result = finish(check)["prints_where_it_is"]
    cache = Path(facts(result)["triton"])
    assert result.verdict is Verdict.PASS
    assert not cache.is_relative_to(noexec)
    assert not cache.parent.exists(), "the guardian removes what it was told to"
    assert left_of(check.view().run) == []


def test_a_network_file_system_is_not_local(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert places.is_local(str(tmp_path))
    for kind in ("nfs4", "fuse.sshfs", "lustre", "9p"):
        monkeypatch.setattr(places, "filesystem", lambda _path, kind=kind: kind)
        assert not places.is_local(str(tmp_path))


def test_the_guardians_files_need_no_site_packages() -> None:
    """`-S` leaves only the standard library; behind a prefix the same files must parse on an old Python."""
    root = Path(places.__file__).parents[2]
    code = (
        f"import sys; sys.path.append({str(root)!r}); from torchprobes.runner import guardian; "
        "print(sorted(m for m in sys.modules if m.partition('.')[0] in ('msgspec', 'torchdoctor')))"
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-B", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
