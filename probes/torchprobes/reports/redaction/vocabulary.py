"""Tables: the keys that name people and places, the words that name nobody, the places that everybody knows."""

from __future__ import annotations

from typing import Final


def words(text: str) -> frozenset[str]:
    """The words of a table that is written as prose."""
    return frozenset(text.split())


KEYS: Final[dict[str, str]] = {
    "host": "host", "hostname": "host", "nodename": "host", "node_name": "host", "fqdn": "host", "node": "host",
    "hosts": "host", "nodes": "host", "nodelist": "host", "host_name": "host",
    "user": "user", "username": "user", "user_name": "user", "owner": "user", "login": "user",
    "uuid": "uuid", "gpu_uuid": "uuid", "boot_id": "uuid", "system_uuid": "uuid", "product_uuid": "uuid",
    "machine_id": "uuid", "machine-id": "uuid", "board_id": "uuid",
    "serial": "serial", "serial_number": "serial", "board_serial": "serial", "chassis_serial": "serial",
    "product_serial": "serial", "gpu_serial": "serial", "asset_tag": "serial", "serial-number": "serial",
    "bus_id": "pci", "pci_bus_id": "pci", "gpu_bus_id": "pci",
    "mac": "mac", "mac_address": "mac", "guid": "mac", "node_guid": "mac", "port_guid": "mac", "sys_image_guid": "mac",
    "email": "email", "mail": "email",
    "container_id": "container",
}  # fmt: skip
"""Keys of documents, fields of structures, last parts of the names of facts: what their value is, whole."""

VARIABLES: Final[dict[str, str]] = {
    "USER": "user", "LOGNAME": "user", "USERNAME": "user", "SUDO_USER": "user", "SLURM_JOB_USER": "user",
    "PBS_O_LOGNAME": "user", "LSFUSER": "user", "NB_USER": "user", "JUPYTERHUB_USER": "user", "KRB5_USER": "user",
    "SLURM_JOB_ACCOUNT": "user", "SBATCH_ACCOUNT": "user", "WANDB_ENTITY": "user", "WANDB_USERNAME": "user",
    "GIT_AUTHOR_NAME": "user", "GIT_COMMITTER_NAME": "user", "KAGGLE_USERNAME": "user", "DOCKER_USER": "user",
    "HOME": "home", "JUPYTERHUB_HOME": "home", "PBS_O_HOME": "home",
    "HOSTNAME": "host", "HOST": "host", "NODE_NAME": "host", "NODENAME": "host", "POD_NAME": "host",
    "SLURM_NODELIST": "host", "SLURM_JOB_NODELIST": "host", "SLURM_STEP_NODELIST": "host", "SLURMD_NODENAME": "host",
    "SLURM_SUBMIT_HOST": "host", "SLURM_SRUN_COMM_HOST": "host", "SLURM_TOPOLOGY_ADDR": "host",
    "SLURM_CLUSTER_NAME": "host", "PBS_O_HOST": "host", "PBS_SERVER": "host", "LSB_HOSTS": "host",
    "LSB_SUB_HOST": "host", "MASTER_ADDR": "host", "PET_RDZV_ENDPOINT": "host", "PET_MASTER_ADDR": "host",
    "RDZV_ENDPOINT": "host", "NCCL_COMM_ID": "host", "NCCL_HOSTID": "host", "TORCHELASTIC_MASTER_ADDR": "host",
    "KUBERNETES_SERVICE_HOST": "host", "REMOTEHOST": "host", "SSH_HOST": "host", "DGX_HOST": "host",
}  # fmt: skip
"""Variables of an environment, in a table or as NAME=value in a text: what their value names."""

VERSIONED: Final = frozenset({"package", "library", "driver", "toolchain", "python", "module", "kernel"})
"""Kinds of an inventory in which four numbers with dots between them are a version."""

ORDINARY: Final = words(
    # Accounts that every machine has, hosts that are called what they are, and documents' own words.
    "root nobody daemon system admin administrator operator guest user users username owner login git ubuntu debian "
    "centos fedora rocky alma ec2-user azureuser opc docker nvidia slurm munge jovyan runner vagrant default "
    "localhost localhost.localdomain ip6-localhost local host hosts hostname node nodes vm server client master "
    "main worker workers head gpu gpus cpu cpus cuda rocm hip xpu mps npu tpu meta box machine cluster login-node "
    "compute computer dgx hgx a10 a100 a800 h100 h200 h800 b200 gb200 v100 t4 l4 l40 l40s torch pytorch python "
    "python3 triton nccl gloo mpi ucc cudnn cublas numpy numba jax xla apex flash attention torchdoctor torchrun "
    "train training trainer test tests data model models job jobs rank ranks run runs probe probes report pass "
    "degraded fail skip unsure error info warning critical process scope quick standard full snapshot telemetry "
    "none null true false yes no on off unknown unset auto cold warm any all other another not known the a an of to "
    "is it its and or in by as at be this that from with for code space namespace entry level mode group name time "
    "home tmp var usr opt etc lib lib64 bin dev proc sys mnt srv shm cache state share env envs venv conda base "
    "path uuid ip mac email serial pci container public internal linux x86 x86_64 amd64 aarch64 arm64 intel amd "
    "eth0 ib0 lo bond0 default-router kernel driver memory disk network app apps work project projects src www max "
    "min mean median total size bytes count index value values key keys label labels first last new old stdout "
    "stderr stdin log logs file files"
)
"""Words that name nobody: as a host's or a user's name they are masked only where their place says so."""

KNOWN_PLACES: Final = (
    "pytorch.org", "github.com", "githubusercontent.com", "github.io", "gitlab.com", "nvidia.com", "nvcr.io",
    "pypi.org", "pythonhosted.org", "python.org", "huggingface.co", "anaconda.com", "anaconda.org", "conda-forge.org",
    "docker.io", "docker.com", "ghcr.io", "quay.io", "intel.com", "amd.com", "readthedocs.io", "readthedocs.org",
    "kernel.org", "debian.org", "ubuntu.com", "redhat.com", "schedmd.com", "open-mpi.org", "arxiv.org", "man7.org",
    "w3.org", "apache.org", "gnu.org", "llvm.org", "triton-lang.org", "numpy.org", "scipy.org", "kubernetes.io",
    "stackoverflow.com", "microsoft.com", "jupyter.org", "opencv.org", "tensorflow.org",
)  # fmt: skip
"""Sites that the whole field reads: a link to them says nothing of who has it."""
