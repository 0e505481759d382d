"""The app `tandem` for tests that call its commands in their own process, without a start of Python for each.

Tests that use it need `pytest.mark.filterwarnings(IGNORED)`.
"""

import warnings

IGNORED = "ignore::DeprecationWarning"  # of typer, about click
with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    from typer.main import get_command

    from tandem.cli.main import app


def _leaves(command, words=()):
    for name, each in getattr(command, "commands", {}).items():
        yield from _leaves(each, (*words, name))
    if not hasattr(command, "commands"):
        yield " ".join(words), command


COMMANDS = dict(_leaves(get_command(app)))  # words of each command that runs something -> the command


def options_of_command(name):
    """Such as {"--json", "--help"}."""
    return {option for parameter in COMMANDS[name].params for option in parameter.opts}


def call(captured, *words):
    """Exit code, stdout and stderr of a command in this folder. captured: capsys, or capfd for its children too."""
    code = 0
    try:
        get_command(app).main(list(words), prog_name="tandem")
    except SystemExit as end:
        code = end.code
    printed = captured.readouterr()
    return (1, printed.out, f"{printed.err}{code}\n") if isinstance(code, str) else (code or 0, *printed)
