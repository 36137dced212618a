"""Rules of accel.backends: every accelerator that is here answers, or the one thing that it lacks is named."""

from __future__ import annotations

from ...model import Readings, Severity, Verdict
from ..reading import facts, is_true, line, raised, text
from ..rules import Positive, Rule

_ALL = ("accel.backends",)

PLUGINS: dict[str, tuple[str, str, str]] = {
    "ascend": ("npu", "torch_npu", "torch-npu of the same version as torch"),
    "cambricon": ("mlu", "torch_mlu", "torch_mlu of the vendor's SDK, made for this torch"),
    "moore-threads": ("musa", "torch_musa", "torch_musa, which brings a torch of its own"),
    "kunlun": ("xpu", "torch_xmlir", "torch_xmlir of the vendor's image, made for one version of torch"),
    "gaudi": ("hpu", "habana_frameworks.torch", "habana-torch-plugin with Gaudi's own torch"),
}
"""By vendor of a device file: the device type, the module that brings it, and what to install.

NVIDIA's, AMD's and Intel's devices need no plug-in but another build of torch: env.wheel says so.
"""


def _answers(readings: Readings) -> dict[str, str]:
    return {f.name.partition(".")[2]: str(f.value) for f in facts(readings, "answer.")}


def _no_plugin(readings: Readings) -> str | None:
    for vendor, (device, module, install) in PLUGINS.items():
        node = readings.fact(f"node.{vendor}")
        if node is None or not node.value or _brings(readings, module):
            continue
        return line(f"{node.evidence} is here and no plug-in for {device}: install {install}")
    return None


def _brings(readings: Readings, module: str) -> bool:
    root = module.split(".", maxsplit=1)[0]
    return any(str(f.value).startswith(root) for f in facts(readings, "plugin."))


def _not_loaded(readings: Readings) -> str | None:
    whole = raised(readings, "accel.import")
    if whole is not None:
        return line(f"import torch raised {whole}")
    told = [f.name for f in facts(readings, "load.") if not f.name.endswith(".message")]
    return line("; ".join(f"{name.partition('.')[2]}: {raised(readings, name)}" for name in told)) if told else None


def _sees_nothing(readings: Readings) -> str | None:
    for vendor, (device, module, _) in PLUGINS.items():
        node = readings.fact(f"node.{vendor}")
        loaded = is_true(readings, f"loaded.{module}") is not None and raised(readings, f"load.{module}") is None
        if node is None or not node.value or not loaded or any(n.startswith(device) for n in _answers(readings)):
            continue
        return line(
            f"{node.evidence} is here, {module} loads, and counts no device: {raised(readings, f'count.{device}')}"
        )
    return None


def _no_answer(readings: Readings) -> str | None:
    wrong = [f for f in facts(readings, "answer.") if f.value in ("wrong", "raised")]
    return line("; ".join(f"{f.name.partition('.')[2]}: {f.value}, {f.evidence}" for f in wrong)) if wrong else None


def _not_by_itself(readings: Readings) -> str | None:
    """A program that says only `import torch` does not get the device."""
    named = [f for f in facts(readings, "plugin.") if f.evidence.startswith("an entry point")]
    autoload = readings.fact("autoload")
    off = autoload is not None and autoload.value is False
    left = [str(f.value) for f in named if is_true(readings, f"loaded.{str(f.value).partition(':')[0]}") is False]
    if not left:
        return None
    why = autoload.evidence if off and autoload is not None else f"torch {text(readings, 'torch.version')}"
    return line(f"{', '.join(left)}: not loaded by `import torch` ({why})")


RULES: tuple[Rule, ...] = (
    Rule("TD-ACC-003", _ALL, Verdict.FAIL, Severity.CRITICAL, _not_loaded, ("TD-ACC-001", "TD-ACC-004", "TD-ACC-005")),
    Rule("TD-ACC-002", _ALL, Verdict.FAIL, Severity.CRITICAL, _no_answer),
    Rule("TD-ACC-001", _ALL, Verdict.DEGRADED, Severity.WARNING, _no_plugin, ("TD-ACC-005",)),
    Rule("TD-ACC-005", _ALL, Verdict.DEGRADED, Severity.WARNING, _sees_nothing),
    Rule("TD-ACC-004", _ALL, None, Severity.INFO, _not_by_itself),
)


def _answered(readings: Readings) -> str | None:
    answers = _answers(readings)
    if not answers or any(value != "right" for value in answers.values()):
        return None
    current = text(readings, "accelerator")
    return f"{', '.join(answers)}: a kernel's answer is right" + (
        f"; torch.accelerator is {current}" if current else ""
    )


POSITIVE: Positive = {"accel.backends": _answered}
