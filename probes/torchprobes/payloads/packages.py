"""env.packages: which PyTorch is found, does it stand alone, and is what it requires there?

Read from the folders of packages alone: nothing is imported, so it answers where torch is broken too. The versions
that are there and those that are required are told; whether they fit is judged elsewhere. Standard library, parses
on Python 3.8.
"""

import os
import re
import site
import sys

import torchdoctor_files as files
import torchdoctor_kit as kit
import torchdoctor_requirements as requirements
from torchdoctor_shared.environment import interpreters

MOST_DISTRIBUTIONS = 5000
METADATA_BYTES = 256 << 10
COPIES_TOLD = 8
OURS = re.compile(
    r"(torch|triton|nvidia|cuda|pytorch|numpy|xformers|flash-attn|deepspeed)(-|$)|torch(vision|audio|ao)$"
)
"""Distributions whose versions are told: PyTorch, what it brings, and what is built against it."""

CONDA_NAMES = {"pytorch": "torch", "pytorch-gpu": "torch", "pytorch-cpu": "torch"}
"""Names of packages that conda calls otherwise."""


def run(request):
    """The probe."""
    kit.started()
    found = distributions(files.site_folders())
    _tell_copies(found)
    _tell_installed(found)
    _tell_requirements(found)
    _tell_managers(found)
    kit.figure("distributions", len(found), "packages")


class Distribution:
    """One installed distribution, as its `.dist-info` folder tells it."""

    def __init__(self, folder, directory):
        name, _, version = directory[: -len(".dist-info")].partition("-")
        self.name, self.version = requirements.normal(name), version
        self.folder, self.path = folder, os.path.join(folder, directory)

    def requires(self):
        """Its Requires-Dist lines; read when they are asked for."""
        head = files.text(os.path.join(self.path, "METADATA"), METADATA_BYTES).split("\n\n", 1)[0]
        return [line.partition(":")[2].strip() for line in head.splitlines() if line.startswith("Requires-Dist:")]

    @property
    def installer(self):
        """Who put it there: pip, conda, uv …; "" if it does not say."""
        return files.text(os.path.join(self.path, "INSTALLER"), 100).strip()


def distributions(folders):
    """All distributions in the order of sys.path, those that another one shadows too."""
    found = []
    for folder in folders:
        try:
            names = sorted(os.listdir(folder))
        except OSError:
            continue
        found += [Distribution(folder, name) for name in names if name.endswith(".dist-info")]
    return found[:MOST_DISTRIBUTIONS]


def _tell_copies(found):
    """Every torch on sys.path in order: the first is imported, the others are shadowed."""
    places = [f for f in files.site_folders() if os.path.isfile(os.path.join(f, "torch", "__init__.py"))]
    folders = list(dict.fromkeys(os.path.realpath(os.path.join(place, "torch")) for place in places))
    told = ["%s (%s)" % (f, interpreters.torch_versions(f).get("__version__") or "?") for f in folders[:COPIES_TOLD]]
    kit.fact("torch.copies", len(folders), ", ".join(told))
    chosen = files.torch_folder()
    kit.fact("torch.folder", chosen or None, "importlib.util.find_spec, nothing imported")
    if not chosen:
        return
    home = os.path.dirname(os.path.realpath(chosen))
    kit.fact("torch.version", interpreters.torch_versions(chosen).get("__version__"), "torch/version.py")
    user = site.getusersitepackages() if site.ENABLE_USER_SITE else ""
    if user and sys.prefix == sys.base_prefix:
        kit.fact("torch.from_user_site", os.path.realpath(user) == home, chosen)
    own = [d.version for d in found if d.name == "torch" and os.path.realpath(d.folder) == home]
    kit.fact("torch.records", len(own), "dist-info of torch beside it: " + (", ".join(own) or "none"))
    for version in own:
        kit.fact("torch.recorded", version, "torch-%s.dist-info in %s" % (version, home))
    for name in _names(home):
        if name.startswith("~"):
            kit.fact("leftover", name, "pip names so what it was moving when it was stopped, in " + home)


def _names(folder):
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _tell_installed(found):
    for distribution in first(found).values():
        if OURS.match(distribution.name):
            kit.fact("installed.%s" % distribution.name, distribution.version, distribution.path)


def first(found):
    """Name -> the distribution that counts: the first on sys.path."""
    chosen = {}
    for distribution in found:
        chosen.setdefault(distribution.name, distribution)
    return chosen


def _tell_requirements(found):
    """What torch requires, through the packages that it brings, and who requires which torch."""
    chosen = first(found)
    if "torch" in chosen:
        _tell_required(chosen, chosen["torch"], ("",), set())
    for distribution in chosen.values():
        if distribution.name == "torch":
            continue
        for name, _, specifier in _applying(distribution, ("",)):
            if name == "torch" and specifier:
                kit.fact("wants.%s" % distribution.name, specifier, "%s %s" % (distribution.name, distribution.version))


def _tell_required(chosen, distribution, extras, seen):
    """The requirements of one distribution, and of what PyTorch brings through it (cuda-toolkit's extras)."""
    seen.add(distribution.name)
    for name, wanted, specifier in _applying(distribution, extras):
        there = chosen.get(name)
        kit.fact("requires.%s" % name, specifier, "%s %s" % (distribution.name, distribution.version))
        kit.fact("found.%s" % name, there.version if there else None, there.path if there else "not installed")
        if there and wanted and name not in seen:
            _tell_required(chosen, there, wanted, seen)


def _applying(distribution, extras):
    """(name, extras, specifier) of the requirements that hold here; what is not understood is told."""
    for text in distribution.requires():
        try:
            name, wanted, specifier, marker = requirements.parse(text)
            values = [requirements.environment(extra) for extra in extras]
            holds = any(requirements.applies(marker, each) for each in values)
        except requirements.NotUnderstood as error:
            if distribution.name == "torch":
                kit.fact("requirement.unread", text[:200], "of %s: %s" % (distribution.name, error))
            continue
        if holds:
            yield name, wanted, specifier


def _tell_managers(found):
    """Packages that conda and pip both have put into this prefix: each believes in its own version."""
    records = conda_records(os.path.join(sys.prefix, "conda-meta"))
    kit.fact("conda.packages", len(records), "conda-meta of %s" % sys.prefix)
    for distribution in first(found).values():
        version = records.get(distribution.name)
        inside = os.path.realpath(distribution.folder).startswith(os.path.realpath(sys.prefix) + os.sep)
        if version and inside and distribution.installer not in ("conda", ""):
            words = "conda has %s, %s has put %s over it" % (version, distribution.installer, distribution.version)
            kit.fact("managers.%s" % distribution.name, distribution.installer, words)


def conda_records(folder):
    """Name -> version of what conda installed there, by the names of its records."""
    found = {}
    for name in _names(folder):
        parts = name[: -len(".json")].rsplit("-", 2) if name.endswith(".json") else []
        if len(parts) == 3:
            plain = requirements.normal(parts[0])
            found[CONDA_NAMES.get(plain, plain)] = parts[1]
    return found
