"""data.image: does a JPEG become the right tensor, with PIL and with OpenCV, and how fast?

The picture is made here and its pixels are known, so that a decoder is held against the truth and not only against
the other. Standard library and torch at the top; PIL and cv2 are imported inside functions and may be absent or
broken, which is told. Parses on Python 3.8, torch 2.1 or later.
"""

import importlib
import io
import random
import time
from statistics import median

import torchdoctor_kit as kit

WIDTH, HEIGHT = 1280, 720
QUALITY = 90
WARM_UP = 3
REPETITIONS = 40
BUDGET_S = 3.0

OPENCV_WHEELS = (
    "opencv-python",
    "opencv-contrib-python",
    "opencv-python-headless",
    "opencv-contrib-python-headless",
)
"""Distributions that all install the package `cv2`; two of them overwrite each other's files."""


def run(request):
    """The probe."""
    if kit.lacks("PIL") and kit.lacks("cv2"):
        raise kit.Skip("neither PIL nor cv2 is in this Python: pip install pillow (or opencv-python-headless)")
    torch = kit.import_torch()
    _tell_wheels()
    decoders = [d for d in (_find(_Pillow, torch), _find(_OpenCV, torch)) if d is not None]
    if not decoders:
        return
    pixels = picture()
    truth = _tensor(torch, pixels)
    data = decoders[0].encode(pixels)
    kit.figure("jpeg_bytes", len(data), "B", encoder=decoders[0].name)
    tensors = [(d, t) for d, t in ((d, _decode(d, data, truth)) for d in decoders) if t is not None]
    if len(tensors) == 2:
        kit.figure("image_difference", _largest_difference(tensors[0][1], tensors[1][1]), "levels", n=WIDTH * HEIGHT)
    with kit.timed("cpu"):
        _tell_times([d for d, _ in tensors], data)


def picture():
    """RGB bytes of a picture with soft gradients and some texture, the same in every run.

    Its colours wander apart and its rows shift, so that swapped channels or a flipped picture are far off.
    """
    draw, row = random.Random(5), bytearray()
    values = [60.0, 128.0, 200.0]
    for _ in range(WIDTH + HEIGHT):
        values = [min(250.0, max(5.0, value + draw.uniform(-4.0, 4.0))) for value in values]
        row.extend(int(value) for value in values)
    return b"".join(bytes(row[3 * y : 3 * (y + WIDTH)]) for y in range(HEIGHT))


def _tensor(torch, pixels):
    """3 x height x width, uint8, of interleaved RGB bytes; needs no numpy."""
    flat = torch.frombuffer(bytearray(pixels), dtype=torch.uint8)
    return flat.view(HEIGHT, WIDTH, 3).permute(2, 0, 1).contiguous()


def _find(kind, torch):
    """The decoder if its package can be imported; told why not."""
    try:
        module = importlib.import_module(kind.package)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == kind.package:
            kit.fact("image.%s" % kind.name, None, "there is no package %s" % kind.package)
            return None
        kit.raised("image.%s.raised" % kind.name, error)
        return None
    except Exception as error:
        kit.raised("image.%s.raised" % kind.name, error)
        return None
    decoder = kind(torch)
    kit.fact("image.%s" % kind.name, getattr(module, "__version__", "?"), getattr(module, "__file__", None) or "")
    try:
        decoder.tell()
    except Exception as error:
        kit.raised("image.%s.raised" % kind.name, error)
        return None
    return decoder


class _Pillow:
    name, package = "pil", "PIL"

    def __init__(self, torch):
        self.torch = torch

    def tell(self):
        from PIL import features

        turbo = features.check_feature("libjpeg_turbo")
        kit.fact("image.pil.libjpeg_turbo", bool(turbo), "PIL.features")

    def encode(self, pixels):
        from PIL import Image

        file = io.BytesIO()
        Image.frombytes("RGB", (WIDTH, HEIGHT), pixels).save(file, "JPEG", quality=QUALITY)
        return file.getvalue()

    def decode(self, data):
        from PIL import Image

        return _tensor(self.torch, Image.open(io.BytesIO(data)).convert("RGB").tobytes())


class _OpenCV:
    name, package = "cv2", "cv2"

    def __init__(self, torch):
        self.torch = torch

    def tell(self):
        import cv2

        lines = [line.strip() for line in cv2.getBuildInformation().splitlines()]
        kit.fact("image.cv2.jpeg", next((" ".join(s.split()) for s in lines if s.startswith("JPEG:")), ""), "its build")

    def encode(self, pixels):
        import cv2
        import numpy

        shaped = numpy.frombuffer(pixels, dtype=numpy.uint8).reshape(HEIGHT, WIDTH, 3)
        done, data = cv2.imencode(".jpg", cv2.cvtColor(shaped, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        if not done:
            raise RuntimeError("cv2.imencode said no")
        return bytes(data)

    def decode(self, data):
        import cv2
        import numpy

        decoded = cv2.imdecode(numpy.frombuffer(data, dtype=numpy.uint8), cv2.IMREAD_COLOR)
        if decoded is None:
            raise RuntimeError("cv2.imdecode gave nothing")
        rgb = cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB)
        return self.torch.from_numpy(rgb).permute(2, 0, 1).contiguous()


def _decode(decoder, data, truth):
    """The tensor, held against the picture that was encoded; None if the decoder raised."""
    try:
        tensor = decoder.decode(data)
        if tuple(tensor.shape) != tuple(truth.shape):
            kit.fact("image.%s.shape" % decoder.name, str(tuple(tensor.shape)), "expected %s" % (tuple(truth.shape),))
            return None
        mean = float((tensor.float() - truth.float()).abs().mean())
    except Exception as error:
        kit.raised("image.%s.raised" % decoder.name, error)
        return None
    kit.figure("image_error", mean, "levels", n=truth.numel(), decoder=decoder.name)
    return tensor


def _largest_difference(one, other):
    return int((one.short() - other.short()).abs().max())


def _tell_times(decoders, data):
    """Microseconds from bytes to tensor, the decoders taking turns."""
    took = {d.name: [] for d in decoders}
    deadline = time.perf_counter() + BUDGET_S
    for turn in range(WARM_UP + REPETITIONS):
        for decoder in decoders if turn % 2 else decoders[::-1]:
            begin = time.perf_counter()
            decoder.decode(data)
            took[decoder.name].append((time.perf_counter() - begin) * 1e6)
        if turn > 2 * WARM_UP and time.perf_counter() > deadline:
            break
    for name, series in took.items():
        steady = series[WARM_UP:]
        kit.figure("decode_us", min(steady), "us", n=len(steady), decoder=name)
        kit.figure("decode_p50_us", median(steady), "us", n=len(steady), decoder=name)


def _tell_wheels():
    from importlib import metadata

    found = []
    for name in OPENCV_WHEELS:
        try:
            found.append("%s %s" % (name, metadata.version(name)))
        except metadata.PackageNotFoundError:
            continue
    kit.fact("image.opencv.wheels", len(found), ", ".join(found) or "none of %s" % ", ".join(OPENCV_WHEELS))
