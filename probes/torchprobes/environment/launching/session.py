"""The login session or batch step that this process lives in, and whether its end kills what it started.

systemd-logind ends a session's processes where KillUserProcesses= is on; a user's manager, and every scope below it,
ends with the user's last session unless the user lingers; the end of a Slurm step kills its control group. None of
them cares for setsid or SIGHUP. Sources: logind.conf(5), loginctl(1), pam_systemd(8). Standard library only.
"""

from __future__ import annotations

import configparser
import os
import pwd
import re

from ..process import read_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MOST_FILES = 64
FOLDERS = ("/usr/lib/systemd", "/usr/local/lib/systemd", "/run/systemd", "/etc/systemd")
"""Later ones win: a main file in /etc replaces those before it, a drop-in goes by its own name across all folders."""

LINGER = "/var/lib/systemd/linger"
_SCOPE = re.compile(r"/(session-[\w.-]+\.scope)(?:/|$)")
_MANAGER = re.compile(r"/user@\d+\.service(?:/|$)")
_STEP = re.compile(r"slurm[^/\n]{0,64}(?:/uid_\d{1,10})?/job_(\d{1,12})/step_(\w{1,24})")
_WORDS = {"1": True, "yes": True, "true": True, "on": True, "0": False, "no": False, "false": False, "off": False}


def session(root: str = "/") -> dict[str, Any]:
    """Where this process lives and what would end it.

    `scope` is logind's session, `manager` says that it lives below the user's own manager; `kills` is
    KillUserProcesses= with its exceptions taken into account, None where there is no logind to ask; `step` and `job`
    are Slurm's, as its control group or environment tells, `interactive` that the step has a terminal of its own.
    """
    name = _user()
    groups = read_file(os.path.join(root, "proc/self/cgroup"), 1 << 14).decode(errors="replace")
    scope, step = _SCOPE.search(groups), _STEP.search(groups)
    environ = os.environ
    return {
        "user": name,
        "scope": scope[1] if scope else "",
        "manager": bool(_MANAGER.search(groups)),
        "kills": kills(root, name),
        "lingers": bool(name) and os.path.exists(os.path.join(root, LINGER.lstrip("/"), name)),
        "job": step[1] if step else environ.get("SLURM_JOB_ID", ""),
        "step": step[2] if step else environ.get("SLURM_STEP_ID", ""),
        "interactive": bool(environ.get("SLURM_PTY_PORT")),
    }


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return ""


def kills(root: str, name: str) -> bool | None:
    """Whether logind kills what a session of `name` leaves behind; None without logind.

    KillOnlyUsers= limits it to some, KillExcludeUsers= (root, unless it says otherwise) spares some.
    """
    if not os.path.isdir(os.path.join(root, "run/systemd/seats")) and not os.path.isdir(
        os.path.join(root, "run/systemd/sessions")
    ):
        return None
    told = settings(root)
    on = _WORDS.get(told.get("killuserprocesses", "no").strip().lower(), False)
    only, spared = told.get("killonlyusers", "").split(), told.get("killexcludeusers", "root").split()
    return on and name not in spared and (not only or name in only)


def settings(root: str) -> dict[str, str]:
    """The [Login] section of logind.conf and its drop-ins, keys in lower case."""
    found: dict[str, str] = {}
    for path in _files(root):
        parser = configparser.ConfigParser(strict=False, interpolation=None, delimiters=("=",), allow_no_value=True)
        try:
            parser.read_string(read_file(path).decode(errors="replace"))
        except (OSError, configparser.Error):
            continue
        if parser.has_section("Login"):
            found.update({key: value or "" for key, value in parser.items("Login")})
    return found


def _files(root: str) -> list[str]:
    """The main file of the last folder that has one, then the drop-ins by name."""
    folders = [os.path.join(root, folder.lstrip("/")) for folder in FOLDERS]
    mains = [path for folder in folders if os.path.isfile(path := f"{folder}/logind.conf")]
    drops: dict[str, str] = {}
    for folder in folders:
        try:
            entries = sorted(os.listdir(f"{folder}/logind.conf.d"))[:MOST_FILES]
        except OSError:
            continue
        drops.update({entry: f"{folder}/logind.conf.d/{entry}" for entry in entries if entry.endswith(".conf")})
    return [*mains[-1:], *(drops[entry] for entry in sorted(drops))]
