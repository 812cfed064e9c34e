"""What all sections of a configuration are made of: keys with description, unit and default."""

from __future__ import annotations

from typing import Annotated, Any, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic.fields import FieldInfo


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

    @model_validator(mode="before")
    @classmethod
    def _flags_are_no_numbers(cls, values: Any) -> Any:
        """Refuse true and false where a number belongs: YAML reads yes and no as them."""
        if isinstance(values, dict):
            for name, value in values.items():
                field = cls.model_fields.get(name)
                if isinstance(value, bool) and field is not None and not _takes_flags(field):
                    raise ValueError(
                        f"{name} is {str(value).lower()}, a flag (YAML reads yes, no, on and off "
                        "as flags); expected a number or text"
                    )
        return values


def _takes_flags(field: FieldInfo) -> bool:
    """Tell whether the type of a key, or a part of a union, is a flag."""
    parts = [field.annotation]
    while parts:
        part = parts.pop()
        if part is bool or isinstance(part, bool):
            return True
        parts += get_args(part)
    return False
