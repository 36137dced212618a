"""Rank to GPU: what the driver tells wins, what is assumed is said to be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fake_proc import FakeProc, torchrun_environ

from torchprobes.cells import UNREAD
from torchprobes.distributed import JobIdentity, RankIdentity
from torchprobes.jobs.find import Finder
from torchprobes.jobs.find.gpus import UNSET, with_gpus
from torchprobes.samples import GpuSample, HostSample, ProcessSample, Sample

UUIDS = ("GPU-aaaa", "GPU-bbbb", "GPU-abcd")


def sample(*processes: ProcessSample) -> Sample:
    gpus = tuple(GpuSample(index=index, uuid=uuid, bus_id=f"0:{index}") for index, uuid in enumerate(UUIDS))
    host = HostSample(host="h", cores=1)
    return Sample(
        t_ns=1, m_ns=1, driver=UNREAD, cuda=UNREAD, driver_state="ok", gpus=gpus, processes=processes, host=host
    )


def job(*ranks: dict[str, Any]) -> JobIdentity:
    made = (
        RankIdentity(**{"rank": n, "pid": 50 + n, "start_ticks": 9, "local_rank": n, **r}) for n, r in enumerate(ranks)
    )
    return JobIdentity(key="torchrun:x", launcher="torchrun", host="h", ranks=tuple(made), notes=("kept",))


def indices(found: JobIdentity) -> list[int | None]:
    return [rank.gpu_index for rank in found.ranks]


def test_the_driver_s_list_names_the_gpu() -> None:
    taken = sample(
        ProcessSample(pid=50, gpu_uuid=UUIDS[1], started=9),
        ProcessSample(pid=51, gpu_uuid=UUIDS[0], started=8),  # another process had this pid
        ProcessSample(pid=52, gpu_uuid=UUIDS[2], kind="graphics", started=9),
        ProcessSample(pid=53, gpu_uuid=UUIDS[2]),
    )
    found = with_gpus(job({}, {}, {}, {}), taken)
    assert indices(found) == [1, None, None, 2]
    assert [rank.gpu_uuid for rank in found.ranks] == [UUIDS[1], "", "", UUIDS[2]]
    assert found.notes == ("kept",)


def test_a_rank_on_two_gpus_is_on_the_one_with_its_memory() -> None:
    taken = sample(
        ProcessSample(pid=50, gpu_uuid=UUIDS[0], gpu_memory_bytes=500 << 20, started=9),
        ProcessSample(pid=50, gpu_uuid=UUIDS[2], gpu_memory_bytes=9 << 30, started=9),
    )
    found = with_gpus(job({}), taken)
    assert indices(found) == [2]
    assert "rank 0 holds memory on 2 GPUs (2, 0)" in found.notes[1]


@pytest.mark.parametrize(
    ("visible", "index"),
    [(UNSET, 1), ("2,0", 0), ("2", 2), ("GPU-b", None), ("0,GPU-b", 1), ("0,GPU-a", None), ("0,9", None), ("", None),
     ("MIG-x,MIG-y", None), (None, None), ("0", 0)],
)  # fmt: skip
def test_what_is_assumed_follows_cuda_s_rules_and_is_said(visible: str | None, index: int | None) -> None:
    wanted = job({}, {"visible_devices": visible})
    assert indices(with_gpus(wanted, sample()))[1] is None, "nothing is assumed unasked"
    found = with_gpus(wanted, sample(), assume=True)
    expected = 1 if visible == "GPU-b" else index  # one device: the launcher chose it
    assert indices(found) == [None, expected]
    assert any("assumed from CUDA_VISIBLE_DEVICES" in note for note in found.notes) == (expected is not None)


def test_what_a_rank_may_see_is_read_with_it(tmp_path: Path) -> None:
    proc = FakeProc(tmp_path / "proc")
    agent = proc.add("/usr/bin/python3 /usr/bin/torchrun x.py")
    proc.add("python3 x.py", torchrun_environ(0, CUDA_VISIBLE_DEVICES="3,4"), parent=agent)
    proc.add("python3 x.py", torchrun_environ(1, CUDA_VISIBLE_DEVICES=""), parent=agent)
    ranks = Finder(proc.path).find(10.0).jobs[0].ranks
    assert [rank.visible_devices for rank in ranks] == ["3,4", ""]
