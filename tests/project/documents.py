"""The documentation as data: its pages, their blocks of code, the commands in them, their links."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
DOCS = ROOT / "docs"
PAGES = (
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    *sorted(page for page in DOCS.rglob("*.md") if "_build" not in page.parts),
)

_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```$", re.M | re.S
)
_COMMENT = re.compile(r"(^|\s)#.*$", re.M)
_PROGRAMS = ("cnn-pipeline", "make")
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    page: Path
    number: int
    language: str
    text: str
    file_name: str
    """The file that it shows: named in the text before it, else in the text after it."""
    output: str | None
    """The block of plain text that follows at once: what the page says is printed."""

    @property
    def name(self) -> str:
        """'docs/how-to/gpu.md#2'."""
        return f"{self.page.relative_to(ROOT)}#{self.number}"


@dataclass(frozen=True)
class Command:
    """`cnn-pipeline` or `make` as a page writes it."""

    where: str
    words: tuple[str, ...]
    """Without the program's folder: ('cnn-pipeline', 'run', '--epochs', '3')."""
    fails: bool = False
    """The page shows the error that it ends with."""
    inline: bool = False
    """Within a sentence, where it may be given without what it requires."""

    def __str__(self) -> str:
        return f"{self.where}: {shlex.join(self.words)}"


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    found = list(_FENCE.finditer(text))
    result = []
    for number, match in enumerate(found):
        start = found[number - 1].end() if number else 0
        after = found[number + 1] if number + 1 < len(found) else None
        follows = (
            after is not None
            and after["language"] in ("", "text")
            and not text[match.end() : after.start()].strip()
        )
        result.append(
            Block(
                page=page,
                number=number,
                language=match["language"],
                text=_dedented(match),
                file_name=_file_name(text[start : match.start()], text[match.end() :]),
                output=_dedented(after) if after is not None and follows else None,
            )
        )
    return result


def commands(page: Path) -> list[Command]:
    """Every `cnn-pipeline` and `make` of a page, in its blocks of shell and in its sentences."""
    where = str(page.relative_to(ROOT))
    result = []
    for block in blocks(page):
        if block.language in ("sh", "bash", "console"):
            fails = (block.output or "").startswith("error:")
            result += [
                Command(block.name, words, fails=fails) for words in shell_commands(block.text)
            ]
    prose = _FENCE.sub("", page.read_text(encoding="utf-8"))
    for span in re.findall(r"`([^`]+)`", prose):
        if span.split()[0].rpartition("/")[2] in _PROGRAMS and len(span.split()) > 1:
            result += [Command(where, words, inline=True) for words in shell_commands(span)]
    return result


def shell_commands(text: str) -> list[tuple[str, ...]]:
    """The calls of our programs in a piece of shell; what is piped in and where it goes is left."""
    joined = re.sub(r"(\\|(?<=\|))\n\s*", " ", _COMMENT.sub("", text))
    found = []
    for line in joined.splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars="();<>|&")
        lexer.whitespace_split = True
        lexer.commenters = ""
        call: list[str] = []
        for word in [*lexer, ";"]:
            if not set(word) <= set("();<>|&"):
                call.append(word)
            elif set(word) & set("<>"):
                call.append("\0")  # the file behind it is no argument
            else:
                found += _ours(call)
                call = []
    return found


def links(page: Path) -> list[str]:
    """Where the links and pictures of a page lead."""
    prose = re.sub(r"`[^`]*`", "", _FENCE.sub("", page.read_text(encoding="utf-8")))
    return re.findall(r"\]\(\s*<?([^)\s>]+)", prose) + re.findall(
        r"(?:src|href)=\"([^\"]+)\"", prose
    )


def anchors(text: str) -> set[str]:
    """The names under which the headings of a Markdown text are linked to."""
    headings = re.findall(r"^#+ +(.+)$", _FENCE.sub("", text), re.M)
    return {re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in headings}


def _ours(call: list[str]) -> list[tuple[str, ...]]:
    words = [
        word for i, word in enumerate(call) if word != "\0" and (i == 0 or call[i - 1] != "\0")
    ]
    if words and words[0] == "sudo":
        words = words[3:] if words[1] == "-u" else words[1:]
    while words and _ASSIGNMENT.match(words[0]):
        words.pop(0)
    if not words or words[0].rpartition("/")[2] not in _PROGRAMS:
        return []
    return [(words[0].rpartition("/")[2], *words[1:])]


def _file_name(before: str, after: str) -> str:
    named = re.findall(r"`([\w-]+\.toml)`", before) or re.findall(r"([\w-]+\.toml)", after)[:1]
    return named[-1] if named else ""


def _dedented(match: re.Match[str]) -> str:
    return re.sub(rf"^{match['indent']}", "", match["text"], flags=re.M)
