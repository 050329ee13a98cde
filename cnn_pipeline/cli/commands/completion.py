"""`cnn-pipeline completion`: complete commands and flags in a shell."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from cnn_pipeline.cli.completing import words
from cnn_pipeline.cli.options import choice
from cnn_pipeline.cli.output import NAME
from cnn_pipeline.cli.parsing import CollectingCommand, faults_of

SHELLS = ("bash", "zsh", "fish")
# click's own name for it: the script sets it when the shell asks for completions.
_VARIABLE = "_CNN_PIPELINE_COMPLETE"

EPILOG = """\b
Examples:
  eval "$(cnn-pipeline completion bash)"   for this shell alone
  cnn-pipeline completion bash > ~/.local/share/bash-completion/completions/cnn-pipeline
  cnn-pipeline completion fish > ~/.config/fish/completions/cnn-pipeline.fish
  cnn-pipeline completion zsh > ~/.cnn-pipeline-completion.zsh

\b
The lines with a file install it for you: run one once, then start a new shell. For zsh, also add
this line to ~/.zshrc, after compinit:
  . ~/.cnn-pipeline-completion.zsh
Bash must be 4.4 or newer."""


@click.command("completion", cls=CollectingCommand, epilog=EPILOG)
@click.argument("shells", metavar="|".join(SHELLS), shell_complete=words(SHELLS), nargs=-1)
@click.pass_context
def command(ctx: click.Context, /, shells: tuple[str, ...]) -> int:
    """Print the script with which a shell completes commands, flags and values such as the named
    sweeps.
    """
    faults = faults_of(ctx)
    if len(shells) != 1:
        faults.items.append(f"SHELL: give one of {', '.join(SHELLS)}")
    shell = faults.of(choice, "SHELL", shells[0], SHELLS) if len(shells) == 1 else None
    faults.stop()
    assert shell is not None
    made = get_completion_class(shell)
    root = ctx.find_root()
    assert made is not None
    click.echo(made(root.command, {}, NAME, _VARIABLE).source())
    return 0
