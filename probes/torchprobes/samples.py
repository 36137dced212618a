"""Telemetry as types: what the sampler child says on its pipe, what a recording holds, what the health rules read.

Keys that carry a quantity carry its unit in their name. Cells are read in lanes (`LANES`), each at a pace of its own;
a GPU says how old each is. Counters are the driver's: "volatile" ones since it was loaded, "aggregate" ones over the
life of the part, all others since boot or reset; what came since we began is up to `telemetry.past`.
"""

from __future__ import annotations

from typing import Final

import msgspec

from .cells import UNREAD, Cell
from .model import Frozen


class LinkSample(Frozen, frozen=True, kw_only=True):
    """One NVLink of a GPU. `state` is 1 for active; `remote` is the bus id of the other end, or its kind."""

    link: int
    state: Cell = UNREAD
    version: Cell = UNREAD
    remote: Cell = UNREAD
    crc_errors: Cell = UNREAD
    replay_errors: Cell = UNREAD
    recovery_errors: Cell = UNREAD


class MigSample(Frozen, frozen=True, kw_only=True):
    """One MIG device: a part of a GPU with memory of its own. `name` holds its profile, such as `1g.10gb`."""

    index: int
    uuid: str
    gpu_instance: Cell = UNREAD
    compute_instance: Cell = UNREAD
    name: Cell = UNREAD
    memory_used_bytes: Cell = UNREAD
    memory_total_bytes: Cell = UNREAD


class GpuSample(Frozen, frozen=True, kw_only=True):
    """One reading of one GPU. Identity is `uuid` with `bus_id` beside it; `index` is the driver's own.

    `state` is ok · starting · hung · lost · reset. `age_s` is the age of the fast lane, `ages_s` of the others by
    the name of their lane. `vendor` is nvidia, amd or intel. `cost_ms` is what its last tick's calls took.
    """

    index: int
    uuid: str
    bus_id: str
    vendor: str = "nvidia"
    state: str = "ok"
    age_s: float = 0.0
    ages_s: dict[str, float] = msgspec.field(default_factory=dict)
    cost_ms: float = 0.0

    # fast: every tick
    utilization_percent: Cell = UNREAD
    memory_utilization_percent: Cell = UNREAD
    memory_used_bytes: Cell = UNREAD
    memory_total_bytes: Cell = UNREAD
    power_w: Cell = UNREAD
    temperature_c: Cell = UNREAD
    memory_temperature_c: Cell = UNREAD
    sm_clock_mhz: Cell = UNREAD
    throttle_reasons: Cell = UNREAD
    recovery_action: Cell = UNREAD

    # counters: what rates and shares are made of
    memory_clock_mhz: Cell = UNREAD
    performance_state: Cell = UNREAD
    power_limit_w: Cell = UNREAD
    power_capped_percent_1m: Cell = UNREAD
    thermal_percent_1m: Cell = UNREAD
    brake_percent_1m: Cell = UNREAD
    pcie_generation: Cell = UNREAD
    pcie_width: Cell = UNREAD
    pcie_replays: Cell = UNREAD
    pcie_rx_bytes_per_s: Cell = UNREAD
    pcie_tx_bytes_per_s: Cell = UNREAD
    nvlink_rx_bytes_per_s: Cell = UNREAD
    nvlink_tx_bytes_per_s: Cell = UNREAD
    encoder_percent: Cell = UNREAD
    decoder_percent: Cell = UNREAD
    fan_percent: Cell = UNREAD

    # health: what tells a sick part
    energy_j: Cell = UNREAD
    temperature_margin_c: Cell = UNREAD
    ecc_mode: Cell = UNREAD
    ecc_pending: Cell = UNREAD
    ecc_corrected_volatile: Cell = UNREAD
    ecc_corrected_aggregate: Cell = UNREAD
    ecc_uncorrected_volatile: Cell = UNREAD
    ecc_uncorrected_aggregate: Cell = UNREAD
    dram_corrected_volatile: Cell = UNREAD
    dram_corrected_aggregate: Cell = UNREAD
    dram_uncorrected_volatile: Cell = UNREAD
    dram_uncorrected_aggregate: Cell = UNREAD
    sram_corrected_volatile: Cell = UNREAD
    sram_corrected_aggregate: Cell = UNREAD
    sram_uncorrected_volatile: Cell = UNREAD
    sram_uncorrected_aggregate: Cell = UNREAD
    sram_threshold_exceeded: Cell = UNREAD
    remapped_correctable_rows: Cell = UNREAD
    remapped_uncorrectable_rows: Cell = UNREAD
    remap_pending: Cell = UNREAD
    remap_failure: Cell = UNREAD
    remap_banks_max: Cell = UNREAD
    remap_banks_high: Cell = UNREAD
    remap_banks_partial: Cell = UNREAD
    remap_banks_low: Cell = UNREAD
    remap_banks_none: Cell = UNREAD
    retired_single_bit_pages: Cell = UNREAD
    retired_double_bit_pages: Cell = UNREAD
    retired_pending: Cell = UNREAD
    unrepairable_memory: Cell = UNREAD
    repair_pending: Cell = UNREAD
    reset_status: Cell = UNREAD
    drain_and_reset_status: Cell = UNREAD
    pcie_correctable_errors: Cell = UNREAD
    pcie_nonfatal_errors: Cell = UNREAD
    pcie_fatal_errors: Cell = UNREAD
    pcie_naks_received: Cell = UNREAD
    pcie_naks_sent: Cell = UNREAD
    pcie_receiver_errors: Cell = UNREAD
    pcie_bad_tlps: Cell = UNREAD
    pcie_bad_dllps: Cell = UNREAD
    pcie_lcrc_errors: Cell = UNREAD
    pcie_lane_errors: Cell = UNREAD
    aer_correctable: Cell = UNREAD
    aer_nonfatal: Cell = UNREAD
    aer_fatal: Cell = UNREAD
    persistence_mode: Cell = UNREAD
    compute_mode: Cell = UNREAD
    mig_mode: Cell = UNREAD
    fabric_state: Cell = UNREAD
    fabric_status: Cell = UNREAD
    fabric_health_mask: Cell = UNREAD
    fabric_clique: Cell = UNREAD
    nvlinks: Cell = UNREAD
    nvlinks_active: Cell = UNREAD
    nvlink_speed_mbytes_per_s: Cell = UNREAD
    nvlink_crc_errors: Cell = UNREAD
    nvlink_replay_errors: Cell = UNREAD
    nvlink_recovery_errors: Cell = UNREAD
    nvlink_receive_errors: Cell = UNREAD
    nvlink_failed_recoveries: Cell = UNREAD
    application_sm_clock_mhz: Cell = UNREAD
    application_memory_clock_mhz: Cell = UNREAD
    bar1_used_bytes: Cell = UNREAD
    links: tuple[LinkSample, ...] = ()
    migs: tuple[MigSample, ...] = ()

    # static: asked once
    name: Cell = UNREAD
    serial: Cell = UNREAD
    board_part_number: Cell = UNREAD
    compute_capability: Cell = UNREAD
    vbios: Cell = UNREAD
    inforom: Cell = UNREAD
    inforom_valid: Cell = UNREAD
    gsp_mode: Cell = UNREAD
    gsp_firmware: Cell = UNREAD
    numa_node: Cell = UNREAD
    cpu_affinity: Cell = UNREAD
    minor_number: Cell = UNREAD
    power_default_limit_w: Cell = UNREAD
    power_max_limit_w: Cell = UNREAD
    power_min_limit_w: Cell = UNREAD
    sm_clock_max_mhz: Cell = UNREAD
    memory_clock_max_mhz: Cell = UNREAD
    temperature_slowdown_c: Cell = UNREAD
    temperature_shutdown_c: Cell = UNREAD
    temperature_max_c: Cell = UNREAD
    memory_temperature_max_c: Cell = UNREAD
    pcie_generation_max: Cell = UNREAD
    pcie_width_max: Cell = UNREAD
    bar1_total_bytes: Cell = UNREAD


def _lanes() -> dict[str, str]:
    """Cell -> lane, by where `GpuSample` lists it: each lane begins with the cell named here."""
    first = {"utilization_percent": "fast", "memory_clock_mhz": "counters", "energy_j": "health", "name": "static"}
    lanes, lane = {}, ""
    for name in GpuSample.__struct_fields__:
        lanes[name] = lane = first.get(name, lane)
    return {name: lane for name, lane in lanes.items() if lane}


LANES: Final = _lanes()
"""Cell of a GPU -> the lane in which it is read: fast, counters, health or static."""


class ProcessSample(Frozen, frozen=True, kw_only=True):
    """One process that holds a GPU. A pid of another namespace is shown, never dropped.

    `kind` is compute, graphics or mps as the driver lists it, or `holder`: it has the GPU's device file open and the
    driver could not be asked. `job` names the Slurm job.step or the pod, `container` the container's id. `started`
    is the kernel's start time in clock ticks after boot, without which a pid means nothing. `command` holds no secret.
    """

    pid: int
    gpu_uuid: str
    gpu_memory_bytes: Cell = UNREAD
    kind: str = "compute"
    user: Cell = UNREAD
    command: Cell = UNREAD
    sm_percent: Cell = UNREAD
    cpu_percent: Cell = UNREAD
    host_memory_bytes: Cell = UNREAD
    container: Cell = UNREAD
    job: Cell = UNREAD
    state: Cell = UNREAD
    parent: Cell = UNREAD
    started: Cell = UNREAD
    gpu_instance: Cell = UNREAD


class KernelEvent(Frozen, frozen=True, kw_only=True):
    """Something that happened once and is never thinned out: an XID, an OOM kill, a process that left a GPU.

    `kind` is xid · sxid · off-bus · aer · oom · hung-task · lockup · segfault · link · exit. `source` is nvml (live),
    kmsg or journal (the kernel's log of this boot) or sampler. `code` is the XID or SXID. `job` says whose it was, as
    far as the process was known. `text` is the line itself. `boot_us` is the kernel's own stamp of a line of its log,
    microseconds after boot: a sampler that was started anew tells the same line again, and is known by it.
    """

    t_ns: int
    kind: str
    source: str
    boot_us: int | None = None
    code: int | None = None
    bus_id: str = ""
    gpu_uuid: str = ""
    pid: int | None = None
    process: str = ""
    job: str = ""
    text: str = ""


class DiskSample(Frozen, frozen=True, kw_only=True):
    """One file system that matters to a job: `what` says why it is looked at, all reasons if there are several.

    `total_bytes` is what is used and what an ordinary user may still use, without the part kept for root.
    """

    path: str
    what: str = ""
    used_bytes: Cell = UNREAD
    total_bytes: Cell = UNREAD


class NetworkSample(Frozen, frozen=True, kw_only=True):
    """One network interface that is switched on; `state` is the kernel's operstate: up, or down without a carrier."""

    name: str
    state: Cell = UNREAD
    speed_mbits_per_s: Cell = UNREAD
    rx_bytes_per_s: Cell = UNREAD
    tx_bytes_per_s: Cell = UNREAD


class PortSample(Frozen, frozen=True, kw_only=True):
    """One InfiniBand or RoCE port."""

    device: str
    port: int
    state: Cell = UNREAD
    physical_state: Cell = UNREAD
    link_layer: Cell = UNREAD
    rate_gbits_per_s: Cell = UNREAD
    rx_bytes_per_s: Cell = UNREAD
    tx_bytes_per_s: Cell = UNREAD
    link_downed: Cell = UNREAD
    symbol_errors: Cell = UNREAD


class GroupSample(Frozen, frozen=True, kw_only=True):
    """The cgroup of a job on a GPU: what limits it, and how much of the last interval it was held back.

    `cpu_limit_cores` and `memory_limit_bytes` are absent (`n/s`) where there is no limit. A limit may sit on any group
    above; memory is that of the group whose limit is nearest. Throttled is the share of scheduling periods in which
    the quota ran out. `oom_kills` counts over the life of the group.
    """

    path: str
    job: str = ""
    cpu_limit_cores: Cell = UNREAD
    cpu_throttled_percent: Cell = UNREAD
    cpu_pressure_percent: Cell = UNREAD
    memory_used_bytes: Cell = UNREAD
    memory_limit_bytes: Cell = UNREAD
    oom_kills: Cell = UNREAD


class HostSample(Frozen, frozen=True, kw_only=True):
    """One reading of the host. Pressures are the share of the last 10 s in which some (full: all) tasks waited.

    `cores` is how many cores this process may use, and `cpu_percent` is of those; `cpu_affinity_cores` lists them
    ("0-31,64-95"). `oom_kills` counts since boot. Limits are the soft ones of this process, "unlimited" if there is
    none; `tasks` are threads, of the whole machine. `zombies` are processes in state Z at the last look, which is
    taken every 30 s or less often, `uninterruptible` those in state D at the last two. `cpu_governor` names each
    governor in use.

    `denied_modules` are loaded drivers beside which NVIDIA's does not work, "" if none. `peermem_loaded`,
    `fabric_manager` and `persistence_daemon` are 1 or 0; where a pid namespace hides the host's daemons they are
    absent, never 0. `iommu` is off, passthrough or translating. `environment_faults` are names of variables that are
    set and slow programs down, "" if none; `visible_devices` is CUDA_VISIBLE_DEVICES, or "not set".
    """

    host: str
    cores: int
    cpu_percent: Cell = UNREAD
    load_1m: Cell = UNREAD
    memory_used_bytes: Cell = UNREAD
    memory_total_bytes: Cell = UNREAD
    swap_used_bytes: Cell = UNREAD
    swap_total_bytes: Cell = UNREAD
    shm_used_bytes: Cell = UNREAD
    shm_total_bytes: Cell = UNREAD
    uptime_s: Cell = UNREAD
    cpu_pressure_percent: Cell = UNREAD
    memory_pressure_percent: Cell = UNREAD
    memory_full_pressure_percent: Cell = UNREAD
    io_pressure_percent: Cell = UNREAD
    io_full_pressure_percent: Cell = UNREAD
    oom_kills: Cell = UNREAD
    memlock_limit_bytes: Cell = UNREAD
    open_files_limit: Cell = UNREAD
    processes_limit: Cell = UNREAD
    files_open: Cell = UNREAD
    files_max: Cell = UNREAD
    tasks: Cell = UNREAD
    tasks_max: Cell = UNREAD
    zombies: Cell = UNREAD
    uninterruptible: Cell = UNREAD
    cpu_governor: Cell = UNREAD
    clocksource: Cell = UNREAD
    cpu_affinity_cores: Cell = UNREAD
    denied_modules: Cell = UNREAD
    peermem_loaded: Cell = UNREAD
    nvswitches: Cell = UNREAD
    fabric_manager: Cell = UNREAD
    persistence_daemon: Cell = UNREAD
    iommu: Cell = UNREAD
    environment_faults: Cell = UNREAD
    visible_devices: Cell = UNREAD
    disks: tuple[DiskSample, ...] = ()
    network: tuple[NetworkSample, ...] = ()
    ports: tuple[PortSample, ...] = ()
    groups: tuple[GroupSample, ...] = ()


class Accelerator(Frozen, frozen=True, kw_only=True):
    """A device that no library here reads, named from its device files: `node` is one of them, `count` how many."""

    vendor: str
    what: str
    node: str
    count: int


class Sample(Frozen, frozen=True, kw_only=True):
    """One reading of the whole telemetry at one instant: a JSON line on the sampler's pipe.

    `driver_state` is "ok", or in words why there is no GPU to read ("no NVIDIA GPU on this machine"). `hardware`
    is how many NVIDIA GPUs the PCI bus and the device files show to us, whatever the driver says. `cost_ms` is what
    the driver's calls of one tick took, `self_percent` the child's own share of one core, `backed_off` whether it
    samples less often than asked because the driver is slow. `kernel_log` is the source of kernel events, or why
    there is none; `live_xids` is the same of the XIDs that the driver tells as they happen. `device_holders` is how
    many processes have a GPU's device file open, looked at only while a GPU gives no answer (then processes of kind
    `holder`), or why not all could be seen. `events` are those since the last sample; the first sample brings those
    since boot. `topology` is a square matrix over `gpus` (X, NV18, PIX, PXB, PHB, NODE, SYS), () until it is known.
    `peers` is one of whether a GPU may read the other's memory: X, yes, or no with the reason; ? in either is unknown.
    """

    t_ns: int
    m_ns: int
    driver: Cell
    cuda: Cell
    driver_state: str
    gpus: tuple[GpuSample, ...]
    processes: tuple[ProcessSample, ...]
    host: HostSample
    hardware: int = 0
    kernel_module: Cell = UNREAD
    device_nodes: Cell = UNREAD
    device_holders: Cell = UNREAD
    kernel_log: Cell = UNREAD
    live_xids: Cell = UNREAD
    events: tuple[KernelEvent, ...] = ()
    topology: tuple[tuple[str, ...], ...] = ()
    peers: tuple[tuple[str, ...], ...] = ()
    accelerators: tuple[Accelerator, ...] = ()
    cost_ms: float = 0.0
    self_percent: Cell = UNREAD
    backed_off: bool = False
