"""Make screenshots/*.svg and *.png from real runs: the real sampler, real probes on this machine, the real console.

    python screenshots/make.py

Nothing in them is drawn by hand. The target is $TORCHDOCTOR_PYTHON, else this environment, linked to below a
temporary folder, so that no path of the machine gets into a picture; the pictures are refused if one does.
"""

from __future__ import annotations

import asyncio
import lzma
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tui"), str(ROOT / "probes")]

from torchdoctor.app import TorchDoctor  # noqa: E402
from torchdoctor.commands.replay import DEMO  # noqa: E402
from torchdoctor.settings import Settings  # noqa: E402
from torchdoctor.terminal import Capabilities  # noqa: E402
from torchprobes.catalogue import select  # noqa: E402
from torchprobes.model import Report, Tier  # noqa: E402
from torchprobes.reports.comparison import compared, platforms  # noqa: E402
from torchprobes.reports.html import comparison_html, to_html  # noqa: E402
from torchprobes.reports.redaction import Level, Redactor  # noqa: E402
from torchprobes.rundir import decode  # noqa: E402

SIZE = (120, 36)
READY_S, CHECK_S = 60.0, 1200.0
WAITING_S = 133.0
"""Where in the recording a rank has slept for more than a minute."""

SETTLE_S = 4.0
"""Until what a verdict rests on is on screen too."""

SHOWN = "compile.default"
LONGER = (SHOWN, "export.roundtrip", "ddp.allreduce", "data.loader")
PRIVATE = tuple(path for path in (str(ROOT), str(Path.home()), sys.base_prefix) if path not in ("/", "/usr"))


async def until(pilot: Any, test: Callable[[], object], deadline_s: float, what: str) -> None:
    """Wait for an event; end where it does not come."""
    end = time.monotonic() + deadline_s
    while not test():
        if time.monotonic() > end:
            raise SystemExit(f"{what} did not come in {deadline_s:.0f} s")
        await pilot.pause(0.1)


async def picture(pilot: Any, name: str, *keys: str) -> None:
    """Press keys and keep what is on the screen."""
    await pilot.press(*keys)
    for _ in range(2):
        pilot.app.tick()
        await pilot.pause()
    drawn = pilot.app.export_screenshot(title="torchdoctor")
    shown = [path for path in PRIVATE if path in drawn.replace("&#x27;", "'")]
    if shown:
        raise SystemExit(f"{name} shows a path of this machine: {shown[0]}")
    path = Path(__file__).parent / f"{name}.svg"
    path.write_text(drawn)
    print(path.relative_to(ROOT))


def target(folder: Path) -> str:
    """The patient's interpreter, under a name that tells nothing of this machine."""
    if not (folder / "venv").exists():
        (folder / "venv").symlink_to(sys.prefix)
    return os.environ.get("TORCHDOCTOR_PYTHON") or str(folder / "venv" / "bin" / "python")


async def make(folder: Path) -> None:
    """Run the quick tier and some that take longer, and take the pictures on the way."""
    python = target(folder)
    settings = Settings(out=str(folder / "runs"), python=python)
    app = TorchDoctor(settings, Capabilities(False, False, False, False, screen_hz=5.0))
    async with app.run_test(size=SIZE) as pilot:
        snapshot = app.sources.snapshot
        await until(pilot, lambda: snapshot().target, READY_S, "a Python with torch")
        await pilot.press("2")
        app.run_probes((*select((), Tier.QUICK), *select(LONGER, Tier.FULL)))
        await until(pilot, lambda: any(v.result is None and v.progress for v in snapshot().probes.values()), READY_S,
                    "a running probe")  # fmt: skip
        await until(pilot, lambda: SHOWN in snapshot().probes and snapshot().probes[SHOWN].result, CHECK_S, SHOWN)
        await picture(pilot, "running")
        await until(pilot, lambda: not snapshot().busy and snapshot().report, CHECK_S, "the end of the check")
        await pilot.press("2")
        app.pane.lines.select(SHOWN.partition(".")[0])
        await pilot.press("right")
        app.pane.lines.select(SHOWN)
        await picture(pilot, "probes")
        await picture(pilot, "report", "5")
        await picture(pilot, "help", "2", "question_mark")


TRAIN = """\
import sys, time
import torch
import torch.distributed as dist

dist.init_process_group("gloo")
rank, (fault, guilty, at) = dist.get_rank(), sys.argv[1:]
model = torch.nn.Linear(64, 64)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)


def load(step):
    if rank == int(guilty) and step == int(at):
        if fault == "raise":
            raise ValueError("sample 4711 has no label")
        time.sleep(3600)
    return torch.randn(8, 64)


def train(step):
    loss = model(load(step)).pow(2).mean()
    loss.backward()
    for parameter in model.parameters():
        dist.all_reduce(parameter.grad)
    optimizer.step()
    optimizer.zero_grad()


for step in range(100_000):
    train(step)
    print(f"step {step}", flush=True)
    time.sleep(0.05)
"""
RANKS = 4
JOBS = {"jobs": "hang 2 80", "jobs-crash": "raise 1 80"}
"""Picture -> what goes wrong: a rank that sleeps in its loader, one that raises. Each is launched by the real form."""


async def make_jobs(folder: Path) -> None:
    """The Jobs pane: real jobs, launched through the form, each as soon as a verdict names a rank."""
    (folder / "train.py").write_text(TRAIN)
    python = target(folder)
    os.chdir(folder)
    app = TorchDoctor(Settings(out=str(folder / "runs"), python=python), Capabilities(False, False, False, False, 5.0))
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: app.sources.snapshot().target, READY_S, "a Python with torch")
        await pilot.press("3")
        jobs = app.sources.jobs.snapshot
        for name, fault in JOBS.items():
            await pilot.press("L")
            for text in ("train.py", fault, str(RANKS)):
                await pilot.press("ctrl+u", *text, "tab")  # what was typed last time is still there
            form: Any = app.screen
            await until(pilot, lambda form=form: form.planner.answers.findings is not None, READY_S, "pre-flight")
            await pilot.press("f5")
            await until(pilot, lambda: jobs().view and jobs().view.verdict.ranks, CHECK_S, "a verdict")
            await until(pilot, lambda: jobs().view.stacks or jobs().view.state == "failed", CHECK_S, "what it rests on")
            await asyncio.sleep(SETTLE_S)
            await picture(pilot, name)
            await pilot.press(*"cy" if name == "jobs" else "", "escape")
        await until(
            pilot, lambda: not any(job.ours and job.state == "running" for job in jobs().listed), READY_S, "end"
        )


async def make_from_recording(_: Path) -> None:
    """The GPUs pane, from the recording of two real GPUs that ships: one rank sleeps, the other waits for it."""
    app = TorchDoctor(Settings(replay=str(DEMO)), Capabilities(False, False, False, False, screen_hz=5.0))
    async with app.run_test(size=SIZE) as pilot:
        snapshot = app.sources.snapshot
        await until(pilot, lambda: app.sources.replay and snapshot().sample, READY_S, "the recording")
        replay = app.sources.replay
        assert replay is not None
        replay.paused = True
        replay.seek(WAITING_S)
        await until(pilot, lambda: any(f.id == "TD-GPU-032" for f in snapshot().findings), READY_S, "the odd rank")
        await picture(pilot, "gpus")


MODEL = """\
import torch
import torch.nn.functional as F

torch._dynamo.config.automatic_dynamic_shapes = False


class Block(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.up, self.down = torch.nn.Linear(64, 256), torch.nn.Linear(256, 64)

    def forward(self, x):
        y = self.down(F.gelu(self.up(x))).softmax(-1)
        if y.max() > 0.9:
            print("a peak")
        return y + x


def scale(x, factor):
    return F.layer_norm(x, x.shape[-1:]) * factor


block, scaled = torch.compile(Block()), torch.compile(scale, dynamic=False)
for size in range(2, 12):
    x = torch.randn(size, 64)
    if size < 4:
        block(x)
    scaled(x, 2.0)
    print(f"batch of {size}", flush=True)
"""
"""A program with what people meet first: a branch on data, and a shape that changes with every batch."""


async def make_logs(folder: Path) -> None:
    """The Logs pane: a real program, captured; the overview, a graph after a recompile, a graph and its kernels."""
    (folder / "train.py").write_text(MODEL)
    python, out = target(folder), str(folder / "runs")
    command = [sys.executable, "-m", "torchdoctor", "capture", "--switches", "debug", "--out", out, "--", python]
    own = {"PYTHONPATH": os.pathsep.join(sys.path[:2]), "TORCHINDUCTOR_CACHE_DIR": str(folder / "cache")}
    environ = {**os.environ, **own}
    ended = subprocess.run([*command, "train.py"], cwd=folder, env=environ, stdin=subprocess.DEVNULL, check=False)
    if ended.returncode:
        raise SystemExit(f"the captured program ended with {ended.returncode}")
    run = max((folder / "runs").iterdir(), key=lambda path: path.stat().st_mtime)
    app = TorchDoctor(Settings(out=out, python=python, logs=str(run)), Capabilities(False, False, False, False, 5.0))
    async with app.run_test(size=SIZE) as pilot:
        explanation = lambda: app.pane.reader.explanation  # noqa: E731
        await until(pilot, lambda: app.here == "logs" and explanation().limits, READY_S, "the explanation")
        await until(pilot, lambda: app.sources.snapshot().target, READY_S, "a Python with torch")
        await until(pilot, lambda: explanation().bytes_read == explanation().bytes_there, READY_S, "all of it")
        await picture(pilot, "logs")
        again = next(one for one in explanation().recompiles if one.function == "scale")
        await pilot.press("tab")
        tree = app.pane.artefacts
        row = next(row for row in tree.rows if row.compile == (again.process, again.compile_id))
        tree.select(row.key)
        await pilot.press("enter", "d")
        await until(pilot, lambda: app.pane.reader.side.compared.pairs, READY_S, "two graphs")
        await picture(pilot, "logs-recompile")
        first = next(row for row in tree.rows if row.compile and "forward" in row.words)
        await pilot.press("tab")
        tree.select(first.key)
        await pilot.press("right", "down")
        await until(pilot, lambda: app.pane.where.view == "code" and app.pane.reader.code.count, READY_S, "code")
        await picture(pilot, "logs-tree")
        await pilot.press("d")
        await until(pilot, lambda: app.pane.reader.side.compared.links, READY_S, "a graph and its code")
        await picture(pilot, "logs-kernels", "e", "e")


STORED = ROOT / "tests" / "reports" / "data"
"""Reports of real runs: of an H200, and of a machine without a GPU under three versions of torch."""

PAGES = {"report": ("h200",), "compare": ("cpu", "torch26", "torch21")}
PAGE = (1200, 1640)
BROWSER_S = 120.0


async def make_pages(folder: Path) -> None:
    """The HTML of stored reports of real runs, as somebody gets it who is handed one over: redacted for the public."""
    browser = shutil.which("chromium")
    if browser is None:
        raise SystemExit("the pictures of HTML need chromium")
    for name, stored in PAGES.items():
        redactor = Redactor(Level.PUBLIC)
        read = [decode(lzma.decompress((STORED / f"{one}.json.xz").read_bytes()), Report, one) for one in stored]
        reports = redactor.reports(read)
        labelled = compared(platforms(list(zip(stored, reports, strict=True))))
        masked = redactor.masked
        page = to_html(reports[0], masked) if len(reports) == 1 else comparison_html(labelled, masked)
        shown = [path for path in PRIVATE if path.encode() in page]
        if shown:
            raise SystemExit(f"{name}.html shows a path of this machine: {shown[0]}")
        (folder / f"{name}.html").write_bytes(page)
        path = Path(__file__).parent / f"{name}.html.png"
        command = [browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                   f"--user-data-dir={folder / 'browser'}", f"--screenshot={path}",
                   f"--window-size={PAGE[0]},{PAGE[1]}", (folder / f"{name}.html").as_uri()]  # fmt: skip
        subprocess.run(command, stderr=subprocess.DEVNULL, timeout=BROWSER_S, check=True)
        print(path.relative_to(ROOT))


SHOWN_BESIDE = ("h200", "cpu", "torch26", "torch21")


async def make_report_pane(folder: Path) -> None:
    """The Report pane on the same stored reports: what is kept, several compared, one row of them."""
    os.chdir(folder)
    Path("reports").mkdir()
    for name in SHOWN_BESIDE:
        Path("reports", f"{name}.json").write_bytes(lzma.decompress((STORED / f"{name}.json.xz").read_bytes()))
    python = target(folder)
    app = TorchDoctor(Settings(out=str(folder / "runs"), python=python), Capabilities(False, False, False, False, 5.0))
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: app.sources.snapshot().target, READY_S, "a Python with torch")
        await pilot.press("5", "h")
        reports = app.sources.reports.snapshot
        app.sources.reports.add_files("reports")
        await until(pilot, lambda: reports().files and reports().history, READY_S, "the reports")
        app.tick()
        paths = [str(folder / "reports" / f"{name}.json") for name in SHOWN_BESIDE[1:]]
        app.pane.marked = dict.fromkeys(paths)
        app.pane.rows["history"].select(paths[0])
        await picture(pilot, "report-history")
        await pilot.press("d")
        await until(pilot, lambda: reports().compared, READY_S, "the comparison")
        await picture(pilot, "report-compare")
        app.tick()
        app.pane.rows["compare"].select("row:compute.sdpa")
        await pilot.press("enter")
        await until(pilot, lambda: reports().cells, READY_S, "the cells of a row")
        await picture(pilot, "report-row")


def main() -> None:
    """All, or those of `--check`, `--jobs`, `--logs`, `--recording`, `--report` or `--report-pane` alone."""
    os.environ.pop("NO_COLOR", None)
    os.environ["PATH"] = "/usr/local/bin:/usr/bin:/bin"
    parts = {"--check": make, "--jobs": make_jobs, "--logs": make_logs, "--recording": make_from_recording,
             "--report": make_pages, "--report-pane": make_report_pane}  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="td-") as folder:
        for flag, work in parts.items():
            if len(sys.argv) == 1 or flag in sys.argv:
                asyncio.run(work(Path(folder)))


if __name__ == "__main__":
    main()
