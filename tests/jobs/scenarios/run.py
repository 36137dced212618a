"""Run fault scenarios through the public command and see who is named, for what, and how soon.

`PYTHONPATH=tui:probes python tests/jobs/scenarios/run.py --trials 20 [--only NAME …] [--held-out] [--healthy] [--deaf]
[--press] [--parallel 2] [--json FILE]`
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from scenario_table import Healthy, Trial, healthy_table, table
from scenario_trials import FAULTS, HELD_OUT, healthy, healthy_names, trial


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--only", nargs="*", default=[], metavar="NAME")
    parser.add_argument("--held-out", action="store_true", help="the four faults on which nothing was tuned")
    parser.add_argument("--healthy", action="store_true", help="the twenty sound jobs, once each")
    parser.add_argument("--pause-s", type=float, default=60.0, help="how long a sound job pauses")
    parser.add_argument("--deaf", action="store_true", help="every rank ignores SIGTERM")
    parser.add_argument("--press", action="store_true", help="ask for a close look 2 s after a hang began")
    parser.add_argument("--parallel", type=int, default=1)
    parser.add_argument("--json", type=Path, default=None)
    parser.add_argument("--keep", type=Path, default=None, help="a folder in which every run stays")
    return parser.parse_args()


def main() -> int:
    """Run what is asked for; 0 if at least 95 % are right and none is sure and wrong."""
    asked = options()
    if asked.keep is not None:
        asked.keep.mkdir(parents=True, exist_ok=True)
    return _sound(asked) if asked.healthy else _faults(asked)


def _sound(asked: argparse.Namespace) -> int:
    def one(name: str) -> Healthy:
        row = healthy(name, asked.pause_s, asked.keep)
        _say(row.name, row.right, row.cause, row.seconds)
        return row

    with ThreadPoolExecutor(asked.parallel) as pool:
        rows = list(pool.map(one, asked.only or healthy_names()))
    return _finish(asked, rows, healthy_table(rows), all(row.right for row in rows))


def _faults(asked: argparse.Namespace) -> int:
    def one(work: tuple[str, int]) -> Trial:
        row = trial(*work, deaf=asked.deaf, press=asked.press, keep=asked.keep)
        _say(row.name, row.right or not row.counts, row.skip or row.cause, row.seconds)
        return row

    names = asked.only or list(HELD_OUT if asked.held_out else FAULTS)
    with ThreadPoolExecutor(asked.parallel) as pool:
        rows = list(pool.map(one, [(name, seed) for seed in range(asked.trials) for name in names]))
    rows.sort(key=lambda row: names.index(row.name))
    counted = [row for row in rows if row.counts]
    good = sum(row.right for row in counted) >= 0.95 * len(counted) and not any(row.wrong_sure for row in counted)
    return _finish(asked, rows, table(rows), good)


def _say(name: str, good: bool, what: str, seconds: float) -> None:
    words = "right" if good else "NOT RIGHT"
    print(f"{name}: {words} ({what or 'nothing told'}, {seconds:.1f} s)", file=sys.stderr, flush=True)


def _finish(asked: argparse.Namespace, rows: Sequence[Trial | Healthy], text: str, good: bool) -> int:
    print(text)
    if asked.json is not None:
        asked.json.write_text(json.dumps([dataclasses.asdict(row) for row in rows], indent=1))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
