"""The arguments of ``neighio completion``, and its help."""

from __future__ import annotations

from typing import Final

from .command import Commands, add_command

__all__ = ["add_completion"]

_HELP: Final = """\
Print a script that has a shell complete commands, options, devices and states."""

_MORE: Final = """\
bash, in ~/.bashrc:
  eval "$(neighio completion bash)"
zsh, in ~/.zshrc, behind compinit:
  eval "$(neighio completion zsh)"
fish:
  neighio completion fish > ~/.config/fish/completions/neighio.fish

one JSON object, with these keys (docs/schemas/completion.json):
  shell   bash, zsh or fish
  script  what the shell is to read

exit status: 0 done, 2 usage, or the package argcomplete is missing (pip install 'neighio[cli]')"""


def add_completion(commands: Commands) -> None:
    """Add the command ``completion``."""
    completion = add_command(
        commands, "completion", "completion:completion", "have a shell complete commands", _HELP, _MORE
    )
    completion.add_argument("shell", choices=["bash", "zsh", "fish"], help="the shell")
    completion.add_argument("-j", "--json", action="store_true", help="print a JSON object, in one line")
