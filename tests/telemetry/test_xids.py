"""The catalogue against the reference's own table, and its disagreements."""

from __future__ import annotations

import pytest

from torchprobes.telemetry.rules import xids
from torchprobes.telemetry.rules.xids import Action

APPLICATION = {8, 11, 13, 25, 31, 32, 60, 68, 69, 80, 82, 83, 84, 85, 86, 88, 89, 94, 139}
APPLICATION |= {*range(39, 42), *range(70, 73), *range(75, 78), *range(126, 136), *range(96, 106)}

REFERENCE = {
    Action.REBOOT: {79},
    Action.RESET: {46, 62, 64, 95, 109, 110, 119, 120, 136, 140, 143, 155, 156, 158},
    Action.WORKFLOW: {45, 48, 74, *range(144, 151), 171, 172},
    Action.APPLICATION: APPLICATION,
    Action.INFORMATION: {37, 38, 43, 44, 63, 66, 67, 92, 93, 106, 107, 121, 137, 141, 152, 153, 154, 157, 160, 161},
    Action.HARDWARE: {54, 78, 151, *range(162, 166), 167},
}
"""`reference/telemetry.md` 2h, row by row."""


def test_every_xid_of_the_reference_has_its_action_and_no_other_is_known() -> None:
    known = {action: {row.code for row in xids.XIDS.values() if row.action is action} for action in REFERENCE}
    assert known == REFERENCE
    assert len(xids.XIDS) == sum(len(codes) for codes in REFERENCE.values())


def test_no_code_is_given_twice() -> None:
    codes = [row[0] for row in xids._ROWS]
    assert sorted(codes) == sorted(set(codes))


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (31, "GPU memory page fault"),
        (39, "copy engine 0 exception"),
        (85, "copy engine 9 exception"),
        (126, "copy engine 10 exception"),
        (135, "copy engine 19 exception"),
        (68, "video decoder 0 exception"),
        (98, "video decoder 7 exception"),
        (99, "JPEG decoder 1 exception"),
        (105, "JPEG decoder 7 exception"),
        (119, "GSP RPC timeout"),
        (147, "NVLink TREX error"),
    ],
)
def test_names_are_those_of_the_catalogue(code: int, name: str) -> None:
    assert xids.xid(code).name.startswith(name)


def test_every_row_says_what_to_do_and_every_action_too() -> None:
    assert all(row.todo and row.name for row in xids.XIDS.values())
    assert set(xids.WHAT_TO_DO) == set(Action)
    assert xids.xid(45).todo == "alone: restart the fabric manager; with other XIDs: follow those"


def test_an_unknown_xid_is_not_taken_for_harmless() -> None:
    row = xids.xid(999)
    assert row.name == "XID 999 is not known to this torchdoctor"
    assert row.action is Action.UNKNOWN
    assert xids.opinions(999) == ()
    assert [opinion.source for opinion in xids.opinions(57)] == ["AzNHC", "imbue cluster-health"]


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (31, {"application", "warning", "ignored: the application's", "not critical"}),
        (63, {"information", "warning", "fail: take the node out", "hardware fault", "not critical"}),
        (
            68,
            {"application", "fail: take the node out", "hardware fault", "ignored: the application's", "not critical"},
        ),
        (92, {"information", "fail: take the node out", "hardware fault", "not critical"}),
        (94, {"application", "warning", "hardware fault", "up to 1000 before any action"}),
    ],
)
def test_a_disagreement_names_who_says_what(code: int, says: set[str]) -> None:
    assert {opinion.says for opinion in xids.opinions(code)} == says
    line = xids.dispute(code)
    assert line.startswith(xids.CATALOGUE)
    assert all(word in line for word in says)


def test_where_all_agree_there_is_no_dispute() -> None:
    assert xids.dispute(79) == ""
    assert xids.opinions(79)[0] == xids.Opinion(xids.CATALOGUE, "reboot")


def test_a_reboot_that_did_not_help_is_a_case_for_the_hardware() -> None:
    assert xids.escalation(79, 1) == ""
    assert "have the hardware inspected (gpud)" in xids.escalation(79, 2)
    assert xids.escalation(43, 50) == ""
