"""The CUDA driver asked in a process of its own: versions, what cuInit says, what devices there are.

Run as a script by nvidia.py, never imported: a driver that hangs or kills takes this process alone. It makes no
context, so no memory of a GPU is taken. Standard library only; parses on Python 3.8. Prints one JSON object.

    python -I -S -B cuda_question.py [LIBNCCL]
"""

import ctypes
import json
import os
import sys

_MAJOR, _MINOR = 75, 76
"""cuda.h: CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR."""


def main(nccl):
    """Everything that can be asked, each answer beside the code of the call that gave it."""
    said = {"library": None}
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        said["error"] = str(error)
    else:
        said["library"] = mapped("libcuda.so")
        ask(driver, said)
    if nccl:
        said["nccl"] = nccl_version(nccl)
    sys.stdout.write(json.dumps(said))


def ask(driver, said):
    """The driver's own version first: it answers without cuInit."""
    value = ctypes.c_int(0)
    said["version_code"] = driver.cuDriverGetVersion(ctypes.byref(value))
    said["version"] = value.value
    said["init"] = driver.cuInit(0)
    said["init_name"], said["init_text"] = name_of(driver, said["init"])
    if said["init"]:
        return
    said["count_code"] = driver.cuDeviceGetCount(ctypes.byref(value))
    said["count"] = value.value
    said["devices"] = [device(driver, index) for index in range(min(value.value, 64))]


def device(driver, index):
    """Name and compute capability of one device, asked without a context."""
    handle, major, minor, name = ctypes.c_int(), ctypes.c_int(), ctypes.c_int(), ctypes.create_string_buffer(256)
    code = driver.cuDeviceGet(ctypes.byref(handle), index)
    code = code or driver.cuDeviceGetName(name, len(name), handle)
    code = code or driver.cuDeviceGetAttribute(ctypes.byref(major), _MAJOR, handle)
    code = code or driver.cuDeviceGetAttribute(ctypes.byref(minor), _MINOR, handle)
    if code:
        return {"code": code}
    return {"code": 0, "name": name.value.decode("utf-8", "replace"), "capability": [major.value, minor.value]}


def name_of(driver, code):
    """The driver's own name and words for a code, "" where it has none."""
    words = []
    for function in ("cuGetErrorName", "cuGetErrorString"):
        text = ctypes.c_char_p()
        try:
            getattr(driver, function)(code, ctypes.byref(text))
        except AttributeError:
            pass
        words.append((text.value or b"").decode("utf-8", "replace"))
    return words


def nccl_version(path):
    """NCCL's version as a number (21801 is 2.18.1), or what the loader said."""
    value = ctypes.c_int(0)
    try:
        code = ctypes.CDLL(path).ncclGetVersion(ctypes.byref(value))
    except (OSError, AttributeError) as error:
        return str(error)
    return value.value if code == 0 else "ncclGetVersion gave %d" % code


def mapped(start):
    """The real path of the library of this process whose file name begins with `start`."""
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as file:
        for line in file:
            path = line.split(None, 5)[5].strip() if line.count(" ") > 4 and "/" in line else ""
            if os.path.basename(path).startswith(start):
                return os.path.realpath(path)
    return None


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "")
