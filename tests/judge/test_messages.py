"""Pasted tracebacks lead to their cards: messages as people have posted them, and others that no card is for."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from torchprobes.judge.cards import CARDS, card
from torchprobes.judge.cards.messages import AT_ONCE, HIDES, LATE, SIGNS
from torchprobes.judge.cards.tracebacks import KEPT, MOST, RAISED, recognise

FOLDER = Path(__file__).parent / "messages"


@dataclass(frozen=True)
class Message:
    """A pasted text, and the cards that it must lead to, best first."""

    name: str
    cards: tuple[str, ...]
    text: str


def read(name: str) -> list[Message]:
    """The messages of a file."""
    _, *parts = ("\n" + (FOLDER / f"{name}.txt").read_text("utf-8")).split("\n=== ")
    messages = []
    for part in parts:
        head, _, text = part.partition("\n")
        title, cards, _ = head.split("|")
        messages.append(Message(title.strip(), tuple(cards.split()), text.strip("\n") + "\n"))
    return messages


KNOWN, UNRELATED = read("known"), read("unrelated")
LATER = read("later")


def led_to(text: str) -> tuple[str, ...]:
    return tuple(hit.card.id for hit in recognise(text))


@pytest.mark.parametrize("message", [*KNOWN, *LATER], ids=lambda message: message.name)
def test_a_real_message_leads_to_its_card_and_to_no_other(message: Message) -> None:
    assert led_to(message.text) == message.cards


@pytest.mark.parametrize("message", UNRELATED, ids=lambda message: message.name)
def test_another_message_leads_to_none(message: Message) -> None:
    assert led_to(message.text) == ()


def test_there_are_sixty_real_messages_and_twenty_others() -> None:
    assert len(KNOWN) + len(LATER) >= 60
    assert len(UNRELATED) >= 20
    names = [message.name for message in (*KNOWN, *LATER, *UNRELATED)]
    assert len(set(names)) == len(names)


def test_messages_are_known_with_what_programs_put_around_them() -> None:
    """Ranks' prefixes, the boxes and colours of pretty tracebacks, and a log before and behind it."""
    noise = "INFO step 1 loss 2.0\n" * 50
    for message in (*KNOWN, *LATER):
        ranked = "".join(f"[rank3]: {line}\n" for line in message.text.splitlines())
        boxed = "".join(f"\x1b[31m│\x1b[0m {line} \x1b[31m│\x1b[0m\r\n" for line in message.text.splitlines())
        for text in (ranked, boxed, noise + message.text + noise, message.text.rstrip("\n")):
            assert led_to(text) == message.cards, message.name


# --- order -------------------------------------------------------------------------------------------------------


def _text(*names: str) -> str:
    by_name = {message.name: message.text for message in KNOWN}
    return "".join(by_name[name] for name in names)


def test_the_cause_comes_before_what_follows_from_it_wherever_it_stands() -> None:
    assert led_to(_text("child-failed", "watchdog", "bus-error")) == ("TD-DTL-006", "TD-ERR-030")
    assert led_to(_text("assert-alone", "assert-embedding"))[0] == "TD-ERR-002"
    assert led_to(_text("child-failed")) == ("TD-ERR-037",)


def test_a_paste_leads_to_three_cards_at_most() -> None:
    everything = "".join(message.text for message in KNOWN)
    assert len(recognise(everything)) == MOST == 3


# --- what a line number is worth -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["assert-embedding", "assert-alone", "illegal-access", "cublas-gemm"])
def test_a_late_error_says_that_its_line_may_be_innocent(name: str) -> None:
    (hit,) = recognise(_text(name))
    frame = {"assert-embedding": 'File "train.py", line 88', "assert-alone": 'File "main.py", line 214',
             "illegal-access": 'File "infer.py", line 40', "cublas-gemm": 'File "model.py", line 77'}  # fmt: skip
    assert hit.note.startswith("Asynchronous: ")
    assert frame[name] in hit.note
    assert "innocent" in hit.note
    assert "CUDA_LAUNCH_BLOCKING=1" in hit.note


@pytest.mark.parametrize("name", ["no-kernel", "ordinal"])
def test_an_error_that_is_raised_at_once_takes_the_hint_back(name: str) -> None:
    (hit,) = recognise(_text(name))
    assert hit.note.startswith("Raised by the call itself")


@pytest.mark.parametrize("name", ["oom", "no-cxx", "watchdog", "cpu-wheel", "driver-803", "numpy"])
def test_where_nothing_is_late_nothing_is_said(name: str) -> None:
    assert [hit.note for hit in recognise(_text(name))] == [""]


def test_the_same_assertion_on_a_cpu_is_not_late() -> None:
    (hit,) = recognise("  File 'x.py', line 3\nIndexError: index out of range in self\n")
    assert (hit.card.id, hit.note) == ("TD-ERR-002", "")


# --- the table -----------------------------------------------------------------------------------------------------


def test_every_row_names_a_card_and_every_error_card_has_a_row() -> None:
    known = {one.id for one in CARDS}
    named = {sign.card for sign in SIGNS}
    assert named <= known
    assert {one for one in known if one.startswith("TD-ERR-")} <= named
    assert {card_id for card_id, _ in RAISED} <= named, "what a rule knows, a paste does too"
    assert {*HIDES, *(hidden for group in HIDES.values() for hidden in group), *LATE, *AT_ONCE} <= named
    assert not LATE & AT_ONCE


def test_every_error_card_says_why_what_to_do_and_who_says_so() -> None:
    for one in CARDS:
        if one.id.startswith("TD-ERR-"):
            assert one.fix is not None, one.id
            assert len(one.fix.command) < 120, one.id
            assert len(one.why) > 60, one.id
            assert one.source, one.id


# --- hostile pastes --------------------------------------------------------------------------------------------------

MIB = 1 << 20
HOSTILE = {
    "one line": "x" * (50 * MIB),
    "texts without their patterns": "Permission denied 'undefined symbol: ' not found Can't pickle " * MIB,
    "colours": "\x1b[31m" * (5 * MIB),
    "unfinished sequences": "\x1b]0;" * (5 * MIB),
    "newlines": "\n" * (50 * MIB),
    "frames": 'File "a", line 1\n' * (2 * MIB) + "CUDA error: x",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_paste_of_any_size_and_shape_is_answered(name: str) -> None:
    began = time.process_time()
    found = led_to(HOSTILE[name])
    assert found == (("TD-ERR-008",) if name == "frames" else ())
    assert time.process_time() - began < 20, "a hundred times what it takes: this is no stopwatch, it sees a square"


def test_any_bytes_are_answered() -> None:
    draw = random.Random(4)
    for _ in range(200):
        noise = bytes(draw.randrange(256) for _ in range(400)).decode(errors="replace")
        assert led_to(noise) == ()


def test_the_end_of_a_large_paste_is_read_and_its_lines_are_counted() -> None:
    lines = KEPT // 10
    hit = recognise("a" * 29 + "\n" + ("b" * 29 + "\n") * lines + _text("numpy"))[0]
    assert hit.card.id == "TD-ENV-012"
    assert hit.line == lines + 3
    assert recognise(_text("numpy") + ("b" * 29 + "\n") * lines)[0].line == 2


def test_a_recognised_line_is_short() -> None:
    (hit,) = recognise("y" * 5000 + "Numpy is not available" + "z" * 5000)
    assert len(hit.text) <= 200
    assert card("TD-ENV-012") is hit.card
