"""The flight recorder's dumps: recorded ones of gloo, NCCL's as its source has them, hostile ones, files and pipes."""

from __future__ import annotations

import json
import os
import pickle
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from torchprobes.distributed import RankIdentity
from torchprobes.jobs.flight import BadDump, files, parse, parse_json, parse_pickle
from torchprobes.jobs.flight.files import NoFlight
from torchprobes.jobs.flight.parse import NEWEST, op_name
from torchprobes.jobs.flight.pickles import NotData, load
from torchprobes.rank_evidence import Flight, Frame, GroupStatus

RECORDED = Path(__file__).parent / "flight"


def recorded(name: str) -> bytes:
    return (RECORDED / name).read_bytes()


def length(data: bytes) -> str:
    """The name of a test with such data."""
    return str(len(data))


def group(flight: Flight, name: str) -> GroupStatus:
    return next(one for one in flight.groups if one.group == name)


# --- recorded: three ranks over gloo, rank 1 sleeps before the sixth collective --------------------------------------


@pytest.mark.parametrize("version", ["torch2.13", "torch2.14"])
@pytest.mark.parametrize("form", ["json", "pickle"])
def test_a_hang_over_gloo_is_in_the_dumps(version: str, form: str) -> None:
    flights = [parse(recorded(f"gloo_{version}_rank{rank}.{form}"), "file", 7) for rank in range(3)]
    assert {flight.backend for flight in flights} == {"gloo"}
    assert {flight.version for flight in flights} == {"2.10"}
    assert [group(flight, "0").enqueued for flight in flights] == [6, 5, 6]
    assert [group(flight, "0").completed for flight in flights] == [5, 5, 5]
    ahead, behind = flights[0], flights[1]
    assert group(ahead, "0").description == "default_pg"
    assert group(ahead, "0").started == -1
    last = ahead.entries[-1]
    assert (last.op, last.group, last.retired, last.state) == ("all_reduce", "0", False, "scheduled")
    assert last.input_sizes == ((4, 8),)
    assert last.dtypes == ("Float",)
    assert last.created_ns > 1_700_000_000 * 10**9
    assert (last.started_ns, last.completed_ns) == (0, 0)
    assert behind.entries[-1].seq == last.seq - 1
    assert all(entry.retired for entry in behind.entries)


def test_operations_come_in_their_order_with_the_group_of_each() -> None:
    flight = parse_json(recorded("gloo_torch2.13_rank0.json"), "server", 0)
    assert [(entry.group, entry.seq, entry.op) for entry in flight.entries] == [
        ("0", 1, "all_reduce"), ("0", 2, "all_reduce"), ("0", 3, "all_reduce"), ("0", 4, "broadcast"),
        ("1", 1, "all_gather"), ("0", 5, "barrier"), ("0", 6, "all_reduce"),
    ]  # fmt: skip
    assert flight.entries[4].output_sizes == ((2, 2),)
    assert flight.entries[0].timeout_ms == 300_000


def test_the_ranks_that_gloo_names_are_not_believed() -> None:
    """`pg_config` of gloo has one key, "", and the members of whatever group was made last."""
    data = recorded("gloo_torch2.14_rank0.json")
    assert json.loads(data)["pg_config"] == {"": {"desc": "", "name": "", "ranks": "[0, 1]"}}
    flight = parse_json(data, "server", 0)
    assert [one.group for one in flight.groups] == ["0", "1"]
    assert [one.ranks for one in flight.groups] == [(), ()]


def test_sends_and_receives_do_not_count_as_collectives() -> None:
    """In the recording rank 0 sends and rank 1 receives once: gloo's own status then calls rank 1 level with rank 2."""
    told = [json.loads(recorded(f"gloo_torch2.13_rank{rank}.json"))["pg_status"]["0"] for rank in range(3)]
    assert [status["last_enqueued_collective"] for status in told] == ["7", "6", "6"]
    flights = [parse_json(recorded(f"gloo_torch2.13_rank{rank}.json"), "server", 0) for rank in range(3)]
    assert [group(flight, "0").enqueued for flight in flights] == [6, 5, 6]


def test_a_pickle_names_the_call_site() -> None:
    last = parse_pickle(recorded("gloo_torch2.13_rank0.pickle"), "file", 0).entries[-1]
    assert Frame(function="synchronise", file="/home/user9/train.py", line=7) in last.frames


@pytest.mark.parametrize("name", ["none_torch2.6.json", "none_torch2.6.pickle", "none_torch2.14.pickle"])
def test_a_recorder_that_recorded_nothing(name: str) -> None:
    flight = parse(recorded(name), "server", 0)
    assert (flight.entries, flight.groups, flight.backend) == ((), (), "")


# --- NCCL ------------------------------------------------------------------------------------------------------------


def nccl_entry(seq: int, **fields: Any) -> dict[str, Any]:
    """As FlightRecorder.cpp writes it."""
    return {
        "record_id": seq, "pg_id": 0, "process_group": ["0", "default_pg"], "collective_seq_id": seq, "p2p_seq_id": 0,
        "op_id": seq, "profiling_name": "nccl:all_reduce", "time_created_ns": 10**18 + seq, "input_sizes": [[1024]],
        "input_dtypes": ["Float"], "output_sizes": [[1024]], "output_dtypes": ["Float"], "state": "completed",
        "time_discovered_started_ns": 10**18 + seq + 1, "time_discovered_completed_ns": 10**18 + seq + 2,
        "retired": True, "timeout_ms": 600_000, "is_p2p": False, **fields,
    }  # fmt: skip


def nccl_dump(*entries: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {
        "version": "2.10",
        "pg_config": {
            "0": {"name": "0", "desc": "default_pg", "ranks": "[0, 1, 2, 3]"},
            "3": {"name": "3", "desc": "undefined", "ranks": "[2, 3]"},
        },
        "pg_status": {
            "0": {
                "last_enqueued_collective": "8",
                "last_started_collective": "7",
                "last_completed_collective": "7",
            },
            "1": {
                "last_enqueued_collective": "2",
                "last_started_collective": "2",
                "last_completed_collective": "2",
            },
        },
        "entries": list(entries),
        **fields,
    }


def test_nccl_has_states_times_and_the_ranks_of_its_groups() -> None:
    waiting = nccl_entry(
        8, state="scheduled", time_discovered_started_ns=0, time_discovered_completed_ns=0, retired=False
    )
    flight = parse_json(json.dumps(nccl_dump(nccl_entry(7), waiting)).encode(), "pipe", 3)
    assert (flight.backend, flight.how, flight.t_ns) == ("nccl", "pipe", 3)
    assert group(flight, "0") == GroupStatus(
        group="0", description="default_pg", ranks=(0, 1, 2, 3), enqueued=8, started=7, completed=7
    )
    assert group(flight, "1").enqueued == 2, "a group without an operation in the ring keeps its status"
    assert [entry.completed_ns for entry in flight.entries] == [10**18 + 9, 0]


def test_a_status_belongs_to_the_group_that_the_operations_tie_it_to() -> None:
    """Its key is a number of the process's own: the second group of this rank may be the fourth of the job."""
    entry = nccl_entry(2, pg_id=1, process_group=["3", "undefined"])
    flight = parse_json(json.dumps(nccl_dump(nccl_entry(8), entry)).encode(), "pipe", 0)
    assert [one.group for one in flight.groups] == ["0", "3"]
    assert (group(flight, "3").enqueued, group(flight, "3").ranks) == (2, (2, 3))


def test_point_to_point_operations_count_by_themselves() -> None:
    send = nccl_entry(0, is_p2p=True, p2p_seq_id=4, profiling_name="nccl:send 0->1")
    found = parse_json(json.dumps(nccl_dump(send)).encode(), "pipe", 0).entries[0]
    assert (found.op, found.seq, found.p2p) == ("send", 4, True)


@pytest.mark.parametrize(
    ("name", "op"),
    [
        ("gloo:all_reduce", "all_reduce"),
        ("nccl:ALLREDUCE", "ALLREDUCE"),
        ("nccl:_all_gather_base", "all_gather_into_tensor"),
        ("nccl:_reduce_scatter_base", "reduce_scatter_tensor"),
        ("nccl:all_reduce_barrier", "barrier"),
        ("nccl:recv 0<-1", "recv"),
        ("nccl:coalesced", "coalesced"),
        ("", ""),
    ],
)
def test_names_of_operations(name: str, op: str) -> None:
    assert op_name(name) == op


def test_the_bare_list_of_early_releases() -> None:
    entry = {"pg_id": 0, "seq_id": 3, "profiling_name": "nccl:broadcast", "state": "started", "input_sizes": [[2]]}
    found = parse_pickle(pickle.dumps([entry]), "file", 0).entries[0]
    assert (found.group, found.seq, found.op, found.state) == ("0", 3, "broadcast", "started")


# --- bounds and hostile dumps ----------------------------------------------------------------------------------------


def test_of_a_full_ring_the_newest_are_kept() -> None:
    ring = nccl_dump(*(nccl_entry(number) for number in range(1, 2001)))
    for flight in (parse_json(json.dumps(ring).encode(), "server", 0), parse_pickle(pickle.dumps(ring), "file", 0)):
        assert len(flight.entries) == NEWEST
        assert (flight.entries[0].seq, flight.entries[-1].seq) == (2001 - NEWEST, 2000)


class _Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch /nowhere/evil",)


EVIL_OPCODES = [
    pickle.dumps(_Evil()),
    pickle.dumps({"entries": [_Evil()]}),
    b"cbuiltins\neval\n(S'1'\ntR.",
    b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R.",
    b"\x82\x01.",
    b"Pid\n.",
    pickle.dumps(Path("/etc/passwd")),
]


@pytest.mark.parametrize("data", EVIL_OPCODES, ids=range(len(EVIL_OPCODES)))
def test_a_pickle_that_names_anything_is_refused(data: bytes) -> None:
    with pytest.raises(NotData):
        load(data)
    with pytest.raises(BadDump):
        parse_pickle(data, "file", 0)


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b"{}}", b"\x80\x02", b"hello", b"(" * 100_000, b"\xff" * 1000, pickle.dumps(5)],
    ids=length,
)
def test_a_damaged_dump_is_refused(data: bytes) -> None:
    with pytest.raises(BadDump):
        parse(data, "file", 0)


@pytest.mark.parametrize("length", [10, 500, 1500, 2195])
def test_a_dump_that_is_still_being_written_is_refused(length: int) -> None:
    with pytest.raises(BadDump):
        parse(recorded("gloo_torch2.13_rank0.pickle")[:length], "file", 0)


HOSTILE: list[dict[str, Any]] = [
    nccl_entry(1, input_sizes=[[[1]]], profiling_name=5, time_created_ns="soon", state=None),
    nccl_entry(1, process_group="0", frames=[1, {"name": 2, "filename": None, "line": "x"}], pg_id=True),
    nccl_entry(1, collective_seq_id=10**30, timeout_ms=float("inf"), retired="yes", is_p2p=1),
    nccl_entry(1, input_sizes={"a": 1}, input_dtypes=[["Float"]], process_group=[["0"], {}]),
    {},
]


@pytest.mark.parametrize("entry", HOSTILE, ids=range(len(HOSTILE)))
def test_fields_of_the_wrong_kind_are_left_out(entry: dict[str, Any]) -> None:
    flight = parse_pickle(pickle.dumps(nccl_dump(entry, pg_status=[], pg_config={1: 2, "0": "x"})), "file", 0)
    assert len(flight.entries) == 1
    assert flight.entries[0].seq in (0, 1)


def test_one_list_that_stands_in_itself_a_million_times_costs_nothing() -> None:
    rung: list[Any] = [1] * 1000
    for _ in range(20):
        rung = [rung] * 1000
    begun = time.process_time()
    flight = parse_pickle(pickle.dumps(nccl_dump(nccl_entry(1, input_sizes=rung, frames=rung))), "file", 0)
    assert len(flight.entries[0].input_sizes) == 32
    assert time.process_time() - begun < 5


def test_text_of_a_dump_cannot_reach_the_terminal_as_it_is() -> None:
    entry = nccl_entry(1, profiling_name="nccl:\x1b[2Jx", process_group=["0\n", "d\x07"])
    found = parse_pickle(pickle.dumps(nccl_dump(entry)), "file", 0)
    assert found.entries[0].op == "?[2Jx"
    assert found.entries[0].group == "0?"


# --- files and pipes -------------------------------------------------------------------------------------------------


def rank(**fields: Any) -> RankIdentity:
    return RankIdentity(**{"rank": 3, "pid": 1, "start_ticks": 1, "uid": os.getuid(), **fields})


def dumped(path: Path, seq: int) -> None:
    path.write_bytes(pickle.dumps(nccl_dump(nccl_entry(seq))))


def test_where_torch_writes_its_dumps() -> None:
    named = {"TORCH_FR_DUMP_TEMP_FILE": "/run/new_", "TORCH_NCCL_DEBUG_INFO_TEMP_FILE": "/run/old_"}
    assert files.places(3, named) == ("/run/new_3", "/run/old_3")
    assert files.places(3, {"HOME": "/home/u"}) == (
        "/home/u/.cache/torch/comm_lib_trace_rank_3",
        "/home/u/.cache/torch/nccl_trace_rank_3",
        "/tmp/nccl_trace_rank_3",
    )
    assert files.places(0, {"XDG_CACHE_HOME": "/c"}, "/proc/7/root")[0] == "/proc/7/root/c/torch/comm_lib_trace_rank_0"


def test_the_youngest_file_counts(tmp_path: Path) -> None:
    old, new = tmp_path / "a3", tmp_path / "b3"
    dumped(old, 1)
    dumped(new, 2)
    os.utime(old, ns=(10**18, 10**18))
    os.utime(new, ns=(2 * 10**18, 2 * 10**18))
    flight = files.newest((str(old), str(new)), rank(), 10**18)
    assert (flight.entries[0].seq, flight.how, flight.t_ns) == (2, "file", 2 * 10**18)


def test_a_file_that_is_not_the_ranks_is_not_believed(tmp_path: Path) -> None:
    path, link = tmp_path / "a3", tmp_path / "link3"
    dumped(path, 1)
    link.symlink_to(path)
    os.mkfifo(tmp_path / "pipe3")
    (tmp_path / "empty3").touch()
    for name, since, who, why in (
        ("a3", time.time_ns() + 10**12, rank(), "older than the process"),
        ("a3", 0, rank(uid=12345), "belongs to uid"),
        ("link3", 0, rank(), "symbolic link"),
        ("pipe3", 0, rank(), "no file"),
        ("empty3", 0, rank(), "empty"),
        ("nothing3", 0, rank(), "written no dump"),
    ):
        with pytest.raises(NoFlight, match=why):
            files.newest((str(tmp_path / name),), who, since)
    with pytest.raises(NoFlight, match="written no dump"):
        files.newest((), rank(), 0)


def test_a_prepared_rank_dumps_on_demand(tmp_path: Path) -> None:
    """The rank's side as torch has it: a thread that reads the pipe without blocking, and writes the dump in pieces."""
    stem, dump = f"{tmp_path}/pipe_", tmp_path / "dump_3"
    dumped(dump, 1)  # of an earlier hang
    os.mkfifo(f"{stem}3.pipe")
    reader = os.open(f"{stem}3.pipe", os.O_RDONLY | os.O_NONBLOCK)

    def monitor() -> None:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                if os.read(reader, 128):
                    break
            except BlockingIOError:
                pass
            time.sleep(0.01)
        data = pickle.dumps(nccl_dump(nccl_entry(9)))
        with dump.open("wb") as file:
            file.write(data[:100])
            file.flush()
            time.sleep(0.05)
            file.write(data[100:])

    thread = threading.Thread(target=monitor)
    thread.start()
    flight = files.on_demand(stem, (str(dump),), rank(), "", time.monotonic() + 20)
    thread.join()
    os.close(reader)
    assert (flight.how, flight.entries[0].seq) == ("pipe", 9)


def test_a_pipe_that_nobody_reads_or_that_is_none_is_left_alone(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe_3.pipe")
    (tmp_path / "file_3.pipe").write_text("")
    (tmp_path / "link_3.pipe").symlink_to(tmp_path / "file_3.pipe")
    soon = time.monotonic() + 1
    for name, why in (
        ("pipe_", "No such device"), ("file_", "no pipe"), ("link_", "symbolic link"), ("none_", "No such file"),
    ):  # fmt: skip
        with pytest.raises(NoFlight, match=why):
            files.on_demand(f"{tmp_path}/{name}", (), rank(), "", soon)
    assert (tmp_path / "file_3.pipe").read_text() == ""


def test_a_pipe_of_another_user_is_not_written_to(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe_3.pipe")
    reader = os.open(tmp_path / "pipe_3.pipe", os.O_RDONLY | os.O_NONBLOCK)
    with pytest.raises(NoFlight, match="belongs to uid"):
        files.on_demand(f"{tmp_path}/pipe_", (), rank(uid=12345), "", time.monotonic() + 1)
    assert os.read(reader, 10) == b""
    os.close(reader)
