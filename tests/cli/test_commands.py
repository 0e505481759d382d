"""The commands about new images stand beside the others, and refuse options that cannot be."""

import pytest
from typer.testing import CliRunner

import command_line  # noqa: F401  # before others import typer, whose warnings it ignores
from tandem.cli.main import app


@pytest.mark.parametrize("name", ["predict", "serve", "drift", "select"])
def test_a_command_about_new_images_has_a_help_of_its_own(name):
    done = CliRunner().invoke(app, [name, "--help"])
    assert done.exit_code == 0
    assert f" {name} [OPTIONS]" in done.output


@pytest.mark.parametrize(
    "arguments",
    [
        ["drift"],
        ["drift", "photos", "--alpha", "0"],
        ["drift", "photos", "--seed", "-1"],
        ["select", "photos", "-n", "0"],
    ],
)
def test_options_that_cannot_be_end_with_another_code_than_drift(arguments):
    assert CliRunner().invoke(app, arguments).exit_code == 2


def test_two_forms_of_output_exclude_each_other(capsys):
    with pytest.raises(SystemExit, match="error: --json and --csv exclude each other; take one of them"):
        app(["select", "photos", "--csv", "--json"])
