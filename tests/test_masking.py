"""Secrets are masked wherever they stand, and what is none is left alone: a masked cache key hides a cause."""

from __future__ import annotations

import random
import string

import pytest

from torchprobes.masking import mask_environment, mask_text

SECRET = "hunter2"

NAMED = [
    "HF_TOKEN",
    "GITHUB_TOKEN",
    "GITHUBTOKEN",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "WANDB_API_KEY",
    "OPENAI_APIKEY",
    "DB_PASSWORD",
    "PGPASSWORD",
    "MYSQL_PWD",
    "SSH_PASSPHRASE",
    "GOOGLE_CREDENTIALS",
    "REDIS_AUTH",
    "SESSION_COOKIE",
    "PRIVATE_KEY",
    "token",
    "dbPassword",
    "MY_PASSWD",
    "API_SECRET_V2",
    "DOCKER_AUTH_CONFIG",
]

ORDINARY = {
    "PWD": "/home/me",
    "OLDPWD": "/tmp",
    "TOKENIZERS_PARALLELISM": "false",
    "CUDA_VISIBLE_DEVICES": "0,1",
    "MASTER_PORT": "29500",
    "PATH": "/usr/bin:/bin",
    "KEYBOARD": "us",
    "AUTHOR": "me",
    "PYTHONHASHSEED": "0",
    "COMPASS": "n",
    "LD_LIBRARY_PATH": "/opt/lib:/usr/lib",
    "PYTORCH_CUDA_ALLOC_CONF": "max_split_size_mb:512",
    "EMPTY": "",
}


@pytest.mark.parametrize("name", NAMED)
def test_a_variable_named_like_a_secret_is_masked_here_and_in_a_text(name: str) -> None:
    assert mask_environment({name: SECRET}) == {name: "***"}
    assert SECRET not in mask_text(f"env: {name}={SECRET} next")
    assert mask_text(f"{name}={SECRET} next").endswith("*** next")


def test_ordinary_variables_are_left_alone() -> None:
    assert mask_environment(ORDINARY) == ORDINARY
    text = " ".join(f"{name}={value}" for name, value in ORDINARY.items() if value)
    assert mask_text(text) == text


def test_an_empty_secret_stays_empty_and_values_are_looked_into() -> None:
    seen = mask_environment({"HF_TOKEN": "", "HTTPS_PROXY": "http://me:pw@proxy:80", "OPTIONS": "--token x -v"})
    assert seen == {"HF_TOKEN": "", "HTTPS_PROXY": "http://me:***@proxy:80", "OPTIONS": "--token *** -v"}


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("run --token hunter2 x", "run --token *** x"),
        ("run --api-key=hunter2 x", "run --api-key=*** x"),
        ('{"api_key": "hunter2", "n": 1}', '{"api_key": ***, "n": 1}'),
        ("{'password': 'a b'}", "{'password': ***}"),
        ("login: password: hunter2", "login: password: ***"),
        ("a=b token=hunter2", "a=b token=***"),
        ("https://host/x?access_token=hunter2", "https://host/x?access_token=***"),
        ("redis://:hunter2@cache:6379/0", "redis://:***@cache:6379/0"),
        ("git+ssh://me:p@ss@host/x", "git+ssh://me:***@host/x"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer ***"),
        ("'authorization': 'Basic dXNlcjpw'", "'authorization': 'Basic ***'"),
        ("curl -H bearer abcdefghij", "curl -H bearer ***"),
        ("Cookie: a=1; b=2\nnext", "Cookie: ***\nnext"),
        ("Set-Cookie: session=1", "Set-Cookie: ***"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\nxyz\n-----END", "-----BEGIN RSA PRIVATE KEY-----***-----END"),
    ],
)
def test_secrets_in_a_text_are_masked_where_they_stand(text: str, masked: str) -> None:
    assert mask_text(text) == masked
    assert mask_text(masked) == masked, "masking again changes nothing"


@pytest.mark.parametrize(
    ("start", "rest"),
    [
        ("ghp_", "a1B2" * 9), ("github_pat_", "11AAAAAAA0" * 4), ("hf_", "abcdEFGH" * 4), ("AKIA", "IOSFODNN7EXAMPLE"),
        ("glpat-", "x" * 20), ("xoxb-", "123456789012-abc"), ("sk-", "proj-" + "a" * 40), ("AIza", "b" * 35),
        ("nvapi-", "c" * 60), ("pypi-", "d" * 50), ("npm_", "e" * 36), ("eyJ", "hbGciOiJI.eyJzdWIiOiIx.SflKxwRJ"),
    ],
)  # fmt: skip
def test_a_token_is_known_by_its_shape(start: str, rest: str) -> None:
    assert mask_text(f"cloning with {start}{rest}, then") == f"cloning with {start}***, then"
    assert mask_environment({"X": start + rest}) == {"X": f"{start}***"}


@pytest.mark.parametrize(
    "text",
    [
        "unexpected token 3 here",
        "fx graph cache miss for key fwmkhqjvvtm4y7c2",
        "cache_key: abcdef",
        "max_tokens=512, pad_token_id: 0, eos_token='</s>', tokenizer=gpt2",
        "Basic authentication is off",
        "KeyError: 'model.layers.0.weight'",
        "torch/_inductor/codecache.py:1234: in load_by_key_path",
        "git@github.com:org/repo.git",
        "https://download.pytorch.org/whl/cu126",
        "tcp://10.0.0.1:29500",
        "risk-assessment-of-a-very-long-name",
        "0c9e6c3a9d3b0c9e6c3a9d3b0c9e6c3a9d3b0c9e",
        "hf_hub_enable_hf_transfer, npm_config_user_agent_x, global-batch-size-per-rank",
        "docker run -u 1000:1000 --user=1000:1000 image",
        "?page=12&code=ab",
        "login as root, then passwd",
    ],
)
def test_what_is_no_secret_is_left_alone(text: str) -> None:
    assert mask_text(text) == text


UNITS = ["a", "a.", "token", "token=", "http://", "a:", "-", "\"'", " ", "eyJa.", "-----BEGIN PRIVATE KEY-----", "=",
         "curl ", "curl -u a:", "mysql -p", "login a password ", "wandb login ", "\\\"auth\\\": ", "?key=", "SG.a",
         "sk-", "'--token', "]  # fmt: skip


@pytest.mark.parametrize("unit", UNITS)
def test_a_long_hostile_text_comes_to_an_end(unit: str) -> None:
    """A pattern whose cost grows with the square of the length would take hours for these."""
    text = (unit * 200_000)[:200_000]
    assert len(mask_text(text)) <= len(text) + 3


@pytest.mark.parametrize("seed", range(50))
def test_no_text_breaks_it(seed: int) -> None:
    draw = random.Random(seed)
    words = [*NAMED, "=", ":", " ", "'", '"', "\n", "://", "@", "--", "\x00", "\ud800", "eyJ", *string.printable]
    text = "".join(draw.choices(words, k=200))
    once = mask_text(text)
    assert isinstance(once, str)
    assert mask_environment({text: text}).keys() == {text}
