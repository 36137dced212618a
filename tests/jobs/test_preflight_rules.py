"""What a launch would stumble over: each rule on readings of its own, and torchrun's options as it reads them."""

from __future__ import annotations

import pytest

from torchprobes.jobs.launch_plan import LaunchOptions
from torchprobes.jobs.preflight import Situation, findings, read_intent, visible_gpus
from torchprobes.jobs.preflight.intent import Intent, address
from torchprobes.jobs.preflight.looks import (
    Interface,
    Limits,
    Listener,
    Looks,
    Name,
    Orphan,
    Reach,
    Room,
    Session,
    TaskGroup,
    Tasks,
)
from torchprobes.jobs.preflight.rules import RULES, matching
from torchprobes.judge.cards import card
from torchprobes.model import Severity, Target

GIB = 1 << 30


def interface(name: str, address: str = "", up: bool = True, carrier: bool = True, virtual: bool = False) -> Interface:
    told = (address,) if address else ()
    return Interface(name=name, up=up, carrier=carrier, loopback=name == "lo", virtual=virtual, addresses=told)


LO, ETH, IB = interface("lo", "127.0.0.1"), interface("eth0", "10.0.0.1"), interface("ib0", "10.1.0.1")
SOUND = {
    "name": Name(host="node1", addresses=("10.0.0.1",)),
    "endpoint": Name(host="node1", addresses=("10.0.0.1",), source="10.0.0.1"),
    "interfaces": (LO, ETH, interface("docker0", "172.17.0.1", virtual=True)),
    "shm": Room(total=64 * GIB, free=60 * GIB),
    "limits": Limits(memlock=None, nofile=65536, nproc=None),
    "tasks": Tasks(own=200),
    "session": Session(user="ann", kills=False),
    "port": (),
    "bind": "",
    "ranks": (),
}
TWO_NODES = Intent(ranks=8, nodes=2, backend="c10d", host="node1", port=29500)
ONE_NODE = Intent(ranks=8, backend="c10d", host="localhost")


def seen(intent: Intent = TWO_NODES, gpus: int | None = 8, environ: dict[str, str] | None = None, **looks: object):
    there = Looks(**{**SOUND, **looks})  # type: ignore[arg-type]
    target = Target(python="/env/bin/python", torch="2.13.0")
    return findings(Situation(intent=intent, looks=there, target=target, environ=environ or {}, gpus=gpus))


def only(*arguments: object, **named: object) -> tuple[str, str, str]:
    """The one finding: id, severity, and what was seen."""
    rows = seen(*arguments, **named)  # type: ignore[arg-type]
    assert len(rows) == 1, rows
    return rows[0].id, rows[0].severity.value, rows[0].seen


def test_a_sound_node_gives_no_finding() -> None:
    assert seen() == seen(ONE_NODE) == ()


LOOPBACK = Name(host="node1", addresses=("127.0.0.1",))
BY_ADDRESS = Intent(ranks=8, nodes=2, backend="c10d", host="10.0.0.1", port=29500)
THERE = Name(host="10.0.0.1", addresses=("10.0.0.1",))


def test_a_host_name_that_is_a_loopback_keeps_the_endpoint_without_a_host() -> None:
    assert only(BY_ADDRESS, name=LOOPBACK, endpoint=THERE) == (
        "TD-JOB-001",
        "critical",
        "node1 resolves to 127.0.0.1; 10.0.0.1:29500 is this node, and torchrun will not know it",
    )
    other = Name(host="node1", addresses=("10.9.0.1",))
    assert only(BY_ADDRESS, name=other, endpoint=THERE)[0:2] == ("TD-JOB-001", "critical")


@pytest.mark.parametrize("hosts", [True, False])
def test_with_is_host_a_loopback_name_is_a_warning_until_gloo_has_its_interface(hosts: bool) -> None:
    told = Intent(ranks=8, nodes=2, backend="c10d", host="10.0.0.1", port=29500, hosts=hosts, local_addr="10.0.0.1")
    assert only(told, name=LOOPBACK, endpoint=THERE) == ("TD-JOB-001", "warning", "node1 resolves to 127.0.0.1")
    assert seen(told, name=LOOPBACK, endpoint=THERE, environ={"GLOO_SOCKET_IFNAME": "eth0"}) == ()
    assert seen(ONE_NODE, name=LOOPBACK) == (), "one node meets over the loopback"


def test_a_name_that_does_not_resolve_says_why() -> None:
    nameless = Name(host="node1", error="Name or service not known")
    assert only(Intent(nodes=2, host="10.0.0.2", port=1), name=nameless, gpus=0) == (
        "TD-JOB-001",
        "warning",
        "node1 does not resolve: Name or service not known",
    )
    assert only(endpoint=Name(host="node9", error="Name or service not known"))[0:2] == ("TD-JOB-006", "critical")


def test_a_resolver_without_an_answer_is_no_silence() -> None:
    rows = seen(name=None, unread={"name": "no answer"})
    assert [(f.id, f.seen) for f in rows] == [("TD-JOB-002", "this host's own name: no answer")]


OTHER = Listener(address="0.0.0.0", uid=1001, user="bob (uid 1001)", pid=77, command="python -m http.server 29500")


def test_a_port_is_taken_by_somebody_with_a_name() -> None:
    assert only(port=(OTHER,), bind="Address already in use") == (
        "TD-JOB-003",
        "critical",
        "port 29500: pid 77 of bob (uid 1001): python -m http.server 29500, on 0.0.0.0",
    )
    hidden = Listener(address="::", uid=1001, user="bob (uid 1001)")
    assert "bob (uid 1001), in a process that cannot be seen" in only(port=(hidden,))[2]


def test_a_store_of_another_job_is_shared_and_ends_with_it() -> None:
    store = Listener(address="::", uid=1, user="ann", pid=9, command="python -m torch.distributed.run --nnodes 2 a.py")
    assert only(port=(store,))[0:2] == ("TD-JOB-004", "warning")
    static = Intent(ranks=8, nodes=2, backend="static", host="node1", port=29500, hosts=True)
    assert only(static, port=(store,))[0:2] == ("TD-JOB-003", "critical")
    assert only(port=(store, OTHER))[0:2] == ("TD-JOB-003", "critical")


def test_a_port_that_another_node_serves_may_be_taken_here() -> None:
    away = Name(host="node0", addresses=("10.0.0.9",))
    assert seen(Intent(nodes=2, backend="c10d", host="node0", port=29500), endpoint=away, port=(OTHER,)) == ()


def test_a_port_that_the_kernel_refuses() -> None:
    told = Intent(ranks=8, nodes=2, backend="c10d", host="node1", port=80)
    assert only(told, bind="Permission denied") == ("TD-JOB-005", "critical", "port 80: Permission denied")


@pytest.mark.parametrize(("answer", "finds"), [("silent", True), ("failed", True), ("refused", False), ("open", False)])
def test_an_endpoint_that_nobody_answers_for(answer: str, finds: bool) -> None:
    away = Name(host="node0", addresses=("10.0.0.9",))
    rows = seen(
        Intent(nodes=2, backend="c10d", host="node0", port=29500),
        endpoint=away,
        reach=Reach(answer=answer, error="no answer in 1 s"),
    )
    assert [(f.id, f.seen) for f in rows] == ([("TD-JOB-006", "node0:29500: no answer in 1 s")] if finds else [])


def test_a_node_that_is_to_serve_what_it_does_not_have() -> None:
    away = Name(host="node0", addresses=("10.0.0.9",))
    told = Intent(ranks=8, nodes=2, backend="static", host="node0", port=29500, hosts=True)
    assert only(told, endpoint=away) == (
        "TD-JOB-007",
        "critical",
        "node 0 serves node0:29500; it has no such address",
    )


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("GLOO_SOCKET_IFNAME", "ens3", "GLOO_SOCKET_IFNAME: there is no ens3"),
        ("GLOO_SOCKET_IFNAME", "eth0,eth9", "GLOO_SOCKET_IFNAME: eth9 is switched off"),
        ("NCCL_SOCKET_IFNAME", "ens,bond", "NCCL_SOCKET_IFNAME: no interface is meant by ens,bond"),
        ("NCCL_SOCKET_IFNAME", "=eth", "NCCL_SOCKET_IFNAME: no interface is meant by =eth"),
        ("NCCL_SOCKET_IFNAME", "eth8", "NCCL_SOCKET_IFNAME: eth8 is without a carrier"),
        ("NCCL_SOCKET_IFNAME", "eth7", "NCCL_SOCKET_IFNAME: eth7 is without an address"),
    ],
)
def test_a_variable_that_names_no_interface_that_works(variable: str, value: str, words: str) -> None:
    there = (LO, ETH, interface("eth9", up=False), interface("eth8", "10.0.0.8", carrier=False), interface("eth7"))
    assert only(environ={variable: value}, interfaces=there) == ("TD-JOB-008", "critical", words)


def test_nccl_names_interfaces_by_their_beginnings() -> None:
    there = (LO, ETH, IB)
    names = {text: [i.name for i in matching(text, there)] for text in ("eth", "=eth0", "^lo,ib", "^=lo", "ib0,eth0")}
    assert names == {
        "eth": ["eth0"],
        "=eth0": ["eth0"],
        "^lo,ib": ["eth0"],
        "^=lo": ["eth0", "ib0"],
        "ib0,eth0": ["eth0", "ib0"],
    }


def test_several_networks_are_a_choice_that_somebody_must_make() -> None:
    assert only(interfaces=(LO, ETH, IB)) == (
        "TD-JOB-009",
        "warning",
        "eth0 (10.0.0.1), ib0 (10.1.0.1); the way to node1 is eth0",
    )
    assert seen(ONE_NODE, interfaces=(LO, ETH, IB)) == ()
    said = {"NCCL_SOCKET_IFNAME": "ib0", "GLOO_SOCKET_IFNAME": "ib0"}
    assert seen(interfaces=(LO, ETH, IB), environ=said) == ()


@pytest.mark.parametrize(
    ("looks", "expected"),
    [
        ({"shm": Room(total=64 << 20, free=64 << 20)}, ("TD-JOB-010", "64 MiB (a container")),
        ({"shm": Room(total=GIB, free=1 << 20)}, ("TD-JOB-011", "are left")),
        ({"limits": Limits(nofile=256)}, ("TD-JOB-012", "ulimit -n is 256 (limit 1024)")),
        ({"tasks": Tasks(own=9000), "limits": Limits(nproc=9100)}, ("TD-JOB-013", "ulimit -u: 9000 of 9100")),
        ({"tasks": Tasks(own=9, groups=(TaskGroup(path="/g", now=90, most=100),))}, ("TD-JOB-013", "/g: 90 of 100")),
        ({"limits": Limits(memlock=65536)}, ("TD-JOB-014", "ulimit -l is")),
        ({"session": Session(user="ann", scope="session-3.scope", kills=True)}, ("TD-JOB-019", "session-3.scope")),
        ({"session": Session(user="ann", manager=True)}, ("TD-JOB-020", "ann, who does not linger")),
        (
            {"session": Session(user="ann", job="7", step="0", interactive=True, scope="session-3.scope", kills=True)},
            ("TD-JOB-021", "step 0 of Slurm's job 7"),
        ),
        ({"unread": {"shm": "no answer"}}, ("TD-JOB-030", "shm: no answer")),
    ],
)
def test_what_is_short_or_will_end_the_job(looks: dict[str, object], expected: tuple[str, str]) -> None:
    found = only(**looks)
    assert found[0] == expected[0]
    assert expected[1] in found[2]


@pytest.mark.parametrize(
    "own",
    [
        Session(user="ann", scope="session-3.scope", kills=False),
        Session(user="ann", scope="session-3.scope", kills=None),
        Session(user="ann", manager=True, lingers=True),
        Session(user="ann", job="7", step="0"),
        Session(user="ann", scope="session-3.scope", kills=True, job="7", step="batch"),
    ],
)
def test_a_session_that_lets_the_job_live(own: Session) -> None:
    assert seen(session=own) == ()


def test_more_ranks_than_gpus_and_none_at_all() -> None:
    assert only(gpus=4) == ("TD-JOB-015", "warning", "8 ranks, 4 GPUs")
    assert seen(gpus=0) == seen(gpus=None) == ()
    none = Intent(ranks="gpu", backend="c10d", host="localhost")
    assert only(none, gpus=0)[0:2] == ("TD-JOB-016", "critical")


def test_ranks_without_a_launcher_are_told_apart_by_what_they_hold() -> None:
    rows = tuple(
        Orphan(rank=n, world=2, pid=70 + n, started=1, user="bob (uid 7)", command="python t.py", devices=files)
        for n, files in enumerate([("/dev/nvidia0",), ()])
    )
    found = {f.id: f.seen for f in seen(ranks=rows)}
    assert found == {
        "TD-JOB-017": "rank 0 of 2, pid 70 of bob (uid 7): python t.py /dev/nvidia0",
        "TD-JOB-018": "rank 1 of 2, pid 71 of bob (uid 7): python t.py",
    }


def test_a_target_without_torch_cannot_launch() -> None:
    for target in (Target(python="/p", torch=None), Target(python="/p", torch="2.13.0", refusal="owned by bob")):
        rows = findings(Situation(intent=ONE_NODE, looks=Looks(**SOUND), target=target))  # type: ignore[arg-type]
        assert [f.id for f in rows] == ["TD-JOB-022"]


def test_the_gravest_comes_first_and_every_rule_has_its_card() -> None:
    rows = seen(gpus=4, unread={"shm": "late"}, port=(OTHER,))
    assert [f.severity for f in rows] == [Severity.CRITICAL, Severity.WARNING, Severity.INFO]
    assert all(card(rule.card).why for rule in RULES)


# --- torchrun's options ----------------------------------------------------------------------------------------------


def meant(arguments: str, environ: dict[str, str] | None = None, version: str = "2.13.0") -> Intent:
    return read_intent(LaunchOptions(torchrun=tuple(arguments.split())), environ or {}, version)


@pytest.mark.parametrize(
    ("arguments", "environ", "expected"),
    [
        ("--nproc-per-node 4", {}, Intent(ranks=4, backend="c10d", host="localhost")),
        ("--standalone --nproc_per_node=gpu", {}, Intent(ranks="gpu", backend="c10d", host="localhost")),
        (
            "--nnodes=1:4 --rdzv-backend c10d --rdzv_endpoint node1 --rdzv-conf timeout=5,is_host=True",
            {},
            Intent(nodes=4, backend="c10d", host="node1", port=29500, hosts=True),
        ),
        (
            "--nnodes 2 --node_rank 1 --master-addr 10.0.0.1 --master-port 1234",
            {},
            Intent(nodes=2, host="10.0.0.1", port=1234, hosts=False),
        ),
        (
            "--nnodes 2",
            {"PET_MASTER_ADDR": "node1", "PET_NPROC_PER_NODE": "8", "PET_NNODES": "9"},
            Intent(ranks=8, nodes=2, host="node1", port=29500, hosts=True),
        ),
        ("--rdzv-backend=c10d --rdzv-endpoint=[::1]:0", {}, Intent(backend="c10d", host="::1", port=0)),
        ("--master-port 7", {"PET_STANDALONE": "1"}, Intent(backend="c10d", host="localhost")),
        ("--master-port 7", {}, Intent(host="127.0.0.1", port=7, hosts=True)),
        ("--local-addr 127.0.0.1", {}, Intent(backend="c10d", host="localhost")),
    ],
)
def test_options_are_read_as_torchrun_reads_them(arguments: str, environ: dict[str, str], expected: Intent) -> None:
    assert meant(arguments, environ) == expected


def test_an_older_torchrun_takes_the_default_port_where_something_was_chosen() -> None:
    there = Intent(host="127.0.0.1", port=29500, hosts=True, local_addr="127.0.0.1")
    assert meant("--local-addr 127.0.0.1", version="2.6.0") == there


def test_a_command_that_starts_its_ranks_itself_has_no_endpoint() -> None:
    options = LaunchOptions(launcher="command", command=("accelerate", "launch", "t.py"))
    assert read_intent(options, {}) == Intent(ranks="", backend="")
    assert seen(Intent(ranks="", backend="")) == ()


def test_endpoints() -> None:
    assert address("host:1") == ("host", 1)
    assert address("[fe80::1]:2") == ("fe80::1", 2)
    assert (address(""), address("a:b:c")) == (("", 0), ("", 0))


@pytest.mark.parametrize(
    ("told", "there", "count"),
    [
        (None, 8, 8),
        ("0,1", 8, 2),
        ("0,9,1", 8, 1),
        ("", 8, 0),
        ("-1", 8, 0),
        ("GPU-ab,GPU-cd", 8, 2),
        ("0", None, None),
    ],
)
def test_visible_gpus_are_those_before_the_first_that_is_none(told: str | None, there: int | None, count: int | None):
    assert visible_gpus({} if told is None else {"CUDA_VISIBLE_DEVICES": told}, there) == count
