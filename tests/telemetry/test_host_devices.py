"""Disks, network interfaces and InfiniBand ports, from trees of our own."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from host_trees import plant, roots, state

from torchprobes.cells import UNREAD, Absent, CellState
from torchprobes.telemetry.host import disks, network, ports
from torchprobes.telemetry.host.errands import Errands

NOW = 1e9


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets the time that rates are made with."""
    now = [100.0]
    for module in (network, ports):
        monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return lambda seconds: now.__setitem__(0, now[0] + seconds)


# --- disks ----------------------------------------------------------------------------------------------------------


def test_each_place_of_the_environment_is_looked_at_once() -> None:
    environ = {"HOME": "/home/a/", "TRITON_CACHE_DIR": "/tmp", "TORCHINDUCTOR_CACHE_DIR": "relative"}
    found = {disk.path: disk.what for disk in disks.places(environ)}
    assert found == {"/": "system", "/tmp": "temporary files, triton cache", "/home/a": "home"}
    assert {disk.path for disk in disks.places({})} == {"/", "/tmp"}


def test_a_folder_that_is_not_made_yet_is_told_by_the_one_above(tmp_path: Path) -> None:
    assert disks.measure(str(tmp_path / "not/made/yet")).device == os.stat(tmp_path).st_dev


def test_a_disk_is_used_and_total_for_an_ordinary_user(tmp_path: Path) -> None:
    info = os.statvfs(tmp_path)
    use = disks.measure(str(tmp_path))
    assert isinstance(use.used, int)
    assert isinstance(use.total, int)
    assert abs((use.total - use.used) - info.f_bavail * info.f_frsize) < 1 << 30
    assert 0 <= use.used <= use.total


def test_a_file_system_that_says_no_size_is_not_empty() -> None:
    if not Path("/proc/self").exists():
        pytest.skip("this system has no /proc")
    use = disks.measure("/proc")
    assert state(use.used) is state(use.total) is CellState.ERROR


def test_places_on_one_file_system_share_a_row(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    looked = [disks.Disk(str(tmp_path), "system"), disks.Disk(str(tmp_path / "a"), "cache"), disks.Disk("/x\0y", "odd")]
    for disk in looked:
        disk.use.take()
    first, odd = disks.rows(looked, NOW)
    assert (first.path, first.what) == (str(tmp_path), "system, cache")
    assert isinstance(first.used_bytes, int)
    assert state(odd.used_bytes) is CellState.ERROR


def test_a_disk_that_was_not_looked_at_yet_says_so() -> None:
    (row,) = disks.rows([disks.Disk("/", "system")], NOW)
    assert row.used_bytes is row.total_bytes is UNREAD


# --- network --------------------------------------------------------------------------------------------------------

HEAD = "Inter-|   Receive |  Transmit\n face |bytes packets |bytes\n"


def interface(name: str, flags: str = "0x1003", real: bool = True, **files: str) -> dict[str, str]:
    at = f"sys/class/net/{name}"
    found = {f"{at}/flags": flags, f"{at}/operstate": "up\n", f"{at}/speed": "25000\n"}
    found.update({f"{at}/{file}": content for file, content in files.items()})
    return {**found, f"{at}/device/vendor": "0x15b3"} if real else found


def traffic(**counts: tuple[int, int]) -> dict[str, str]:
    lines = [f"{name:>6}: {rx} 1 0 0 0 0 0 0 {tx} 1 0 0 0 0 0 0\n" for name, (rx, tx) in counts.items()]
    return {"proc/net/dev": HEAD + "".join(lines)}


def test_cards_that_are_switched_on_are_shown_with_their_traffic(
    tmp_path: Path, clock: Callable[[float], None]
) -> None:
    tree = {
        **interface("eth0"),
        **interface("eth1", operstate="down\n", speed="-1\n"),
        **interface("eth2", flags="0x1002"),
        **interface("lo", flags="0x9"),
        **interface("veth1234", real=False),
        **interface("bond0", real=False, **{"bonding/mode": "802.3ad"}),
        **traffic(lo=(9, 9), eth0=(1000, 500), eth1=(0, 0)),
    }
    net = network.Network(roots(tmp_path, tree))
    net.links.take()
    net.traffic.take()
    assert {row.rx_bytes_per_s for row in net.rows(NOW)} == {UNREAD}
    clock(2.0)
    plant(tmp_path, traffic(lo=(99, 99), eth0=(5000, 400), eth1=(0, 0)))
    net.traffic.take()
    rows = {row.name: row for row in net.rows(NOW)}
    assert list(rows) == ["bond0", "eth0", "eth1"]
    assert (rows["eth0"].state, rows["eth0"].speed_mbits_per_s) == ("up", 25000)
    assert rows["eth0"].rx_bytes_per_s == 2000.0
    assert state(rows["eth0"].tx_bytes_per_s) is CellState.STALE, "a counter that ran backwards is no rate"
    assert rows["eth1"].state == "down"
    assert state(rows["eth1"].speed_mbits_per_s) is CellState.NOT_SUPPORTED
    assert rows["eth1"].rx_bytes_per_s == 0.0
    assert rows["bond0"].rx_bytes_per_s is UNREAD


def test_in_a_container_the_virtual_interface_is_shown(tmp_path: Path) -> None:
    tree = {**interface("eth0", real=False), **interface("lo", flags="0x9"), **traffic(eth0=(1, 1))}
    net = network.Network(roots(tmp_path, tree))
    net.links.take()
    net.traffic.take()
    assert [row.name for row in net.rows(NOW)] == ["eth0"]


def test_links_that_give_no_answer_leave_the_traffic_shown(tmp_path: Path) -> None:
    net = network.Network(roots(tmp_path, {**interface("eth0"), **traffic(eth0=(1, 1), lo=(2, 2))}))
    net.traffic.take()
    net.links.began = NOW - 60
    (row,) = net.rows(NOW)
    assert row.name == "eth0"
    assert state(row.state) is state(row.speed_mbits_per_s) is CellState.HUNG
    assert isinstance(row.state, Absent)
    assert row.state.age_s == 60.0
    assert row.rx_bytes_per_s is UNREAD


def test_a_file_of_traffic_that_is_none_is_told(tmp_path: Path) -> None:
    net = network.Network(roots(tmp_path, {**interface("eth0"), "proc/net/dev": HEAD + "eth0: 1 2\n"}))
    net.links.take()
    net.traffic.take()
    (row,) = net.rows(NOW)
    assert row.state == "up"
    assert state(row.rx_bytes_per_s) is CellState.ERROR


def test_a_node_with_thousands_of_interfaces_shows_some(tmp_path: Path) -> None:
    names = [f"e{number}" for number in range(network.MAX_INTERFACES + 5)]
    net = network.Network(roots(tmp_path, {key: value for name in names for key, value in interface(name).items()}))
    net.links.take()
    assert len(net.rows(NOW)) == network.MAX_INTERFACES


# --- InfiniBand -----------------------------------------------------------------------------------------------------


def port_of(name: str, port: int = 1, files: Mapping[str, str] | None = None) -> dict[str, str]:
    at = f"sys/class/infiniband/{name}/ports/{port}"
    said = {
        "state": "4: ACTIVE\n", "phys_state": "5: LinkUp\n", "link_layer": "InfiniBand\n",
        "rate": "400 Gb/sec (4X NDR)\n", "counters/port_rcv_data": "1000\n", "counters/port_xmit_data": "2000\n",
        "counters/link_downed": "3\n", "counters/symbol_error": "0\n", **(files or {}),
    }  # fmt: skip
    return {f"{at}/{file}": content for file, content in said.items()}


def test_a_port_is_told_in_words_bytes_and_gigabits(tmp_path: Path, clock: Callable[[float], None]) -> None:
    card = ports.Card(roots(tmp_path, port_of("mlx5_0")), "mlx5_0")
    card.ports.take()
    clock(2.0)
    plant(tmp_path, port_of("mlx5_0", files={"counters/port_rcv_data": "1500\n", "counters/port_xmit_data": "100\n"}))
    card.ports.take()
    (port,) = card.rows(NOW)
    assert (port.device, port.port, port.state, port.physical_state) == ("mlx5_0", 1, "active", "linkup")
    assert (port.link_layer, port.rate_gbits_per_s, port.link_downed, port.symbol_errors) == ("InfiniBand", 400.0, 3, 0)
    assert port.rx_bytes_per_s == 1000.0, "the counter counts words of four bytes"
    assert state(port.tx_bytes_per_s) is CellState.STALE


def test_a_counter_that_is_full_is_not_a_rate_of_0(tmp_path: Path) -> None:
    card = ports.Card(roots(tmp_path, port_of("mlx4_0", files={"counters/port_rcv_data": f"{2**32 - 1}\n"})), "mlx4_0")
    card.ports.take()
    card.ports.take()
    assert state(card.rows(NOW)[0].rx_bytes_per_s) is CellState.ERROR


def test_a_card_of_amazon_counts_bytes_elsewhere(tmp_path: Path, clock: Callable[[float], None]) -> None:
    at = "sys/class/infiniband/rdmap0/ports/1"
    tree = {f"{at}/state": "4: ACTIVE\n", f"{at}/hw_counters/rx_bytes": "1000\n", f"{at}/hw_counters/tx_bytes": "0\n"}
    card = ports.Card(roots(tmp_path, tree), "rdmap0")
    card.ports.take()
    clock(1.0)
    plant(tmp_path, {f"{at}/hw_counters/rx_bytes": "3000\n"})
    card.ports.take()
    (port,) = card.rows(NOW)
    assert (port.rx_bytes_per_s, port.tx_bytes_per_s) == (2000.0, 0.0)
    for cell in (port.link_downed, port.symbol_errors, port.rate_gbits_per_s, port.link_layer):
        assert state(cell) is CellState.NOT_SUPPORTED


def test_a_rate_that_is_none_is_told(tmp_path: Path) -> None:
    card = ports.Card(roots(tmp_path, port_of("mlx5_0", files={"rate": "fast\n"})), "mlx5_0")
    card.ports.take()
    assert state(card.rows(NOW)[0].rate_gbits_per_s) is CellState.ERROR


def test_a_card_that_gives_no_answer_keeps_its_ports(tmp_path: Path) -> None:
    card = ports.Card(roots(tmp_path, {**port_of("mlx5_0"), **port_of("mlx5_0", 2)}), "mlx5_0")
    card.ports.began = NOW - 5
    assert [(row.port, state(row.state)) for row in card.rows(NOW)] == [(1, CellState.HUNG)]
    card.ports.take()
    card.ports.began = NOW - 5
    assert [(row.port, state(row.state)) for row in card.rows(NOW)] == [(1, CellState.HUNG), (2, CellState.HUNG)]


def test_cards_come_and_go(tmp_path: Path) -> None:
    errands = Errands()
    all_ports = ports.Ports(roots(tmp_path, port_of("mlx5_0")), errands)
    assert all_ports.rows(NOW) == ()
    all_ports.there.take()
    assert [row.state for row in all_ports.rows(NOW)] == [UNREAD]
    assert errands.wait(10)
    assert [row.state for row in all_ports.rows(NOW)] == ["active"]
    plant(tmp_path, port_of("mlx5_1"))
    (tmp_path / "sys/class/infiniband/mlx5_0").rename(tmp_path / "gone")
    all_ports.there.take()
    assert [row.device for row in all_ports.rows(NOW)] == ["mlx5_1"]
    assert errands.wait(10)
    assert [row.state for row in all_ports.rows(NOW)] == ["active"]
