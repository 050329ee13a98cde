"""The page of the command line, generated from the click commands."""

from __future__ import annotations

import inspect

import click

from cnn_pipeline.cli.app import COMMANDS, app
from scripts.reference.markdown import as_words, code, table


def commands_page() -> str:
    """Return a section for each command: usage, purpose, flags, examples."""
    context = click.Context(app, info_name="cnn-pipeline")
    sections = []
    for name in COMMANDS:
        command = app.get_command(context, name)
        assert command is not None
        sections.append(_section(name, command, context))
    return "\n\n".join(sections)


def options_of(command: click.Command) -> list[click.Option]:
    """Return the flags of a command in the order of its help."""
    return [param for param in command.params if isinstance(param, click.Option)]


def _section(name: str, command: click.Command, parent: click.Context) -> str:
    context = click.Context(command, info_name=name, parent=parent)
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    flags = [(_spelled(option), as_words(option.help or "")) for option in options_of(command)]
    parts = [
        f"## {name}",
        f"```text\n{usage}\n```",
        as_words(command.help or ""),
        table(("flag", "meaning"), flags),
        *_epilog(command.epilog or ""),
    ]
    return "\n\n".join(parts)


def _spelled(option: click.Option) -> str:
    flags = ", ".join(map(code, option.opts))
    return flags if option.is_flag else f"{flags} {code(option.metavar or 'VALUE')}"


def _epilog(text: str) -> list[str]:
    """Return the epilog as the terminal shows it, without click's '\\b' lines."""
    lines = [line for line in inspect.cleandoc(text).splitlines() if line.strip() != "\b"]
    shown = "\n".join(lines).strip()
    return [f"```text\n{shown}\n```"] if shown else []
