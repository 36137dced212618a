"""Cards of `env.image`."""

from __future__ import annotations

from ...model import Fix, Scope
from .base import Card

CARDS: tuple[Card, ...] = (
    Card(
        id="TD-ENV-092",
        title="The image carries installers' caches",
        why="What pip, conda, uv and apt keep for the next installation is of no use in an image, and is pulled by "
        "every node. It must go in the layer that made it.",
        fix=Fix(command="pip cache purge; conda clean -afy; apt-get clean; rm -rf /var/lib/apt/lists/*"),
        source="a walk over the caches' folders",
    ),
    Card(
        id="TD-ENV-093",
        title="conda beside pip in one image",
        why="Two Pythons with two sets of packages: which one answers depends on PATH and on what a shell activated.",
        fix=Fix(command="keep one: an image from python:3.x with pip, or one from conda with its own pytorch"),
        source="conda-meta",
    ),
    Card(
        id="TD-ENV-094",
        title="Two OpenCVs are installed",
        why="All of OpenCV's wheels put their files into the same folder `cv2`: the one installed last has overwritten "
        "the other, and removing either breaks both.",
        fix=Fix(
            command="python -m pip uninstall -y opencv-python opencv-contrib-python opencv-python-headless "
            "opencv-contrib-python-headless && python -m pip install opencv-python-headless"
        ),
        source="https://github.com/opencv/opencv-python#installation-and-usage",
    ),
    Card(
        id="TD-ENV-095",
        title="An OpenCV with windows in an image without a screen",
        why="opencv-python brings Qt and needs X11 libraries; the headless one is smaller and needs none.",
        fix=Fix(
            command="python -m pip uninstall -y opencv-python opencv-contrib-python && "
            "python -m pip install opencv-python-headless"
        ),
        source="https://github.com/opencv/opencv-python#installation-and-usage",
    ),
    Card(
        id="TD-ENV-096",
        title="Files of another architecture",
        why="The compiled files were built for another kind of CPU than this machine's: they load only under "
        "emulation, or not at all.",
        fix=Fix(command="docker pull --platform linux/<amd64 or arm64> <image>    # that of this machine"),
        source="e_machine of the ELF header against uname -m",
    ),
    Card(
        id="TD-ENV-097",
        title="The machine is emulated",
        why="The image is of another architecture than the CPU, and every instruction is translated: ten times slower "
        "and without vector units, and times measured here mean nothing.",
        fix=Fix(command="docker run --platform linux/<the host's> …    # an image of the host's own architecture"),
        source="/proc/cpuinfo against uname -m",
    ),
    Card(
        id="TD-ENV-098",
        title="A place of caches gives no answer",
        why="It lies on a file system that hangs: what lies there is not known. pip, uv or conda would wait there too.",
        fix=Fix(command="findmnt -T FOLDER; umount -f -l MOUNT", scope=Scope.NODE, needs=("root",)),
        source="a walk in a child that was killed at its deadline",
    ),
)
