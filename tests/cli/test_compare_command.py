"""`compare` and `report` as commands: what is said and how wide, forms, folders, what cannot be read, masking."""

from __future__ import annotations

import json
import os
import sys
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

sys.path.append(str(Path(__file__).parents[1] / "reports"))

import planted

from torchdoctor.cli import run
from torchprobes import rundir
from torchprobes.model import Report
from torchprobes.rundir import RunDir

Ran = tuple[int, str, list[str]]
Do = Callable[..., Ran]


@pytest.fixture
def do(place: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Do:
    """Run a command line: (exit code, stdout, lines of stderr)."""
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("LANG", "C.UTF-8")

    def doing(*arguments: object) -> Ran:
        code = run([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        return code, out, err.splitlines()

    return doing


def write(path: Path, report: Report) -> Path:
    path.write_bytes(msgspec.json.encode(report))
    return path


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    """A sound report and one whose GPUs have a lower power limit."""
    good, bad = planted.pair("power limit")
    return write(tmp_path / "good.json", good), write(tmp_path / "bad.json", bad)


# --- what is said --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hidden", [False, True], ids=["felt", "not felt, in two images"])
@pytest.mark.parametrize("name", planted.PLANTED)
def test_what_was_planted_is_within_the_first_three_lines(name: str, hidden: bool, tmp_path: Path, do: Do) -> None:
    """With both nodes named; also where nothing was felt of it, and some 200 packages differ beside it."""
    good, bad = planted.pair(name, felt=not hidden, images=hidden)
    files = write(tmp_path / "good.json", good), write(tmp_path / "bad.json", bad)
    code, out, err = do("compare", *files)
    assert (code, err) == (0, [])
    _, _, (_, wanted) = planted.PLANTED[name]
    found = [line for line in out.splitlines()[:3] if wanted in line]
    assert found
    assert good.machine.host in found[0]
    assert bad.machine.host in found[0]
    if not hidden:
        moved = {r.name for r, was in zip(bad.results, good.results, strict=True) if r.figures != was.figures}
        assert moved
        assert any(line.startswith(probe) for line in out.splitlines() for probe in moved)


def test_text_ends_with_what_no_probe_covered(two: tuple[Path, Path], do: Do) -> None:
    code, out, _ = do("compare", *two)
    assert code == 0
    last = out[out.index("what no probe covered:") :]
    assert all(area in last for area in ("data path", "storage", "network between nodes"))
    assert out.endswith("\n")
    assert out.splitlines()[0].startswith("1. power limit of GPU0, GPU1: 700 W on node-1, 350 W on node-7")


@pytest.mark.parametrize(
    ("width", "more"), [(60, ""), (80, "--all"), (60, "--timeline"), (140, "")], ids=["narrow", "all", "time", "wide"]
)
def test_no_line_is_wider_than_the_terminal(
    width: int, more: str, tmp_path: Path, do: Do, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    files = [write(tmp_path / f"{name}.json", planted.on_host(planted.real(name), "node")) for name in planted.REAL]
    code, out, _ = do("compare", *files, *more.split())
    assert code == 0
    assert len(out.splitlines()) > 20
    assert [line for line in out.splitlines() if len(line) > width] == []


def test_ascii_is_ascii(two: tuple[Path, Path], do: Do) -> None:
    code, out, _ = do("compare", *two, "--ascii", "--all")
    assert code == 0
    assert out.isascii()
    assert "^ degraded" in out


def test_all_has_the_rows_that_are_the_same(two: tuple[Path, Path], do: Do) -> None:
    rows = [result.name for result in planted.two_gpus().results]
    short, whole = do("compare", *two)[1], do("compare", *two, "--all")[1]
    begins = [line.split()[0] for line in whole.splitlines() if line.strip()]
    assert all(row in begins for row in rows)
    assert len([row for row in rows if row in [line.split()[0] for line in short.splitlines() if line.strip()]]) == 1


def test_a_report_beside_itself_says_that_nothing_differs(two: tuple[Path, Path], do: Do) -> None:
    code, out, _ = do("compare", two[0], two[0])
    assert code == 0
    assert out.splitlines()[0] == "no likely cause: the reports say of nothing else that differs"
    assert "None of 15 features differs" in out


# --- forms -----------------------------------------------------------------------------------------------------------


def test_json_alone_on_stdout_has_every_cell_and_cause(two: tuple[Path, Path], do: Do) -> None:
    code, out, err = do("compare", *two, "--json", "-", "--redact", "none")
    found = json.loads(out)
    assert (code, err, found["schema"]) == (0, [], 1)
    assert [platform["host"] for platform in found["platforms"]] == ["node-1", "node-7"]
    gemm = next(row for row in found["rows"] if row["name"] == "compute.gemm")
    assert [cell["verdict"] for cell in gemm["cells"]] == ["pass", "degraded"]
    limit = next(f for f in gemm["cells"][1]["figures"] if f["key"] == "power_limit when=gemm.bf16")
    assert (limit["value"], limit["unit"]) == (350.0, "W")
    first = found["causes"][0]
    told = [(value["value"], value["read"]) for value in first["values"]]
    assert (first["kind"], told) == ("gpu", [("700 W", True), ("350 W", True)])
    assert found["uncovered"]


def test_json_tells_what_is_not_there_from_what_nobody_read(tmp_path: Path, do: Do) -> None:
    good, bad = planted.pair("flash-attn")
    blind = planted.with_machine(planted.on_host(good, "node-3"), inventory=planted.real("h200").machine.inventory)
    files = [write(tmp_path / f"{n}.json", r) for n, r in enumerate((good, bad, blind))]
    found = json.loads(do("compare", *files, "--json", "-")[1])
    (cause,) = [cause for cause in found["causes"] if cause["name"] == "flash-attn"]
    assert [(v["value"], v["read"]) for v in cause["values"]] == [("2.8.3", True), (None, True), (None, False)]


def test_markdown_and_html_are_public_and_json_is_not(two: tuple[Path, Path], tmp_path: Path, do: Do) -> None:
    paths = {form: tmp_path / f"out.{form}" for form in ("markdown", "html", "json")}
    code, out, err = do("compare", *two, *(word for form, path in paths.items() for word in (f"--{form}", path)))
    assert (code, out, err) == (0, "", [])
    told = {form: path.read_text() for form, path in paths.items()}
    assert all("power limit" in text for text in told.values())
    assert "node-7" in told["json"]
    assert not [form for form in ("markdown", "html") if "node-7" in told[form] or "host-1" not in told[form]]
    assert "<script" not in told["html"]


def test_two_forms_cannot_both_have_stdout(two: tuple[Path, Path], do: Do) -> None:
    code, out, err = do("compare", *two, "--json", "-", "--html", "-")
    assert (code, out) == (2, "")
    assert err[0].startswith("torchdoctor: --json - and --html - both want stdout")


def test_a_time_line_names_what_changed_when(tmp_path: Path, do: Do) -> None:
    good, bad = planted.pair("power limit")
    earlier = msgspec.structs.replace(good, started="2026-11-01T00:00:00Z")
    days = [earlier, planted.on_host(bad, good.machine.host, started="2026-11-02T00:00:00Z")]
    files = [write(tmp_path / f"{n}.json", report) for n, report in enumerate(days)]
    code, out, _ = do("compare", *files, "--timeline")
    lines = out.splitlines()
    assert (code, lines[0]) == (0, "node-1: 2 reports")
    later = next(n for n, line in enumerate(lines) if "2026-11-02" in line)
    assert any("compute.gemm" in line for line in lines[later:])
    assert any("differs: power limit" in line for line in lines[later:])
    found = json.loads(do("compare", *files, "--timeline", "--json", "-")[1])["timeline"]
    assert [len(line["moments"]) for line in found["lines"]] == [2]
    for form in ("markdown", "html"):
        assert "power limit" in do("compare", *files, "--timeline", f"--{form}", "-")[1]


# --- what is read ----------------------------------------------------------------------------------------------------


def test_runs_and_folders_and_snapshots_are_compared(
    place: Path, two: tuple[Path, Path], tmp_path: Path, do: Do
) -> None:
    made = planted.real("cpu")
    run_ = rundir.create(place, "check", target=made.target, tier="quick", probes=[r.name for r in made.results])
    run_.results.write_bytes(b"".join(msgspec.json.encode(result) + b"\n" for result in made.results))
    snapshot = tmp_path / "snapshot.json"
    snapshot.write_text(json.dumps(planted.snapshot()))
    folder = tmp_path / "folder"
    folder.mkdir()
    for path in (*two, snapshot):
        path.rename(folder / path.name)
    code, out, err = do("compare", folder, run_.name, "--json", "-")
    assert (code, err) == (0, [])
    found = json.loads(out)["platforms"]
    assert [Path(platform["where"]).name for platform in found] == [
        "bad.json", "good.json", "snapshot.json", run_.name,
    ]  # fmt: skip
    assert [platform["kind"] for platform in found] == ["check", "check", "snapshot", "check"]


DEEP = b'{"schema":2,"machine":' + b"[" * 100_000
HOSTILE: dict[str, bytes] = {
    "empty": b"",
    "truncated": msgspec.json.encode(planted.real("cpu"))[:-4000],
    "foreign": b'{"name": "left-pad", "version": "1.0.0"}',
    "later": b'{"schema": 99}',
    "text": b"\x1b]0;owned\x07<script>alert(1)</script>",
    "binary": bytes(range(256)) * 64,
    "deep": DEEP,
    "number": b"1e999",
    "list": b"[[]]",
    "contradicts itself": msgspec.json.encode(msgspec.structs.replace(planted.real("cpu"), verdict="fail")),
    "half a snapshot": b'{"schema": 1, "sample": {"gpus": "\x1b[2J"}}',
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_what_is_no_report_is_one_line_and_the_others_are_compared(
    kind: str, two: tuple[Path, Path], tmp_path: Path, do: Do
) -> None:
    bad = tmp_path / "evil\x1b[31m\u202e.json"
    bad.write_bytes(HOSTILE[kind])
    code, out, err = do("compare", *two, bad)
    assert code == 2
    (line,) = err
    assert line.startswith("torchdoctor: ")
    assert "evil" in line
    assert len(line) < 1000
    assert harmless(line)
    assert out.splitlines()[0].startswith("1. power limit of GPU0, GPU1: 700 W on node-1, 350 W on node-7")


def harmless(text: str) -> bool:
    return not [char for char in text if char != "\n" and unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co")]


def fifo(path: Path) -> None:
    os.mkfifo(path)


def loop(path: Path) -> None:
    path.symlink_to(path)


def nothing(path: Path) -> None:
    return None


def empty_folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize("make", [fifo, loop, nothing, empty_folder])
def test_what_is_no_file_is_one_line(
    make: Callable[[Path], None], two: tuple[Path, Path], tmp_path: Path, do: Do
) -> None:
    path = tmp_path / "other.json"
    make(path)
    code, out, err = do("compare", *two, path)
    assert (code, len(err)) == (2, 1)
    assert "other.json" in err[0]
    assert out


def test_hostile_words_in_a_report_are_text(tmp_path: Path, do: Do) -> None:
    evil = "\x1b[2J\x1b]0;t\x07<script>alert(1)</script>\u202e| a"
    good, bad = planted.pair("power limit")
    bad = planted.with_probe(
        bad, "compute.gemm", lambda r: planted.facts(msgspec.structs.replace(r, reason=evil), {evil: evil})
    )
    bad = planted.with_inventory(planted.on_host(bad, evil), {("variable", evil): evil, ("package", evil): None})
    files = write(tmp_path / "good.json", good), write(tmp_path / "bad.json", bad)
    for more in ((), ("--all",), ("--timeline",), ("--redact", "none")):
        code, out, _ = do("compare", *files, *more)
        assert code == 0
        assert harmless(out)
    page = do("compare", *files, "--html", "-", "--redact", "none")[1]
    assert "<script" not in page
    assert harmless(page.replace("\n", ""))


def test_one_report_is_no_comparison(two: tuple[Path, Path], do: Do) -> None:
    code, out, err = do("compare", two[0])
    assert (code, out) == (2, "")
    assert err == ["torchdoctor: 1 report could be read, a comparison needs 2 (`torchdoctor compare --help` shows how)"]


def test_an_unknown_name_is_one_line(two: tuple[Path, Path], do: Do) -> None:
    code, out, err = do("compare", *two, "20990101T")
    assert (code, len(err)) == (2, 1)
    assert "'20990101T'" in err[0]
    assert out


# --- report ----------------------------------------------------------------------------------------------------------


def test_a_report_goes_out_in_every_form(two: tuple[Path, Path], tmp_path: Path, do: Do) -> None:
    paths = {form: tmp_path / f"r.{form}" for form in ("json", "markdown", "html", "junit")}
    code, out, err = do("report", two[1], *(word for form, path in paths.items() for word in (f"--{form}", path)))
    assert (code, out, err) == (0, "", [])
    told = {form: path.read_text() for form, path in paths.items()}
    assert all("compute.gemm" in text for text in told.values())
    assert {form: "node-7" in text for form, text in told.items()} == {
        "json": True, "markdown": False, "html": False, "junit": True,
    }  # fmt: skip
    assert "node-7" in do("report", two[1])[1]
    assert "node-7" not in do("report", two[1], "--redact", "public")[1]


@pytest.fixture(autouse=True)
def _no_reports_left(tmp_path: Path) -> Iterator[None]:
    yield
    assert not list(tmp_path.glob(".*.json*")), "a file that was replaced left its temporary one"


def test_the_name_of_a_run_is_enough(place: Path, do: Do) -> None:
    made = planted.real("cpu")
    run_: RunDir = rundir.create(place, "check", target=made.target, tier="quick", probes=["env.python"])
    run_.results.write_bytes(msgspec.json.encode(next(r for r in made.results if r.name == "env.python")) + b"\n")
    code, out, _ = do("report", run_.name, "--markdown", "-")
    assert code == 0
    assert "env.python" in out
