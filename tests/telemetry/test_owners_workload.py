"""Control groups and environments as sites have them, and what job and container each names."""

from __future__ import annotations

import pytest

from torchprobes.telemetry.owners.workload import (
    container_of_environment,
    container_of_group,
    job_of_environment,
    job_of_group,
    pod_name,
)

ID = "3fc28fa1c647ceede9f6b340d0b16c9f1f663698972d22a52e296f291638e014"
UID = "a8697f49-441d-4d4f-90d2-6d8e1fa3bbe7"
SLICE = f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{UID.replace('-', '_')}.slice"

GROUPS = [
    ("/slurm/uid_1000/job_1234/step_0/task_0", "slurm 1234.0", ""),
    ("/slurm_node01/uid_1000/job_1234/step_12", "slurm 1234.12", ""),
    ("/slurm/uid_1000/job_1234", "slurm 1234", ""),
    ("/system.slice/slurmstepd.scope/job_1234/step_batch/user/task_0", "slurm 1234.batch", ""),
    ("/system.slice/node01_slurmstepd.scope/job_1234/step_extern/user/task_special", "slurm 1234.extern", ""),
    (f"/kubepods/burstable/pod{UID}/{ID}", f"pod {UID}", "container 3fc28fa1c647"),
    (f"{SLICE}/cri-containerd-{ID}.scope", f"pod {UID}", "containerd 3fc28fa1c647"),
    (f"{SLICE}/crio-{ID}.scope", f"pod {UID}", "cri-o 3fc28fa1c647"),
    (f"{SLICE}/docker-{ID}.scope", f"pod {UID}", "docker 3fc28fa1c647"),
    (f"/lxc.payload.node7{SLICE}/cri-containerd-{ID}.scope", f"pod {UID}", "containerd 3fc28fa1c647"),
    (f"/kubepods.slice/kubepods-pod{UID.replace('-', '_')}.slice:cri-containerd:{ID}", "", "containerd 3fc28fa1c647"),
    (f"/kubepods/pod{'0a' * 16}/{ID}", f"pod {'0a' * 16}", "container 3fc28fa1c647"),
    (f"/docker/{ID}", "", "docker 3fc28fa1c647"),
    (f"/system.slice/docker-{ID}.scope", "", "docker 3fc28fa1c647"),
    (f"/machine.slice/libpod-{ID}.scope/container", "", "podman 3fc28fa1c647"),
    (f"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope", "", "podman 3fc28fa1c647"),
    ("/lxc/web-1/system.slice", "", "lxc web-1"),
    ("/lxc.payload.web-1", "", "lxc web-1"),
    ("/machine.slice/machine-debian.scope", "", "nspawn debian"),
    ("/user.slice/user-1000.slice/user@1000.service/user.slice/apptainer-4711.scope", "", "apptainer 4711"),
    ("/pbspro.service/jobid/123.server", "pbs 123.server", ""),
    ("/pbs_jobs.service/jobid/123[4].server", "pbs 123[4].server", ""),
    ("/lsf/cluster/job.123.4567.890", "lsf 123", ""),
    ("/user.slice/user-1000.slice/session-3.scope", "", ""),
    ("/", "", ""),
    ("/../..", "", ""),
    ("/user.slice/job_1234/step_0", "", ""),
]


@pytest.mark.parametrize(("path", "job", "container"), GROUPS, ids=[path[:70] for path, _, _ in GROUPS])
def test_a_cgroup_names_job_and_container(path: str, job: str, container: str) -> None:
    assert container_of_group(path) == container
    if "cri-containerd:" not in path:  # a form of cgroup v1 in which the pod's slice ends in a colon
        assert job_of_group(path) == job
    else:
        assert job_of_group(path) in ("", f"pod {UID}")


@pytest.mark.parametrize(
    ("environment", "job"),
    [
        ({"SLURM_JOB_ID": "12", "SLURM_STEP_ID": "0"}, "slurm 12.0"),
        ({"SLURM_JOB_ID": "12", "SLURM_STEP_ID": "4294967291"}, "slurm 12.batch"),
        ({"SLURM_JOB_ID": "12", "SLURM_STEP_ID": "4294967290"}, "slurm 12.interactive"),
        ({"SLURM_JOB_ID": "12"}, "slurm 12"),
        ({"PBS_JOBID": "9.server"}, "pbs 9.server"),
        ({"LSB_JOBID": "9", "LSB_JOBINDEX": "0"}, "lsf 9"),
        ({"LSB_JOBID": "9", "LSB_JOBINDEX": "4"}, "lsf 9.4"),
        ({"FLUX_JOB_ID": "ƒ3x"}, "flux ƒ3x"),
        ({"JOB_ID": "5", "SGE_TASK_ID": "undefined"}, "sge 5"),
        ({"JOB_ID": "5"}, ""),
        ({"TORCHELASTIC_RUN_ID": "none"}, "torchrun 42"),
        ({"TORCHELASTIC_RUN_ID": "my run\x1b[31m"}, "torchrun myrun[31m"),
        ({"TORCHELASTIC_RUN_ID": "none", "SLURM_JOB_ID": "12"}, "slurm 12"),
        ({"SLURM_JOB_ID": ""}, ""),
        ({}, ""),
    ],
)
def test_an_environment_names_the_job(environment: dict[str, str], job: str) -> None:
    assert job_of_environment(environment, 42) == job


def test_hostile_environments_are_bounded() -> None:
    assert len(job_of_environment({"SLURM_JOB_ID": "9" * 100_000}, 1)) <= 120


@pytest.mark.parametrize(
    ("environment", "name"),
    [
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1", "HOSTNAME": "trainer-0"}, "trainer-0"),
        ({"POD_NAME": "trainer-1", "HOSTNAME": "x"}, "trainer-1"),
        ({"HOSTNAME": "login01"}, ""),
    ],
)
def test_a_pod_is_named_only_inside_of_one(environment: dict[str, str], name: str) -> None:
    assert pod_name(environment) == name


def test_runtimes_without_a_cgroup_say_so_in_the_environment() -> None:
    assert container_of_environment({"APPTAINER_CONTAINER": "/images/torch.sif"}) == "apptainer torch.sif"
    assert container_of_environment({"ENROOT_ROOTFS": "/run/enroot/pyxis_12.0/"}) == "enroot pyxis_12.0"
    assert container_of_environment({}) == ""
