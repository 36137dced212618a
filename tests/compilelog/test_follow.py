"""Following a tree: late folders, growth, truncation, rotation, removal; links are not followed, limits hold."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from torchprobes.compilelog import follow, tail, walk
from torchprobes.compilelog.follow import Follow
from torchprobes.compilelog.kinds import KINDS, OTHER, kind_of
from torchprobes.compilelog.logfile import Change
from torchprobes.compilelog.marks import Mark
from torchprobes.compilelog.tree import Tree

RUN = "run_2026_11_23_06_15_03_373024-pid_18663/torchinductor/model__0_inference_0.0"


class Reading:
    """A follower, and all that it hands out: content by file, anew after each change."""

    def __init__(self, root: Path, hold: int = 64) -> None:
        self.follow = Follow(str(root), hold)
        self.read: dict[str, list[bytes]] = {}
        self.changes: list[tuple[str, Change]] = []

    def step(self) -> Tree:
        self.follow.look()
        for changed, change in self.follow.changes():
            name = os.path.basename(changed.path)
            self.changes.append((name, change))
            self.read.setdefault(name, []).append(b"")
        for waiting in self.follow.waiting():
            content = self.read[os.path.basename(waiting.path)]
            content[-1] += self.follow.read(waiting, 7)
        return self.follow.tree()

    def until(self, holds: Callable[[Tree], object], seconds: float = 15.0) -> Tree:
        deadline = time.monotonic() + seconds
        while not holds(tree := self.step()):
            assert time.monotonic() < deadline, f"did not come true in time: {tree} {self.read}"
            time.sleep(0.002)
        return tree


def names(tree: Tree) -> list[str]:
    return [file.name for file in tree.files]


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pauses between looks: what is tested is what they find."""
    for module, name in ((walk, "LOOK_S"), (walk, "LIST_S"), (walk, "SLOWEST_S"), (tail, "CHECK_S")):
        monkeypatch.setattr(module, name, 0.0)
    monkeypatch.setattr(follow, "CHECK_S", 0.0)
    monkeypatch.setattr(follow, "SHARE", 1.0)
    monkeypatch.setattr("torchprobes.compilelog.logfile.RECHECK_S", 0.0)


@pytest.fixture
def reading() -> Iterator[Callable[..., Reading]]:
    made: list[Reading] = []

    def start(root: Path, hold: int = 64) -> Reading:
        made.append(Reading(root, hold))
        return made[-1]

    yield start
    for one in made:
        one.follow.close()


def test_a_tree_that_appears_late_grows_and_vanishes_is_followed(reading, tmp_path: Path) -> None:
    root = tmp_path / "torch_compile_debug"
    read = reading(root)
    assert read.step().cause == "not there yet"
    folder = root / RUN
    folder.mkdir(parents=True)
    (folder / "output_code.py").write_text("x = 1\n")
    read.until(lambda tree: names(tree) == [f"{RUN}/output_code.py"])
    other = root / "run_2026_11_23_06_15_04_000000-pid_9" / "torchdynamo"
    other.mkdir(parents=True)
    (other / "debug.log").touch()
    read.until(lambda tree: len(tree.files) == 2)
    shutil.rmtree(root)
    tree = read.until(lambda tree: tree.files and all(file.gone for file in tree.files))
    assert tree.cause == "not there yet"
    folder.mkdir(parents=True)
    (folder / "output_code.py").write_text("y = 22\n")
    tree = read.until(lambda tree: any(not file.gone for file in tree.files))
    assert {file.name: file.size_bytes for file in tree.files if not file.gone} == {f"{RUN}/output_code.py": 7}


def test_folders_made_at_once_several_levels_deep_are_listed_at_once(reading, tmp_path: Path) -> None:
    read = reading(tmp_path)
    read.step()
    (tmp_path / RUN).mkdir(parents=True)
    (tmp_path / RUN / "ir_pre_fusion.txt").write_text("op0\n")
    assert names(read.step()) == [f"{RUN}/ir_pre_fusion.txt"]


def test_growing_files_show_their_size_and_marks(reading, tmp_path: Path) -> None:
    log = tmp_path / "stderr.log"
    log.write_text("fine\n")
    read = reading(tmp_path)
    read.until(lambda tree: tree.files and tree.files[0].size_bytes == 5)
    with log.open("a") as file:
        file.write("Traceback (most recent call last):\n")
    tree = read.until(lambda tree: tree.files[0].counts == ((Mark.ERROR, 1),))
    assert tree.files[0].kind.name == "stderr"
    assert read.read == {"stderr.log": [b"fine\nTraceback (most recent call last):\n"]}


def test_a_truncated_file_is_read_from_its_beginning_also_if_it_has_grown_past_its_old_size(
    reading, tmp_path: Path
) -> None:
    log = tmp_path / "stderr.log"
    log.write_bytes(b"one two\n")
    read = reading(tmp_path)
    read.until(lambda _: read.read.get("stderr.log") == [b"one two\n"])
    log.write_bytes(b"three\n")
    read.until(lambda _: read.read["stderr.log"][-1] == b"three\n")
    log.write_bytes(b"another beginning\n")
    read.until(lambda _: read.read["stderr.log"][-1] == b"another beginning\n")
    assert [change for _, change in read.changes] == [Change.OPENED, Change.TRUNCATED, Change.TRUNCATED]


def test_a_rotated_file_is_read_to_its_end_before_the_new_one(reading, tmp_path: Path) -> None:
    log = tmp_path / "stderr.log"
    writer = log.open("ab", buffering=0)
    writer.write(b"old 1\n")
    read = reading(tmp_path)
    read.until(lambda _: read.read.get("stderr.log") == [b"old 1\n"])
    log.rename(tmp_path / "stderr.log.1")
    log.write_bytes(b"new 1\n")
    writer.write(b"old 2, written after the rename\n")
    writer.close()
    read.until(lambda _: read.read["stderr.log"][-1] == b"new 1\n")
    assert read.read["stderr.log"] == [b"old 1\nold 2, written after the rename\n", b"new 1\n"]
    assert read.changes[-1] == ("stderr.log", Change.ROTATED)


def test_a_deleted_file_keeps_what_it_said_and_gives_its_room_back(reading, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(follow, "LINGER_S", 0.0)
    log = tmp_path / "job.out"
    log.write_bytes(b"said\n")
    read = reading(tmp_path)
    read.until(lambda _: read.read.get("job.out") == [b"said\n"])
    log.unlink()
    tree = read.until(lambda tree: tree.files[0].gone and not read.follow.tails[str(log)].held)
    assert tree.files[0].size_bytes == 5
    log.write_bytes(b"said again\n")
    read.until(lambda _: read.read["job.out"] == [b"said\n", b"said again\n"])
    assert read.changes[-1] == ("job.out", Change.ROTATED)


def test_the_revision_stands_still_while_nothing_changes(reading, tmp_path: Path) -> None:
    (tmp_path / "stdout.log").write_text("x\n")
    read = reading(tmp_path)
    tree = read.until(lambda _: read.read.get("stdout.log") == [b"x\n"])
    for _ in range(5):
        assert read.step() is tree
    assert names(tree) == ["stdout.log"]


def test_one_file_is_a_set_of_one(reading, tmp_path: Path) -> None:
    path = tmp_path / "job.txt"
    read = reading(path)
    assert read.step().cause == "not there yet"
    path.write_text("x\n")
    tree = read.until(lambda tree: tree.files)
    assert [(file.path, file.name) for file in tree.files] == [(str(path), "job.txt")]
    read.until(lambda _: read.read == {"job.txt": [b"x\n"]})


def test_links_and_what_is_no_file_are_passed_over(reading, tmp_path: Path) -> None:
    (tmp_path / "real.log").write_text("x\n")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "link.log").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "stderr.log")
    os.mknod(tmp_path / "stdout.log", 0o600 | 0o020000, os.makedev(1, 5)) if os.geteuid() == 0 else None
    read = reading(tmp_path)
    assert names(read.step()) == ["real.log"]
    assert reading(tmp_path / "stderr.log").step().cause == "neither a folder nor a regular file"
    assert reading(Path("/dev/zero")).step().cause == "neither a folder nor a regular file"


def test_a_file_that_becomes_a_link_is_not_followed(reading, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret\n")
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "job.log").write_bytes(b"mine\n")
    read = reading(folder)
    read.until(lambda _: read.read.get("job.log") == [b"mine\n"])
    (folder / "job.log").unlink()
    (folder / "job.log").symlink_to(tmp_path / "secret")
    read.until(lambda tree: tree.files[0].gone)
    assert read.read == {"job.log": [b"mine\n"]}


def test_a_file_of_another_user_says_the_command_to_run(reading, tmp_path: Path, monkeypatch) -> None:
    def denied(path: str, links: bool = True) -> int:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr("torchprobes.compilelog.logfile.open_regular", denied)
    trace = tmp_path / "dedicated_log_torch_trace_c0hjpt90.log"
    trace.write_bytes(b"V")
    tree = reading(tmp_path).until(lambda tree: tree.files and tree.files[0].cause)
    assert tree.files[0].cause.startswith("permission denied: only ")
    assert "run: sudo -u " in tree.files[0].cause
    assert tree.files[0].cause.endswith(f"torchdoctor logs {trace}")


def test_the_number_of_files_is_bounded_and_what_is_read_comes_first(reading, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(walk, "FILES", 20)
    for number in range(30):
        (tmp_path / f"{number}.bin").write_text("x\n")
    (tmp_path / "stderr.log").write_text("x\n")
    tree = reading(tmp_path).step()
    assert (len(tree.files), tree.left_out) == (21, 10)
    assert "stderr.log" in names(tree)


def test_descriptors_are_bounded_and_files_that_are_not_held_are_read_all_the_same(reading, tmp_path: Path) -> None:
    for number in range(12):
        (tmp_path / f"{number}.log").write_bytes(b"first\n")
    read = reading(tmp_path, hold=4)
    before = len(os.listdir("/proc/self/fd"))
    read.until(lambda _: len(read.read) == 12 and all(c == [b"first\n"] for c in read.read.values()))
    assert len(os.listdir("/proc/self/fd")) - before <= 4
    for number in range(12):
        with (tmp_path / f"{number}.log").open("ab") as file:
            file.write(b"second\n")
    read.until(lambda _: all(content == [b"first\nsecond\n"] for content in read.read.values()))
    assert len(os.listdir("/proc/self/fd")) - before <= 4


def test_a_rank_that_two_launches_have_is_told_of_neither(reading, tmp_path: Path) -> None:
    first = tmp_path / "none_abc" / "attempt_0" / "1"
    first.mkdir(parents=True)
    (first / "stderr.log").write_bytes(b"x\n")
    read = reading(tmp_path)
    read.until(lambda _: read.read.get("stderr.log") == [b"x\n"])
    assert [one.sourced.rank for one in read.follow.tails.values()] == [1]
    second = tmp_path / "none_def" / "attempt_0" / "1"
    second.mkdir(parents=True)
    (second / "stdout.log").write_bytes(b"y\n")
    read.until(lambda _: read.read.get("stdout.log") == [b"y\n"])
    assert [one.sourced.rank for one in read.follow.tails.values()] == [None, None]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("probes/compile.default/stderr.log", "stderr"),
        (f"torch_compile_debug/{RUN}/output_code.py", "output_code"),
        (f"{RUN}/fx_graph_readable.py", "fx readable"),
        (f"{RUN}/ir_post_fusion.txt", "ir after"),
        ("tlparse/dedicated_log_torch_trace_rank_0_c0hjpt90.log", "trace"),
        ("probes/x/events/123.r0.a0.jsonl", "events"),
        ("torchdynamo/debug.log", "dynamo log"),
        ("torchinductor/aot_model___4_debug.log", "aot log"),
        ("core", "file"),
    ],
)
def test_every_artefact_has_its_kind(path: str, name: str) -> None:
    assert kind_of(path).name == name


def test_every_kind_says_what_it_is_in_few_words() -> None:
    assert all(kind.what and len(kind.what) <= 44 and not kind.what.endswith(".") for _, kind in (*KINDS, ("", OTHER)))
