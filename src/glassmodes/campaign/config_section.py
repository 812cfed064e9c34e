"""What all sections of a configuration are made of: keys with description, unit and default."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


def key(default: Any, description: str, unit: str = "", **constraints: Any) -> Any:
    """Declare a key; ``...`` as default makes it compulsory."""
    return Field(default, description=description, json_schema_extra={"unit": unit}, **constraints)


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("holds line ends or other characters that cannot be printed")
    return text


PrintableText = Annotated[str, AfterValidator(_printable)]
"""Text that goes into tables, pages, file names and onto terminals."""


class Section(BaseModel):
    """A mapping of known keys; anything else is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
