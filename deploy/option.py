"""One option of deploy.sh: its name, default, example, meaning and check."""

import re
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Option:
    """One option. A value must match `pattern`; so must each value of a repeatable option, which spaces separate, and
    each KEY=VALUE of one with `pairs`."""

    name: str
    default: str
    example: str
    meaning: str
    pattern: str
    expected: str
    required: bool = False
    repeatable: bool = False
    pairs: bool = False
    environment: str = ""  # the environment variable, where the option's own name is that of another program's

    @property
    def key(self) -> str:
        """The option's name as a Python identifier."""
        return self.name.replace("-", "_")

    @property
    def variable(self) -> str:
        """The environment variable used when the option is not given."""
        return self.environment or self.key.upper()

    def problem(self, value: str) -> str:
        """Return what is wrong with a value in one sentence, or an empty text."""
        expected = f"expected {self.expected}, such as {self.example}"
        if not value:
            return f"--{self.name} is required; {expected}." if self.required else ""
        for text in split_pairs(value) if self.pairs else value.split() if self.repeatable else [value]:
            if not re.fullmatch(self.pattern, text, re.ASCII | re.DOTALL if self.pairs else re.ASCII):
                return f"--{self.name} is {text!r}; {expected}."
        return ""


def split_pairs(text: str) -> list[str]:
    """Return the KEY=VALUE texts of a list as gcloud takes it: separated by commas, or by a text as in ^:^a=1:b=2.

    See `gcloud topic escaping`.
    """
    if other := re.match(r"\^([^^]+)\^", text):
        return text[other.end() :].split(other[1])
    return text.split(",") if text else []


def to_mapping(text: str) -> dict[str, str]:
    """Return a list of KEY=VALUE texts as a mapping; the last of two with one key counts, as for gcloud."""
    pairs = (pair.partition("=") for pair in split_pairs(text))
    return {key: value for key, _, value in pairs}


def to_text(pairs: Mapping[str, str]) -> str:
    """Return a mapping as gcloud takes it, with a separator that no value contains."""
    text = "".join(pairs.values())
    separator = "," if "," not in text else "@@"
    while separator in text:
        separator += "@"
    joined = separator.join(f"{key}={value}" for key, value in pairs.items())
    return joined if separator == "," else f"^{separator}^{joined}"
