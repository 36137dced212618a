"""The user's own model: found by name, called, and its answers compared whatever their shape.

Runs inside the target: standard library and torch 2.1 or later, parses on Python 3.8. The bootstrap loads this file
under the name `torchdoctor_entry`. An entry is a factory, `MODULE:F` or `PATH.py:F`: it takes the device string and
returns `(callable, args)`.
"""

import importlib
import importlib.util
import os
import sys

import torchdoctor_kit as kit

SEED = 20240229
REPEATS = 3
"""Eager runs with one seed: enough to see that a kernel adds in another order each time."""


class EntryError(Exception):
    """The entry cannot be had; the text is one line that says what was wrong and what to do."""


class Entry:
    """A callable with its arguments, and its state as it was before the first call.

    `call()` runs it once. `restore()` undoes what calls changed in place: parameters, buffers and arguments, as far as
    they were seen to change.
    """

    def __init__(self, torch, name, function, args):
        self.torch, self.name, self.function, self.args = torch, name, function, args
        self._before = None

    def call(self, function=None):
        """One step of `function`, or of the entry itself."""
        # Never by truth: a compiled module asks its model for a length.
        return (self.function if function is None else function)(*self.args)

    def tensors(self):
        """Every tensor that a call could change in place."""
        held = list(leaves(self.torch, self.args))
        for module in modules_of(self.torch, self.function):
            held += list(module.parameters()) + list(module.buffers())
        return held

    def remember(self):
        """Keep what one call changes: copy all, call once, see what moved, and keep the copies of that alone.

        Returns how many tensors a call changes. They are told by their values: batch norm writes its running mean
        without a word to the version counter.
        """
        kept = [(t, t.detach().clone()) for t in self.tensors()]
        self.call()
        self._before = [(t, before) for t, before in kept if not self.torch.equal(t.detach(), before)]
        self.restore()
        return len(self._before)

    def restore(self):
        """Put back what calls change."""
        with self.torch.no_grad():
            for tensor, before in self._before or ():
                tensor.copy_(before)

    def seeded(self, function=None, seed=SEED):
        """One step from the remembered state and from one seed; the answer's tensors, detached copies."""
        self.restore()
        self.torch.manual_seed(seed)
        return [t.detach().clone() for t in leaves(self.torch, self.call(function))]


def load(torch, request):
    """The entry that the request names, made on its device.

    Raises:
        EntryError: in one line.
    """
    name, folder = request.params["entry"], request.params.get("folder", "")
    place, _, attribute = name.rpartition(":")
    if os.path.isdir(folder):
        os.chdir(folder)  # it may read its weights from beside it
    factory = _attribute(_module(place, folder), name, attribute)
    try:
        made = factory(request.device)
    except Exception as error:
        raise EntryError("%s(%r) raised %s: %s" % (name, request.device, type(error).__name__, error)) from error
    if not (isinstance(made, (tuple, list)) and len(made) == 2 and callable(made[0])):
        raise EntryError(
            "%s returned %s; a factory takes the device string and returns (callable, args)" % (name, _shape(made))
        )
    args = made[1] if isinstance(made[1], (tuple, list)) else (made[1],)
    kit.fact("entry", name, evidence="%s with %d arguments" % (type(made[0]).__name__, len(args)))
    return Entry(torch, name, made[0], tuple(args))


def _module(place, folder):
    """The module of `MODULE` or `PATH.py`, found as `python PATH.py` or `python -m` would in `folder`."""
    is_file = place.endswith(".py")
    path = os.path.join(folder, place) if is_file else ""
    sys.path.insert(0, os.path.dirname(path) if is_file else folder)
    try:
        if not is_file:
            return importlib.import_module(place)
        spec = importlib.util.spec_from_file_location(os.path.splitext(os.path.basename(path))[0], path)
        module = importlib.util.module_from_spec(spec)
        sys.modules.setdefault(spec.name, module)  # dataclasses and pickles look for it there
        spec.loader.exec_module(module)
        return module
    except Exception as error:
        raise EntryError("%s cannot be imported: %s: %s" % (place, type(error).__name__, error)) from error


def _attribute(module, name, attribute):
    found = getattr(module, attribute, None)
    if not callable(found):
        known = sorted(k for k, v in vars(module).items() if callable(v) and not k.startswith("_"))
        raise EntryError("%s: there is no function %r; it has %s" % (name, attribute, ", ".join(known[:8]) or "none"))
    return found


def _shape(made):
    if isinstance(made, (tuple, list)):
        return "a %s of %d (%s)" % (type(made).__name__, len(made), ", ".join(type(m).__name__ for m in made[:4]))
    return "a %s" % type(made).__name__


def modules_of(torch, function):
    """The modules that a callable is or holds: itself, the object of a bound method, or what a closure keeps."""
    held = [function, getattr(function, "__self__", None), getattr(function, "_orig_mod", None)]
    held += [c.cell_contents for c in getattr(function, "__closure__", None) or () if _filled(c)]
    held += list(getattr(function, "args", ()) if type(function).__name__ == "partial" else ())
    found = [m for m in held if isinstance(m, torch.nn.Module)]
    return [m for i, m in enumerate(found) if all(m is not other for other in found[:i])]


def _filled(cell):
    try:
        return cell.cell_contents is not None
    except ValueError:  # an empty cell
        return False


def leaves(torch, value, depth=0):
    """Every tensor inside an answer, in order: tuples, lists, dicts and objects that hold them."""
    if isinstance(value, torch.Tensor):
        return [value]
    if depth > 8 or value is None or isinstance(value, (str, bytes, int, float, bool)):
        return []
    if isinstance(value, dict):
        inner = list(value.values())
    elif isinstance(value, (tuple, list, set)):
        inner = list(value)
    elif hasattr(value, "__dict__") and not isinstance(value, (torch.nn.Module, type)) and not callable(value):
        inner = list(vars(value).values())
    else:
        return []
    return [t for each in inner for t in leaves(torch, each, depth + 1)]


def distance(torch, ours, theirs):
    """Largest relative Frobenius distance of two answers, tensor by tensor; None where their shapes differ.

    Tensors of whole numbers or truth values count by their share of unequal elements. NaN beside NaN is equal, NaN
    beside a number is infinite distance.
    """
    if [t.shape for t in ours] != [t.shape for t in theirs]:
        return None
    return max([_one(torch, a, b) for a, b in zip(ours, theirs)] or [0.0])


def _one(torch, a, b):
    if not a.numel():
        return 0.0
    if not (a.is_floating_point() or a.is_complex()):
        return float((a != b).double().mean())
    a, b = a.detach().cpu(), b.detach().cpu()
    wide = torch.complex128 if a.is_complex() else torch.float64
    a, b = a.to(wide), b.to(wide)
    if bool((a.isnan() != b.isnan()).any()) or bool((a.isinf() != b.isinf()).any()):
        return float("inf")
    both = a.isfinite() & b.isfinite()
    scale = float(b[both].norm()) or 1.0
    return float((a[both] - b[both]).norm()) / scale


def tell_distance(torch, case, ours, theirs):
    """How far two answers are apart, as the figure `entry.distance` of that case; in words where no number says it."""
    found = distance(torch, ours, theirs)
    if found is None:
        shapes = [[str(tuple(t.shape)) for t in each] for each in (ours, theirs)]
        kit.fact("entry.%s.answer" % case, "other shapes", "%s instead of %s" % tuple(", ".join(s) for s in shapes))
    elif found == float("inf"):
        kit.fact("entry.%s.answer" % case, "not finite", "NaN or infinity where the other answer has a number")
    else:
        kit.fact("entry.%s.answer" % case, "compared", "%d tensors" % len(ours))
        kit.figure("entry.distance", found, "relative", case=case)


def eps_of(torch, answer):
    """Machine epsilon of the coarsest floating type in an answer; 0.0 without any."""
    kinds = [t.dtype for t in answer if t.is_floating_point()]
    return max([torch.finfo(kind).eps for kind in kinds] or [0.0])


class Steadiness:
    """Whether an entry's answers are its own: `spread` among equal runs, `random` if they follow the seed.

    `spread` is the largest distance between eager runs from one state and one seed (non-determinism: atomics, races);
    `seed_distance` that between two seeds (randomness: dropout, sampling).
    """

    def __init__(self, torch, entry):
        first = entry.seeded()
        again = [entry.seeded() for _ in range(REPEATS - 1)]
        spreads = [distance(torch, other, first) for other in again]
        self.answer = first
        self.same_shapes = None not in spreads
        self.spread = max((s for s in spreads if s is not None), default=0.0)
        self.seed_distance = distance(torch, entry.seeded(seed=SEED + 1), first) or 0.0
        self.random = self.seed_distance > 4 * self.spread

    def tell(self):
        """As figures and facts."""
        kit.figure("entry.spread", self.spread, "relative", n=REPEATS)
        kit.figure("entry.seed_distance", self.seed_distance, "relative", n=2)
        kit.fact("entry.random", self.random, "two seeds against one")
        kit.fact("entry.same_shapes", self.same_shapes, "runs from one state and one seed")


def steadiness(torch, entry):
    """Remember the entry's state, see how steady its answers are, tell it, and leave it as it was."""
    entry.remember()
    found = Steadiness(torch, entry)
    found.tell()
    kit.figure("entry.eps", eps_of(torch, found.answer), "relative")
    entry.restore()
    return found
