"""What the files of a run and of a torch_compile_debug tree are, in words: a table, first match holds."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """One sort of file."""

    name: str
    what: str
    """One line for the person, without a full stop."""
    language: str = "text"
    """"log", "python", "ir", "json" or "text": how lines are coloured."""
    grows: bool = False
    """Whether it is appended to while the run lives; the others are written once."""
    order: int = 50
    """Place among its neighbours: what is read first comes first."""


OTHER = Kind("file", "a file")

KINDS: tuple[tuple[str, Kind], ...] = (
    (r"stderr(\.log)?", Kind("stderr", "warnings, errors and what TORCH_LOGS told", "log", True, 1)),
    (r"stdout(\.log)?", Kind("stdout", "what the program printed", "log", True, 2)),
    (r"dedicated_log_torch_trace_.*\.log", Kind("trace", "every compile event with its payload", "log", True, 3)),
    (r"debug\.log", Kind("dynamo log", "Dynamo's log; often empty", "log", True, 10)),
    (r"aot_.*_debug\.log", Kind("aot log", "AOTAutograd's log; often empty", "log", True, 40)),
    (r"output_code\.py", Kind("output_code", "kernels and wrapper that Inductor wrote", "python", order=20)),
    (r"fx_graph_readable\.py", Kind("fx readable", "the graph before Inductor's passes", "python", order=21)),
    (r"fx_graph_transformed\.py", Kind("fx transformed", "the graph after Inductor's passes", "python", order=22)),
    (r"fx_graph_runnable\.py", Kind("fx runnable", "the graph as a program: a reproducer", "python", order=23)),
    (r"ir_pre_fusion\.txt", Kind("ir before", "Inductor's operations before fusion", "ir", order=24)),
    (r"ir_post_fusion\.txt", Kind("ir after", "after fusion: what shares a kernel", "ir", order=25)),
    (r"inductor_provenance_.*\.json", Kind("provenance", "which graph node became which kernel", "json", order=26)),
    (r"autotuning_result_json_list\.txt", Kind("autotuning", "choices timed by max-autotune", "json", True, 27)),
    (r".*graph_diagram\.svg", Kind("diagram", "the graph drawn; open it in a browser", order=28)),
    (r"(minifier_launcher|repro)\.py", Kind("minifier", "a smaller program with the same failure", "python")),
    (r".*/events/[^/]*\.jsonl", Kind("events", "what the payload measured and saw", "json", True, 5)),
    (r"guardian\.jsonl", Kind("guardian", "processes, limits and the end, as guarded", "json", True, 6)),
    (r"supervisor\.jsonl|agent\.jsonl", Kind("supervisor", "what became of the job's ranks", "json", True, 6)),
    (r"request\.json", Kind("request", "what the probe was asked to do", "json", order=7)),
    (r"run\.json", Kind("run", "what this run is, and whose", "json", order=30)),
    (r"results\.jsonl", Kind("results", "one line for every finished probe", "json", True, 31)),
    (r"report\.json", Kind("report", "the whole report", "json", order=32)),
    (r"telemetry\.jsonl", Kind("telemetry", "samples of the GPUs during the run", "json", True, 33)),
    (r".*\.py", Kind("python", "a Python file", "python")),
    (r".*\.jsonl?", Kind("json", "JSON", "json")),
    (r".*\.(log|out|err)", Kind("log", "a log", "log", True)),
)

_RULES = tuple((re.compile(pattern), kind) for pattern, kind in KINDS)


def kind_of(relative: str) -> Kind:
    """The kind of a file by its path below the root: the last part must match a rule, or the whole path."""
    name = relative.rpartition("/")[2]
    for rule, kind in _RULES:
        if rule.fullmatch(name) or rule.fullmatch(f"/{relative}"):
            return kind
    return OTHER
