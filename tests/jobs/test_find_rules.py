"""Which processes are ranks, of what, by which number: every launcher's way, on a /proc of files."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from fake_proc import PYTHON, FakeProc, torchrun_environ

from torchprobes.distributed import JobIdentity
from torchprobes.jobs.find import Finder, JobError, find_job

AGENT = f"{PYTHON} /usr/bin/torchrun --standalone --nproc-per-node=2 train.py"
TRAIN = f"{PYTHON} -u train.py"
SPAWNED = (PYTHON, "-c", "from multiprocessing.spawn import spawn_main; spawn_main(tracker_fd=5, pipe_handle=7)",
           "--multiprocessing-fork")  # fmt: skip
TRACKER = (PYTHON, "-c", "from multiprocessing.resource_tracker import main;main(4)")
GLOO = ("python3", "pt_gloo_runloop")
STORE = ("python3", "pt_tcpstore_uv")


@pytest.fixture
def proc(tmp_path: Path) -> FakeProc:
    return FakeProc(tmp_path / "proc")


def found(proc: FakeProc) -> tuple[JobIdentity, ...]:
    return Finder(proc.path).find(10.0).jobs


def one(proc: FakeProc) -> JobIdentity:
    jobs = found(proc)
    assert len(jobs) == 1, jobs
    return jobs[0]


def pids(job: JobIdentity) -> dict[int, int]:
    return {rank.rank: rank.pid for rank in job.ranks}


# --- torchrun ------------------------------------------------------------------------------------------------------


def test_the_ranks_of_torchrun_are_its_children_and_not_what_they_started(proc: FakeProc) -> None:
    agent = proc.add(AGENT)
    first = proc.add(TRAIN, torchrun_environ(0), parent=agent)
    second = proc.add(TRAIN, torchrun_environ(1), parent=agent)
    for rank, pid in enumerate((first, second)):
        for _ in range(3):
            proc.add(TRAIN, torchrun_environ(rank), parent=pid, session=pid)  # DataLoader workers, forked
        proc.add(SPAWNED, torchrun_environ(rank), parent=pid, session=pid)  # one that was spawned
        proc.add(TRACKER, torchrun_environ(rank), parent=pid, session=pid)
        proc.add(f"{PYTHON} /x/torch/_inductor/compile_worker/__main__.py", torchrun_environ(rank), parent=pid)
    job = one(proc)
    assert (job.key, job.launcher, job.launcher_pid) == ("torchrun:job1", "torchrun", agent)
    assert (job.world_size, job.master) == (2, "node7:29500")
    assert pids(job) == {0: first, 1: second}
    assert [(rank.local_rank, rank.how) for rank in job.ranks] == [(0, ("environ",)), (1, ("environ",))]
    assert AGENT in job.command


def test_shells_and_shims_are_followed_to_what_they_run(proc: FakeProc) -> None:
    agent = proc.add(AGENT)
    shell = proc.add(("/bin/bash", "-c", "numactl -N 0 python train.py"), torchrun_environ(0), parent=agent)
    bound = proc.add("numactl -N 0 python train.py", torchrun_environ(0), parent=shell)
    first = proc.add(TRAIN, torchrun_environ(0), parent=bound)
    proc.add("nvidia-smi dmon", torchrun_environ(0), parent=shell)
    shim = proc.add(f"{PYTHON} -I -S -B /x/rank_shim.py job1 python train.py", torchrun_environ(1), parent=agent)
    assert pids(one(proc)) == {0: first, 1: shim}, "a shim that has not become its rank yet stands for it"


def test_a_python_that_only_starts_another_is_told_by_its_threads(proc: FakeProc) -> None:
    agent = proc.add(AGENT)
    outer = proc.add(f"{PYTHON} start.py", torchrun_environ(0, 1), parent=agent)
    inner = proc.add(TRAIN, torchrun_environ(0, 1), parent=outer, threads=GLOO)
    assert pids(one(proc)) == {0: inner}
    assert one(proc).ranks[0].pid != outer


def test_the_newest_attempt_counts(proc: FakeProc) -> None:
    agent = proc.add(AGENT)
    for attempt in (0, 1):
        for rank in (0, 1):
            if (attempt, rank) != (0, 0):
                proc.add(TRAIN, torchrun_environ(rank, TORCHELASTIC_RESTART_COUNT=attempt), parent=agent)
    job = one(proc)
    assert [(rank.rank, rank.attempt) for rank in job.ranks] == [(0, 1), (1, 1)]


def test_two_jobs_of_one_run_id_are_told_apart(proc: FakeProc) -> None:
    agents = [proc.add(AGENT), proc.add(AGENT)]
    ranks = [[proc.add(TRAIN, torchrun_environ(rank), parent=agent) for rank in (0, 1)] for agent in agents]
    jobs = found(proc)
    assert [job.key for job in jobs] == ["torchrun:job1", f"torchrun:job1@{agents[1]}"], "the elder keeps the name"
    assert [sorted(pids(job).values()) for job in jobs] == ranks


def test_two_agents_of_one_job_on_one_node_are_one_job(proc: FakeProc) -> None:
    for group in (0, 1):
        agent = proc.add(AGENT)
        for local in (0, 1):
            proc.add(TRAIN, torchrun_environ(2 * group + local, 4, LOCAL_RANK=local), parent=agent)
    assert sorted(pids(one(proc))) == [0, 1, 2, 3]


def test_ranks_without_a_run_id_are_named_by_their_address(proc: FakeProc) -> None:
    for rank in (0, 1):
        proc.add(TRAIN, torchrun_environ(rank, TORCHELASTIC_RUN_ID="none"))
    assert one(proc).key == "master:node7:29500"
    assert one(proc).launcher_pid is None


def test_what_a_dead_rank_left_behind_is_no_rank(proc: FakeProc) -> None:
    agent = proc.add(AGENT)
    alive = proc.add(TRAIN, torchrun_environ(0), parent=agent)
    proc.add(TRAIN, torchrun_environ(1), parent=1, session=77)  # a worker of rank 1, which led session 77
    assert pids(one(proc)) == {0: alive}


def test_ranks_outlive_torchrun_and_are_still_found(proc: FakeProc) -> None:
    ranks = [proc.add(TRAIN, torchrun_environ(rank)) for rank in (0, 1)]
    assert pids(one(proc)) == dict(enumerate(ranks))


def test_titles_over_the_environment_leave_order_and_log_paths(proc: FakeProc) -> None:
    agent = proc.add(AGENT)
    first = proc.add(TRAIN, parent=agent, title="llm: rank")
    second = proc.add(TRAIN, parent=agent, title="llm: rank", fds={1: "/logs/x_abc/attempt_3/1/stdout.log"})
    job = one(proc)
    assert pids(job) == {0: first, 1: second}
    assert job.ranks[1].how == ("log-path", "order")
    assert {rank.attempt for rank in job.ranks} == {3}


def test_a_titled_rank_is_known_by_the_environment_of_what_it_started(proc: FakeProc) -> None:
    agent = proc.add(AGENT)
    swapped = [proc.add(TRAIN, parent=agent, title=f"llm {n}") for n in range(2)]
    for rank, pid in zip((1, 0), swapped, strict=True):
        proc.add(f"{PYTHON} /x/torch/_inductor/worker.py", torchrun_environ(rank), parent=pid)
    assert pids(one(proc)) == {1: swapped[0], 0: swapped[1]}


def test_function_entry_points_are_numbered_by_birth_an_ended_one_keeps_its_place(proc: FakeProc) -> None:
    agent = proc.add(
        f"{PYTHON} -m torch.distributed.run --rdzv_id=r7 --nnodes=1 --nproc-per-node=3 --run-path train.py"
    )
    proc.add(TRACKER, parent=agent)
    first = proc.add(SPAWNED, parent=agent)
    proc.add(SPAWNED, parent=agent, state="Z")
    third = proc.add(SPAWNED, parent=agent)
    job = one(proc)
    assert (job.key, job.world_size) == ("torchrun:r7", 3)
    assert pids(job) == {0: first, 2: third}
    assert job.ranks[0].how == ("order",)


def test_the_place_of_a_node_in_a_larger_job_shifts_its_ranks_or_is_said_to_be_unknown(proc: FakeProc) -> None:
    agent = proc.add(f"{PYTHON} -m torch.distributed.run --nnodes=2 --node-rank=1 --rdzv-id=a --run-path train.py")
    other = proc.add(f"{PYTHON} -m torch.distributed.run --nnodes=2 --rdzv-id=b --run-path train.py")
    for _ in range(2):
        proc.add(SPAWNED, parent=agent)
        proc.add(SPAWNED, parent=other)
    jobs = {job.key: job for job in found(proc)}
    assert [rank.rank for rank in jobs["torchrun:a"].ranks] == [2, 3]
    assert jobs["torchrun:a"].world_size == 4
    assert [rank.rank for rank in jobs["torchrun:b"].ranks] == [0, 1]
    assert "local ones" in jobs["torchrun:b"].notes[0]


def test_a_single_rank_of_one_is_a_job(proc: FakeProc) -> None:
    pid = proc.add(TRAIN, {"RANK": 0, "WORLD_SIZE": 1, "MASTER_ADDR": "a", "MASTER_PORT": 1})
    assert pids(one(proc)) == {0: pid}


def test_a_run_of_ours_is_named(proc: FakeProc) -> None:
    run = "/state/runs/20250102T030405Z-node7-0a1b2c"
    agent = proc.add(AGENT)
    for rank in (0, 1):
        proc.add(TRAIN, torchrun_environ(rank, TORCHDOCTOR_NODE=f"{run}/nodes/node7"), parent=agent)
    assert (one(proc).run, one(proc).launcher) == (run, "torchdoctor")


# --- Slurm and MPI -------------------------------------------------------------------------------------------------

STEP = {"SLURM_JOB_ID": 6, "SLURM_STEP_ID": 0, "SLURM_NTASKS": 2, "SLURM_STEP_NUM_TASKS": 2}


def test_tasks_of_srun_are_ranks(proc: FakeProc) -> None:
    daemon = proc.add(("slurmstepd: [6.0]",))
    ranks = []
    for task in (0, 1):
        shell = proc.add("/bin/sh run.sh", {**STEP, "SLURM_PROCID": task, "SLURM_LOCALID": task}, parent=daemon)
        ranks.append(proc.add(TRAIN, {**STEP, "SLURM_PROCID": task, "SLURM_LOCALID": task}, parent=shell))
    job = one(proc)
    assert (job.key, job.launcher, job.slurm_job, job.world_size) == ("slurm:6.0", "srun", "6", 2)
    assert pids(job) == dict(enumerate(ranks))


def test_torchrun_in_a_step_is_torchruns_job_in_that_allocation(proc: FakeProc) -> None:
    daemon = proc.add(("slurmstepd: [6.0]",))
    agent = proc.add(AGENT, {**STEP, "SLURM_PROCID": 1}, parent=daemon)
    for rank in (0, 1):
        proc.add(TRAIN, {**STEP, "SLURM_PROCID": 1, **torchrun_environ(rank)}, parent=agent)
    job = one(proc)
    assert (job.key, job.launcher, job.slurm_job, len(job.ranks)) == ("torchrun:job1", "torchrun", "6", 2)


def test_a_program_in_a_step_that_starts_ranks_is_none(proc: FakeProc) -> None:
    daemon = proc.add(("slurmstepd: [6.0]",))
    for node in (0, 1):
        step = {**STEP, "SLURM_PROCID": node}
        ours = proc.add(f"{PYTHON} -I /x/torchprobes/jobs/supervisor.py --foreground", step, parent=daemon)
        proc.add(f"{PYTHON} -I -B /x/torchprobes/jobs/watch/watcher.py", step, parent=ours)
        mine = proc.add(f"{PYTHON} start_everything.py", step, parent=daemon)
        proc.add(TRAIN, {**step, **torchrun_environ(node, 2)}, parent=mine)
    job = one(proc)
    assert (job.key, [rank.command for rank in job.ranks]) == ("torchrun:job1", [TRAIN, TRAIN])


@pytest.mark.parametrize(
    "environ",
    [
        {**STEP, "SLURM_PROCID": 0, "SLURM_PTY_PORT": 4711},
        {"SLURM_JOB_ID": 6, "SLURM_NTASKS": 2, "SLURM_PROCID": 0},  # a batch script
        {**STEP, "SLURM_PROCID": 0, "SLURM_NTASKS": 1, "SLURM_STEP_NUM_TASKS": 1},
        {"RANK": "x", "WORLD_SIZE": 2},
        {"RANK": 2, "WORLD_SIZE": 2},
        {"RANK": 0},
        {"LOCAL_RANK": 0, "WORLD_SIZE": 2},
    ],
)
def test_what_is_no_rank_is_not_listed(proc: FakeProc, environ: dict[str, object]) -> None:
    shell = proc.add("/bin/bash -l", environ)
    proc.add(TRAIN, environ, parent=shell)
    assert found(proc) == ()


def test_a_shell_in_a_pod_whose_ranks_are_nodes_is_no_rank(proc: FakeProc) -> None:
    pod = {"RANK": 1, "WORLD_SIZE": 2, "MASTER_ADDR": "master-0", "MASTER_PORT": 23456}
    proc.add("/bin/bash", pod)
    proc.add("sleep infinity", pod)
    agent = proc.add(AGENT, pod)
    for rank in (0, 1):
        proc.add(TRAIN, {**pod, **torchrun_environ(rank)}, parent=agent)
    assert one(proc).key == "torchrun:job1"
    assert len(one(proc).ranks) == 2


def test_mpirun_in_an_allocation_is_mpis(proc: FakeProc) -> None:
    step = {**STEP, "SLURM_PROCID": 0, "PMIX_NAMESPACE": "prterun-h-47@1", "OMPI_COMM_WORLD_SIZE": 2}
    daemon = proc.add("/usr/bin/orted -mca x", {**STEP, "SLURM_PROCID": 0})
    ranks = [proc.add(TRAIN, {**step, "OMPI_COMM_WORLD_RANK": n, "OMPI_COMM_WORLD_LOCAL_RANK": n}, parent=daemon)
             for n in (0, 1)]  # fmt: skip
    job = one(proc)
    assert (job.key, job.launcher, job.launcher_pid) == ("mpi:prterun-h-47@1", "mpirun", daemon)
    assert pids(job) == dict(enumerate(ranks))


def test_a_step_that_speaks_pmi_is_slurms(proc: FakeProc) -> None:
    daemon = proc.add(("slurmstepd: [6.0]",))
    for task in (0, 1):
        proc.add(TRAIN, {**STEP, "SLURM_PROCID": task, "PMI_RANK": task, "PMI_SIZE": 2}, parent=daemon)
    assert (one(proc).key, one(proc).launcher) == ("slurm:6.0", "srun")


def test_mpich_and_deepspeed(proc: FakeProc) -> None:
    mpiexec = proc.add("/opt/mpich/bin/mpiexec -n 2 ./all_reduce_perf")
    proxy = proc.add("hydra_pmi_proxy --control-port n:1", parent=mpiexec)
    for rank in (0, 1):
        proc.add("./all_reduce_perf", {"PMI_RANK": rank, "PMI_SIZE": 2, "MPI_LOCALRANKID": rank}, parent=proxy)
    launch = proc.add(f"{PYTHON} -u -m deepspeed.launcher.launch --world_info=x train.py")
    for rank in (0, 1):
        environ = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "MASTER_ADDR": "h", "MASTER_PORT": 29500}
        proc.add(f"{PYTHON} -u train.py --local_rank={rank}", environ, parent=launch)
    deepspeed, mpi = found(proc)
    assert (deepspeed.key, deepspeed.launcher, len(deepspeed.ranks)) == ("master:h:29500", "deepspeed", 2)
    assert (mpi.key, mpi.launcher, len(mpi.ranks)) == (f"mpi:{proxy}", "mpirun", 2)
    assert (mpi.launcher_pid, mpi.command) == (proxy, "/opt/mpich/bin/mpiexec -n 2 ./all_reduce_perf")


# --- without a word ------------------------------------------------------------------------------------------------


def test_spawned_ranks_are_numbered_by_birth(proc: FakeProc) -> None:
    parent = proc.add(TRAIN)
    proc.add(TRACKER, parent=parent)
    ranks = [proc.add(SPAWNED, parent=parent, threads=threads) for threads in (STORE, ("python3",), GLOO)]
    for pid in ranks:
        proc.add(SPAWNED, parent=pid)
    job = one(proc)
    assert (job.key, job.launcher, job.launcher_pid) == (f"spawn:{parent}", "spawn", parent)
    assert pids(job) == dict(enumerate(ranks))


def test_forked_ranks_without_named_threads_are_known_by_their_connections(proc: FakeProc) -> None:
    parent = proc.add(TRAIN)
    ranks = [proc.add(TRAIN, parent=parent, threads=("python3", "python3")) for _ in range(2)]
    assert found(proc) == ()
    proc.connect(*ranks)
    assert pids(one(proc)) == dict(enumerate(ranks))


def test_an_address_in_the_environment_joins_spawned_ranks(proc: FakeProc) -> None:
    environ = {"MASTER_ADDR": "localhost", "MASTER_PORT": 12355}
    parent = proc.add(TRAIN)
    ranks = [proc.add(SPAWNED, environ, parent=parent, threads=("a", "b")) for _ in range(2)]
    assert pids(one(proc)) == dict(enumerate(ranks))


def test_ranks_of_a_fork_server_belong_to_who_asked_it(proc: FakeProc) -> None:
    server = (PYTHON, "-c", "from multiprocessing.forkserver import main; main(3, 4)")
    parent = proc.add(TRAIN)
    between = proc.add(server, parent=parent)
    ranks = [proc.add(server, parent=between, threads=GLOO) for _ in range(2)]
    job = one(proc)
    assert (job.key, pids(job)) == (f"spawn:{parent}", dict(enumerate(ranks)))


def test_pools_and_loaders_are_no_jobs(proc: FakeProc) -> None:
    for command in (SPAWNED, (PYTHON, "serve.py")):
        parent = proc.add((PYTHON, "serve.py"))
        for _ in range(4):
            proc.add(command, parent=parent, threads=("python3", "python3"))
    assert found(proc) == ()


def test_a_rank_by_its_environment_that_spawns_the_real_ones_is_their_launcher(proc: FakeProc) -> None:
    pod = {"RANK": 0, "WORLD_SIZE": 1, "MASTER_ADDR": "master-0", "MASTER_PORT": 23456}
    parent = proc.add(TRAIN, pod)
    ranks = [proc.add(SPAWNED, pod, parent=parent, threads=GLOO) for _ in range(2)]
    assert pids(one(proc)) == dict(enumerate(ranks))


def test_lightning_starts_the_others_itself(proc: FakeProc) -> None:
    first = proc.add(TRAIN)
    told = {"NODE_RANK": 1, "WORLD_SIZE": 6, "MASTER_ADDR": "h", "MASTER_PORT": 1}
    rest = [proc.add(TRAIN, {**told, "LOCAL_RANK": n}, parent=first) for n in (1, 2)]
    job = one(proc)
    assert (job.key, job.launcher, job.world_size) == ("master:h:1", "lightning", 6)
    assert pids(job) == {3: first, 4: rest[0], 5: rest[1]}


def test_workers_of_ray_are_ranks_where_they_are_joined(proc: FakeProc) -> None:
    raylet = proc.add("/x/ray/core/src/ray/raylet/raylet --x")
    proc.add("default_worker.py", parent=raylet, title="ray::IDLE")
    for _ in range(2):
        proc.add("default_worker.py", parent=raylet, title="ray::map", threads=("a", "b"))
    kinds = ((".execute", GLOO), ("", STORE), ("", GLOO))
    later, first, last = (
        proc.add("w", parent=raylet, title=f"ray::RayTrainWorker{tail}", threads=threads) for tail, threads in kinds
    )
    job = one(proc)
    assert (job.key, job.launcher) == (f"ray:{raylet}:RayTrainWorker", "ray")
    assert pids(job) == {0: first, 1: later, 2: last}, "rank 0 serves the store"
    assert "need not be that of their ranks" in job.notes[0]


def test_kernel_threads_and_ended_processes_are_passed_over(proc: FakeProc) -> None:
    proc.add(TRAIN, torchrun_environ(0, 1), flags=0x200000)
    proc.add(TRAIN, torchrun_environ(0, 1), state="Z")
    assert found(proc) == ()


def test_secrets_in_command_lines_are_masked(proc: FakeProc) -> None:
    proc.add(f"{TRAIN} --api-key=sk-0123456789abcdef0123", torchrun_environ(0, 1))
    assert "sk-0123456789abcdef" not in one(proc).ranks[0].command


def test_text_of_a_process_cannot_steer_a_terminal(proc: FakeProc) -> None:
    proc.add((PYTHON, "a\x1b[2Jb.py"), torchrun_environ(0, 1, TORCHELASTIC_RUN_ID="j\x1b]0;x\x07"))
    job = one(proc)
    assert (job.key + job.command + job.ranks[0].command).isprintable()


def test_no_process_at_all_is_no_error(tmp_path: Path) -> None:
    assert Finder(tmp_path / "none").find(time.monotonic()).jobs == ()


# --- a process that somebody names -----------------------------------------------------------------------------------


def test_a_process_that_is_named_and_in_no_job_is_one_of_its_own(proc: FakeProc) -> None:
    single = proc.add(TRAIN)
    parent = proc.add(TRAIN)
    children = [proc.add(f"{PYTHON} worker.py", parent=parent) for _ in range(2)]
    assert found(proc) == ()
    job = find_job(str(single), proc.path, 10.0)
    assert (job.key, job.launcher_pid, pids(job)) == (f"pid:{single}", None, {0: single})
    assert "numbered by birth" in job.notes[0]
    family = find_job(str(parent), proc.path, 10.0)
    assert (family.launcher_pid, pids(family)) == (parent, dict(enumerate(children)))
    with pytest.raises(JobError, match="no distributed job '999'"):
        find_job("999", proc.path, 10.0)


def test_a_rank_that_is_named_is_of_its_job(proc: FakeProc) -> None:
    agent = proc.add(AGENT)
    rank = proc.add(TRAIN, torchrun_environ(0), parent=agent)
    assert find_job(str(rank), proc.path, 10.0).key == "torchrun:job1"
