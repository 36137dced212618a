"""What nodes say over one pipe: whole again through banners, mixing and damage; and never more than is allowed."""

from __future__ import annotations

import os
import random
import threading
import zlib

import msgspec
import pytest

from torchprobes.reports.fleet import gathering, wire
from torchprobes.reports.fleet.gathering import Gathering
from torchprobes.reports.fleet.wire import Answer, Message, Voice, line_of, pieces_in

TOKEN, OTHER = "0123456789abcdef", "fedcba9876543210"
DICE = random.Random(7)
DOCUMENT = {"schema": 1, "noise": [DICE.random() for _ in range(2000)]}
ANSWER = Answer(kind="snapshot", torchdoctor="0.1.0", document=msgspec.Raw(msgspec.json.encode(DOCUMENT)))


def said(answer: Answer, node: str = "n1", token: str = TOKEN) -> list[bytes]:
    """The lines that a node's voice writes, hello first."""
    read, write = os.pipe()
    os.set_blocking(read, False)
    lines = bytearray()

    class Drained(Voice):
        def _line(self, number: int, of: int, data: bytes) -> None:
            super()._line(number, of, data)
            lines.extend(os.read(read, 1 << 16))

    voice = Drained(write, token, node)
    voice.message(Message(stage="waits", host=node, wait_s=3.5, nodelist="n[1-3]", task=0))
    voice.answer(answer)
    os.close(read)
    os.close(write)
    return [line for line in bytes(lines).split(b"\n") if line]


def document_of(heard: gathering.Heard | None) -> object:
    assert heard is not None
    assert isinstance(heard.answer, Answer), heard.answer
    return msgspec.json.decode(heard.answer.document)


def test_lines_are_short_enough_for_slurm_also_of_the_longest_name() -> None:
    """slurmstepd takes a labelled line apart at 1,024 bytes: seen with Slurm 22.05."""
    lines = said(ANSWER, "n" * 253)
    assert len(lines) > 10
    assert max(map(len, lines)) < 1000


def test_a_long_list_of_nodes_comes_whole_and_in_any_order() -> None:
    """Irregular names of 2,000 nodes: no range makes them short."""
    names = ",".join(f"rack{number * 7919 % 10007}-node" for number in range(2000))
    read, write = os.pipe()
    writer = threading.Thread(target=Voice(write, TOKEN, "n1").message, args=(Message(nodelist=names),))
    writer.start()
    lines: list[bytes] = []
    with os.fdopen(read, "rb") as pipe:
        while len(lines) < -(-len(names) // wire.LISTED):
            lines += filter(None, [pipe.readline().strip()])
    writer.join()
    os.close(write)
    assert max(map(len, lines)) < 1000
    found = Gathering(TOKEN)
    for line in random.Random(3).sample(lines, len(lines)):
        assert found.nodelist == ""
        found.hear(line)
    assert found.nodelist == names


def test_many_nodes_mixed_on_one_pipe_with_banners_and_garbage_are_all_whole() -> None:
    names = [f"n{number}" for number in range(20)]
    queues = [said(ANSWER, name) for name in names]
    found, dice = Gathering(TOKEN), random.Random(1)
    while any(queues):
        queue = dice.choice([one for one in queues if one])
        line = queue.pop(0)
        junk = dice.choice([b"", b"Welcome to the cluster\n", b"\x1b[2J", b"12: ", b"@td1 ", b"\xff" * 300])
        for each in (junk + line + dice.choice([b"", b"\r", b" trailing"])).split(b"\n"):
            found.hear(each)
    assert found.answered == set(names)
    for name in names:
        assert document_of(found.of(name)) == DOCUMENT
    assert (found.longest_wait_s, found.nodelist) == (3.5, "n[1-3]")


def test_a_piece_that_was_damaged_comes_again_and_is_never_taken_as_it_is() -> None:
    hello, *pieces = said(ANSWER)
    first, second = pieces[: len(pieces) // 2], pieces[len(pieces) // 2 :]
    found = Gathering(TOKEN)
    for line in [hello, *first]:
        damaged = bytearray(line)
        damaged[DICE.randrange(len(line) // 2, len(line) - 2)] ^= 1
        found.hear(bytes(damaged))
    assert not found.answered
    assert found.of("n1") is None or not found.of("n1").pieces  # type: ignore[union-attr]
    for line in second:
        found.hear(line)
    assert document_of(found.of("n1")) == DOCUMENT


def test_what_is_said_to_somebody_else_is_not_heard() -> None:
    found = Gathering(TOKEN)
    assert not any(found.hear(line) for line in said(ANSWER, token=OTHER))
    assert found.nodes == ()


def test_a_node_of_its_own_pipe_cannot_speak_for_another() -> None:
    found = Gathering(TOKEN, only="n1")
    for line in said(ANSWER, "n2"):
        found.hear(line)
    assert found.nodes == ("n1",)


def test_of_two_that_speak_for_a_node_the_one_that_answered_counts() -> None:
    found = Gathering(TOKEN)
    found.hear(line_of(TOKEN, "n1", "a", 0, 0, msgspec.json.encode(Message(stage="waits"))))
    for line in said(ANSWER):
        found.hear(line)
    found.hear(line_of(TOKEN, "n1", "a", 0, 0, msgspec.json.encode(Message(stage="looks"))))
    assert document_of(found.of("n1")) == DOCUMENT


@pytest.mark.parametrize(
    ("packed", "words"),
    [
        (zlib.compress(b"[" * 100_000), "cannot be read"),
        (zlib.compress(b'{"kind":7}'), "cannot be read"),
        (zlib.compress(b"\xff\xfe"), "cannot be read"),
        (b"no zlib at all", "cannot be unpacked"),
        (zlib.compress(b"x" * 1000)[:-8], "is cut off, or has more than"),
        (zlib.compress(b'{"wire":99,"torchdoctor":"9.1"}'), "answers in a newer way: upgrade torchdoctor here"),
    ],
    ids=["too deep", "wrong type", "no text", "no zlib", "cut off", "newer"],
)
def test_an_answer_that_is_none_is_words(packed: bytes, words: str) -> None:
    found = Gathering(TOKEN)
    found.hear(line_of(TOKEN, "n1", "a", 1, 1, packed))
    heard = found.of("n1")
    assert heard is not None
    assert isinstance(heard.answer, str)
    assert words in heard.answer


def test_a_bomb_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "MOST_BYTES", 1 << 16)
    assert "more than" in str(wire.answer_of(zlib.compress(b"0" * (1 << 24))))


def test_names_speakers_and_bytes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "MOST_NODES", 3)
    monkeypatch.setattr(gathering, "MOST_HELD", 2000)
    found = Gathering(TOKEN)
    for number in range(50):
        found.hear(line_of(TOKEN, f"n{number}", "a", 0, 0, b"{}"))
        found.hear(line_of(TOKEN, "n0", f"{number:x}", 0, 0, b"{}"))
        found.hear(line_of(TOKEN, "n0", "a", number + 1, 60, b"x" * 400))
    assert found.nodes == ("n0", "n1", "n2")
    heard = found.of("n0")
    assert heard is not None
    assert "no room" in str(heard.answer)
    assert heard.size == 0


@pytest.mark.parametrize(
    "line",
    [b"", b"@td1 ", b"@td1 " * 13_000, line_of(TOKEN, "n1", "a", 0, 0, b"{}")[:-2], b"\x00" * 65_536,
     line_of(TOKEN, "-n1", "a", 0, 0, b"{}"), line_of(TOKEN, "../n1", "a", 0, 0, b"{}"),
     line_of(TOKEN, "n1", "a", 0, 0, b"x" * 1000)],
)  # fmt: skip
def test_hostile_lines_hold_nothing(line: bytes) -> None:
    assert list(pieces_in(line, TOKEN)) == []
