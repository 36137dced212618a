"""CUDA's own rules of what an environment shows, on nodes that no test has."""

from __future__ import annotations

import pytest
from gpu_nodes import gpu, node

from torchprobes.runner.visible import MIXED, view
from torchprobes.samples import MigSample, Sample

FOUR = node(*(gpu(n) for n in range(4)))
MIXED_NODE = node(gpu(0, name="NVIDIA A10"), gpu(1), gpu(2))
PARTS = tuple(MigSample(index=n, uuid=f"MIG-part-{n}", gpu_instance=7 + n, compute_instance=0) for n in range(2))
PARTITIONED = node(gpu(0), gpu(1, mig_mode=1, migs=PARTS), gpu(2, mig_mode=1))


def seen(sample: Sample, named: str | None, **environ: str) -> list[str]:
    listed = environ if named is None else {"CUDA_VISIBLE_DEVICES": named, **environ}
    return [seat.uuid for seat in view(sample, listed).seats]


def uuids(*numbers: int) -> list[str]:
    return [f"GPU-{n}aaaa" for n in numbers]


@pytest.mark.parametrize(
    ("named", "found"),
    [
        (None, (0, 1, 2, 3)),
        ("", ()),
        ("2,0", (2, 0)),
        (" 1 , 3", (1, 3)),
        ("1,-1,2", (1,)),
        ("0,9,1", (0,)),
        ("1x,2", (1, 2)),
        ("0,0", ()),
        ("GPU-2,GPU-0aaaa", (2, 0)),
        ("GPU-2aaaa,1", (2,)),
        ("GPU-", ()),
        ("GPU-2aaaa,GPU-2aaaa", ()),
        ("GPU-nobody,GPU-1", ()),
        ("NoDevFiles", ()),
    ],
)
def test_the_list_is_read_as_cuda_reads_it(named: str | None, found: tuple[int, ...]) -> None:
    assert seen(FOUR, named) == uuids(*found)
    assert view(FOUR, {}).unsure == ""


def test_torch_reads_the_same_list_to_the_same_indices(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows above against torch's own reader of the variable, as far as it names indices."""
    parse = pytest.importorskip("torch.cuda")._parse_visible_devices
    for named in ("", "2,0", " 1 , 3", "1,-1,2", "1x,2", "0,0", "GPU-2aaaa,1", "GPU-2aaaa,GPU-2aaaa", "+3,1"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
        theirs = [text if isinstance(text, str) else uuids(text)[0] for text in parse()]
        assert seen(FOUR, named) == theirs, named


def test_among_gpus_of_different_kinds_an_index_is_not_guessed() -> None:
    assert view(MIXED_NODE, {"CUDA_VISIBLE_DEVICES": "0"}).unsure == MIXED
    assert seen(MIXED_NODE, "0") == []
    assert seen(MIXED_NODE, "0", CUDA_DEVICE_ORDER="PCI_BUS_ID") == uuids(0)
    assert seen(MIXED_NODE, "GPU-1") == uuids(1), "a UUID needs no order"
    unset = view(MIXED_NODE, {})
    assert [seat.uuid for seat in unset.seats] == uuids(0, 1, 2), "all are seen, whatever their order"
    assert unset.unsure == MIXED


def test_mig_devices_are_found_by_both_of_their_names() -> None:
    assert seen(PARTITIONED, "MIG-part-1") == ["MIG-part-1"]
    assert seen(PARTITIONED, "MIG-GPU-1aaaa/8/0,MIG-part-0") == ["MIG-part-1", "MIG-part-0"]
    assert seen(PARTITIONED, "MIG-GPU-1aaaa/9/0") == []
    assert seen(PARTITIONED, "GPU-1aaaa") == ["MIG-part-0"], "CUDA takes the first part of a partitioned GPU"
    assert seen(PARTITIONED, None) == ["GPU-0aaaa", "MIG-part-0"], "a GPU that is to be partitioned and is not is none"


def test_amds_gpus_are_listed_by_hips_variable_first() -> None:
    amd = node(*(gpu(n, vendor="amd") for n in range(2)))
    assert seen(amd, None) == uuids(0, 1)
    assert seen(amd, "0", HIP_VISIBLE_DEVICES="1") == uuids(1)
