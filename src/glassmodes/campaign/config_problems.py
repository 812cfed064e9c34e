"""What is wrong with a configuration, one line per problem that starts with its key."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from glassmodes.errors import nearest

_PROTOCOLS = (
    "instantaneous_quench",
    "slow_cooling",
    "random_start",
    "bond_depleted_lattice",
    "lattice_vacancies",
    "random_network",
)

_TEXTS = {
    "missing": "this key is compulsory",
    "extra_forbidden": "unknown key",
    "union_tag_not_found": "the key `name` is compulsory",
    "string_pattern_mismatch": "use small letters, digits and underscores, a letter first",
}


def unknown_keys(model: type[BaseModel], content: Any, at: str = "") -> Iterator[str]:
    """Yield one line for each key of `content` that `model` does not have, nearest key named."""
    if not isinstance(content, Mapping):
        return
    fields = model.model_fields
    for name, value in content.items():
        path = f"{at}{name}"
        if name not in fields:
            yield f"{path}: unknown key{nearest(name, fields)}"
        else:
            yield from _unknown_below(fields[name].annotation, value, path)


def _unknown_below(annotation: Any, value: Any, at: str) -> Iterator[str]:
    """Continue below a key, into sections, unions of sections and mappings of sections."""
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield from unknown_keys(annotation, value, f"{at}.")
    elif get_origin(annotation) is dict and isinstance(value, Mapping):
        for name, item in value.items():
            yield from _unknown_below(get_args(annotation)[1], item, f"{at}.{name}")
    elif get_origin(annotation) in (Union, types.UnionType):
        for section in get_args(annotation):
            if isinstance(section, type) and issubclass(section, BaseModel):
                if _is_meant(section, value):
                    yield from _unknown_below(section, value, at)


def _is_meant(section: type[BaseModel], value: Any) -> bool:
    """Tell whether `value` chooses `section` among others by its key ``name``."""
    tag = section.model_fields.get("name")
    if tag is None or not isinstance(value, Mapping):
        return True
    return value.get("name") in get_args(tag.annotation)


def describe_problems(error: ValidationError) -> list[str]:
    """Return one line per problem; unknown keys are left to `unknown_keys`."""
    lines = []
    for problem in error.errors(include_url=False):
        if problem["type"] == "extra_forbidden":
            continue
        lines.append(f"{_key_path(problem['loc'])}: {_text(problem)}")
    return lines


def _key_path(location: tuple[int | str, ...]) -> str:
    # pydantic adds the chosen protocol after its key, and "[key]" after a bad name.
    path = [
        str(part)
        for before, part in zip(("", *location), location, strict=False)
        if part != "[key]" and not (before == "protocol" and part in _PROTOCOLS)
    ]
    return ".".join(path) or "configuration"


def _text(problem: Mapping[str, Any]) -> str:
    kind, context = problem["type"], problem.get("ctx", {})
    if kind == "union_tag_invalid":
        known = [name.strip().strip("'") for name in context["expected_tags"].split(",")]
        tag = context["tag"]
        return f"unknown name {tag!r}, expected one of {', '.join(known)}{nearest(tag, known)}"
    if kind == "literal_error":
        known = [
            name.strip().strip("'") for name in context["expected"].replace(" or ", ",").split(",")
        ]
        value = problem["input"]
        return f"unknown value {value!r}, expected one of {', '.join(known)}{nearest(value, known)}"
    if kind in _TEXTS:
        return _TEXTS[kind]
    if kind == "value_error":
        return str(context["error"])
    message = problem["msg"]
    return f"{message[0].lower()}{message[1:]}, got {_shorten(problem['input'])}"


def _shorten(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
