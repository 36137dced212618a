"""No secret, name or address survives redaction in any text of a report; what a comparison needs does."""

from __future__ import annotations

import random
import string

import msgspec
import pytest
from planted_secrets import PRIVATE, SECRETS, SURVIVES, Planted, full_report, planted_in_all, texts_of

from torchprobes.model import Fact, Inventory, Report
from torchprobes.reports.redaction import Level, Redactor

NOBODY: dict[str, str] = {}
"""The environment of nobody: what is masked is what the report gives away."""

ALL = SECRETS + PRIVATE
EVERYTHING = " ; ".join(planted.text for planted in ALL)


def redacted(report: Report, level: Level) -> Report:
    return Redactor(level, NOBODY).report(report)


def leaks(report: Report, words: tuple[str, ...]) -> list[tuple[str, str]]:
    return [(word, text) for text in texts_of(report) for word in words if word.lower() in text.lower()]


def test_there_are_more_than_thirty_kinds() -> None:
    assert len(SECRETS) >= 30
    assert len(PRIVATE) >= 30
    assert all(planted.secret for planted in SECRETS)
    assert all(word.lower() in p.text.lower() for p in ALL for word in (*p.secret, *p.private))


@pytest.mark.parametrize("planted", ALL, ids=lambda planted: planted.what)
def test_what_is_planted_in_every_text_is_in_none_for_the_public(planted: Planted) -> None:
    said = redacted(planted_in_all(full_report(), planted.text), Level.PUBLIC)
    assert not leaks(said, planted.secret + planted.private + ("cobalt7",))


@pytest.mark.parametrize("planted", ALL, ids=lambda planted: planted.what)
def test_inside_secrets_are_masked_and_nothing_else(planted: Planted) -> None:
    before = planted_in_all(full_report(), planted.text)
    said = redacted(before, Level.INTERNAL)
    assert not leaks(said, planted.secret)
    if not planted.secret:
        assert said == before


def test_all_of_it_at_once_is_masked_at_each_level_and_shown_at_none() -> None:
    before = planted_in_all(full_report(), EVERYTHING)
    assert Redactor(Level.NONE, NOBODY).report(before) is before
    public, internal = redacted(before, Level.PUBLIC), redacted(before, Level.INTERNAL)
    for planted in ALL:
        assert not leaks(public, planted.secret + planted.private), planted.what
        assert not leaks(internal, planted.secret), planted.what


@pytest.mark.parametrize("text", SURVIVES)
def test_what_a_comparison_needs_stays(text: str) -> None:
    assert Redactor(Level.PUBLIC, NOBODY).text(text) == text


def test_versions_stay_where_they_look_like_addresses() -> None:
    whole = full_report()
    machine = msgspec.structs.replace(
        whole.machine, inventory=Inventory(parts={"package": {"nvidia-curand-cu12": "10.3.2.106"}})
    )
    facts = (Fact(name="installed.nvidia-cudnn-cu12", value="8.9.2.26"), Fact(name="peer", value="8.8.4.26"))
    one = msgspec.structs.replace(whole.results[0], facts=facts, reason="curand 10.3.2.106 is loaded")
    said = redacted(msgspec.structs.replace(whole, machine=machine, results=(one,)), Level.PUBLIC)
    assert said.machine.inventory.parts == {"package": {"nvidia-curand-cu12": "10.3.2.106"}}
    assert [fact.value for fact in said.results[0].facts] == ["8.9.2.26", "ip-1"]
    assert said.results[0].reason == "curand 10.3.2.106 is loaded"


def test_one_redactor_gives_one_name_the_same_stand_in_wherever_it_stands() -> None:
    redactor = Redactor(Level.PUBLIC, NOBODY)
    assert redactor.text("GPU-f9c91a48-eb5b-a5f6-ef01-00e3694b7863") == "GPU-uuid-1"
    assert redactor.text("CUDA_VISIBLE_DEVICES=GPU-f9c91a48") == "CUDA_VISIBLE_DEVICES=GPU-uuid-1"
    assert redactor.text("ssh basalt-12.acme.corp") == "ssh host-1"
    assert redactor.text("BASALT-12: down, flint8.acme.corp too") == "host-1: down, host-2 too"
    assert redactor.text("00000000:3B:00.0 and 3b:00.0, Xid (PCI:0000:3b:00), busId 3b000") == (
        "pci-1 and pci-1, Xid (PCI:pci-1), busId pci-1"
    )
    assert (
        redactor.text("uid=1000(leofric), /home/leofric, /scratch/leofric/x")
        == "uid=1000(user-1), ~, /scratch/user-1/x"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("/home/ada/.local/state/torchdoctor/runs/x/report.json", "~/.local/state/torchdoctor/runs/x/report.json"),
        ("/home/ada/my/env/bin/python3", "~/path-1/bin/python3"),
        (
            "/home/ada/my/env/lib/python3.11/site-packages/torch/x.so",
            "~/path-1/lib/python3.11/site-packages/torch/x.so",
        ),
        (
            "/home/ada/.pyenv/versions/3.11.7/include/python3.11/Python.h",
            "~/.pyenv/versions/3.11.7/include/python3.11/Python.h",
        ),
        ("/home/ada/my/pkg/site-packages/torch/x.so", "~/path-1/site-packages/torch/x.so"),
        ("/home/ada/.cache/huggingface/hub", "~/.cache/huggingface/hub"),
        ("A=/home/ada/my/a.py:/home/bob/my/a.py:/home/bob/my/b.py", "A=~/path-1.py:~/path-1.py:~/path-2.py"),
        ("/home/ada", "~"),
        ("file:///home/ada/x", "file://~/path-1"),
        ("/proc/1/root/etc and /rooted", "/proc/1/root/etc and /rooted"),
    ],
)
def test_a_path_below_a_home_keeps_what_is_everybodys(text: str, said: str) -> None:
    assert Redactor(Level.PUBLIC, NOBODY).text(text) == said


def test_paths_that_differ_differ_still() -> None:
    """A comparison of redacted reports must not say that two library paths are the same."""
    redactor = Redactor(Level.PUBLIC, NOBODY)
    one, other = (redactor.text(f"LD_LIBRARY_PATH=/home/ada/{name}/lib") for name in ("old", "new"))
    assert one != other
    assert redactor.text("LD_LIBRARY_PATH=/home/bob/old/lib") == one


def test_reports_that_are_shown_together_do_not_name_each_other() -> None:
    first, second = full_report(), full_report()
    one = msgspec.structs.replace(first.results[0], reason="feldspar is slow, says /scratch/ingeborg")
    first = msgspec.structs.replace(first, results=(one,))
    machine = msgspec.structs.replace(second.machine, host="feldspar", gpus=({"user": "ingeborg"},))
    second = msgspec.structs.replace(second, machine=machine)
    said = Redactor(Level.PUBLIC, NOBODY).reports([first, second])
    assert (
        said[0].results[0].reason == f"{said[1].machine.host} is slow, says /scratch/{said[1].machine.gpus[0]['user']}"
    )
    assert not any(leaks(report, ("feldspar", "ingeborg", "cobalt7")) for report in said)


def test_who_asks_is_masked_without_being_named_by_the_report() -> None:
    asking = {"USER": "ingeborg", "HOME": "/gpfs/u/ingeborg"}
    assert Redactor(Level.PUBLIC, asking).text("/gpfs/u/ingeborg/x, /scratch/ingeborg") == "~/path-1, /scratch/user-1"
    assert Redactor(Level.INTERNAL, asking).text("/scratch/ingeborg") == "/scratch/ingeborg"


def test_it_says_what_it_masked() -> None:
    redactor = Redactor(Level.PUBLIC, NOBODY)
    assert redactor.masked == "public: masked nothing"
    redactor.text("uid=1000(leofric) HF_TOKEN=fish at 10.93.7.41, 10.93.7.42")
    assert redactor.masked == "public: masked 1 user, 2 addresses, 1 secret; user-1, ip-1 … stand for them"
    inside = Redactor(Level.INTERNAL, NOBODY)
    inside.text("HF_TOKEN=fish")
    inside.text("HF_TOKEN=fish")
    assert inside.masked == "internal: masked 1 secret; *** stands for them"
    assert Redactor(Level.NONE, NOBODY).masked == "none: nothing is masked"


@pytest.mark.parametrize("planted", ALL, ids=lambda planted: planted.what)
def test_what_was_masked_before_stays_as_it_is(planted: Planted) -> None:
    once = Redactor(Level.PUBLIC, NOBODY).text(planted.text)
    assert Redactor(Level.PUBLIC, NOBODY).text(once) == once


def test_documents_are_redacted_by_their_keys_too() -> None:
    document = {
        "machine": {"host": "vm", "boot_id": "58d74061-aad3-46a4-a753-17b7ef103c53"},
        "processes": [{"user": "root", "command": ["run", "--token", "fish9876"]}, {"user": "ada", "pid": 3}],
        "environ": {"HF_TOKEN": "fish9876", "HOME": "/home/ada", "EMPTY_TOKEN": ""},
        "verdict": "pass",
        "bus_id": "",
        "node": "0",
        "n": [1, 2.5, None, True],
    }
    assert Redactor(Level.PUBLIC, NOBODY).document(document) == {
        "machine": {"host": "host-1", "boot_id": "uuid-1"},
        "processes": [{"user": "root", "command": ["run", "--token", "***"]}, {"user": "user-1", "pid": 3}],
        "environ": {"HF_TOKEN": "***", "HOME": "~", "EMPTY_TOKEN": ""},
        "verdict": "pass",
        "bus_id": "",
        "node": "0",
        "n": [1, 2.5, None, True],
    }
    assert Redactor(Level.INTERNAL, NOBODY).document(document)["processes"][0]["command"][2] == "***"


@pytest.mark.parametrize(
    "name", ["pass", "the", "python", "host", "7", "c", "..", "***", "x" * 300, "İ", "a b", "", "~"]
)
def test_a_name_that_is_an_ordinary_word_breaks_no_report(name: str) -> None:
    whole = full_report()
    machine = msgspec.structs.replace(whole.machine, host=name)
    whole = msgspec.structs.replace(whole, machine=machine)
    said = redacted(planted_in_all(whole, "the host is a python 7 c pass host-1"), Level.PUBLIC)
    assert said.verdict is whole.verdict
    assert said.results[0].name.startswith("env.identity the ")


UNITS = (
    "a", "a.", "a-", "1.", "1:", ":", "ab:", "://", "a://", "@", "a@", "/home/", "/home/a/", "/", "'/root/a", "~a/",
    "GPU-", "0000:", "host=", "user: ", "pid 1 of ", "[a]:", "x[1-", "ssh -p ", "Z-", "20261126T032412Z-a", "docker/",
    "serial ", "ip-1-", "A=", "HOME=/a/b ", "Nov 26 04:13:11 a ", "a[1]", "\x00", "\ud800", "İ", "token=", "curl ",
    "login ",
)  # fmt: skip


@pytest.mark.parametrize("unit", UNITS)
def test_a_long_hostile_text_comes_to_an_end(unit: str) -> None:
    """A pattern whose cost grows with the square of the length would take hours for these."""
    said = Redactor(Level.PUBLIC, NOBODY).text((unit * 20_000)[:20_000])
    assert isinstance(said, str)


@pytest.mark.parametrize("seed", range(30))
def test_in_any_order_nothing_hides_behind_something_else(seed: int) -> None:
    draw = random.Random(seed)
    picked, between = draw.sample(ALL, 8), draw.choice([" ", "\n", " ; ", ", ", "\t", " | "])
    text = between.join(planted.text for planted in picked)
    whole = msgspec.structs.replace(full_report(), tier=text)  # whose host says which node it is
    public, internal = redacted(whole, Level.PUBLIC).tier, redacted(whole, Level.INTERNAL).tier
    for planted in picked:
        assert not [word for word in planted.secret + planted.private if word.lower() in public.lower()], text
        assert not [word for word in planted.secret if word.lower() in internal.lower()], text


@pytest.mark.parametrize("seed", range(20))
def test_no_text_breaks_it(seed: int) -> None:
    draw = random.Random(seed)
    words = [*(planted.text for planted in ALL), *UNITS, *SURVIVES, *string.printable]
    text = "".join(draw.choices(words, k=60))
    assert isinstance(Redactor(Level.PUBLIC, NOBODY).text(text), str)


def test_a_report_that_left_its_node_without_secrets_is_not_looked_through_again_and_the_others_are() -> None:
    """A thousand of a fleet are; one that is masked for strangers is masked for colleagues, but not the other way."""
    words = tuple(word for planted in SECRETS for word in planted.secret)
    raw = planted_in_all(full_report(), EVERYTHING)
    left = redacted(raw, Level.INTERNAL)
    again = Redactor(Level.INTERNAL, NOBODY).reports([left, raw, left])
    assert again[0] is left
    assert again[2] is left
    assert leaks(raw, words)
    assert not leaks(again[1], words)


@pytest.mark.parametrize("planted", PRIVATE, ids=lambda planted: planted.what)
def test_what_was_kept_for_colleagues_is_masked_for_strangers_later(planted: Planted) -> None:
    left = redacted(planted_in_all(full_report(), planted.text), Level.INTERNAL)
    strangers = redacted(left, Level.PUBLIC)
    assert strangers.redaction.startswith("public: ")
    assert not leaks(strangers, planted.secret + planted.private)
    assert redacted(strangers, Level.INTERNAL) is strangers
