"""How one firmware answers: which commands it knows, and its words for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

_TEMPLATES = Path(__file__).parent / "templates"

CGMINER_CONTROLS = frozenset(
    {"privileged", "switchpool", "addpool", "enablepool", "disablepool", "removepool", "poolpriority"}
    | {"ascenable", "ascdisable", "restart", "quit", "save", "zero"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Reply templates by command, in Python's `%(name)s` notation, with the numbers of `simulator.vitals`."""

    description: str
    """The firmware's name for itself in a STATUS."""
    replies: Mapping[str, str]
    pool: str
    """One entry of `%(pools)s`."""
    joins: bool = True
    terminator: bytes = b"\0"
    first_pool: int = 0
    is_framed: bool = False
    """Speaks Whatsminer's API 3, for which see `simulator.api3`, instead of templates."""
    controls: frozenset[str] = CGMINER_CONTROLS
    """Commands that change something and that this firmware takes as plain text."""
    refused: frozenset[str] = frozenset()
    """Commands it knows and always answers with code 45, unless they come encrypted."""
    sealed: frozenset[str] = frozenset()
    """Commands it takes encrypted, with a token."""
    invalid: str = "Invalid command"
    joined: dict[str, str] = field(default_factory=dict, repr=False)
    """Templates of the joins asked so far."""

    def template(self, command: str) -> str | None:
        """The template for a read command, joined or not; None when this firmware does not know it."""
        if "+" not in command:
            return self.replies.get(command)
        if not self.joins:
            return None
        if command not in self.joined:
            if len(self.joined) >= _MOST_JOINS_KEPT:
                self.joined.clear()
            self.joined[command] = self._join(command)
        return self.joined[command]

    def status(self, severity: str, code: int, message: str) -> str:
        """A template of a reply that is nothing but a STATUS."""
        message = message.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
        return (
            f'{{"STATUS":[{{"STATUS":"{severity}","When":%(when)d,"Code":{code},"Msg":"{message}",'
            f'"Description":"{self.description}"}}],"id":1}}'
        )

    def _join(self, command: str) -> str:
        parts = (f'"{part}":[{self._part(part)}]' for part in command.split("+"))
        return "{" + ",".join(parts) + ',"id":1}'

    def _part(self, command: str) -> str:
        if command in self.controls:
            return self.status("E", 45, f"Access denied to '{command}' command")
        return self.replies.get(command) or self.status("E", 14, self.invalid)


_MOST_JOINS_KEPT = 100


def templates(folder: str) -> tuple[dict[str, str], str]:
    """The reply templates of a firmware and its pool entry, from `templates/<folder>/<command>.txt`.

    The line breaks and indentation in those files are for the reader; the miner sends neither.
    """
    texts = {file.stem: _one_line(file.read_text(encoding="utf-8")) for file in (_TEMPLATES / folder).glob("*.txt")}
    return texts, texts.pop("pool")


def _one_line(text: str) -> str:
    return "".join(line.lstrip() for line in text.splitlines())
