"""Cards of `data.*`."""

from __future__ import annotations

from ...model import Fix, Scope
from .base import Card

_DATA = "https://pytorch.org/docs/stable/data.html"
_SHM = Fix(command="docker run --shm-size=16g ...    # or --ipc=host; Kubernetes: emptyDir with medium: Memory")

CARDS: tuple[Card, ...] = (
    Card(
        id="TD-DTL-001",
        title="Batches arrive out of order, or with other data",
        why="Without shuffling, a DataLoader gives items in the order of the dataset, whatever the number of workers. "
        "Training on wrong pairs of input and label goes unnoticed.",
        fix=Fix(command="python -m pip install --force-reinstall torch"),
        source=_DATA,
    ),
    Card(
        id="TD-DTL-002",
        title="A DataLoader raised an error",
        why="A TensorDataset of 512 small items must load. Workers that cannot be started, /dev/shm that is full, "
        "and limits on processes or open files are the usual causes; the traceback is an artifact of this probe.",
        fix=Fix(command="df -h /dev/shm; ulimit -n -u"),
        source="measured",
    ),
    Card(
        id="TD-DTL-003",
        title="A broken worker goes unnoticed",
        why="A worker was killed, or raised, and the loop went on or ended as if nothing had happened: an epoch misses "
        "data, or waits for ever.",
        fix=Fix(command="python -m pip install --upgrade torch    # and pass timeout= to DataLoader"),
        source=_DATA,
    ),
    Card(
        id="TD-DTL-004",
        title="A broken worker is told in other words",
        why="The error came, but names neither the worker nor the cause: a person who reads it will look elsewhere.",
        fix=Fix(command="python -m pip install --upgrade torch"),
        source="torch/utils/data/_utils/signal_handling.py",
    ),
    Card(
        id="TD-DTL-005",
        title="A DataLoader leaves something behind",
        why="After its workers should have ended there are more open descriptors, children or files in /dev/shm than "
        "before. A long job runs out of them.",
        fix=Fix(command="ulimit -n 65535    # and end each iterator before the next is made"),
        source="measured",
    ),
    Card(
        id="TD-DTL-006",
        title="Shared memory (/dev/shm) is small",
        why="Workers hand batches over in shared memory, and NCCL uses it between processes. A container starts with "
        "64 MiB; when it is full, a worker dies with SIGBUS.",
        fix=_SHM,
        source="https://github.com/pytorch/pytorch/issues/2244; https://github.com/NVIDIA/nccl/issues/290",
    ),
    Card(
        id="TD-DTL-007",
        title="Shared memory (/dev/shm) cannot be read",
        why="Without it workers fall back to files, or fail.",
        fix=Fix(command="mount -t tmpfs -o size=16g tmpfs /dev/shm", scope=Scope.NODE, needs=("root",)),
        source="statvfs",
    ),
    Card(
        id="TD-DTL-008",
        title="Persistent workers are started again for each epoch",
        why="With persistent_workers=True the second epoch must be served by the same processes.",
        fix=Fix(command="python -m pip install --upgrade torch"),
        source=_DATA,
    ),
    Card(
        id="TD-DTL-009",
        title="Pinned batches are not pinned, or arrive changed on the GPU",
        why="pin_memory=True must give page-locked tensors, and a copy to the GPU must hold the same numbers.",
        fix=Fix(command="ulimit -l    # the limit on locked memory"),
        source=_DATA,
    ),
    Card(
        id="TD-DTL-010",
        title="Few files may be open",
        why="Tensors that workers share by descriptor hold one each; many small tensors end in `Too many open files`.",
        fix=Fix(command="ulimit -n 65535"),
        source="https://pytorch.org/docs/stable/multiprocessing.html#sharing-strategies",
    ),
    Card(
        id="TD-DTL-011",
        title="TMPDIR is too long for the sockets of workers",
        why="Workers pass tensors through a socket below the folder of temporary files, and the path of a socket has "
        "at most 107 bytes: the worker says `AF_UNIX path too long`, and the loader waits for it until its timeout.",
        fix=Fix(command="export TMPDIR=/tmp    # or any folder of at most 75 bytes"),
        source="unix(7); multiprocessing/connection.py (arbitrary_address)",
    ),
    Card(
        id="TD-DAT-001",
        title="OpenCV needs a desktop that is not here",
        why="The wheel opencv-python links against X11 and OpenGL, which an image without a desktop lacks. The "
        "headless wheel has the same functions without windows.",
        fix=Fix(command="python -m pip uninstall -y opencv-python && python -m pip install opencv-python-headless"),
        source="https://pypi.org/project/opencv-python-headless/",
    ),
    Card(
        id="TD-DAT-002",
        title="Several OpenCV wheels share one folder",
        why="All of them install the package cv2: the files of the last one lie over those of the others, and removing "
        "one breaks the rest.",
        fix=Fix(
            command="python -m pip uninstall -y opencv-python opencv-contrib-python opencv-python-headless "
            "opencv-contrib-python-headless && python -m pip install opencv-python-headless"
        ),
        source="https://pypi.org/project/opencv-python/",
    ),
    Card(
        id="TD-DAT-003",
        title="An image library is there and does not work",
        why="It could not be imported, or raised while it decoded a sound JPEG. A library of the system that is "
        "missing, and numpy 2 under a package built for numpy 1, are the usual causes.",
        fix=Fix(command="python -m pip install --force-reinstall pillow opencv-python-headless"),
        source="measured",
    ),
    Card(
        id="TD-DAT-004",
        title="A JPEG is decoded to other pixels",
        why="A picture whose pixels are known was encoded at quality 90 and decoded again: it must come back within a "
        "few levels.",
        fix=Fix(command="python -m pip install --force-reinstall pillow opencv-python-headless"),
        source="measured",
    ),
    Card(
        id="TD-DAT-005",
        title="PIL and OpenCV decode the same JPEG differently",
        why="Their JPEG libraries upsample colour or round in another way. A model that was trained on one and serves "
        "with the other sees slightly other pictures.",
        fix=Fix(command="# decode with the same library in training and serving"),
        source="https://github.com/python-pillow/Pillow/issues/3833",
    ),
    Card(
        id="TD-DAT-006",
        title="PIL decodes JPEG without libjpeg-turbo",
        why="libjpeg-turbo decodes two to six times as fast. Wheels of Pillow from PyPI carry it; a build from source "
        "or a distribution's package may not.",
        fix=Fix(command="python -m pip install --force-reinstall --only-binary :all: pillow"),
        source="https://libjpeg-turbo.org/About/Performance",
    ),
    Card(
        id="TD-DAT-010",
        title="pandas reads other values than the file holds",
        why="The file was written here with sums that are known, and read back.",
        fix=Fix(command="python -m pip install --force-reinstall pandas pyarrow numpy"),
        source="measured",
    ),
    Card(
        id="TD-DAT-011",
        title="pandas is there and does not work",
        why="It could not be imported, or raised while it read a plain file. `numpy.dtype size changed` means that "
        "pandas and numpy were built for different versions of each other.",
        fix=Fix(command="python -m pip install --upgrade --force-reinstall pandas"),
        source="https://numpy.org/doc/stable/dev/depending_on_numpy.html",
    ),
    Card(
        id="TD-DAT-012",
        title="Reading a CSV ended the process",
        why="Signal 9 comes from the kernel when memory runs out: a table of text takes many times the bytes of its "
        "file. Signal 11 is a crash in native code.",
        fix=Fix(command="# read_csv(..., usecols=..., dtype=..., chunksize=1_000_000), or dtype_backend='pyarrow'"),
        source="https://pandas.pydata.org/docs/user_guide/scale.html",
    ),
    Card(
        id="TD-DAT-013",
        title="A table takes many times the memory of its file",
        why="Each string of an object column is a Python object of 50 bytes and more.",
        fix=Fix(command="# read_csv(..., dtype={'label': 'category'}), or dtype_backend='pyarrow'"),
        source="https://pandas.pydata.org/docs/user_guide/scale.html",
    ),
)
