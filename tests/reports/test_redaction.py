"""No secret, name or address survives redaction in any text of a report; what a comparison needs does."""

from __future__ import annotations

import msgspec
from report_material import report, result

from torchprobes.model import Verdict
from torchprobes.reports.redaction import Level, Redactor

NOBODY: dict[str, str] = {}
"""The environment of nobody: what is masked is what the report gives away."""


def test_hosts_and_homes_stand_for_themselves_no_more() -> None:
    secret = result(reason="node7: /home/alice/x.py, HF_TOKEN=hunter2 at 10.1.2.3", verdict=Verdict.FAIL)
    said = Redactor(Level.PUBLIC, NOBODY).report(report((secret,)))
    assert said.machine.host == "host-1"
    assert said.results[0].reason == "host-1: ~/path-1.py, HF_TOKEN=*** at ip-1"
    inside = Redactor(Level.INTERNAL, NOBODY).report(report((secret,)))
    assert inside.results[0].reason == "node7: /home/alice/x.py, HF_TOKEN=*** at 10.1.2.3"
    assert msgspec.json.encode(Redactor(Level.NONE).report(report((secret,)))) == msgspec.json.encode(report((secret,)))
