"""Rules of `data.image` and `data.csv`: is what was decoded what was encoded, and what did it cost?"""

from __future__ import annotations

from ...model import Figure, Readings, Severity, Verdict
from ...quantity import quantity
from ..reading import facts, figure, line, number, raised, text
from ..rules import Positive, Rule

_IMAGE, _CSV = ("data.image",), ("data.csv",)

WRONG_LEVELS = 4.0
"""Mean distance of 255 levels from the picture that was encoded at quality 90 (1.6 measured; swapped colours: 60)."""

X11_LIBRARIES = ("libGL.so", "libgthread", "libSM.so", "libXext.so", "libXrender.so", "libX11.so", "libglib-2.0")
"""What `import cv2` lacks in an image without a desktop."""

HEAVY_TABLE = 10.0
"""Peak memory of a read, in sizes of its file: 2 to 6 with strings as Arrow or objects, 15 in the case of a user."""

_FAILED = ("csv.c", "csv.pyarrow")


# --- images --------------------------------------------------------------------------------------------------------


def _needs_a_desktop(readings: Readings) -> str | None:
    why = raised(readings, "image.cv2.raised")
    return why if why is not None and any(name in why for name in X11_LIBRARIES) else None


def _image_raised(readings: Readings) -> str | None:
    told = [raised(readings, f.name) for f in facts(readings, "image.", ".raised")]
    return line("; ".join(t for t in told if t)) or None


def _two_wheels(readings: Readings) -> str | None:
    found = readings.fact("image.opencv.wheels")
    return found.evidence if found and isinstance(found.value, int) and found.value > 1 else None


def _wrong_pixels(readings: Readings) -> str | None:
    told = [f for f in readings.figures if f.name == "image_error" and not f.value <= WRONG_LEVELS]
    words = [f"{_decoder(f)} is {f.value:.1f} levels off on average (limit {WRONG_LEVELS:g})" for f in told]
    words += [f"{f.name.split('.')[1]} gave shape {f.value}, {f.evidence}" for f in facts(readings, "image.", ".shape")]
    return line("; ".join(words)) or None


def _decoder(found: Figure) -> str:
    return found.labels.get("decoder", "")


def _other_pixels(readings: Readings) -> str | None:
    largest = number(readings, "image_difference")
    return f"PIL and cv2 differ by up to {largest:g} of 255 levels" if largest else None


def _slow_jpeg(readings: Readings) -> str | None:
    fact = readings.fact("image.pil.libjpeg_turbo")
    if fact is None or fact.value is not False:
        return None
    took = number(readings, "decode_us", decoder="pil")
    return "PIL was built without libjpeg-turbo" + ("" if took is None else f": {quantity(took, 'us')} an image")


def _decoded(readings: Readings) -> str | None:
    """A picture came back as it was encoded, through at least one decoder, and was timed."""
    right = [f for f in readings.figures if f.name == "image_error" and f.value <= WRONG_LEVELS]
    words = []
    for found in right:
        took = number(readings, "decode_us", decoder=_decoder(found))
        if took is None:
            return None
        words.append(f"{_decoder(found)} {quantity(took, 'us')}")
    return f"a 1280 x 720 JPEG became the right tensor: {', '.join(words)}" if words else None


# --- tables --------------------------------------------------------------------------------------------------------


def _wrong_values(readings: Readings) -> str | None:
    told = [f for f in facts(readings, "csv.", ".values") if f.value == "wrong"]
    return line("; ".join(f"engine {f.name.split('.')[1]}: {f.evidence}" for f in told)) or None


def _csv_raised(readings: Readings) -> str | None:
    told = [(name, raised(readings, name + ".raised")) for name in _FAILED]
    return line("; ".join(f"engine {name.split('.')[1]}: {why}" for name, why in told if why)) or None


def _csv_died(readings: Readings) -> str | None:
    told = [f for f in facts(readings, "csv.", ".ending") if f.value not in (0, "0")]
    words = [f"engine {f.name.split('.')[1]}: {_ending(f.value)}" for f in told]
    size = number(readings, "csv_bytes")
    return line("; ".join(words) + (f", a file of {quantity(size, 'B')}" if size else "")) if words else None


def _ending(value: object) -> str:
    if value == "timeout":
        return "its time ran out"
    number_ = value if isinstance(value, int) and not isinstance(value, bool) else 0
    return f"killed by signal {-number_}" if number_ < 0 else f"exited with {value}"


def _heavy_table(readings: Readings) -> str | None:
    size = number(readings, "csv_bytes")
    peak = figure(readings, "csv_memory", series="peak", engine="c")
    if not size or peak is None or peak.value < HEAVY_TABLE * size:
        return None
    return (
        f"{quantity(peak.value, 'B')} at the peak for a file of {quantity(size, 'B')}, {peak.value / size:.0f} times it"
    )


def _read(readings: Readings) -> str | None:
    """The sums that the file was made with came back from every engine that is there."""
    told = [f for f in facts(readings, "csv.", ".values") if f.value == "right"]
    size = number(readings, "csv_bytes")
    if not told or not size or len(told) < len(facts(readings, "csv.", ".ending")):
        return None
    words = [w for w in (_engine(readings, f.name.split(".")[1]) for f in told) if w]
    if len(words) < len(told):
        return None
    return f"{quantity(size, 'B')} read rightly by pandas {text(readings, 'csv.pandas')}: {'; '.join(words)}"


def _engine(readings: Readings, engine: str) -> str:
    took = number(readings, "csv_read_s", engine=engine)
    peak = number(readings, "csv_memory", series="peak", engine=engine)
    memory = "" if peak is None else f", {quantity(peak, 'B')} at the peak"
    return "" if took is None else f"{engine} {quantity(took, 's')}{memory}"


RULES: tuple[Rule, ...] = (
    Rule("TD-DAT-001", _IMAGE, Verdict.FAIL, Severity.CRITICAL, _needs_a_desktop, ("TD-DAT-003", "TD-DAT-002")),
    Rule("TD-DAT-002", _IMAGE, Verdict.DEGRADED, Severity.WARNING, _two_wheels),
    Rule("TD-DAT-003", _IMAGE, Verdict.FAIL, Severity.CRITICAL, _image_raised),
    Rule("TD-DAT-004", _IMAGE, Verdict.FAIL, Severity.CRITICAL, _wrong_pixels, ("TD-DAT-005",)),
    Rule("TD-DAT-005", _IMAGE, None, Severity.INFO, _other_pixels),
    Rule("TD-DAT-006", _IMAGE, Verdict.DEGRADED, Severity.WARNING, _slow_jpeg),
    Rule("TD-DAT-010", _CSV, Verdict.FAIL, Severity.CRITICAL, _wrong_values),
    Rule("TD-DAT-011", _CSV, Verdict.FAIL, Severity.CRITICAL, _csv_raised),
    Rule("TD-DAT-012", _CSV, Verdict.FAIL, Severity.CRITICAL, _csv_died, ("TD-DAT-011",)),
    Rule("TD-DAT-013", _CSV, None, Severity.INFO, _heavy_table),
)

POSITIVE: Positive = {"data.image": _decoded, "data.csv": _read}
