"""The one file around a page: its policy, its style, and what was masked in it."""

from __future__ import annotations

import base64
import functools
import hashlib
from importlib import resources

from .elements import Child, Markup, el, join


@functools.cache
def _style() -> tuple[Markup, str]:
    """The style sheet, and the hash by which a policy allows it; of no text from outside."""
    css = resources.files("torchprobes.reports.html").joinpath("page.css").read_text("utf-8")
    return Markup(css), base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()


def document(title: str, *sections: Child, masked: str = "", wide: bool = False) -> bytes:
    """A whole HTML file. Its policy lets a browser load nothing and run nothing; the style is allowed by its hash."""
    style, digest = _style()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", http_equiv="Content-Security-Policy", content=policy),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="color-scheme", content="light dark"),
        el("meta", name="referrer", content="no-referrer"),
        el("title", title),
        el("style", style),
    )
    body = el("body", el("main", *sections), el("footer", _footer(masked)), class_="wide" if wide else None)
    return ("<!DOCTYPE html>\n" + el("html", head, body, lang="en") + "\n").encode("utf-8", "backslashreplace")


def _footer(masked: str) -> Markup:
    redaction = el("p", el("b", "Redaction"), f" · {masked}") if masked else None
    made = el("p", "Made by torchdoctor. Nothing is loaded from elsewhere; this page has no script.")
    return join(redaction, made)
