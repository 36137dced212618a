"""Following a tree: late folders, new files, growth, removal; links are not followed, limits hold."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from torchprobes.compilelog import follow
from torchprobes.compilelog.follow import Follower, Tree
from torchprobes.compilelog.kinds import KINDS, OTHER, kind_of
from torchprobes.compilelog.marks import Mark

RUN = "run_2026_11_23_06_15_03_373024-pid_18663/torchinductor/model__0_inference_0.0"


def until(holds: Callable[[], object], seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "did not come true in time"
        time.sleep(0.005)


def names(tree: Tree) -> list[str]:
    return [file.name for file in tree.files]


@pytest.fixture
def following(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path], Follower]]:
    monkeypatch.setattr(follow, "WALK_S", 0.02)
    followers: list[Follower] = []

    def start(path: Path) -> Follower:
        followers.append(Follower(str(path)).start())
        return followers[-1]

    yield start
    for follower in followers:
        follower.stop()


def test_a_tree_that_appears_late_grows_and_vanishes_is_followed(following, tmp_path: Path) -> None:
    root = tmp_path / "torch_compile_debug"
    follower = following(root)
    until(lambda: follower.view().cause == "not there yet")
    folder = root / RUN
    folder.mkdir(parents=True)
    (folder / "output_code.py").write_text("x = 1\n")
    until(lambda: names(follower.view()) == [f"{RUN}/output_code.py"])
    other = root / "run_2026_11_23_06_15_04_000000-pid_9" / "torchdynamo"
    other.mkdir(parents=True)
    (other / "debug.log").touch()
    until(lambda: len(follower.view().files) == 2)
    shutil.rmtree(root)
    until(lambda: all(file.gone for file in follower.view().files))
    assert follower.view().cause == "not there yet"


def test_growing_files_show_their_size_and_marks(following, tmp_path: Path) -> None:
    log = tmp_path / "stderr.log"
    log.write_text("fine\n")
    follower = following(tmp_path)
    until(lambda: follower.view().files and follower.view().files[0].size_bytes == 5)
    with log.open("a") as file:
        file.write("Traceback (most recent call last):\n")
    until(lambda: follower.view().files[0].counts == ((Mark.ERROR, 1),))
    assert follower.view().files[0].kind.name == "stderr"
    log.unlink()
    log.write_text("new\n")
    until(lambda: follower.view().files[0].counts == () and follower.view().files[0].size_bytes == 4)


def test_the_revision_stands_still_while_nothing_changes(tmp_path: Path) -> None:
    (tmp_path / "stdout.log").write_text("x\n")
    follower = Follower(str(tmp_path))
    follower.step()
    tree = follower.view()
    follower.step()
    assert follower.view() is tree
    assert names(tree) == ["stdout.log"]


def test_one_file_is_a_set_of_one(tmp_path: Path) -> None:
    path = tmp_path / "job.out"
    path.write_text("x\n")
    follower = Follower(str(path))
    follower.step()
    assert [(file.path, file.name) for file in follower.view().files] == [(str(path), "job.out")]


def test_links_and_what_is_no_file_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "real.log").write_text("x\n")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "link.log").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "stderr.log")
    follower = Follower(str(tmp_path))
    follower.step()
    assert names(follower.view()) == ["real.log"]
    fifo = Follower(str(tmp_path / "stderr.log"))
    fifo.step()
    assert fifo.view().cause == "neither a folder nor a regular file"


def test_the_number_of_files_and_descriptors_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "FILES", 20)
    monkeypatch.setattr(follow, "HELD", 3)
    for number in range(30):
        (tmp_path / f"{number}.log").write_text("x\n")
    before = len(os.listdir("/proc/self/fd"))
    follower = Follower(str(tmp_path))
    follower.step()
    assert (len(follower.view().files), follower.view().left_out) == (20, 10)
    assert len(os.listdir("/proc/self/fd")) - before == 3
    for held in follower._held.values():
        held.close()


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
