"""The catalogue: what can be asked for, and in which order it runs."""

from __future__ import annotations

from pathlib import Path

import pytest

import torchprobes
from torchprobes.catalogue import PROBES, UnknownProbe, select
from torchprobes.model import Tier


def test_names_are_unique_and_every_row_has_its_payload() -> None:
    names = [probe.name for probe in PROBES]
    assert len(names) == len(set(names))
    payloads = Path(torchprobes.__file__).parent / "payloads"
    assert [p.payload for p in PROBES if not (payloads / f"{p.payload}.py").is_file()] == []
    assert all(probe.group and probe.title.endswith("?") and probe.limit_s > 0 for probe in PROBES)


def test_a_tier_holds_the_lower_ones() -> None:
    quick, standard, full = ({p.name for p in select([], tier)} for tier in Tier)
    assert set() < quick < standard <= full == {p.name for p in PROBES if not (p.entry or p.graph)}


def test_request_order_is_kept_and_nothing_runs_twice() -> None:
    asked = select(["ddp.allreduce", "env.identity", "ddp.allreduce"], Tier.QUICK)
    assert [probe.name for probe in asked] == ["ddp.allreduce", "env.identity"]


def test_a_group_without_a_probe_in_the_tier_means_all_of_it() -> None:
    assert {p.group for p in select(["compile"], Tier.QUICK)} == {"compile"}


@pytest.mark.parametrize("name", ["compile.defualt", "nothing", "", "compile."])
def test_an_unknown_name_says_what_to_do(name: str) -> None:
    with pytest.raises(UnknownProbe, match="torchdoctor list"):
        select([name], Tier.FULL)


def test_a_slip_of_the_finger_is_answered_with_the_near_name() -> None:
    with pytest.raises(UnknownProbe, match=r"did you mean 'compile\.default'"):
        select(["compile.defualt"], Tier.FULL)


def test_an_entry_means_the_probes_of_the_users_own_model_alone() -> None:
    everything = {p.name for p in select([], Tier.QUICK, entry=True)}
    assert (
        everything
        == {p.name for p in select(["compile"], Tier.QUICK, entry=True)}
        == {p.name for p in PROBES if p.entry}
    )
    assert [p.name for p in select(["export"], Tier.QUICK, entry=True)] == ["export.entry"]
    assert "export.entry" not in {p.name for p in select(["export"], Tier.FULL)}


@pytest.mark.parametrize("name", ["ddp", "export.roundtrip"])
def test_what_has_no_use_for_a_model_says_so(name: str) -> None:
    with pytest.raises(UnknownProbe, match=f"{name} has no use for a model"):
        select([name], Tier.FULL, entry=True)


def test_a_probe_of_the_users_model_needs_one() -> None:
    with pytest.raises(UnknownProbe, match="name it with --entry"):
        select(["export.entry"], Tier.FULL)
