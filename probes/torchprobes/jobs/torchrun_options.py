"""The words that a person writes between `torchrun` and the script, read as torchrun reads them.

They are passed on in the order and the spelling that they were written in; here is only seen what was given, so that
nothing of ours is put where the person chose. torchrun also takes every option from the environment, as PET_<NAME>
(argparse_util.env of torch.distributed); an option that is given there counts as given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

WITH_VALUE = frozenset({
    "nnodes", "nproc-per-node", "rdzv-backend", "rdzv-endpoint", "rdzv-id", "rdzv-conf", "max-restarts",
    "monitor-interval", "start-method", "event-log-handler", "role", "log-dir", "redirects", "tee",
    "local-ranks-filter", "duplicate-stdout-filters", "duplicate-stderr-filters", "node-rank", "master-addr",
    "master-port", "local-addr", "logs-specs", "numa-binding", "signals-to-handle", "shutdown-timeout",
})  # fmt: skip
"""Options of torchrun 2.14 that take a value, without their dashes."""

FLAGS = frozenset({"standalone", "module", "no-python", "run-path", "virtual-local-rank", "help"})
"""Options that take none."""

SHORT = {"-r": "redirects", "-t": "tee", "-m": "module", "-h": "help"}

REFUSED = {
    "log-dir": "the logs of the ranks lie in the run directory, where they are watched: leave it out",
    "rdzv-id": "the run's own id ties every rank to its launcher: leave it out",
    "help": "`python -m torch.distributed.run --help` of the target lists its options",
}
"""Options that a person may not give, and why."""


class OptionError(Exception):
    """The options cannot be used; the text is one line with what to do."""


@dataclass(frozen=True, slots=True)
class Given:
    """One option as it was written: its name with single dashes inside, its value ("" for a flag), its words."""

    name: str
    value: str
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Options:
    """All options that were given, in order, and those of the environment that stand behind them."""

    given: tuple[Given, ...]
    environ: Mapping[str, str]

    def value(self, name: str) -> str | None:
        """The value of an option: the last one written, else the environment's, else None."""
        written = [given.value for given in self.given if given.name == name]
        return written[-1] if written else self.environ.get(variable(name))

    def has(self, *names: str) -> bool:
        """Whether one of the options was given, here or by the environment."""
        return any(self.value(name) is not None for name in names)

    def flag(self, name: str) -> bool:
        """Whether a flag is set; by the environment it is with "1", as torchrun has it (check_env)."""
        return any(given.name == name for given in self.given) or self.environ.get(variable(name), "0") == "1"

    def words(self, without: frozenset[str] = frozenset()) -> tuple[str, ...]:
        """The words as they were written, but for the options named."""
        return tuple(word for given in self.given if given.name not in without for word in given.words)


def variable(name: str) -> str:
    """The environment variable from which torchrun takes an option."""
    return "PET_" + name.replace("-", "_").upper()


def read(words: Sequence[str], environ: Mapping[str, str]) -> Options:
    """See what the words give.

    Raises:
        OptionError: one line: a word that is no option, a value that is missing, an option that is ours.
    """
    given: list[Given] = []
    rest = list(words)
    while rest:
        given.append(_take(rest))
        if given[-1].name in REFUSED:
            raise OptionError(f"{given[-1].words[0].partition('=')[0]}: {REFUSED[given[-1].name]}")
    return Options(tuple(given), environ)


def _take(rest: list[str]) -> Given:
    """Take one option, and its value, off the words that are left."""
    word = rest.pop(0)
    if word == "--" or not word.startswith("-"):
        raise OptionError(f"{word!r} is no option of torchrun: the script goes after `--`")
    if not word.startswith("--"):
        return _take_short(word, rest)
    head, equals, value = word.partition("=")
    name = _name(head)
    if equals:
        return Given(name, value, (word,))
    if name in FLAGS:
        return Given(name, "", (word,))
    return _with_value(name, word, rest)


def _take_short(word: str, rest: list[str]) -> Given:
    name = SHORT.get(word[:2])
    if name is None:
        raise OptionError(f"{word!r} is no option of torchrun")
    if name in FLAGS:
        return Given(name, "", (word,))
    if len(word) > 2:
        return Given(name, word[2:].removeprefix("="), (word,))
    return _with_value(name, word, rest)


def _with_value(name: str, word: str, rest: list[str]) -> Given:
    """An option whose value is the next word; one that we do not know has a value if a word follows that may be."""
    if rest and (name in WITH_VALUE or not rest[0].startswith("-")):
        value = rest.pop(0)
        return Given(name, value, (word, value))
    if name in WITH_VALUE:
        raise OptionError(f"{word} needs a value")
    return Given(name, "", (word,))


def _name(head: str) -> str:
    """An option's name: either spelling, or a beginning that only one option has, which argparse takes too."""
    name = head[2:].replace("_", "-")
    known = WITH_VALUE | FLAGS
    if name in known:
        return name
    found = [option for option in known if option.startswith(name)]
    if len(found) > 1:
        raise OptionError(f"{head} may be {' or '.join('--' + option for option in sorted(found))}: write it out")
    return found[0] if found else name


def one_node(options: Options) -> bool:
    """Whether the job has one node and no more.

    Raises:
        OptionError: if --nnodes is no number of nodes.
    """
    text = options.value("nnodes") or "1"
    low, colon, high = text.partition(":")
    try:
        fewest, most = int(low), int(high if colon else low)
    except ValueError:
        raise OptionError(f"--nnodes {text!r} is no number of nodes, and no MIN:MAX") from None
    if not 0 < fewest <= most:
        raise OptionError(f"--nnodes {text!r}: it takes at least one node, and not fewer at most than at least")
    return most == 1


NPROC_WORDS = frozenset({"gpu", "auto", "cpu", "xpu"})


def check_nproc(options: Options) -> None:
    """Refuse a number of ranks that torchrun could only fail on.

    Raises:
        OptionError: if --nproc-per-node is neither a positive number nor a name of devices.
    """
    text = options.value("nproc-per-node") or "1"
    if text in NPROC_WORDS or (text.isascii() and text.isalpha()):  # a back end of its own has a name of its own
        return
    if not (text.isascii() and text.isdigit() and int(text[:9]) > 0):
        raise OptionError(f"--nproc-per-node {text!r} is neither a number of ranks, nor `gpu`, `cpu` or `auto`")
