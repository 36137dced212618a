"""What must not survive redaction, as data; and a report with something in every text field of the vocabulary."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
from report_material import report, result

from torchprobes.model import (
    Difference,
    Evidence,
    Expectation,
    Fact,
    Figure,
    Finding,
    Fix,
    Inventory,
    Like,
    Machine,
    Report,
    Severity,
    Target,
)


class Planted(NamedTuple):
    """A text; what of it is a secret at every level but none; what else names a person, a place or a device."""

    what: str
    text: str
    secret: tuple[str, ...] = ()
    private: tuple[str, ...] = ()


def _token(what: str, start: str, rest: str) -> Planted:
    """A token that shows by its shape, written so that no scanner takes this file for a leak."""
    return Planted(what, f"sent {start}{rest}, refused", (rest,))


HEX32 = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
MIXED = "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6"

SECRETS = (
    _token("GitHub", "ghp" + "_", MIXED + "Zz09"),
    _token("GitHub, fine-grained", "github" + "_pat_", "11ABCDEFG0" + MIXED),
    _token("GitLab", "glpat" + "-", MIXED[:20]),
    _token("Hugging Face", "hf" + "_", MIXED),
    _token("npm", "npm" + "_", MIXED),
    _token("Docker", "dckr" + "_pat_", MIXED),
    _token("PyPI", "pypi" + "-", "AgEIcHlwaS5vcmc" + MIXED),
    _token("NVIDIA NGC", "nvapi" + "-", MIXED),
    _token("OpenAI", "sk" + "-proj-", MIXED),
    _token("Anthropic", "sk" + "-ant-api03-", MIXED),
    _token("Groq", "gsk" + "_", MIXED),
    _token("Replicate", "r8" + "_", MIXED),
    _token("Slack", "xoxb" + "-", "123456789012-" + MIXED),
    _token("Stripe", "sk" + "_live_", MIXED),
    _token("AWS id", "AKIA", "IOSFODNN7EXAMPLE"),
    _token("Google", "AIza", MIXED + "abc"),
    _token("Google OAuth", "ya29" + ".", MIXED),
    _token("Vault", "hvs" + ".", MIXED),
    _token("Databricks", "dapi", HEX32),
    _token("DigitalOcean", "dop" + "_v1_", HEX32 * 2),
    _token("Grafana", "glsa" + "_", MIXED),
    _token("SendGrid", "SG" + ".", f"{MIXED[:22]}.{MIXED}"),
    _token("Telegram", "123456789:AA", MIXED + "x"),
    _token("JWT", "eyJ", f"hbGciOiJIUzI1.eyJzdWIiOiIx.{MIXED}"),
    Planted("a variable", "WANDB_API_KEY=" + HEX32 + " python x", (HEX32,)),
    Planted("an AWS secret", f"export AWS_SECRET_ACCESS_KEY='{MIXED}/+='", (MIXED,)),
    Planted("a short variable", "GH_PAT=fish9876", ("fish9876",)),
    Planted("csh", "setenv HF_TOKEN fish9876", ("fish9876",)),
    Planted("an option", "run --password fish9876 -v", ("fish9876",)),
    Planted("an option with =", "run --api-key=fish9876", ("fish9876",)),
    Planted("a list of words", "['run', '--token', 'fish9876']", ("fish9876",)),
    Planted("JSON", '{"client_secret": "fish9876", "n": 1}', ("fish9876",)),
    Planted("JSON in JSON", '{\\"api_key\\": \\"fish9876\\"}', ("fish9876",)),
    Planted("YAML", "client-key-data: LS0tfish9876", ("LS0tfish9876",)),
    Planted("Docker's config", '{"auths": {"r.io": {"auth": "ZmlzaDo5ODc2"}}}', ("ZmlzaDo5ODc2",)),
    Planted("npm's config", "//registry.npmjs.org/:_authToken=fish-9876", ("fish-9876",)),
    Planted("netrc", "machine api.wandb.ai login me password fish9876", ("fish9876",)),
    Planted("a URL", "redis://:fish9876@127.0.0.1:6379/0", ("fish9876",)),
    Planted("a URL's token", f"https://{HEX32}@127.0.0.1/3", (HEX32,)),
    Planted("a signed URL", "https://x.com/b?se=1&sig=fish9876%3D&n=1", ("fish9876",)),
    Planted("an S3 URL", "https://x.com/b?X-Amz-Signature=fish9876", ("fish9876",)),
    Planted("a web hook", "https://hooks.slack.com/services/T00/B00/fish9876", ("fish9876",)),
    Planted("a header", "Authorization: Bearer fish-98765432", ("fish-98765432",)),
    Planted("a basic header", "'authorization': 'Basic ZmlzaDo5ODc2'", ("ZmlzaDo5ODc2",)),
    Planted("an own header", "X-Api-Key: fish9876", ("fish9876",)),
    Planted("a cookie", "Cookie: session=fish9876; a=b", ("fish9876",)),
    Planted("curl", "curl -sSL -u me:fish9876 127.0.0.1", ("fish9876",)),
    Planted("sshpass", "sshpass -p fish9876 true", ("fish9876",)),
    Planted("mysql", "mysql -h 127.0.0.1 -pfish9876 x", ("fish9876",)),
    Planted("openssl", "openssl rsa -passin pass:fish9876", ("fish9876",)),
    Planted("wandb login", f"wandb login --relogin {HEX32}01234567", (HEX32,)),
    Planted("Azure", "AccountName=x;AccountKey=fish9876==;E=y", ("fish9876",)),
    Planted("PEM", "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1r\n-----END OPENSSH PRIVATE KEY-----", ("b3Blbn",)),
    Planted("PGP", "-----BEGIN PGP PRIVATE KEY BLOCK-----\nlQOYBF9876\n-----END PGP PRIVATE", ("lQOYBF9876",)),
)
"""Tokens, keys and passwords, by their shape, their name or their place."""

PRIVATE = (
    Planted("the node", "all of cobalt7 is slow", (), ("cobalt7",)),
    Planted("its whole name", "cobalt7.hpc.uni-nowhere.edu refused", (), ("cobalt7", "uni-nowhere")),
    Planted("another node", "ssh -p 22 basalt-12 hostname; basalt-12 is down", (), ("basalt-12",)),
    Planted("a list of Slurm's", "SLURM_JOB_NODELIST=onyx[07-09,11] and onyx08 hung", (), ("onyx",)),
    Planted("a rendezvous", "MASTER_ADDR=granite-4 failed: granite-4", (), ("granite",)),
    Planted("NCCL", "marble3:812:900 [0] NCCL INFO NET/IB\nmarble3 left", (), ("marble3",)),
    Planted("c10d", "connect to [schist9]:29500 (errno: 111); schist9 is gone", (), ("schist9",)),
    Planted(
        "syslog", "Nov 26 04:13:11 gneiss2 kernel: NVRM: Xid (PCI:0000:3b:00): 79\ngneiss2", (), ("gneiss2", "3b:00")
    ),
    Planted("EC2", "ip-10-11-12-13.eu-west-1.compute.internal", (), ("10-11-12", "eu-west-1")),
    Planted("a cluster's domain", "trainer.acme-ml.svc.cluster.local:80", (), ("acme-ml", "trainer")),
    Planted("a proxy", "HTTPS_PROXY=http://proxy.acme.corp:3128", (), ("acme",)),
    Planted("a bucket", "s3://acme-weights/llama/x.pt", (), ("acme",)),
    Planted("IPv4", "inet 10.93.7.41/24, peer 192.168.44.5:29500", (), ("10.93.7.41", "192.168.44.5")),
    Planted("IPv4 of NCCL", "NET/Socket : Using [0]eth0:10.93.7.42<0>", (), ("10.93.7.42",)),
    Planted("IPv6", "at 2001:db8:77::41 and [fd00:1:2::7]:29500", (), ("2001:db8", "fd00:1")),
    Planted("IPv6 of NCCL", "Using [0]eth0:fe80::5054:ff:fe12:3456%eth0<0>", (), ("fe80::", "fe12")),
    Planted("Ethernet", "link/ether 52:54:00:ab:cd:ef brd", (), ("52:54:00",)),
    Planted("InfiniBand", "node_guid: 506b:4b03:00ca:1234, GUID 0x506b4b0300ca5678", (), ("506b:4b03", "00ca5678")),
    Planted("a GPU", "GPU-f9c91a48-eb5b-a5f6-ef01-00e3694b7863 is lost", (), ("f9c91a48", "00e3694b7863")),
    Planted("a part of a GPU", "MIG-c6d4f1ef-42e4-5de3-91c7-45d71c87eb3f", (), ("c6d4f1ef",)),
    Planted("a GPU in short", "CUDA_VISIBLE_DEVICES=GPU-aa11bb22", (), ("aa11bb22",)),
    Planted("a boot", "boot 58d74061-aad3-46a4-a753-17b7ef103c53", (), ("58d74061",)),
    Planted("a pod", "kubepods-pod1b2c3d4e_5f60_4711_8899_aabbccddeeff.slice", (), ("1b2c3d4e",)),
    Planted("a container", "/docker/" + "ab12" * 16, (), ("ab12ab12",)),
    Planted("a bus id", "at 00000000:A7:00.0, /sys/bus/pci/devices/0000:a7:00.0", (), ("a7:00.0",)),
    Planted("a bus id of NCCL", "nvmlDev 3 busId 9b000", (), ("9b000",)),
    Planted(
        "a serial number", 'Serial Number : 1560221004711, "serial": "PN77X123"', (), ("1560221004711", "PN77X123")
    ),
    Planted(
        "a home", "cd /home/wilhelmina/secretproject/run7 && wilhelmina", (), ("wilhelmina", "secretproject", "run7")
    ),
    Planted("a home elsewhere", "/mnt/nfs/home/torvald/x/y.py:12 in main", (), ("torvald", "mnt/nfs")),
    Planted("root's home", "/root/secretproject/y.py", (), ("secretproject",)),
    Planted("a home with a space", "'/Users/Brunhilde/My Plans/y.py'", (), ("Brunhilde", "Plans")),
    Planted("an include", "gcc -I/home/wilhelmina/inc -L/root/secretlibs", (), ("wilhelmina", "/inc", "secretlibs")),
    Planted("HOME", "HOME=/gpfs/u/eadgyth; ls /gpfs/u/eadgyth/plans", (), ("eadgyth", "plans")),
    Planted("USER", "USER=hrothgar in /scratch/hrothgar", (), ("hrothgar",)),
    Planted("a shell", "scp wulfgar@flint8:x .; wulfgar", (), ("wulfgar", "flint8")),
    Planted("an e-mail", "ask aelfgifu@uni-nowhere.edu", (), ("aelfgifu", "uni-nowhere")),
    Planted("who runs there", "GPU 0 is busy: pid 17 (ermintrude, slurm job 5: python x)", (), ("ermintrude",)),
    Planted("whose process", "pid 4711 of cuthbert: python", (), ("cuthbert",)),
    Planted("whose it is", "it belongs to dunstan, and CAP_SYS_PTRACE is missing", (), ("dunstan",)),
    Planted("an id", "uid=1000(leofric) gid=1000", (), ("leofric",)),
    Planted("a run", "/var/x/20261126T032412Z-felsite-28ea6a/report.json", (), ("felsite",)),
)
"""People, places and devices: masked for the public, kept inside."""

SURVIVES = (
    "nvidia-cudnn-cu12==8.9.2.26, nvidia-curand-cu12 10.3.2.106",
    "cuDNN version 8.9.2.26, libcudnn.so.8.9.2.26, driver 535.161.08",
    "torch 2.6.0+cu124 on Python 3.11.7, kernel 6.18.44-fc-v657-gpu",
    "Linux version 6.18.44 (builder) (gcc (GCC) 15.3.0), a toolkit of another major version than PyTorch",
    "sha256 6a03faf64ab19ccd6a03faf64ab19ccd6a03faf64ab19ccd6a03faf64ab19ccd",
    "build-id 8f2a3b4c5d6e7f8091a2b3c4d5e6f70812233445",
    "compile id [1/2_1], attempt 3, graph break at frame 12",
    "at 12:34:56.789 on 2026-11-26T04:13:11Z, 0x7ff3d8ff09b0",
    "c10::d, torch::jit::load, c10d::allreduce, std::a::b",
    "127.0.0.1:29500, ::1, 0.0.0.0, localhost:8000",
    "https://pytorch.org/docs/2.6/x.html and https://github.com/pytorch/pytorch/issues/12",
    "/usr/local/cuda-12.4/lib64/libcudart.so.12",
    "torch.nn.functional.scaled_dot_product_attention, self.net, model.pt, kernel.cc, x.io",
    "GPU0-GPU1 NV18, sm_90, NVIDIA H100 80GB HBM3, 3201 MHz",
    "fx graph cache miss for key fwmkhqjvvtm4y7c2, pad_token_id=0",
    "bf16 751 TFLOP/s (95 % of the expected), 0.98x (95 % 0.94 to 1.01)",
    "ProcessGroupNCCL.cpp:629, [rank0]: train.py:12",
    "for chrome://tracing, init_method env://, tcp://127.0.0.1:5",
    "root runs pid 17 (root: python)",
    "hf_hub_enable_hf_transfer, global-batch-size-per-rank",
)
"""What a comparison needs, and what looks like an address and is none."""


def full_report() -> Report:
    """Something in every field of every structure of a report."""
    like = Like(pid=7, started=1, user="u", command="c", folder="f", cgroup=("g",), differences=(
        Difference(what="w", here="h", there="t"),))  # fmt: skip
    target = Target(python="p", prefix=("a", "b"), origin="o", torch="t", cuda="c", python_version="3", refusal="r",
                    like=like)  # fmt: skip
    machine = Machine(
        host="cobalt7", boot_id="b", kernel="k", arch="a", os="o", cpu="c", cores=1, memory_bytes=1, driver="d",
        cuda="c", gpus=({"index": 0, "name": "n", "power_limit_w": {"state": "s", "why": "w"}},),
        inventory=Inventory(parts={"variable": {"LD_LIBRARY_PATH": "v"}, "mount": {"m": "v"}}, unread={"gpu": "w"}),
    )  # fmt: skip
    bad = Finding(id="i", severity=Severity.WARNING, seen="s", why="w", source="s", fix=Fix(command="c", needs=("n",)))
    one = result(
        reason="r", command="c", cache_state="s", log="l", findings=(bad,),
        figures=(Figure(name="f", value=1.0, unit="s", labels={"l": "v"}),),
        facts=(Fact(name="n", value="v", evidence="e"), Fact(name="m", value=3)),
        evidence=(Evidence(kind="k", text="t", artifact="a"),),
        expectations=(Expectation(name="n", value=1.0, unit="s", labels={"l": "v"}, source="s"),),
    )  # fmt: skip
    return msgspec.structs.replace(report((one,), (bad,)), machine=machine, target=target)


OURS = {"verdict", "severity", "scope"}
"""Keys whose value is a word of an enumeration; of a result, so is `tier`."""


def planted_in_all(whole: Report, text: str) -> Report:
    """The report with a text behind every text in it, keys too."""
    document = msgspec.to_builtins(whole)
    tiers = [each["tier"] for each in document["results"]]
    document = _with(document, text)
    for each, tier in zip(document["results"], tiers, strict=True):
        each["tier"] = tier
    return msgspec.convert(document, Report)


FREE = {"labels", "parts", "variable", "mount", "unread"}
"""Fields that hold names that are free."""


def _with(value: Any, text: str, field: str = "") -> Any:
    if isinstance(value, str):
        return value if field in OURS else f"{value} {text}"
    if isinstance(value, dict):
        free = field in FREE and field != "parts"
        return {(f"{key} {text}" if free else key): _with(each, text, key) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_with(each, text, field) for each in value]
    return value


def texts_of(whole: Report) -> list[str]:
    """Every text of a report, keys too, as they lie in it."""
    return list(_texts(msgspec.to_builtins(whole)))


def _texts(value: Any) -> Any:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, each in value.items():
            yield key
            yield from _texts(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _texts(each)
