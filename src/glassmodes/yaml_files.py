"""YAML from elsewhere: plain data, of bounded size and depth, each key once.

A few lines of YAML can stand for a billion values (an alias of a list of aliases), a key can
stand twice with the last one silently winning, and brackets can be nested until Python gives up.
"""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from glassmodes.errors import InputError

LARGEST_FILE = 2**24
LARGEST_CONTENT = 2_000_000
"""Values of a file, those that aliases repeat counted every time."""

DEEPEST = 40


def read_yaml(path: str | Path, what: str = "it") -> Any:
    """Return the content of a YAML file, which messages call `what`.

    Raises
    ------
    InputError
        A file that cannot be read, is no text, is not YAML, or is too large or too deep.
    """
    try:
        with open(path, "rb") as file:
            content = file.read(LARGEST_FILE + 1)
        text = content.decode("utf-8-sig")
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "not a text file"
        raise InputError(f"{path}: cannot read {what} ({reason})") from error
    if len(content) > LARGEST_FILE:
        raise InputError(f"{path}: larger than {LARGEST_FILE >> 20} MiB; this is no such file")
    try:
        return yaml.load(text, Loader=_Loader)
    except (yaml.YAMLError, RecursionError, ValueError, TypeError, AttributeError) as error:
        # AttributeError and TypeError: PyYAML on a tag whose value is of another kind
        reason = " ".join(str(error).split())[:300]
        raise InputError(f"{path}: not valid YAML ({reason})") from error


class _Loader(yaml.SafeLoader):
    """Plain data only, with the limits of this module."""

    def __init__(self, stream: Any) -> None:
        super().__init__(stream)
        self._depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        self._depth += 1
        if self._depth > DEEPEST:
            raise yaml.YAMLError(f"more than {DEEPEST} levels of lists and mappings")
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def get_single_node(self) -> Any:
        node = super().get_single_node()
        if node is not None:
            _count(node, {})
        return node

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key_node, _ in getattr(node, "value", ()):
            if not isinstance(key_node, yaml.ScalarNode):
                continue  # refused by what follows: lists cannot be keys
            if key_node.value in seen and key_node.tag != "tag:yaml.org,2002:merge":
                line = key_node.start_mark.line + 1
                name = str(key_node.value)[:80]
                raise yaml.YAMLError(f"the key {name!r} of line {line} stands there twice")
            seen.add(key_node.value)
        return super().construct_mapping(node, deep)


def _count(node: Any, known: dict[int, int]) -> int:
    """Return how many values a node stands for; `yaml.YAMLError` if too many or endless."""
    size = known.get(id(node))
    if size is None:
        known[id(node)] = -1
        if isinstance(node, yaml.MappingNode):
            parts = [part for pair in node.value for part in pair]
        else:
            parts = node.value if isinstance(node, yaml.SequenceNode) else []
        size = known[id(node)] = 1 + sum(_count(part, known) for part in parts)
    if size < 0:
        raise yaml.YAMLError("an alias stands for something that it is part of")
    if size > LARGEST_CONTENT:
        raise yaml.YAMLError(f"its aliases stand for more than {LARGEST_CONTENT} values")
    return size
