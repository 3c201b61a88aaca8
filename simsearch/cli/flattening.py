"""A command's groups of options as Typer reads them: each option a parameter of its own.

A group is a frozen dataclass whose fields are options. A command takes it as one parameter; `flatten` puts
the fields in its place where Typer looks, and gathers their values again when the command runs.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import wraps
from typing import Any, get_type_hints


def flatten(command: Callable[..., None]) -> Callable[..., None]:
    """A command as Typer reads it: every field of its groups is a parameter of its own, in their place."""
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {name: kind for name, kind in hints.items() if is_dataclass(kind)}
    flat: list[inspect.Parameter] = []
    for own in inspect.signature(command).parameters.values():
        if own.name in groups:
            kinds = get_type_hints(groups[own.name], include_extras=True)
            flat += [_parameter(field, kinds[field.name]) for field in fields(groups[own.name])]
        else:
            flat.append(own.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[own.name]))

    @wraps(command)
    def run(**values: Any) -> None:
        gathered = {
            name: group(**{field.name: values.pop(field.name) for field in fields(group)})
            for name, group in groups.items()
        }
        command(**gathered, **values)

    run.__signature__ = inspect.Signature(flat)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in flat}
    return run


def _parameter(field: Field[Any], kind: Any) -> inspect.Parameter:
    default = inspect.Parameter.empty if field.default is MISSING else field.default
    return inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
