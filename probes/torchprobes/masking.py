"""Secrets in text and environments, replaced by `***` before a person, a file or a screen sees them.

Three signs of a secret: the name that it is given to, its place in a URL or a header, and the shape that its issuer
gives it. Every pattern is bounded, so that hostile text costs no more than its length. Standard library only.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

MASK: Final = "***"

_STRONG: Final = (
    "token", "secret", "secrets", "password", "passwd", "passphrase", "credential", "credentials", "creds", "apikey",
    "cookie",
)  # fmt: skip
"""Endings of a part of a name that make it a secret's."""

_WEAK: Final = frozenset(
    {"key", "auth", "pass", "pwd", "pat", "sas", "jwt", "cookies", "authorization", "webhook", "salt", "otp"}
)
"""Parts that do so in the name of a variable; in a text they are ordinary words (a cache's key)."""

_WITH_KEY: Final = frozenset(
    {"api", "access", "secret", "private", "account", "storage", "signing", "encryption", "client", "session", "ssh",
     "consumer", "license", "subscription", "service", "fernet", "webhook", "app"}
)  # fmt: skip
"""Parts beside which `key` is a secret's in a text too."""

_VOCABULARY: Final = frozenset(
    {"eos", "bos", "pad", "unk", "cls", "sep", "mask", "special", "id", "ids", "type", "max", "num", "per", "image"}
)
"""Parts beside which `token` is one of a language model's."""

_PART: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_NAME: Final = re.compile(
    r"(?<![\w.-])(?:([\w.-]+)(\\{0,4}[\"']?\s{0,8}[=:]\s{0,8})|(-[\w.-]+)(\s{1,8}|[\"'],\s{0,8}(?=[\"'])))(?=\S)"
)
"""A name and what leads from it to its value: `name=`, `"name": `, `--name `, `'--name', ` of a list."""

_VALUE: Final = re.compile(r"\*\*\*(?=[\s\])},;\"']|$)|'[^'\n]*'|\"[^\"\n]*\"|[^\s,;]+")


class _Place(NamedTuple):
    """Where a secret stands: what any text with it holds, in small letters; the pattern, and what is put there."""

    sign: str
    pattern: re.Pattern[str]
    instead: str = rf"\1{MASK}"


_PLACES: Final = (
    _Place("private key", re.compile(
        r"(-----BEGIN [A-Z ]{0,32}PRIVATE KEY(?: BLOCK)?-----)(?:(?!-----END)[\s\S]){0,16384}")),
    _Place("://", re.compile(r"(?i)(?<![a-z0-9+.-])([a-z][a-z0-9+.-]{0,20}://[^/\s:@]{0,256}):[^\s/]{0,1024}@"),
           rf"\1:{MASK}@"),
    _Place("://", re.compile(r"(?i)(?<![a-z0-9+.-])([a-z][a-z0-9+.-]{0,20}://)[^/\s:@]{16,256}(?=@)")),
    _Place("=", re.compile(
        r"(?i)([?&](?:sig|signature|x-(?:amz|goog)-(?:signature|credential|security-token)|key|code|sas|auth|jwt|"
        r"awsaccesskeyid)=)[^\s&#'\"]{4,4096}")),
    _Place("hook", re.compile(
        r"(?i)(//(?:hooks\.slack\.com/(?:services|workflows|triggers)|[\w.-]{0,64}discord(?:app)?\.com/api/webhooks|"
        r"[\w.-]{1,64}\.webhook\.office\.com)/)[^\s'\"]+")),
    _Place("sharedaccesssignature", re.compile(r"(?i)(SharedAccessSignature[=\s]{1,2})[^\s;'\"]+")),
    _Place("authorization", re.compile(
        r"(?i)(authorization\\{0,4}[\"']?\s{0,8}[:=]\s{0,8}\\{0,4}[\"']?(?:[a-z]{1,16}\s{1,8})?)[^\s\"',;\\]+")),
    _Place("bearer", re.compile(r"(?i)\b(bearer\s{1,8})[\w.~+/-]{8,}=*")),
    _Place("cookie", re.compile(r"(?i)\b((?:set-)?cookie\s{0,8}:\s{0,8})[^\r\n]+")),
    _Place("auth", re.compile(
        r"((?<!\w)(?:\\{0,4}\"auth\\{0,4}\"\s{0,8}:\s{0,8}\\{0,4}\"|_auth\s{0,8}=\s{0,8}))[^\s\"\\]+")),
    _Place("\"key", re.compile(r"(\"key\\{0,4}\"\s{0,8}:\s{0,8}\\{0,4}\")[0-9a-f]{32}(?=\\{0,4}\")")),
    _Place("password", re.compile(r"(\blogin\s{1,8}\S{1,256}\s{1,8}password\s{1,8})\S+")),
    _Place("user", re.compile(r"(--(?:proxy-)?user[ =][\"']?[^\s:\"']{1,256}:)(?!\d+(?!\S))[^\s\"']+")),
    _Place("curl", re.compile(r"(\bcurl\s[^\n]{0,256}?(?<=\s)-u\s?[\"']?[^\s:\"']{1,256}:)[^\s\"']+")),
    _Place("sshpass", re.compile(r"(\bsshpass\s{1,8}-p\s?)\S+")),
    _Place(" -p", re.compile(r"(\b(?:mysql|mysqldump|mysqladmin|mariadb)\s[^\n]{0,256}?(?<=\s)-p)(?=\S)\S+")),
    _Place("pass:", re.compile(r"(\s-pass(?:in|out)?\s{1,8}pass:)\S+")),
    _Place("wandb", re.compile(r"(\bwandb\s{1,8}login\s[^\n]{0,256}?(?<=\s))[\w-]{32,128}(?![\w-])")),
    _Place("setenv", re.compile(
        r"(?i)(\bsetenv\s{1,8}\w{0,64}(?:token|secret|passw(?:or)?d|key|credentials?)\w{0,16}\s{1,8})\S+")),
)  # fmt: skip
"""Where secrets stand: PEM first, whose head another could take away; URLs, headers, configurations, command lines."""

_ISSUED: Final = (
    "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "gldt-", "glrt-", "glcbt-", "glptt-", "glagent-",
    "dckr_pat_", "dckr_oat_", "pypi-", "nvapi-", "sk-", "xoxa-", "xoxb-", "xoxe-", "xoxp-", "xoxr-", "xoxs-", "xapp-",
    "sk_live_", "sk_test_", "rk_live_", "rk_test_", "dop_v1_", "doo_v1_", "dor_v1_", "hvs.", "hvb.", "glsa_", "glc_",
    "tskey-", "PMAK-", "ATATT3x", "AGE-SECRET-KEY-1", "ya29.", "1//0", "atlasv1.", "SG.",
)  # fmt: skip
"""What a token begins with, 16 characters or more before its end: of GitHub, GitLab, Docker, PyPI, NVIDIA, OpenAI and
Anthropic, Slack, Stripe, DigitalOcean, Vault, Grafana, Tailscale, Postman, Atlassian, age, Google, Terraform,
SendGrid."""

_ISSUED_PLAIN: Final = (
    "hf_", "api_org_", "npm_", "csk-", "xai-", "gsk_", "pplx-", "r8_", "tgp_v1_", "lsv2_pt_", "lsv2_sk_", "wandb_v1_",
    "whsec_", "figd_", "shpat_", "shpca_", "shppa_", "shpss_", "lin_api_", "ntn_", "sgp_", "rubygems_", "AKCp", "pul-",
    "dapi",
)  # fmt: skip
"""The same where ordinary names begin so, too (`hf_hub_enable_hf_transfer`): letters and digits alone follow for 16
characters. Hugging Face, npm, Cerebras, xAI, Groq, Perplexity, Replicate, Together, LangSmith, W&B, Stripe, Figma,
Shopify, Linear, Notion, Sourcegraph, RubyGems, Artifactory, Pulumi, Databricks."""

_SHAPES: Final = re.compile(
    rf"(?<![A-Za-z0-9])(?:({'|'.join(map(re.escape, _ISSUED))})[\w.-]{{16,}}"
    rf"|({'|'.join(_ISSUED_PLAIN)})(?=[A-Za-z0-9]{{16}})[\w-]+"
    r"|(AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])"
    r"|(AIza)[\w-]{35}"
    r"|(eyJ)[\w-]{8,}\.[\w-]{8,}\.[\w-]*"
    r"|(\d{8,10}:AA)[\w-]{33}(?![\w-])"
    r")"
)
"""A token by its shape: those, then AWS, Google, JWTs, Telegram."""

_SHORTEST: Final = 19
"""Characters of the shortest token with a shape."""

_SHAPE_SIGNS: Final = (*_ISSUED, *_ISSUED_PLAIN, "AKIA", "ASIA", "AIza", "eyJ", ":AA")
_NAME_SIGNS: Final = ("token", "secret", "passw", "passphrase", "credential", "creds", "cookie", "key")
_VARIABLE_SIGNS: Final = tuple(word.upper() for word in _WEAK)
"""What a text holds that has a token, a secret's name, or one of a variable: most have none, and cost no more."""


def mask_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """A copy of an environment without secrets: by the names of variables, and by what their values hold."""
    return {name: _masked_variable(name, value) for name, value in environ.items()}


def _masked_variable(name: str, value: str) -> str:
    """An empty value stays empty: that it is unset can be the reason of a fault."""
    return MASK if value and is_secret(name, variable=True) else mask_text(value)


def mask_text(text: str) -> str:
    """A text without secrets; what was masked before stays as it is."""
    low = text.lower()
    for place in _PLACES:
        if place.sign in low:
            text = place.pattern.sub(place.instead, text)
    if len(text) >= _SHORTEST and any(map(text.__contains__, _SHAPE_SIGNS)):
        text = _SHAPES.sub(lambda match: f"{next(filter(None, match.groups()))}{MASK}", text)
    if any(map(low.__contains__, _NAME_SIGNS)) or any(map(text.__contains__, _VARIABLE_SIGNS)):
        text = "".join(_without_assigned(text))
    return text


def _without_assigned(text: str) -> Iterator[str]:
    """The pieces of a text, with a mask for each value that follows a secret's name."""
    done = 0
    for match in _NAME.finditer(text):
        if match.start() < done or not _leads_to_secret(match):
            continue
        yield text[done : match.end()] + MASK
        value = _VALUE.match(text, match.end())
        done = value.end() if value else match.end()
    yield text[done:]


def _leads_to_secret(match: re.Match[str]) -> bool:
    """Whether a name in a text gives a value to a secret: `DB_PASS=x` as a variable, `--token x` as an option."""
    name, between, option, _ = match.groups()
    if option:
        return is_secret(option, variable=False)
    return is_secret(name, variable=name.isupper() and "_" in name and "=" in between)


@functools.lru_cache(4096)
def is_secret(name: str, *, variable: bool) -> bool:
    """Whether what has this name is a secret. In the name of a `variable` more words say so than in a text."""
    parts = [part.lower() for part in _PART.findall(name)]
    if any(part.endswith(_STRONG) for part in parts):
        return variable or _VOCABULARY.isdisjoint(parts)
    if variable:
        return not _WEAK.isdisjoint(parts) and parts != ["pwd"]
    return "key" in parts and not _WITH_KEY.isdisjoint(parts)
