"""What every record of a trace carries, and how its JSON is decoded: never more than what is asked for."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Annotated, Any, TypeVar

import msgspec

MAX_ODD_JSON = 1 << 20
"""JSON that only Python's own decoder takes (NaN) is decoded up to this size."""


class Broken(ValueError):
    """JSON that is none, or not what the format says; the message is one line."""


Whole = Annotated[int, msgspec.Meta(ge=-(1 << 53), le=1 << 53)]
"""An integer that any reader of JSON can take."""


class Envelope(msgspec.Struct):
    """The keys that torch adds to every record (`trace_structured` in torch/_logging/_internal.py)."""

    rank: Whole | None = None
    compiled_autograd_id: Whole | None = None
    frame_id: Whole | None = None
    frame_compile_id: Whole | None = None
    attempt: Whole | None = None

    @property
    def compile_id(self) -> str:
        """As torch writes it (`CompileId.__str__`); "" outside of any compile."""
        return _compile_id(self.compiled_autograd_id, self.frame_id, self.frame_compile_id)


@lru_cache(maxsize=256)
def _compile_id(autograd: int | None, frame: int | None, count: int | None) -> str:
    of_frame = f"{frame}/{count}" if frame is not None else ""
    if autograd is None:
        return of_frame
    return f"!{autograd}/{of_frame}" if of_frame else f"!{autograd}"


_T = TypeVar("_T")


class Decoder(msgspec.Struct, frozen=True):
    """Decodes JSON as one type; keys that the type does not have are skipped unread."""

    type: Any
    fast: msgspec.json.Decoder[Any]

    @classmethod
    def of(cls, type_: type[_T]) -> Decoder:
        """For `type_`."""
        return cls(type_, msgspec.json.Decoder(type_))

    def decode(self, text: bytes) -> Any:
        """The value.

        Raises:
            Broken: it is no JSON, too deep, or of other types.
        """
        try:
            return self.fast.decode(text)
        except msgspec.ValidationError as error:
            raise Broken(_words(error)) from None
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            return self._odd(text, error)

    def _odd(self, text: bytes, error: Exception) -> Any:
        if len(text) > MAX_ODD_JSON or isinstance(error, RecursionError):
            raise Broken(_words(error)) from None
        try:
            plain = json.loads(text.decode("utf-8", "replace"), parse_constant=_no_number)
            return msgspec.convert(plain, self.type)
        except (ValueError, RecursionError, msgspec.ValidationError) as odd:
            raise Broken(_words(odd)) from None


def _no_number(_: str) -> None:
    """NaN and Infinity: what cannot be counted is not known."""


def clean(text: str | None, limit: int) -> str:
    """A string of JSON as it may go further: not too long, and without lone surrogates, which no file can take."""
    text = (text or "")[:limit]
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _words(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
