"""Masking what a command hands over: a level a form, told what was masked."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

if TYPE_CHECKING:
    from torchprobes.reports.redaction import Redactor

_F = TypeVar("_F", bound=Callable[..., Any])

LEVELS: Final = ("public", "internal", "none")


def redact_option(function: _F) -> _F:
    """`--redact`: None where each form has its own level."""
    text = (
        "What is masked: public (people, hosts, addresses, serials, homes, secrets: the default of Markdown and HTML), "
        "internal (secrets only), none."
    )
    return click.option("--redact", type=click.Choice(LEVELS), help=text)(function)


def redactor_for(form: str, wanted: str | None = None) -> Redactor:
    """What masks `text`, `json`, `markdown`, `html` or `junit`: at the level asked for, else the form's own.

    One for all that is handed over together: the same host has the same name everywhere.
    """
    from torchprobes.reports.redaction import Redactor, level_for  # deferred: patterns that no other command needs

    return Redactor(level_for(form, wanted))
