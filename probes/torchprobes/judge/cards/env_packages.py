"""Cards of `env.packages`."""

from __future__ import annotations

from ...model import Fix
from .base import Card

CARDS: tuple[Card, ...] = (
    Card(
        id="TD-ENV-050",
        title="PyTorch's files and its record do not agree",
        why="torch/version.py is of another version than the dist-info beside it, or there are two records: an upgrade "
        "that was stopped, or two installers. What pip says is installed is not what is imported.",
        fix=Fix(command="python -m pip uninstall -y torch && python -m pip install torch"),
        source="torch/version.py against torch-*.dist-info",
    ),
    Card(
        id="TD-ENV-051",
        title="PyTorch has no record of its installation",
        why="The folder is there and no dist-info beside it: built from source, copied, or left by an uninstall. pip "
        "does not know it, and installs another one over it.",
        fix=Fix(command="python -m pip install torch    # unless it is a build of your own"),
        source="PEP 376",
    ),
    Card(
        id="TD-ENV-052",
        title="An installation by pip was stopped half-way",
        why="Folders whose names begin with `~` are what pip had moved aside and never put back or removed.",
        fix=Fix(command="rm -r <site-packages>/~*    # then install again what they were"),
        source="pip/_internal/req/req_uninstall.py",
    ),
    Card(
        id="TD-ENV-053",
        title="What PyTorch requires is not what is installed",
        why="A wheel of PyTorch is built and tested against exact versions of its CUDA libraries and of triton; "
        "another one may load, and then fails, or is wrong or slow, at one call of many.",
        fix=Fix(
            command="python -m pip install --force-reinstall torch==<its version>    # brings what it is pinned to"
        ),
        source="Requires-Dist of torch's METADATA, the comparison of `pip check`",
    ),
    Card(
        id="TD-ENV-054",
        title="A package was made for another PyTorch",
        why="Extensions are built against one version of PyTorch: with another one their import fails with an "
        "undefined symbol, or their operators are missing (`operator torchvision::nms does not exist`).",
        fix=Fix(command="python -m pip install --upgrade <package>    # the release that names this torch"),
        source="Requires-Dist, the comparison of `pip check`",
    ),
    Card(
        id="TD-ENV-055",
        title="Two wheels own the same CUDA library",
        why="nvidia-cudnn-cu12 and nvidia-cudnn-cu13 (so too nccl, nvshmem, cusparselt) put their files in the same "
        "place: the one installed last has overwritten the other, and removing either breaks both.",
        fix=Fix(
            command="python -m pip uninstall -y <both> && python -m pip install --force-reinstall torch==<its version>"
        ),
        source="RECORD of the wheels",
    ),
    Card(
        id="TD-ENV-056",
        title="CUDA libraries of another version are left over",
        why="An upgrade of PyTorch leaves the wheels of the former CUDA behind. They are not loaded, but large.",
        fix=Fix(command="python -m pip uninstall <the packages named above>"),
        source="names of the installed wheels",
    ),
    Card(
        id="TD-ENV-057",
        title="conda and pip have both installed a package here",
        why="Each believes in its own version; the next change by either removes or overwrites the other's files.",
        fix=Fix(command="conda list --explicit > spec.txt    # then build the environment anew with one of them"),
        source="conda-meta against INSTALLER in dist-info",
    ),
)
