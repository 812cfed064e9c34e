"""What all sections of a configuration are made of: keys with description, unit and default."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


def key(default: Any, description: str, unit: str = "", **constraints: Any) -> Any:
    """Declare a key; ``...`` as default makes it compulsory."""
    return Field(default, description=description, json_schema_extra={"unit": unit}, **constraints)


class Section(BaseModel):
    """A mapping of known keys; anything else is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
