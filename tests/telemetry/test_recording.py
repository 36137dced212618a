"""What a recording keeps, what a kill, a tear or a stranger's hand costs, and that nothing more is lost."""

from __future__ import annotations

import gzip
import os
import signal
import subprocess
import sys
import time
import zlib
from pathlib import Path

import msgspec
import pytest
from fake_driver import FakeDriver, until
from recording_material import HEADER, SECOND_NS, at, encoded, line, moving, packed, seconds, write, xid
from sample_material import gpu, sample

from torchprobes.samples import Sample
from torchprobes.telemetry.recording import file as recording
from torchprobes.telemetry.recording.file import Encoder, RecordingError, read_samples
from torchprobes.telemetry.recording.recorder import Recorder, header
from torchprobes.telemetry.recording.ring import FileStore
from torchprobes.telemetry.recording.timeline import open_timeline

HEAD = msgspec.json.encode(HEADER)


def all_of(path: Path) -> list[Sample]:
    return [one for _, one in open_timeline(path).samples(0)]


# --- what is kept ----------------------------------------------------------------------------------------------


def test_what_is_read_is_what_was_said(tmp_path: Path) -> None:
    said = seconds(250, {60: (xid(60),), 61: (xid(60),)})
    assert all_of(write(tmp_path / "r", said)) == said


def test_gpus_that_come_and_go_and_processes_too(tmp_path: Path) -> None:
    said = [moving(0, 2), moving(1, 8), moving(2, 8), moving(3, 1), moving(4, 0), moving(5, 2)]
    assert all_of(write(tmp_path / "r", said)) == said


def test_keys_of_a_later_sampler_are_kept_and_do_no_harm(tmp_path: Path) -> None:
    encoder = Encoder(HEADER)
    later = line(moving(0)).replace(b'{"t_ns"', b'{"new_thing":[1,{"a":2}],"t_ns"', 1)
    without = line(moving(1))
    data = (encoder.sample(later) or b"") + (encoder.sample(without) or b"") + encoder.end()
    (tmp_path / "r").write_bytes(data)
    assert all_of(tmp_path / "r") == [moving(0), moving(1)]
    assert b"new_thing" in gzip.decompress(data)


def test_only_what_changed_is_written(tmp_path: Path) -> None:
    """Eight GPUs for a day at one sample a second have to fit into 200 MB."""
    said = seconds(300, gpus=8)
    size = len(encoded(said, chunk=300))
    assert size / 300 * 86400 < 100e6
    assert size < 0.4 * len(zlib.compress(b"".join(map(line, said)), 1))


def test_chunks_end_by_lines_by_bytes_and_by_time(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, most in (("CHUNK_LINES", 10), ("CHUNK_BYTES", 9000), ("CHUNK_S", 0.0)):
        with monkeypatch.context() as patch:
            patch.setattr(recording, name, most)
            data = encoded(seconds(50), chunk=1000)
        heads = gzip.decompress(data).count(b'{"recording":1')
        assert 3 <= heads <= 50, name


def test_notes_of_the_recorder_are_kept(tmp_path: Path) -> None:
    encoder = Encoder(HEADER)
    pieces = [
        encoder.sample(line(moving(0))),
        encoder.note("the sampler died (SIGSEGV)"),
        encoder.sample(line(moving(1))),
    ]
    (tmp_path / "r").write_bytes(b"".join(piece or b"" for piece in pieces))
    timeline = open_timeline(tmp_path / "r")
    assert [note.text for note in timeline.notes] == ["the sampler died (SIGSEGV)"]
    assert all_of(tmp_path / "r") == [moving(0), moving(1)]


def test_what_is_no_sample_is_not_recorded() -> None:
    encoder = Encoder(HEADER)
    for noise in (
        b"Traceback (most recent call last):\n",
        b"{}\n",
        b"[1]\n",
        b"\xff\xfe\n",
        b"{" * 5000,
        b'{"gpus":1}',
    ):
        assert encoder.sample(noise) is None
    assert encoder.end() == b""


# --- tears -----------------------------------------------------------------------------------------------------


def test_a_torn_end_costs_what_was_torn_and_no_more(tmp_path: Path) -> None:
    said = seconds(30)
    encoder = Encoder(HEADER)
    pieces = [encoder.sample(line(one)) or b"" for one in said]
    whole, last = b"".join(pieces), len(pieces[-1])
    for cut in range(len(whole) - last, len(whole)):
        (tmp_path / "r").write_bytes(whole[:cut])
        assert all_of(tmp_path / "r") in (said[:29], said)
    (tmp_path / "r").write_bytes(whole[: len(whole) - last - 1])
    assert all_of(tmp_path / "r") in (said[:28], said[:29])


def test_a_torn_chunk_leaves_those_before_it(tmp_path: Path) -> None:
    data = bytearray(encoded(seconds(300)))
    second = data.index(b"\x1f\x8b\x08", 10)
    data[second + 200 : second + 260] = b"\x55" * 60
    (tmp_path / "r").write_bytes(bytes(data))
    found = all_of(tmp_path / "r")
    assert found[:100] == seconds(100)
    assert len(found) < 300


def test_sigkill_of_record_leaves_a_file_that_is_read(tmp_path: Path, driver: FakeDriver) -> None:
    driver.gpus(8)
    path = tmp_path / "r.jsonl.gz"
    process = subprocess.Popen(
        [sys.executable, "-B", "-m", "torchdoctor", "record", str(path), "--rate", "10"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "HOME": str(tmp_path)},
        stderr=subprocess.DEVNULL,
    )
    until(lambda: path.exists() and path.stat().st_size and open_timeline(path).count > 5)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    timeline = open_timeline(path)
    said = [one for _, one in timeline.samples(0)]
    assert (timeline.broken, len(said)) == (0, timeline.count)
    assert len(said) > 5
    assert len(said[-1].gpus) == 8


CHILD = """
import sys, time
lines = open(sys.argv[1], "rb").read().splitlines(keepends=True)
for number, text in enumerate(lines, 1):
    sys.stdout.buffer.write(text)
    sys.stdout.flush()
    open(sys.argv[2], "w").write(str(number))
    time.sleep(0.2)
"""

RECORDER = """
import sys
sys.path[:0] = {path!r}
from pathlib import Path
from torchprobes.telemetry.recording.recorder import Recorder, header
from torchprobes.telemetry.recording.ring import FileStore
Recorder(FileStore(Path(sys.argv[1]), header(5.0), print), 5.0, tuple(sys.argv[2:]))._run()
"""


def test_sigkill_costs_at_most_one_sample(tmp_path: Path) -> None:
    """The child notes the number of every sample that it has said."""
    lines, said = tmp_path / "lines", tmp_path / "said"
    lines.write_bytes(b"".join(map(line, seconds(50))))
    child = [sys.executable, "-I", "-c", CHILD, str(lines), str(said)]
    process = subprocess.Popen([sys.executable, "-c", RECORDER.format(path=sys.path), str(tmp_path / "r"), *child])
    until(lambda: said.exists() and said.read_text().strip().isdigit() and int(said.read_text()) >= 7)
    time.sleep(0.1)  # in the middle between two samples: the last one was said long ago
    process.send_signal(signal.SIGKILL)
    process.wait()
    number = int(said.read_text())
    found = all_of(tmp_path / "r")
    assert number - 1 <= len(found) <= number
    assert found == seconds(50)[: len(found)]


# --- strangers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is no recording"),
        (b"{}", "is no recording"),
        (packed(), "holds no sample"),
        (packed(HEAD), "holds no sample"),
        (packed(b"nonsense"), "its first line is none of ours"),
        (packed(b'{"recording":"x"}'), "its first line is none of ours"),
        (packed(HEAD.replace(b'"recording":1', b'"recording":2')), "reads up to 1: upgrade torchdoctor"),
        (packed(HEAD.replace(b'"node7"', b"7")), "broken header"),
        (b"\x1f\x8b\x08" + bytes(40), "holds no sample"),
    ],
)
def test_what_cannot_be_read_is_one_line(content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "r").write_bytes(content)
    with pytest.raises(RecordingError) as said:
        open_timeline(tmp_path / "r")
    assert words in str(said.value)
    assert "\n" not in str(said.value)


@pytest.mark.parametrize(
    "garbage",
    [
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b'{"t_ns":-5}',
        b'{"t_ns":1e400}',
        b'{"t_ns":99999999999999999999999}',
        b'{"t_ns":5,"changes":[1]}',
        b'{"t_ns":5,"changes":{},"inside":{"gpus":{}}}',
        b"x" * 100,
    ],
)
def test_a_broken_line_is_counted_and_what_depends_on_it_is_left_out(garbage: bytes, tmp_path: Path) -> None:
    """After a line that cannot be read the cells it changed are not known: nothing is guessed until a whole sample."""
    text = gzip.decompress(encoded(seconds(10))).splitlines()
    (tmp_path / "r").write_bytes(packed(*text[:6], garbage, *text[6:]) + encoded(seconds(20)[10:]))
    timeline = open_timeline(tmp_path / "r")
    assert timeline.broken == 1
    assert all_of(tmp_path / "r") == [*seconds(5), *seconds(20)[10:]]


@pytest.mark.parametrize(
    "change",
    [
        b'{"t_ns":5,"changes":{"driver":[]},"inside":{}}',
        b'{"t_ns":5,"changes":{"gpus":7},"inside":{}}',
        b'{"t_ns":5,"changes":{},"inside":{"gpus":[{}]}}',
        b'{"t_ns":5,"changes":{},"inside":{"gpus":[{"index":"x"},{}]}}',
    ],
)
def test_a_sample_of_the_wrong_type_is_left_out(change: bytes, tmp_path: Path) -> None:
    text = gzip.decompress(encoded(seconds(3))).splitlines()
    (tmp_path / "r").write_bytes(packed(*text, change) + encoded(seconds(9)[5:]))
    assert all_of(tmp_path / "r") == [*seconds(3), *seconds(9)[5:]]


def test_a_huge_line_is_skipped_in_bounded_memory(tmp_path: Path) -> None:
    huge = b'{"t_ns":5,"driver":"' + b"x" * (recording.MAX_LINE_BYTES + 100_000) + b'"}'
    text = gzip.decompress(encoded(seconds(3))).splitlines()
    (tmp_path / "r").write_bytes(packed(*text[:3], huge) + encoded(seconds(6)[3:]))
    assert open_timeline(tmp_path / "r").broken == 1
    assert all_of(tmp_path / "r") == [*seconds(2), *seconds(6)[3:]]


def test_a_bomb_is_left_where_it_passes_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "MAX_CHUNK_BYTES", 8 << 20)
    text = gzip.decompress(encoded(seconds(3))).splitlines()
    bomb = gzip.compress(b"\n".join(text) + b"\n" + bytes(64 << 20))
    (tmp_path / "r").write_bytes(bomb)
    program = (
        "import resource, sys\n"
        f"resource.setrlimit(resource.RLIMIT_AS, (600 << 20, 600 << 20)); sys.path[:0] = {sys.path!r}\n"
        "from pathlib import Path\nfrom torchprobes.telemetry.recording.timeline import open_timeline\n"
        f"print(open_timeline(Path({str(tmp_path / 'r')!r})).count)"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (said.stdout.strip(), said.returncode) == ("3", 0), said.stderr


def test_a_chunk_of_endless_lines_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "MAX_LINES", 1000)
    text = gzip.decompress(encoded(seconds(3))).splitlines()
    (tmp_path / "r").write_bytes(packed(*text, *[b"{}"] * 200_000))
    timeline = open_timeline(tmp_path / "r")
    assert timeline.count == 3
    assert timeline.broken < 70_000


def test_a_clock_that_was_set_back_does_not_shuffle_samples(tmp_path: Path) -> None:
    said = [sample(gpu(), t_ns=at(second), m_ns=number + 1) for number, second in enumerate((0, 50, 20, 21, 60))]
    timeline = open_timeline(write(tmp_path / "r", said))
    assert [one.m_ns for _, one in timeline.samples(0)] == [1, 2, 3, 4, 5]
    assert timeline.number_at(at(50)) == 3
    assert timeline.number_at(at(59)) == 3


# --- places ----------------------------------------------------------------------------------------------------


def test_any_sample_read_from_its_place_is_that_of_reading_on(tmp_path: Path) -> None:
    said = seconds(420)
    timeline = open_timeline(write(tmp_path / "r", said, chunk=70))
    assert len(timeline.chunks) == 6
    for number in (0, 1, 69, 70, 71, 139, 350, 419):
        assert next(timeline.samples(number))[1] == said[number]
        assert timeline.number_at(at(number)) == number
        assert timeline.time_ns(number) == at(number)
    assert timeline.number_at(at(-5)) == 0
    assert timeline.number_at(at(9999)) == 419


def test_events_happened_when_they_were_told_and_history_is_no_event(tmp_path: Path) -> None:
    told = {0: (xid(-5000, 43),), 30: (xid(29),), 31: (xid(30, 13), xid(30, 31)), 200: (xid(29),)}
    timeline = open_timeline(write(tmp_path / "r", seconds(300, told)))
    assert [(number, event.code) for number, event in timeline.events()] == [(30, 79), (31, 13), (31, 31)]
    assert [event.code for event in timeline.earlier_events(31)] == [43, 79]


def test_gaps_are_found(tmp_path: Path) -> None:
    said = [moving(second) for second in (*range(10), *range(500, 510))]
    assert open_timeline(write(tmp_path / "r", said)).gaps() == [(at(9), at(500))]


def test_a_file_that_is_still_written_is_read_up_to_where_it_was(tmp_path: Path) -> None:
    encoder, path = Encoder(HEADER), tmp_path / "r"
    path.write_bytes(b"".join(encoder.sample(line(one)) or b"" for one in seconds(5)))
    timeline = open_timeline(path)
    with path.open("ab") as file:
        file.write(encoder.sample(line(moving(5))) or b"")
    assert [one for _, one in timeline.samples(0)] == seconds(5)
    with path.open("rb") as file:
        assert len(list(read_samples(file, 0))) == 6


# --- the recorder ----------------------------------------------------------------------------------------------


def test_a_sampler_that_dies_is_started_again_and_that_is_told(tmp_path: Path) -> None:
    program = (
        f"import sys; sys.stdout.write({(line(moving(3)) + line(moving(4))).decode()!r}); sys.stdout.flush();"
        "sys.exit('no driver left')"
    )
    store = FileStore(tmp_path / "r", header(2.0), lambda _: None)
    recorder = Recorder(store, 2.0, (sys.executable, "-c", program))
    recorder.start()
    until(lambda: store.samples >= 4)
    assert recorder.close()
    timeline = open_timeline(tmp_path / "r")
    assert timeline.count >= 4  # three deaths end a console's telemetry, never a recorder's
    assert [note.text for note in timeline.notes][:2] == [
        "the sampler died (no driver left) and is started again",
        "the sampler answers again",
    ]


def test_a_closed_recorder_takes_nothing_more(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "r", header(1.0), lambda _: None)
    recorder = Recorder(store, 1.0, (sys.executable, "-c", ""))
    assert recorder.take(line(moving(0)))
    assert recorder.close()
    assert recorder.take(line(moving(1)))
    assert all_of(tmp_path / "r") == [moving(0)]
    assert gzip.decompress((tmp_path / "r").read_bytes())


def test_the_times_of_the_material_are_seconds() -> None:
    assert at(1) - at(0) == SECOND_NS
