"""The parts of a fleet that start nothing: names of nodes, launchers, remarks of srun, whose turn it is, its folder."""

from __future__ import annotations

import json
import stat
from collections.abc import Mapping
from pathlib import Path

import pytest
from report_material import report, result

from torchdoctor.commands._fleet_node import Errand, turn_s
from torchprobes.jobs.nodes.asking import ViaError
from torchprobes.reports.fleet.launcher import SRUN_OPTIONS, Launcher, Remarks
from torchprobes.reports.fleet.nodelist import expand
from torchprobes.reports.fleet.rows import Node, NodeRow
from torchprobes.reports.fleet.saving import ROWS, new_folder, save
from torchprobes.rundir import RunError


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("n1", ["n1"]),
        ("n1,n2,n1", ["n1", "n2"]),
        ("n[08-11]", ["n08", "n09", "n10", "n11"]),
        ("n[1-2,7],gpu-a.example", ["n1", "n2", "n7", "gpu-a.example"]),
        ("r[1-2]n[01-02]x", ["r1n01x", "r1n02x", "r2n01x", "r2n02x"]),
        ("user@10.0.0.1", ["user@10.0.0.1"]),
        ("a, b", ["a", "b"]),
        ("", []),
    ],
)
def test_lists_of_nodes(text: str, names: list[str]) -> None:
    assert list(expand(text)) == names


@pytest.mark.parametrize(
    ("text", "words"),
    [("n[1", "is no list of nodes"), ("n[b-c]", "is no list of nodes"), ("n[3-1]", "is no range"),
     ("n[1-]", "is no range"), ("n[1-99999999]", "more than 4096"), ("n[1-100]x[1-100]", "more than 4096"),
     ("-oProxyCommand=x", "is no name"), ("a;b", "is no name"), ("a b", "is no name")],
)  # fmt: skip
def test_what_is_no_list_is_one_line(text: str, words: str) -> None:
    with pytest.raises(ViaError, match=words):
        expand(text)


def test_srun_gets_options_that_the_persons_own_override_and_others_get_none() -> None:
    srun = Launcher.of(["srun", "-N", "2"])
    assert srun.command(["td"], ["fleet"]) == ["srun", *SRUN_OPTIONS, "-N", "2", "td", "fleet"]
    ssh = Launcher.of(["ssh -o BatchMode=yes {node}"])
    assert ssh.each
    assert ssh.command(["td"], ["fleet"], "n7") == ["ssh", "-o", "BatchMode=yes", "n7", "td", "fleet"]


@pytest.mark.parametrize("word", ["$(reboot)", "a b", "a;b", "x" * 300, ""])
def test_a_word_that_a_shell_could_take_apart_starts_nothing(word: str) -> None:
    with pytest.raises(ViaError, match="a shell on the node could take apart"):
        Launcher.of(["ssh", "{node}"]).command(["td"], ["fleet", "--python", word], "n1")


@pytest.mark.parametrize("words", [[], [""], ["ssh '{node}"]])
def test_a_launcher_that_is_none_is_one_line(words: list[str]) -> None:
    with pytest.raises(ViaError):
        Launcher.of(words)


def test_remarks_of_srun_name_the_nodes_and_the_last_words_of_their_tasks() -> None:
    remarks = Remarks()
    for line in (
        b"0: fine", b" 1: cannot open library", b"1: \x1b[31mbye", b"2: ",
        b"srun: error: n2: task 1: Exited with exit code 7", b"srun: error: n[4-5],n9: tasks 3-4,8: Killed",
        b"srun: error: Node failure on n6", b"srun: error: [: task 1: x", b"srun: error: n[1-999999]: task 1: Exited",
    ):  # fmt: skip
        remarks.take(line)
    assert remarks.of("n2", 1) == "exited with exit code 7: \x1b[31mbye"
    assert [remarks.of(name, None) for name in ("n4", "n5", "n9")] == ["killed"] * 3
    assert remarks.of("n6", None) == "Slurm says that the node failed"
    assert Remarks().of("n1", 2) == ""
    assert remarks.of("n1", 2, "late") == "late; srun: n[1-999999]: task 1: Exited"


# --- whose turn it is ----------------------------------------------------------------------------------------------


def turns(nodes: int, errand: Errand) -> list[float]:
    return [
        turn_s(errand, {"SLURM_NNODES": str(nodes), "SLURM_NODEID": str(number)} if nodes else {})
        for number in range(nodes or 500)
    ]


@pytest.mark.parametrize("nodes", [500, 2000])
def test_an_import_of_torch_is_never_everywhere_at_once(nodes: int) -> None:
    """In any 5 s, which such an import takes, about 32 nodes begin: each has a slot of its own, of which it takes a
    random instant."""
    begin = sorted(turns(nodes, Errand("t", at_once=32, check=())))
    at_once = max(sum(start <= other < start + 5.0 for other in begin) for start in begin)
    assert at_once <= 32 + 2
    assert begin[-1] <= nodes / 32 * 5.0


def test_a_small_fleet_waits_for_nothing_and_what_a_person_says_holds() -> None:
    assert turns(32, Errand("t", at_once=32)) == [0.0] * 32
    assert turns(4, Errand("t", at_once=32, check=())) == [0.0] * 4
    assert turns(500, Errand("t", at_once=32, jitter_s=0)) == [0.0] * 500
    assert 0 < max(turns(4, Errand("t", at_once=32, jitter_s=40.0))) <= 40


def test_a_node_that_is_told_nothing_of_the_others_waits_at_random() -> None:
    begin = turns(0, Errand("t", at_once=32, check=()))
    assert 0 <= min(begin) < max(begin) <= 64 / 32 * 5.0
    assert len({round(each) for each in begin}) > 5


@pytest.mark.parametrize("environ", [{"SLURM_NNODES": "-3"}, {"SLURM_NNODES": "9" * 400}, {"SLURM_NNODES": "²"},
                                     {"SLURM_NNODES": "0", "SLURM_NODEID": "0"}])  # fmt: skip
def test_hostile_numbers_of_slurm_are_no_numbers(environ: Mapping[str, str]) -> None:
    assert 0 <= turn_s(Errand("t", at_once=32), environ) <= 1.0


# --- its folder ----------------------------------------------------------------------------------------------------


def test_reports_and_rows_are_private_and_masked_and_a_second_fleet_is_not_mixed_in(tmp_path: Path) -> None:
    folder = new_folder(tmp_path / "a" / "fleet")
    found = report((result(reason="API_TOKEN=hunter2"),))
    nodes = [Node(NodeRow(node="n1", state="report"), found), Node(NodeRow(node="n2", state="no answer", why="late"))]
    saved = save(folder, nodes, lambda one: report((result(reason="masked"),)) if one is found else one)
    assert [node.row.file for node in saved] == ["n1.json", ""]
    assert sorted(path.name for path in folder.iterdir()) == ["n1.json", ROWS]
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert "hunter2" not in (folder / "n1.json").read_text()
    rows = [json.loads(line) for line in (folder / ROWS).read_text().splitlines()]
    assert [(row["node"], row["state"], row["why"]) for row in rows] == [
        ("n1", "report", ""),
        ("n2", "no answer", "late"),
    ]
    with pytest.raises(RunError, match="holds reports already"):
        new_folder(folder)


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot write reports into"):
        new_folder(tmp_path / "file" / "below")
