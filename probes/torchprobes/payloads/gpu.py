"""What a GPU says of itself: its name and properties by PyTorch, and its clocks and limits by NVML while it works.

Runs inside the target: standard library and torch, parses on Python 3.8. The bootstrap loads this file under the name
`torchdoctor_gpu`. NVML is asked through ctypes, read only: the target needs no pynvml. What does not answer is not
told: an absent reading is never 0.
"""

import ctypes

import torchdoctor_kit as kit

_REASONS = (
    (0x4, "software power cap"),
    (0x8, "hardware slowdown"),
    (0x20, "software thermal slowdown"),
    (0x40, "hardware thermal slowdown"),
    (0x80, "hardware power brake"),
    (0x2, "clocks set by an application"),
)
"""nvml.h, nvmlClocksEventReason*: what holds a clock below its maximum; idle and sync boost are no such thing."""

_NUMBERS = (
    ("sm_clock", "MHz", "nvmlDeviceGetClockInfo", (1,), 1.0),
    ("sm_clock_max", "MHz", "nvmlDeviceGetMaxClockInfo", (1,), 1.0),
    ("memory_clock", "MHz", "nvmlDeviceGetClockInfo", (2,), 1.0),
    ("temperature", "C", "nvmlDeviceGetTemperature", (0,), 1.0),
    ("power", "W", "nvmlDeviceGetPowerUsage", (), 1e-3),
    ("power_limit", "W", "nvmlDeviceGetEnforcedPowerLimit", (), 1e-3),
    ("power_limit_default", "W", "nvmlDeviceGetPowerManagementDefaultLimit", (), 1e-3),
    ("pcie_generation", "generation", "nvmlDeviceGetCurrPcieLinkGeneration", (), 1.0),
    ("pcie_width", "lanes", "nvmlDeviceGetCurrPcieLinkWidth", (), 1.0),
    ("pcie_generation_max", "generation", "nvmlDeviceGetMaxPcieLinkGeneration", (), 1.0),
    ("pcie_width_max", "lanes", "nvmlDeviceGetMaxPcieLinkWidth", (), 1.0),
)
"""Figure, unit, the call that tells it, what it takes between handle and answer, and the factor to the unit."""


_MOST_LINKS = 18
"""nvml.h, NVML_NVLINK_MAX_LINKS."""


def tell_device(torch, where):
    """Facts and figures of the device itself: what the expectations of its speed are looked up by."""
    if where.type != "cuda":
        return
    properties = torch.cuda.get_device_properties(where)
    kit.fact("gpu.name", properties.name, "torch.cuda.get_device_properties")
    kit.fact("gpu.capability", "%d.%d" % (properties.major, properties.minor))
    kit.fact("gpu.hip", bool(torch.version.hip))
    kit.figure("gpu_memory", properties.total_memory, "B")
    rate, width = (getattr(properties, name, None) for name in ("memory_clock_rate", "memory_bus_width"))
    if rate and width:  # kHz and bits, 2.13 and later; double data rate
        kit.figure("memory_peak_told", rate * 1e3 * width / 8 * 2, "B/s", by="memory clock x bus width x 2")


class Nvml:
    """NVML's view of one CUDA device, found by its PCI address; without NVML it tells why, and nothing else."""

    def __init__(self, where):
        self.bus, self.absent = bus_id(where.index or 0) if where.type == "cuda" else None, ""
        self._handle = ctypes.c_void_p()
        try:
            if self.bus is None:
                raise OSError("the PCI address of %s is not known" % where)
            self._library = ctypes.CDLL("libnvidia-ml.so.1")
            _checked(self._library, "nvmlInit_v2")
            _checked(self._library, "nvmlDeviceGetHandleByPciBusId_v2", self.bus.encode(), ctypes.byref(self._handle))
        except (OSError, AttributeError) as error:
            self._library, self.absent = None, str(error)

    def tell(self, when):
        """Figures and facts of now; `when` says at which moment of the probe that is."""
        if self._library is None:
            kit.fact("nvml", None, self.absent)
            return
        for name, unit, call, extra, factor in _NUMBERS:
            value = self._number(call, *extra)
            if value is not None:
                kit.figure(name, value * factor, unit, when=when)
        mask = self._number("nvmlDeviceGetCurrentClocksThrottleReasons", kind=ctypes.c_ulonglong)
        if mask is not None:
            reasons = [text for bit, text in _REASONS if mask & bit]
            kit.fact(
                "clocks.held.%s" % when, ", ".join(reasons), "nvmlDeviceGetCurrentClocksThrottleReasons 0x%x" % mask
            )

    def nvlinks(self):
        """How many NVLinks of the device are up; None if that cannot be told."""
        states = (
            [self._number("nvmlDeviceGetNvLinkState", link) for link in range(_MOST_LINKS)] if self._library else []
        )
        known = [state for state in states if state is not None]
        return sum(known) if known else None

    def _number(self, call, *extra, kind=ctypes.c_uint):
        value = kind()
        try:
            _checked(self._library, call, self._handle, *extra, ctypes.byref(value))
        except (OSError, AttributeError):
            return None
        return value.value


def tell_pcie(bus, when):
    """Facts of the PCIe link as the kernel reads it now: GT/s and lanes, what it runs at and what the device can do."""
    for name in ("current_link_speed", "current_link_width", "max_link_speed", "max_link_width"):
        path = "/sys/bus/pci/devices/%s/%s" % (bus, name)
        try:
            with open(path, encoding="ascii", errors="replace") as file:
                kit.fact("pcie.%s" % name, file.read(100).strip(), "%s, %s" % (path, when))
        except OSError as error:
            kit.fact("pcie.%s" % name, None, str(error))


def bus_id(ordinal):
    """The PCI address of a CUDA ordinal as the kernel writes it (`0000:17:00.0`), or None where CUDA has none."""
    text = ctypes.create_string_buffer(32)
    device = ctypes.c_int()
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
        _checked(cuda, "cuInit", 0)
        _checked(cuda, "cuDeviceGet", ctypes.byref(device), ordinal)
        _checked(cuda, "cuDeviceGetPCIBusId", text, len(text), device)
    except (OSError, AttributeError):
        return None
    return text.value.decode("ascii", "replace").lower() or None


def _checked(library, name, *arguments):
    code = getattr(library, name)(*arguments)
    if code != 0:
        raise OSError("%s: error %d" % (name, code))
