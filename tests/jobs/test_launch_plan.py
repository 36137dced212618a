"""From what a person asked to the exact command: torchrun's options as they were written, ours where there are none."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path

import pytest

from torchprobes.jobs import launch, torchrun_options
from torchprobes.jobs.launch import LaunchError, LaunchOptions, LaunchPlan
from torchprobes.jobs.launch_plan import flight_recorder
from torchprobes.jobs.torchrun_options import OptionError, Options
from torchprobes.model import Target
from torchprobes.rundir import RunDir

RUN = RunDir(Path("/state/runs/20260101T000000Z-here-abc123"))
NODE = f"{RUN.path}/nodes/node1"
PYTHON = "/t/python"
NEW = {"TORCH_FR_BUFFER_SIZE", "TORCH_FR_DUMP_TEMP_FILE"}


def plan(
    *words: str, torch: str | None = "2.13.0", environ: dict[str, str] | None = None, **options: object
) -> LaunchPlan:
    asked = {"command": ("train.py", "--lr", "1"), "cwd": "/work", **options}
    target = Target(python=PYTHON, torch=torch)
    return launch.plan(target, LaunchOptions(torchrun=words, **asked), RUN, environ or {}, host="node1")  # type: ignore[arg-type]


def rank_command(made: LaunchPlan) -> tuple[str, ...]:
    """What comes after the shim and its run id."""
    at = made.argv.index(made.run_id, made.argv.index("--no-python"))
    return made.argv[at + 1 :]


def test_one_node_without_a_choice_is_the_loopback_with_everything_of_ours() -> None:
    made = plan("--nproc-per-node", "4")
    assert made.argv[:5] == (PYTHON, "-m", "torch.distributed.run", "--nproc-per-node", "4")
    assert made.run_id == "td-abc123"
    agent = made.argv[5 : made.argv.index("--no-python")]
    assert agent == (
        "--rdzv-backend=c10d", "--rdzv-endpoint=127.0.0.1:0", "--rdzv-conf=is_host=true", "--local-addr=127.0.0.1",
        "--rdzv-id", "td-abc123", f"--log-dir={NODE}/logs", "--redirects=3", "--monitor-interval=0.1",
        "--signals-to-handle=SIGTERM,SIGINT,SIGQUIT",
    )  # fmt: skip
    assert rank_command(made) == (PYTHON, "-u", "train.py", "--lr", "1")
    assert made.script == "/work/train.py"
    assert made.shown.startswith("cd /work && env TORCHDOCTOR_NODE=")
    assert made.shown.endswith("train.py --lr 1")


@pytest.mark.parametrize(
    ("words", "ours_not"),
    [
        (("-r", "1"), "--redirects=3"),
        (("-r1",), "--redirects=3"),
        (("--redirects=0:1,1:2",), "--redirects=3"),
        (("--monitor_interval", "5"), "--monitor-interval=0.1"),
        (("--monitor-int=5",), "--monitor-interval=0.1"),
        (("--signals_to_handle=SIGTERM",), "--signals-to-handle=SIGTERM,SIGINT,SIGQUIT"),
        (("--master-port", "29501"), "--rdzv-backend=c10d"),
        (("--rdzv_endpoint=localhost:0", "--rdzv-backend=c10d"), "--rdzv-endpoint=127.0.0.1:0"),
        (("--local_addr", "10.0.0.1"), "--local-addr=127.0.0.1"),
        (("--nnodes", "2", "--rdzv-endpoint", "a:1"), "--rdzv-endpoint=127.0.0.1:0"),
        (("--nnodes=1:4", "--rdzv-endpoint", "a:1"), "--rdzv-conf=is_host=true"),
    ],
)
def test_the_persons_options_win_and_stay_as_written(words: tuple[str, ...], ours_not: str) -> None:
    argv = plan(*words).argv
    assert argv[3 : 3 + len(words)] == words
    assert ours_not not in argv


def test_the_environment_of_torchrun_counts_as_given() -> None:
    environ = {"PET_NNODES": "2", "PET_REDIRECTS": "1", "PET_STANDALONE": "1", "PET_RDZV_ID": "theirs"}
    made = plan(environ=environ)
    assert not any(word.startswith(("--rdzv-endpoint", "--redirects")) for word in made.argv)
    assert made.unset == ("PET_RDZV_ID", "PET_STANDALONE")
    assert "env -u PET_RDZV_ID -u PET_STANDALONE " in made.shown


def test_standalone_is_spelled_out() -> None:
    made = plan("--standalone", "--nproc-per-node=gpu")
    assert "--standalone" not in made.argv
    assert "--rdzv-endpoint=127.0.0.1:0" in made.argv
    assert any("--standalone" in note for note in made.notes)


def test_nodes_that_know_nothing_of_each_other_find_the_same_id() -> None:
    words = ("--nnodes=2", "--rdzv-backend=c10d", "--rdzv-endpoint=a:29400")
    other = RunDir(Path("/elsewhere/20260101T000000Z-there-ffffff"))
    options = LaunchOptions(torchrun=words, command=("train.py",), cwd="/work")
    there = launch.plan(Target(python=PYTHON, torch="2.13.0"), options, other, {}, host="node2")
    here = plan(*words)
    assert there.run_id == here.run_id
    assert plan(*words[:-1], "--rdzv-endpoint=b:29400").run_id != here.run_id
    assert plan(*words, environ={"SLURM_JOB_ID": "7"}).run_id != here.run_id
    assert plan(*words, run_id="td-given").run_id == "td-given"


@pytest.mark.parametrize(
    ("words", "command", "ranks"),
    [
        (("-m",), ("pkg.train", "x"), (PYTHON, "-u", "-m", "pkg.train", "x")),
        (("--module",), ("pkg.train",), (PYTHON, "-u", "-m", "pkg.train")),
        ((), ("-m", "pkg.train", "x"), (PYTHON, "-u", "-m", "pkg.train", "x")),
        (("--no_python",), ("bash", "run.sh"), ("bash", "run.sh")),
        (("--no-python", "--nproc-per-node", "2"), ("./program",), ("./program",)),
    ],
)
def test_script_module_and_program(words: tuple[str, ...], command: tuple[str, ...], ranks: tuple[str, ...]) -> None:
    made = plan(*words, command=command)
    assert rank_command(made) == ranks
    assert made.argv.count("--no-python") == 1
    assert made.script == ""


def test_run_path_is_a_program_of_its_own() -> None:
    made = plan("--run-path")
    assert "--run-path" not in made.argv
    program = rank_command(made)
    assert program[:3] == (PYTHON, "-u", "-c")
    assert program[4:] == ("train.py", "--lr", "1")
    compile(program[3], "run-path", "exec")


def test_torchruns_own_variable_chooses_the_interpreter_of_ranks() -> None:
    assert rank_command(plan(environ={"PYTHON_EXEC": "/other/python"}))[0] == "/other/python"


@pytest.mark.parametrize(
    ("words", "options", "said"),
    [
        (("--log-dir", "x"), {}, r"--log-dir: the logs of the ranks lie in the run directory"),
        (("--rdzv_id=x",), {}, r"--rdzv_id: the run's own id"),
        (("--log-d=x",), {}, r"--log-d: the logs of the ranks"),
        (("--nproc",), {}, r"--nproc needs a value"),
        (("--r=1",), {}, r"--r may be --rdzv-backend or "),
        (("train.py",), {}, r"'train.py' is no option of torchrun: the script goes after `--`"),
        (("-x",), {}, r"'-x' is no option"),
        (("--nnodes", "two"), {}, r"--nnodes 'two' is no number"),
        (("--nnodes", "2:1"), {}, r"--nnodes '2:1': it takes"),
        (("--nproc-per-node", "0"), {}, r"--nproc-per-node '0' is neither"),
        (("--nproc-per-node=-2",), {}, r"--nproc-per-node '-2' is neither"),
        ((), {"command": ()}, r"no script: it goes after `--`"),
        (("-m",), {"command": ("-m",)}, r"-m needs the name of a module"),
        (("--no-python", "-m"), {}, r"--no-python runs a program"),
        ((), {"torch": None}, r"there is no torch in /t/python"),
        ((), {"preset": "nothing"}, r"there is no preset 'nothing': ddp"),
        (("--nproc-per-node=2",), {"launcher": "command"}, r"options of torchrun have no meaning"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_one_clear_line(words: tuple[str, ...], options: dict[str, object], said: str) -> None:
    with pytest.raises(LaunchError, match=said) as caught:
        plan(*words, **options)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_a_target_whose_code_may_not_run_is_refused() -> None:
    target = Target(python=PYTHON, torch="2.13.0", refusal="it belongs to bob")
    options = LaunchOptions(command=("x.py",))
    with pytest.raises(LaunchError, match="it belongs to bob"):
        launch.plan(target, options, RUN, {})
    assert launch.plan(target, LaunchOptions(command=("x.py",), as_root=True), RUN, {}).argv
    far = Target(python="python", torch="", prefix=("docker", "exec", "-i", "x"))
    with pytest.raises(LaunchError, match="through --target"):
        launch.plan(far, options, RUN, {})


def test_switches_become_variables_and_the_persons_own_win() -> None:
    made = plan(compile_debug=True, torch_logs="recompiles", nccl_debug="INFO", distributed_debug="DETAIL")
    wanted = {
        "TORCH_COMPILE_DEBUG": "1", "TORCH_COMPILE_DEBUG_DIR": f"{NODE}/compile", "TORCH_TRACE": f"{NODE}/trace",
        "TORCH_LOGS": "recompiles", "NCCL_DEBUG": "INFO", "NCCL_DEBUG_FILE": f"{NODE}/nccl/nccl.%h.%p.log",
        "TORCH_DISTRIBUTED_DEBUG": "DETAIL",
    }  # fmt: skip
    assert made.env.items() >= wanted.items()
    assert not plan().env.keys() & wanted.keys()
    own = plan(nccl_debug="INFO", environ={"NCCL_DEBUG_FILE": "/mine"}, env={"TORCHDOCTOR_NODE": "/x", "A": "b"})
    assert "NCCL_DEBUG_FILE" not in own.env
    assert (own.env["TORCHDOCTOR_NODE"], own.env["A"]) == ("/x", "b")


def test_without_injection_nothing_is_put_into_a_rank() -> None:
    made = plan(inject=False)
    assert "TORCHDOCTOR_INJECT" not in made.env
    assert made.injected == ()
    assert plan().env["TORCHDOCTOR_INJECT"].endswith("payloads/inject")
    assert len(plan().injected) == 4


@pytest.mark.parametrize(
    ("version", "names"),
    [
        ("2.1.2+cu121", set()),
        ("2.6.0", {"TORCH_NCCL_TRACE_BUFFER_SIZE", "TORCH_NCCL_DEBUG_INFO_TEMP_FILE"}),
        ("2.13.0", NEW),
        ("2.9.0", {"TORCH_NCCL_TRACE_BUFFER_SIZE", "TORCH_NCCL_DEBUG_INFO_TEMP_FILE"} | NEW),
    ],
)  # fmt: skip
def test_the_flight_recorder_is_on_by_the_names_that_a_version_knows(version: str, names: set[str]) -> None:
    assert flight_recorder(version, "/f/rank_", {}).keys() == names


def test_a_flight_recorder_that_the_person_set_stays() -> None:
    assert flight_recorder("2.13.0", "/f", {"TORCH_NCCL_TRACE_BUFFER_SIZE": "10"}) == {"TORCH_FR_DUMP_TEMP_FILE": "/f"}
    assert flight_recorder("2.13.0", "/f", {"TORCH_FR_BUFFER_SIZE": "0", "TORCH_FR_DUMP_TEMP_FILE": "/x"}) == {}


def test_a_command_that_starts_its_ranks_itself_runs_as_it_is() -> None:
    made = plan(launcher="command", command=("spawn.py", "x"), torch=None, environ={"PYTHONPATH": "/mine"})
    assert made.argv == (PYTHON, "-u", "spawn.py", "x")
    assert made.env["PYTHONPATH"].split(":")[1] == "/mine"
    assert plan(launcher="command", command=("accelerate", "launch", "x.py")).argv == ("accelerate", "launch", "x.py")
    assert plan(launcher="command", command=("-m", "pkg")).argv == (PYTHON, "-u", "-m", "pkg")
    assert made.run_id == ""


def test_the_preset_is_the_built_in_probe_in_ranks() -> None:
    made = plan(preset="ddp", command=())
    assert rank_command(made)[2:4][0] == "-B"
    assert rank_command(made)[-1].endswith("payloads/ddp.py")
    assert "--nproc-per-node=2" in made.argv
    assert made.request["probe"] == "ddp.allreduce"
    assert "--nproc-per-node=2" not in plan("--nproc-per-node", "4", preset="ddp", command=()).argv


def test_a_script_that_is_not_there_is_told_before_the_start(tmp_path: Path) -> None:
    def check(command: str) -> None:
        launch.check(plan(command=(command,), cwd=str(tmp_path)))

    with pytest.raises(LaunchError, match=r"nothing\.py: no such file or directory"):
        check("nothing.py")
    (tmp_path / "folder.py").mkdir()
    with pytest.raises(LaunchError, match=r"folder\.py: it is not a file"):
        check("folder.py")
    (tmp_path / "train.py").touch()
    check("train.py")


def test_an_option_that_nobody_knows_is_passed_on() -> None:
    def names(*words: str) -> list[tuple[str, str]]:
        return [(one.name, one.value) for one in torchrun_options.read(words, {}).given]

    assert names("--new-thing", "5", "--other", "--nnodes", "1") == [("new-thing", "5"), ("other", ""), ("nnodes", "1")]
    assert torchrun_options.read(("--new-thing", "5"), {}).words() == ("--new-thing", "5")


def test_the_table_of_options_is_that_of_this_torchrun() -> None:
    """Every option of the torchrun that is here is known, with or without its value."""
    spec = importlib.util.find_spec("torch")
    assert spec is not None
    assert spec.origin is not None
    tree = ast.parse((Path(spec.origin).parent / "distributed" / "run.py").read_text())
    seen: dict[str, bool] = {}
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "add_argument":
            flag = any(
                k.arg == "action" and ast.unparse(k.value) in ("check_env", "'store_true'") for k in call.keywords
            )
            names = [str(ast.literal_eval(word)) for word in call.args]
            seen |= {name[2:].replace("_", "-"): flag for name in names if name.startswith("--")}
    assert {name for name, flag in seen.items() if not flag} <= torchrun_options.WITH_VALUE
    assert {name for name, flag in seen.items() if flag} <= torchrun_options.FLAGS
    assert len(seen) > 20


def test_an_empty_reading_has_nothing() -> None:
    empty = Options((), {})
    assert not empty.has("nnodes")
    assert torchrun_options.one_node(empty)
    with pytest.raises(OptionError):
        torchrun_options.read(("--",), {})
