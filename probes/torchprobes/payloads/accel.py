"""accel.backends: which accelerators can this PyTorch use, and does each give a right answer?

Plug-ins (the entry points `torch.backends` and the packages of vendors) are looked for in files before torch is
imported, because one that fails to load takes `import torch` with it. Standard library and torch 2.1 or later; parses
on Python 3.8.
"""

import importlib
import importlib.util
import os

import torchdoctor_kit as kit
import torchdoctor_measure as measure
import torchdoctor_wheel as wheel

PLUGINS = (
    ("torch_npu", "npu"),
    ("torch_mlu", "mlu"),
    ("torch_musa", "musa"),
    ("torch_xmlir", "xpu"),
    ("torch_gcu", "gcu"),
    ("torch_sdaa", "sdaa"),
    ("habana_frameworks.torch", "hpu"),
    ("intel_extension_for_pytorch", "xpu"),
    ("torch_directml", "privateuseone"),
)
"""Packages that bring a device, and its type: their own documentation, and accelerate's list of back ends."""

MOST_DEVICES = 8
_OFF = ("", "0", "false", "no", "off")


def run(request):
    """The probe."""
    plugins = tell_plugins()
    try:
        torch = kit.import_torch()
    except Exception as error:
        kit.started()
        kit.raised("accel.import", error)
        return
    kit.fact("torch.version", torch.__version__)
    tell_build(torch)
    vendors = tell_nodes()
    load_plugins(torch, plugins)
    tell_current(torch)
    found = devices(torch, request.device)
    for name in found:
        try_device(torch, name)
    kit.fact("accel.asked", len(found), " ".join(found) or "no accelerator that this PyTorch can use")
    if not found and not plugins and not vendors:
        raise kit.Skip("no accelerator here, and no plug-in for one: torch %s has the CPU alone" % torch.__version__)


def tell_nodes():
    """Facts of the device files of every vendor that is known; the number of vendors."""
    found = wheel.nodes()
    for vendor, files in found.items():
        kit.fact("node.%s" % vendor, len(files), " ".join(files[:16]))
    return len(found)


def tell_plugins():
    """{module: device type or ""} of what is installed: entry points first, then packages by name."""
    found = {}
    for name, value in entry_points():
        found[value.partition(":")[0]] = dict(PLUGINS).get(value.partition(":")[0].split(".")[0], "")
        kit.fact("plugin.%s" % name, value, "an entry point of torch.backends")
    for module, device in PLUGINS:
        if module not in found and _is_installed(module):
            found.setdefault(module, device)
            kit.fact("plugin.%s" % module, module, "a package that is installed")
    text = os.environ.get("TORCH_DEVICE_BACKEND_AUTOLOAD")
    if text is not None:
        kit.fact("autoload", text.strip().lower() not in _OFF, "TORCH_DEVICE_BACKEND_AUTOLOAD=%r" % text)
    return found


def entry_points():
    """(name, value) of the entry points that `import torch` loads from 2.5 on."""
    from importlib import metadata

    try:
        every = metadata.entry_points()
        chosen = every.select(group="torch.backends") if hasattr(every, "select") else every.get("torch.backends", ())
        return sorted({(point.name, point.value) for point in chosen})
    except Exception as error:
        kit.fact("plugins.unread", str(error)[:300], "importlib.metadata.entry_points()")
        return []


def _is_installed(module):
    try:
        return importlib.util.find_spec(module.split(".")[0]) is not None
    except (ImportError, ValueError):
        return False


def tell_build(torch):
    """What this build itself was made for."""
    for name in ("cuda", "hip", "xpu"):
        kit.fact("torch.build.%s" % name, getattr(torch.version, name, None), "torch.version.%s" % name)
    mps = getattr(torch.backends, "mps", None)
    kit.fact("torch.build.mps", bool(mps is not None and mps.is_built()), "torch.backends.mps.is_built()")


def load_plugins(torch, plugins):
    """Import what did not load by itself, as the user's program would; one that cannot be imported is told."""
    import sys

    for module in sorted(plugins):
        loaded = module in sys.modules
        kit.fact("loaded.%s" % module, loaded, "after `import torch`")
        if loaded:
            continue
        try:
            importlib.import_module(module)
        except Exception as error:
            kit.raised("load.%s" % module, error)


def tell_current(torch):
    """What PyTorch itself takes for the accelerator of this machine."""
    accelerator = getattr(torch, "accelerator", None)
    if accelerator is None:
        kit.fact("accelerator", None, "torch.accelerator is there from 2.6 on")
        return
    try:
        current = accelerator.current_accelerator() if accelerator.is_available() else None
        kit.fact("accelerator", str(current) if current is not None else None, "torch.accelerator")
    except Exception as error:
        kit.raised("accelerator", error)


def devices(torch, asked):
    """The devices to try. A CUDA device is used only if it was given to this probe: others may be in use."""
    names = [asked] if asked != "cpu" else []
    for kind in ("xpu", "mps", private_name(torch)):
        if kind and not any(name.split(":")[0] == kind for name in names):
            names += ["%s:%d" % (kind, index) for index in range(min(count(torch, kind), MOST_DEVICES))]
    return names


def private_name(torch):
    """The device type of the PrivateUse1 back end, "" if none has given it a name."""
    try:
        name = torch._C._get_privateuse1_backend_name()
    except Exception:
        return ""
    return name if hasattr(torch, name) else ""


def count(torch, kind):
    """How many devices of a type can be used: 0 where its module says that there are none, or says nothing."""
    if kind == "mps":
        mps = getattr(torch.backends, "mps", None)
        return int(mps is not None and mps.is_available())
    module = getattr(torch, kind, None)
    available = getattr(module, "is_available", None)
    if available is None:  # xpu is there from 2.3 on
        return 0
    try:
        return int(module.device_count()) if available() else 0
    except Exception as error:
        kit.raised("count.%s" % kind, error)
        return 0


def try_device(torch, name):
    """Numbers there, one kernel, numbers back: every one of them compared."""
    try:
        numbers = torch.arange(64, dtype=torch.float32)
        back = (numbers.to(name) * 2 + 1).to("cpu")
        wrong = int((back != numbers * 2 + 1).sum())
        kit.fact("answer.%s" % name, "right" if wrong == 0 else "wrong", "%d of 64 numbers differ" % wrong)
    except Exception as error:
        kit.fact("answer.%s" % name, "raised", measure.first_line(error))
        kit.raised("kernel.%s" % name, error)
