"""What stands in the way of a launch, looked at before it, in at most two seconds.

Each rule comes from a failure that was measured: a host name that resolves to a loopback keeps two nodes waiting for
60 s, an endpoint held by another program for as long as was watched.
"""

from __future__ import annotations

from collections.abc import Mapping

from ...model import Finding, Target
from ..launch_plan import LaunchOptions
from .intent import Intent
from .intent import read as read_intent
from .looks import Looks, look
from .rules import RULES, Rule, Situation, findings

__all__ = ["RULES", "Intent", "Looks", "Rule", "Situation", "findings", "preflight", "read_intent"]

DEADLINE_S = 2.0


def preflight(
    options: LaunchOptions,
    target: Target | None,
    environ: Mapping[str, str],
    gpus: int | None = None,
    deadline_s: float = DEADLINE_S,
) -> tuple[Finding, ...]:
    """What a launch would stumble over here, the gravest first; within `deadline_s`.

    `environ` is the one that the launch is made from. `gpus` is how many GPUs a sample has shown; without it the
    driver's own list counts. A look that gives no answer in time is a finding of its own, never silence.

    Raises:
        OptionError: one line: what of torchrun's options cannot be.
    """
    env = {**environ, **options.env}
    meant = read_intent(options, env, (target.torch or "") if target else "")
    looks = look(meant, deadline_s)
    count = visible_gpus(env, len(looks.gpus) if gpus is None and looks.gpus is not None else gpus)
    return findings(Situation(intent=meant, looks=looks, target=target, environ=env, gpus=count))


def visible_gpus(environ: Mapping[str, str], there: int | None) -> int | None:
    """How many of `there` GPUs CUDA_VISIBLE_DEVICES leaves: its list ends at the first entry that names none."""
    told = environ.get("CUDA_VISIBLE_DEVICES")
    if told is None or there is None:
        return there
    count = 0
    for entry in (part.strip() for part in told.split(",")):
        number = int(entry) if entry.isdigit() and len(entry) < 6 else None
        if not entry or entry.startswith("-") or (number is not None and number >= there):
            break
        count += 1
    return count if any(part.startswith("MIG-") for part in told.split(",")) else min(count, there)
