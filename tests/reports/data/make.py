"""Makes the reports beside it from reports of real runs: `make.py PLACES.json NAME=report.json …`, by hand.

What names a machine of ours in them (hosts, boot ids, UUIDs, folders) is replaced, and nothing else: every verdict,
figure, fact and time is the run's. PLACES.json is no part of this project, because it names them: a list of [regular
expression, what stands for it], folders and builds of the machine on which the reports were made.
NAME=report.json,PYTHON also takes the inventory of this machine and that target, for a report that was made here
without one. `more` makes `h200_more`: what `planted.two_gpus` adds.
"""

from __future__ import annotations

import importlib
import json
import lzma
import re
import sys
from pathlib import Path
from typing import Any

import msgspec

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parents[2] / "probes"), str(HERE.parents[1] / "judge")]

UNITS = {"busbw": "B/s", "init_ok": "communicators", "sums_checked": "sums", "pcie_generation": "generation"}
"""Units that the rules' readings leave out because no rule needs them; else the end of a name tells."""


def unnamed(text: str, host: str, places: list[tuple[str, str]]) -> str:
    """The text of a report without the names of our machines; its host becomes `host`."""
    for pattern, instead in places:
        text = re.sub(pattern, instead, text)
    text = re.sub(r'"host":\s*"vm"', f'"host":"{host}"', text)
    text = re.sub(r"(\d{8}T\d{6}Z)-vm-", rf"\1-{host}-", text)
    return re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "0b8f6a1c-2f5e-4d0a-9c3b-7e1d5a4f6b20", text)


def keep(name: str, data: bytes) -> None:
    """Write `data` as NAME.json.xz."""
    (HERE / f"{name}.json.xz").write_bytes(lzma.compress(data, preset=9 | lzma.PRESET_EXTREME))


def with_inventory(report: Any, python: str) -> Any:
    """The report as a JSON document, with what this machine and that target are made of now."""
    from torchprobes import environment, rundir
    from torchprobes.model import Report
    from torchprobes.target import find_targets

    read = rundir.decode(report, Report, "the report")
    found = environment.take_inventory(find_targets(python, None, 20.0).chosen, 20.0)
    parts = {kind: dict(values) for kind, values in found.parts.items()}
    parts.get("variable", {}).pop("PATH", None)  # the one that makes these files by hand, not the check's
    kernel = parts.get("kernel", {})  # how our machines are started names them
    parts["kernel"] = {name: value for name, value in kernel.items() if not name.startswith("cmdline")}
    inventory = msgspec.structs.replace(found, parts=parts)
    machine = msgspec.structs.replace(read.machine, inventory=inventory)
    return msgspec.json.encode(msgspec.structs.replace(read, machine=machine))


def recorded_inventory() -> Any:
    """Settings, driver and links of two real H100s: a sample of the demo's recording."""
    from torchprobes.environment import sampled
    from torchprobes.telemetry.recording.timeline import open_timeline

    demo = HERE.parents[2] / "tui" / "torchdoctor" / "data" / "demo.jsonl.gz"
    _, sample = next(iter(open_timeline(demo).samples(100, 101)))
    return sampled.inventory(sample)


def rows() -> list[Any]:
    """compute.p2p, compute.sdpa and their like, ddp.allreduce and cuda.libraries of two H200s, judged by the rules.

    The readings are those that the rules are tested with (tests/judge): measured on H200s, but not in one run.
    """
    sound, compute, cuda = (importlib.import_module(name) for name in ("sound", "compute_material", "cuda_sound"))
    wanted = {name: compute.SOUND[f"compute.{name}"] for name in ("precision", "bandwidth", "p2p", "sdpa")}
    found = [_row(sound, f"compute.{name}", *material) for name, material in wanted.items()]
    found.append(_row(sound, "ddp.allreduce", sound.DDP, sound.DDP_FIGURES))
    found.append(_row(sound, "cuda.libraries", cuda.LIBRARIES, ()))
    return found


def _row(sound: Any, name: str, facts: Any, figures: Any) -> Any:
    from torchprobes.catalogue import PROBES
    from torchprobes.model import Result

    probe = next(probe for probe in PROBES if probe.name == name)
    readings = sound.readings(name, facts, tuple(_with_unit(figure) for figure in figures))
    said = sound.judged(readings)
    return Result(
        name=name, group=probe.group, tier=probe.tier, device="cuda:0", verdict=said.verdict, reason=said.reason,
        seconds=3.0, figures=readings.figures, facts=readings.facts, findings=said.findings, evidence=said.evidence,
        expectations=said.expectations,
    )  # fmt: skip


def _with_unit(figure: Any) -> Any:
    name = figure.name
    unit = figure.unit or UNITS.get(name) or next((u for u in ("us", "s") if name.endswith(f"_{u}")), "")
    return msgspec.structs.replace(figure, unit=unit)


def main(arguments: list[str]) -> None:
    """Make what is asked for."""
    places = json.loads(Path(arguments[0]).read_text())
    for argument in arguments[1:]:
        name, _, source = argument.partition("=")
        if name == "more":
            keep("h200_more", msgspec.json.encode({"results": rows(), "inventory": recorded_inventory()}))
            continue
        path, _, python = source.partition(",")
        raw = Path(path).read_bytes()
        text = (with_inventory(raw, python) if python else raw).decode()
        keep(name, unnamed(text, name.replace("_", "-"), places).encode())


if __name__ == "__main__":
    main(sys.argv[1:])
