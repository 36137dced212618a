"""The known good node that a check is judged against: read before anything runs, and kept in the run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import click

from torchdoctor.settings import Settings
from torchprobes import rundir
from torchprobes.model import Report, Verdict
from torchprobes.reports.read import read_file, read_run
from torchprobes.reports.text import plain
from torchprobes.rundir import RunDir, RunError

from ._output import note
from .runs import place_of


@dataclass(frozen=True, slots=True)
class KnownGood:
    """Its report, and where that was read."""

    report: Report
    where: str

    def keep(self, run: RunDir) -> None:
        """Keep it in the run.

        Raises:
            RunError: if it cannot be written; the run goes then.
        """
        from torchprobes.reports import baseline  # deferred: most checks have none

        try:
            baseline.keep(run.path, self.report)
        except OSError as error:
            raise RunError(f"the baseline cannot be kept in {run.path}: {error.strerror}") from None


def known_good(name: str, settings: Settings) -> KnownGood:
    """The report that `--baseline` names: a file, a run's folder, its name or title.

    Raises:
        RunError: if it cannot be read.
        click.UsageError: if there is nothing in it to judge against.
    """
    path = Path(name)
    if path.is_file():
        report, where = read_file(path), str(path.resolve())
    else:
        run = rundir.open_run(place_of(settings), name)
        report, where = read_run(run), str(run.path)
    if report.tier == "snapshot" or not report.results:
        raise click.UsageError(f"--baseline {plain(name)}: it has no probe's result; make one with `torchdoctor check`")
    if report.verdict in (Verdict.FAIL, Verdict.ERROR):
        note(f"torchdoctor: the baseline itself is {report.verdict.value}: what fails there is not missed here")
    return KnownGood(report, where)
