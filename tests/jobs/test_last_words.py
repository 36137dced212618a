"""What a rank tells of its collectives: the newest of its recorders, how far its groups are, what it leaves behind."""

from __future__ import annotations

import importlib.util
import json
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from worker_server_fake import FakeServer

from torchprobes.runner.order import PAYLOADS


def module(name: str) -> Any:
    """A file of the injection, which no package holds."""
    spec = importlib.util.spec_from_file_location(name, PAYLOADS / "inject" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


record, groups = module("torchdoctor_record"), module("torchdoctor_groups")


def entry(seq: int, **fields: Any) -> dict[str, Any]:
    """One operation, its keys in the order in which torch writes them."""
    rest = {"is_p2p": False, "pg_id": 0, "profiling_name": "gloo:all_reduce", "retired": True, **fields}
    return {"collective_seq_id": seq, **rest}


def dump(entries: list[dict[str, Any]], enqueued: int | None = None) -> str:
    last = str(enqueued if enqueued is not None else entries[-1]["collective_seq_id"] if entries else -1)
    names = ("enqueued", "started", "completed")
    status = {f"last_{name}_collective": last for name in names}
    head = {"comm_lib_version": "", "entries": entries, "nccl_comm_state": {}}
    tail = {"pg_config": {"0": {"desc": "default_pg", "name": "0", "ranks": "[0, 1]"}}, "pg_status": {"0": status}}
    return json.dumps({**head, **tail, "version": "2.10"}, separators=(",", ":"))


# --- the newest entries ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("many", [1, 63, 64, 65, 2000])
def test_the_newest_entries_of_a_ring(many: int) -> None:
    text = dump([entry(seq) for seq in range(1, many + 1)])
    whole, found = json.loads(text), record.cut(text)
    assert found == {**whole, "entries": whole["entries"][-64:]}


def test_names_that_look_like_the_edge_of_an_entry_are_no_edge() -> None:
    odd = [entry(seq, process_group=["0", '"},{"collective_seq_id":7']) for seq in range(1, 101)]
    found = record.cut(dump(odd))
    assert [one["collective_seq_id"] for one in found["entries"]] == list(range(37, 101))
    assert found["entries"][0]["process_group"][1] == '"},{"collective_seq_id":7'


@pytest.mark.parametrize(
    "text", ["", "no", "[]", "{}", '{"entries":3}', dump([]), dump([entry(1)])[:-9], "[" * 100_000]
)
def test_what_is_no_dump_or_holds_nothing(text: str) -> None:
    assert record.cut(text) is None


@pytest.fixture
def torch_says(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Put functions of torch's in place."""

    def put(**functions: Callable[..., Any]) -> None:
        fake = types.ModuleType("torch._C._distributed_c10d")
        fake.__dict__.update(functions)
        monkeypatch.setitem(sys.modules, fake.__name__, fake)

    for name in ("TORCH_NCCL_BLOCKING_WAIT", "NCCL_BLOCKING_WAIT"):
        monkeypatch.delenv(name, raising=False)
    return put


def never(**_: Any) -> str:
    raise AssertionError("Python's lock would be held while CUDA is asked")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Callable[..., FakeServer]]:
    made: list[FakeServer] = []

    def make(**bodies: bytes | None) -> FakeServer:
        made.append(FakeServer(tmp_path / f"s{len(made)}", bodies))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_the_server_is_asked_and_nccls_recorder_first(
    torch_says: Callable[..., None], server: Callable[..., FakeServer]
) -> None:
    torch_says(_dump_nccl_trace_json=never, _dump_fr_trace_json=never)
    one = server(dump_nccl_trace_json=dump([entry(7)]).encode(), fr_trace_json=dump([entry(3)]).encode())
    assert [found["entries"][0]["collective_seq_id"] for found in record.newest(one.path, 5.0)] == [7, 3]
    one = server(dump_nccl_trace_json=dump([]).encode(), fr_trace_json=dump([entry(3)]).encode())
    assert [found["entries"][0]["collective_seq_id"] for found in record.newest(one.path, 5.0)] == [3]


def test_a_server_without_that_handler_or_without_an_answer(
    torch_says: Callable[..., None], server: Callable[..., FakeServer], tmp_path: Path
) -> None:
    torch_says(_dump_nccl_trace_json=never, _dump_fr_trace_json=lambda **_: dump([entry(3)]).encode())
    assert len(record.newest(server().path, 5.0)) == 1
    torch_says(_dump_nccl_trace_json=never)
    assert record.newest(server(dump_nccl_trace_json=None).path, 0.05) == []
    assert record.newest(str(tmp_path / "none"), 0.05) == []


def test_without_a_server_a_rank_that_uses_cuda_is_not_held_up(
    torch_says: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    cuda = types.ModuleType("torch.cuda")
    cuda.__dict__["is_initialized"] = lambda: True
    monkeypatch.setitem(sys.modules, "torch.cuda", cuda)
    torch_says(_dump_nccl_trace_json=never)
    assert record.newest("") == []
    cuda.__dict__["is_initialized"] = lambda: False
    torch_says(_dump_nccl_trace_json=lambda **_: dump([entry(3)]))
    assert len(record.newest("")) == 1
    monkeypatch.setenv("TORCH_NCCL_BLOCKING_WAIT", "1")
    assert record.newest("") == []


# --- how far the groups are ------------------------------------------------------------------------------------------


class Told:
    """What was told."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.facts: list[str] = []

    def write(self, ev: str, **fields: Any) -> None:
        self.events.append(fields["labels"])

    def fact(self, name: str, why: str) -> None:
        self.facts.append(name)


@pytest.mark.parametrize(
    ("entries", "status", "expected"),
    [
        ([entry(3), entry(4)], 4, "4"),
        ([entry(3), entry(4)], 9, "4"),  # gloo adds sends and receives, and records none of them
        ([entry(4), entry(4, is_p2p=True)], 2, "4"),  # NCCL: the number of either, whichever came last
        ([entry(3, pg_id=1)], 9, "9"),  # nothing recorded of that group: its status is all there is
    ],
)
def test_how_far_a_group_is(
    torch_says: Callable[..., None], entries: list[dict[str, Any]], status: int, expected: str
) -> None:
    torch_says(_dump_fr_trace_json=lambda **_: dump(entries, status))
    told = Told()
    groups.Groups(told, None).last([record.cut(dump(entries, status))])
    assert [labels["enqueued"] for labels in told.events] == [expected]


def test_a_group_that_sends_is_counted_by_its_operations_from_then_on(
    torch_says: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    dist = types.ModuleType("torch.distributed")
    dist.__dict__.update(is_initialized=lambda: True, is_available=lambda: True)
    monkeypatch.setitem(sys.modules, dist.__name__, dist)
    now = {"text": dump([entry(1, retired=False)])}
    torch_says(_dump_fr_trace_json=lambda **_: now["text"])
    told = Told()
    one = groups.Groups(told, lambda _: [record.cut(now["text"])])
    one.tell(object(), "socket")
    now["text"] = dump([entry(1), entry(2), entry(3, retired=False)], 8)
    one._due = 0.0
    one.tell(object(), "socket")
    now["text"] = dump([entry(1)], 11)
    one.tell(object(), "socket")  # not due: nothing is said of what is not known
    assert [(labels["enqueued"], labels["completed"]) for labels in told.events] == [("1", "1"), ("3", "2")]
    assert told.facts == []
