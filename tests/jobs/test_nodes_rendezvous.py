"""What several nodes need beside a person's own options: from the kernel's routes, and from Slurm's variables."""

from __future__ import annotations

import pytest

from torchprobes.jobs import torchrun_options
from torchprobes.jobs.launch_plan import LaunchOptions
from torchprobes.jobs.nodes import allocation, rendezvous, slurm
from torchprobes.jobs.nodes.allocation import Allocation
from torchprobes.jobs.preflight.looks import Interface, Looks, Name

ETH = Interface(name="eth0", up=True, carrier=True, loopback=False, virtual=False, addresses=("10.0.0.7", "fd00::7"))
LO = Interface(name="lo", up=True, carrier=True, loopback=True, virtual=True, addresses=("127.0.0.1",))
HERE = Name(host="head", addresses=("10.0.0.7",), source="10.0.0.7")
THERE = Name(host="head", addresses=("10.0.0.1",), source="10.0.0.7")
TWO = "--nnodes 2 --rdzv-endpoint head:29500"


def added(line: str, name: Name | None, environ: dict[str, str] | None = None) -> tuple[list[str], dict[str, str]]:
    options = LaunchOptions(torchrun=tuple(line.split()), command=("t.py",))
    given = torchrun_options.read(options.torchrun, environ or {})
    done = rendezvous.add(options, given, name, (LO, ETH), environ or {}).options
    return list(done.torchrun[len(options.torchrun) :]), done.env


@pytest.mark.parametrize(
    ("name", "host"), [(HERE, "true"), (THERE, "false")], ids=["the endpoint is ours", "it is another's"]
)
def test_who_serves_is_told_by_the_route_and_not_by_the_name(name: Name, host: str) -> None:
    words, env = added(TWO, name)
    assert words == ["--rdzv-backend=c10d", f"--rdzv-conf=is_host={host}", "--local-addr=10.0.0.7"]
    assert env == {"GLOO_SOCKET_IFNAME": "eth0"}


@pytest.mark.parametrize(
    ("line", "environ", "words", "env"),
    [
        (f"{TWO} --rdzv-backend c10d --rdzv-conf is_host=0 --local-addr h7", {}, [], {"GLOO_SOCKET_IFNAME": "eth0"}),
        (f"{TWO} --rdzv-backend etcd-v2", {"GLOO_SOCKET_IFNAME": "ib0"},
         ["--rdzv-conf=is_host=true", "--local-addr=10.0.0.7"], {}),
        (f"{TWO} --rdzv-conf timeout=5,is_host=1", {"GLOO_SOCKET_IFNAME": ""},
         ["--rdzv-backend=c10d", "--local-addr=10.0.0.7"], {}),
        (f"{TWO} --rdzv-conf timeout=5", {"GLOO_SOCKET_IFNAME": "x"},
         ["--rdzv-backend=c10d", "--rdzv-conf=timeout=5,is_host=true", "--local-addr=10.0.0.7"], {}),
        (f"{TWO} --node-rank 0 --rdzv-backend static", {"GLOO_SOCKET_IFNAME": "x"}, ["--local-addr=10.0.0.7"], {}),
    ],
)  # fmt: skip
def test_what_the_person_chose_stays(line: str, environ: dict[str, str], words: list[str], env: dict[str, str]) -> None:
    assert added(line, HERE, environ) == (words, env)


def test_where_nothing_could_be_read_nothing_is_guessed() -> None:
    assert added(TWO, None) == (["--rdzv-backend=c10d"], {})
    unresolved = Name(host="head", error="Name or service not known")
    assert added(TWO, unresolved) == (["--rdzv-backend=c10d"], {})


@pytest.mark.parametrize("line", ["--nproc-per-node 2", "--nnodes 1 --rdzv-endpoint h:1", "--nnodes 2 --master-addr h"])
def test_one_node_and_a_static_master_need_nothing(line: str) -> None:
    options = LaunchOptions(torchrun=tuple(line.split()), command=("t.py",))
    assert rendezvous.complete(options, {}).options == options


def test_here_for_real_the_loopback_is_ours() -> None:
    options = LaunchOptions(torchrun=("--nnodes=2", "--rdzv-endpoint=127.0.0.1:29500"), command=("t.py",))
    done = rendezvous.complete(options, {})
    assert done.serves is True
    assert "--rdzv-conf=is_host=true" in done.options.torchrun
    assert done.options.env == {"GLOO_SOCKET_IFNAME": "lo"}


def test_a_name_that_has_no_address_yet_is_waited_for_and_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [Name(host="train-0.train", error="Name or service not known"), HERE]
    monkeypatch.setattr(rendezvous, "look", lambda *_: Looks(endpoint=answers.pop(0), interfaces=(LO, ETH)))
    monkeypatch.setattr(rendezvous, "RETRY_S", 0.0)
    options, told = LaunchOptions(torchrun=tuple(TWO.split()), command=("t.py",)), []
    done = rendezvous.complete(options, {}, told.append)
    assert "--rdzv-conf=is_host=true" in done.options.torchrun
    assert told == ["waiting up to 30 s for an address of head: Name or service not known"]


def test_a_name_that_never_has_one_is_left_to_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    unknown = Name(host="head", error="Name or service not known")
    monkeypatch.setattr(rendezvous, "look", lambda *_: Looks(endpoint=unknown))
    options = LaunchOptions(torchrun=tuple(TWO.split()), command=("t.py",))
    assert rendezvous.complete(options, {}, resolve_s=0).options.torchrun == (*options.torchrun, "--rdzv-backend=c10d")


# --- Slurm -----------------------------------------------------------------------------------------------------------

BATCH = {"SLURM_JOB_ID": "42", "SLURM_NNODES": "3", "SLURM_JOB_NODELIST": "n[1-3]", "SLURM_PROCID": "0"}
STEP = {**BATCH, "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_NODES": "3", "SLURM_STEP_NODELIST": "n[1-3]",
        "SLURM_NODEID": "2", "SLURM_PROCID": "2"}  # fmt: skip


@pytest.mark.parametrize(
    ("environ", "found"),
    [
        ({}, Allocation()),
        ({**BATCH, "SLURM_NNODES": "1"}, Allocation()),
        ({**BATCH, "SLURM_JOB_ID": "42; rm"}, Allocation()),
        (BATCH, Allocation("batch", "42", 3, 0, "n[1-3]")),
        (STEP, Allocation("step", "42", 3, 2, "n[1-3]")),
        ({**STEP, "SLURM_STEP_NUM_NODES": "1"}, Allocation("batch", "42", 3, 0, "n[1-3]")),
    ],
    ids=["no Slurm", "one node", "no number", "a batch script", "a task of a step", "a step of one node in it"],
)
def test_where_in_an_allocation_we_are(environ: dict[str, str], found: Allocation) -> None:
    assert allocation.allocation(environ) == found


def test_every_node_of_a_step_comes_to_the_same_endpoint_id_and_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm, "expand", lambda _: ("n1", "n2", "n3"))
    monkeypatch.setattr(slurm, "address_of", lambda node: f"10.0.0.{node[1:]}")
    environs = [{**STEP, "SLURM_NODEID": str(number), "SLURM_PROCID": str(number)} for number in range(3)]
    found = [allocation.words_of(allocation.allocation(one), one) for one in environs]
    assert [words[1] for words in found] == ["--node-rank=0", "--node-rank=1", "--node-rank=2"]
    (rest,) = {(words[0], *words[2:]) for words in found}
    assert rest[0] == "--nnodes=3"
    assert rest[2].startswith("--rdzv-endpoint=10.0.0.1:")
    assert len({allocation.run_id_of("42", one) for one in environs}) == 1
    assert len({allocation.shared_name(allocation.allocation(one), one) for one in environs}) == 1
    again = {**STEP, "SLURM_RESTART_COUNT": "1"}
    assert allocation.run_id_of("42", again) != allocation.run_id_of("42", STEP)
    assert allocation.shared_name(allocation.allocation(again), again) != allocation.shared_name(
        allocation.allocation(STEP), STEP
    )


def test_the_shared_folder_is_a_name_of_a_run() -> None:
    from torchprobes.rundir import RUN_NAME

    for extra in ({}, {"SLURM_JOB_START_TIME": "1800000000"}, {"SLURM_STEP_ID": "0+../.."}):
        name = allocation.shared_name(allocation.allocation(STEP), {**STEP, **extra})
        assert RUN_NAME.fullmatch(name), name
    assert allocation.shared_name(
        allocation.allocation(STEP), {**STEP, "SLURM_JOB_START_TIME": "1800000000"}
    ).startswith("20270115T080000Z-slurm-42.0.0-")


def test_ports_lie_below_those_of_clients() -> None:
    ports = {allocation.port_of(str(job), "0") for job in range(2000)}
    assert min(ports) >= 20_000
    assert max(ports) < 32_768
    assert len(ports) > 1500


@pytest.mark.parametrize(
    ("what", "job"),
    [("42", "42"), ("42_3", "42_3"), ("42.0", "42"), ("slurm:42.0", "42"), ("42.batch", "42"), ("torchrun:x", ""),
     ("", ""), ("-j1", ""), ("99999999999", "")],
)  # fmt: skip
def test_what_names_a_slurm_job(what: str, job: str) -> None:
    assert slurm.job_id(what) == job


def test_without_slurm_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(slurm.SlurmError, match="cannot start squeue"):
        slurm.nodes_of("42")
    with pytest.raises(slurm.SlurmError, match="is no list of nodes"):
        slurm.expand("n1; rm -rf ~")
