"""Runs one payload: `python -B bootstrap.py PAYLOAD`, with TORCHDOCTOR_REQUEST and TORCHDOCTOR_EVENTS set.

Runs inside the target: standard library only, parses on Python 3.8. The payload becomes the module
`torchdoctor_payload`, the helper beside this file `torchdoctor_kit`; both are found by name in spawned
multiprocessing children too, because those run this file again. Other files of this folder can be imported as
`torchdoctor_<stem>` and in no other way, so that a file here never stands in for a module of the target. What payloads
share with the console (readers of files and of /proc, in `runner/order.py` SHARED) is `torchdoctor_shared.…`: the
folder above this one, here and behind a launcher prefix. `--starter KIND` in place of the payload forks one payload
after another (`starter.py`); each goes on below as if it had been started for itself.
"""

import importlib.machinery
import importlib.util
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path[:] = [path for path in sys.path if os.path.abspath(path or os.curdir) != HERE]


class Finder:
    """Finds modules of ours, and no other: `torchdoctor_kit` is kit.py beside this file, and so on."""

    torchdoctor = HERE

    @staticmethod
    def find_spec(name, path=None, target=None):
        """The spec of a module of ours, None for every other name."""
        prefix, _, stem = name.partition("_")
        if name == "torchdoctor_shared":
            spec = importlib.machinery.ModuleSpec(name, None, is_package=True)
            spec.submodule_search_locations = [os.path.dirname(HERE)]
            return spec
        if prefix != "torchdoctor" or not stem.isidentifier():
            return None
        file = os.environ["TORCHDOCTOR_PAYLOAD"] if stem == "payload" else os.path.join(HERE, stem + ".py")
        return importlib.util.spec_from_file_location(name, file) if os.path.isfile(file) else None


if HERE not in [getattr(finder, "torchdoctor", "") for finder in sys.meta_path]:
    sys.meta_path.insert(0, Finder)


def load():
    """The payload's `run`; where its import fails, a function that raises the same, so that the end is said."""
    try:
        import torchdoctor_payload

        return torchdoctor_payload.run
    except BaseException as error:
        failed = error

    def run(request):
        raise failed

    return run


def main():
    """Run the payload that argv names; its exit code."""
    import torchdoctor_kit

    os.environ["TORCHDOCTOR_PAYLOAD"] = os.path.abspath(sys.argv[1])
    torchdoctor_kit.open_events()
    return torchdoctor_kit.main(load())


if __name__ == "__main__":
    if sys.argv[1] == "--starter":
        import torchdoctor_starter

        torchdoctor_starter.serve(sys.argv[2])
        torchdoctor_starter.leave(main())
    sys.exit(main())
