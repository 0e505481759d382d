"""Credentials: the order of Kaggle's client, what cannot be right is refused, and no message shows a secret."""

import base64
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kagglesdk.kaggle_env import get_access_token_from_env

from tandem.errors import SourceError
from tandem.sources import credentials

TOKEN = "KGAT_" + "feedbee5" * 4
FILE_TOKEN = "KGAT_" + "0dd5eed5" * 4
KEY = "0badc0de" * 4
FILE_KEY = "5ca1ab1e" * 4
TOKEN_IN_VARIABLE = {"KAGGLE_API_TOKEN": TOKEN}
PAIR_IN_VARIABLES = {"KAGGLE_USERNAME": "wanda", "KAGGLE_KEY": KEY}
ROBOFLOW_KEY = "madeUpKey0madeUpKey1"


def plant(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


@pytest.fixture
def home(tmp_path):
    """A user's home without any credentials."""
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


def found(home, **environ):
    return credentials.kaggle_credentials({"HOME": str(home), **environ})


def plant_pair(folder):
    return plant(folder / "kaggle.json", {"username": "fred", "key": FILE_KEY})


def plant_token(home, name="access_token"):
    return plant(home / ".kaggle" / name, f"{FILE_TOKEN}\n")


def test_a_token_in_its_variable_is_handed_over_alone(home):
    assert found(home, **TOKEN_IN_VARIABLE) == ("KAGGLE_API_TOKEN", {"KAGGLE_API_TOKEN": TOKEN}, (TOKEN,), "")


def test_a_token_variable_may_name_a_file_and_the_token_in_it_is_handed_over(home, tmp_path):
    path = plant(tmp_path / "secret.txt", f"  {FILE_TOKEN}\n\n")
    found_ones = found(home, KAGGLE_API_TOKEN=str(path))
    assert found_ones == ("KAGGLE_API_TOKEN", {"KAGGLE_API_TOKEN": FILE_TOKEN}, (FILE_TOKEN,), "")


def test_a_token_longer_than_any_files_name_is_taken_as_it_is(home):
    assert found(home, KAGGLE_API_TOKEN="t" * 5000).environ == {"KAGGLE_API_TOKEN": "t" * 5000}


@pytest.mark.parametrize("name", ["access_token", "access_token.txt"])
def test_a_token_is_found_in_the_files_of_the_client(home, name):
    path = plant_token(home, name)
    assert found(home) == (str(path), {"KAGGLE_API_TOKEN": FILE_TOKEN}, (FILE_TOKEN,), "")


def test_the_token_file_without_an_ending_goes_first(home):
    path = plant_token(home)
    plant(home / ".kaggle" / "access_token.txt", TOKEN)
    assert found(home).origin == str(path)


def test_a_pair_in_variables_is_handed_over_and_its_key_is_secret_in_both_forms(home):
    found_ones = found(home, **PAIR_IN_VARIABLES)
    assert found_ones.origin == "KAGGLE_USERNAME and KAGGLE_KEY"
    assert found_ones.environ == PAIR_IN_VARIABLES
    assert set(found_ones.secrets) == {KEY, base64.b64encode(f"wanda:{KEY}".encode()).decode()}


FOLDERS = {  # of kaggle.json below HOME -> the variables that lead there
    "elsewhere": {"KAGGLE_CONFIG_DIR": "elsewhere"},
    ".kaggle": {},
    "xdg/kaggle": {"XDG_CONFIG_HOME": "xdg"},
    ".config/kaggle": {},
}


@pytest.mark.parametrize("folder", FOLDERS)
def test_kaggle_json_is_found_in_each_of_its_folders(home, folder):
    path = plant_pair(home / folder)
    found_ones = found(home, **{name: str(home / value) for name, value in FOLDERS[folder].items()})
    assert (found_ones.origin, found_ones.environ) == (str(path), {"KAGGLE_USERNAME": "fred", "KAGGLE_KEY": FILE_KEY})


def test_the_folder_that_a_variable_names_goes_before_the_others(home):
    plant_pair(home / ".kaggle")
    plant_pair(home / ".config" / "kaggle")
    path = plant_pair(home / "elsewhere")
    assert found(home, KAGGLE_CONFIG_DIR=str(home / "elsewhere")).origin == str(path)
    assert found(home).origin == str(home / ".kaggle" / "kaggle.json")


def test_a_blank_variable_is_none(home):
    path = plant_pair(home / ".kaggle")
    blank = dict.fromkeys(("KAGGLE_API_TOKEN", "KAGGLE_USERNAME", "KAGGLE_KEY"), " \n")
    assert found(home, **blank, KAGGLE_CONFIG_DIR="", XDG_CONFIG_HOME="").origin == str(path)


@pytest.mark.parametrize(
    ("environ", "pair"),
    [
        (PAIR_IN_VARIABLES, ("wanda", KEY)),
        ({"KAGGLE_USERNAME": "wanda"}, ("wanda", FILE_KEY)),
        ({"KAGGLE_KEY": KEY}, ("fred", KEY)),
        ({}, ("fred", FILE_KEY)),
    ],
)
def test_each_variable_goes_over_what_kaggle_json_says(home, environ, pair):
    plant_pair(home / ".kaggle")
    assert tuple(found(home, **environ).environ.values()) == pair


def test_a_corrupt_kaggle_json_does_not_matter_to_a_whole_pair_in_variables(home):
    plant(home / ".kaggle" / "kaggle.json", "{")
    assert found(home, **PAIR_IN_VARIABLES).environ == PAIR_IN_VARIABLES


def test_a_token_goes_before_a_pair_which_is_named_as_unused(home):
    path = plant_pair(home / ".kaggle")
    for environ, unused in (({}, str(path)), (PAIR_IN_VARIABLES, "KAGGLE_USERNAME and KAGGLE_KEY")):
        found_ones = found(home, **TOKEN_IN_VARIABLE, **environ)
        assert (found_ones.origin, found_ones.environ, found_ones.unused) == (
            "KAGGLE_API_TOKEN",
            TOKEN_IN_VARIABLE,
            unused,
        )


@pytest.mark.parametrize("content", ["{", {"username": "fred", "key": ""}])
def test_what_is_wrong_with_a_pair_does_not_matter_to_a_token(home, content):
    plant(home / ".kaggle" / "kaggle.json", content)
    assert found(home, **TOKEN_IN_VARIABLE).environ == TOKEN_IN_VARIABLE


def test_a_key_of_a_variable_is_not_said_to_come_from_kaggle_json(home):
    plant_pair(home / ".kaggle")
    assert "KAGGLE_KEY" in found(home, KAGGLE_KEY=KEY).origin


def test_a_token_file_goes_before_a_pair_in_variables(home):
    path = plant_token(home)
    found_ones = found(home, **PAIR_IN_VARIABLES)
    assert (found_ones.origin, found_ones.unused) == (str(path), "KAGGLE_USERNAME and KAGGLE_KEY")


def test_spaces_and_line_ends_around_credentials_are_no_part_of_them(home):
    assert found(home, KAGGLE_API_TOKEN=f" {TOKEN}\n").secrets == (TOKEN,)
    pair = {name: f"\t{value}\r\n" for name, value in PAIR_IN_VARIABLES.items()}
    assert found(home, **pair).environ == PAIR_IN_VARIABLES
    assert credentials.roboflow_credentials({"ROBOFLOW_API_KEY": f" {ROBOFLOW_KEY}\n"}).secrets == (ROBOFLOW_KEY,)


def test_where_there_are_none_all_ways_to_state_them_are_named(home):
    with pytest.raises(SourceError, match="no credentials for Kaggle were found; create a token at https://") as error:
        found(home)
    for way in ("KAGGLE_API_TOKEN", "KAGGLE_USERNAME and KAGGLE_KEY", "kaggle.json into ~/.kaggle"):
        assert way in str(error.value)


def refusal(home, **environ):
    """What is message of credentials that are refused; it shows none of the secrets planted in this module."""
    with pytest.raises(SourceError) as error:
        found(home, **environ)
    message = str(error.value)
    assert not [secret for secret in (TOKEN, FILE_TOKEN, KEY, FILE_KEY) if secret[-8:] in message]
    return message


@pytest.mark.parametrize(
    ("environ", "missing"),
    [({"KAGGLE_USERNAME": "wanda"}, "KAGGLE_KEY"), ({"KAGGLE_KEY": KEY}, "KAGGLE_USERNAME")],
)
def test_half_a_pair_is_refused_with_the_name_of_the_other_half(home, environ, missing):
    assert f"half there: {missing} is missing; create a token at" in refusal(home, **environ)


def test_half_a_pair_in_kaggle_json_is_refused_too(home):
    plant(home / ".kaggle" / "kaggle.json", {"username": "", "key": FILE_KEY})
    assert "half there: KAGGLE_USERNAME is missing" in refusal(home)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        f"{FILE_KEY}",
        f'"{FILE_KEY}"',
        [FILE_KEY],
        {"key": FILE_KEY},
        {"username": "fred"},
        "[" * 9,
        "null",
        {"username": None, "key": FILE_KEY},
    ],
)
def test_a_corrupt_kaggle_json_is_named_but_not_shown(home, content):
    path = plant(home / ".kaggle" / "kaggle.json", content)
    assert refusal(home).startswith(f"{path} holds no username and key in JSON; download it anew from https://")


def test_a_kaggle_json_that_is_no_text_is_named(home):
    path = plant_pair(home / ".kaggle")
    path.write_bytes(b"\xff\xfe{}")
    assert refusal(home).startswith(f"{path} cannot be read (")


UNPRIVILEGED = """
import os, sys
from tandem.errors import SourceError
from tandem.sources import credentials
os.setuid(65534)
try:
    credentials.kaggle_credentials({"HOME": sys.argv[1]})
except SourceError as error:
    print(error)
"""


def said_to_somebody_else(home):
    command = [sys.executable, "-c", UNPRIVILEGED, home]
    ended = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody found_ones may not read")
def test_a_kaggle_json_that_may_not_be_read_is_named():
    with tempfile.TemporaryDirectory() as name:  # not tmp_path, whose parents only root may enter
        Path(name).chmod(0o711)
        path = plant_pair(Path(name) / ".kaggle")
        path.chmod(0o600)
        message = said_to_somebody_else(name)
    assert message.startswith(f"{path} cannot be read (")
    assert "check its permissions, or remove it" in message


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody found_ones may not read")
def test_a_home_that_may_not_be_entered_holds_no_credentials():
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o700)
        assert said_to_somebody_else(name).startswith("no credentials for Kaggle were found")


@pytest.mark.parametrize(
    ("secret", "shape"),
    [
        ("short", "it has 5 characters;"),
        (f"{TOKEN} {TOKEN}", f"it has {2 * len(TOKEN) + 1} characters, some of them blank;"),
        (f"{TOKEN}\n{TOKEN}", f"it has {2 * len(TOKEN) + 1} characters, some of them blank;"),
        (f"{TOKEN}\x00", f"it has {len(TOKEN) + 1} characters, some of them blank;"),
        (f"\u200b{TOKEN}", f"it has {len(TOKEN) + 1} characters, some of them blank;"),
    ],
)
def test_what_cannot_be_a_secret_is_described_by_its_shape_alone(home, secret, shape):
    for environ, origin in (
        ({"KAGGLE_API_TOKEN": secret}, "KAGGLE_API_TOKEN"),
        ({"KAGGLE_USERNAME": "wanda", "KAGGLE_KEY": secret}, "KAGGLE_USERNAME and KAGGLE_KEY"),
    ):
        message = refusal(home, **environ)
        assert message.startswith(f"{origin} cannot be right: {shape}")
        assert secret not in message


@pytest.mark.parametrize("content", ["", "\n", "short", f"{FILE_TOKEN}\n{FILE_TOKEN}"])
def test_a_token_file_without_a_token_is_named(home, content):
    path = plant(home / ".kaggle" / "access_token", content)
    assert refusal(home).startswith(f"{path} cannot be right: it has {len(content.strip())} characters")


def test_kaggles_own_client_takes_the_same_token(home, tmp_path, monkeypatch):
    path = plant(tmp_path / "secret.txt", FILE_TOKEN)
    cases = ({}, {"KAGGLE_API_TOKEN": TOKEN}, {"KAGGLE_API_TOKEN": str(path)})
    plant_token(home)
    for environ in cases:
        with monkeypatch.context() as patched:
            patched.delenv("KAGGLE_API_TOKEN", raising=False)
            for name, value in {"HOME": str(home), **environ}.items():
                patched.setenv(name, value)
            assert found(home, **environ).secrets == get_access_token_from_env()[:1]


def test_the_key_for_roboflow_is_handed_over_alone():
    found_ones = credentials.roboflow_credentials({"ROBOFLOW_API_KEY": ROBOFLOW_KEY, "HOME": "/nonexistent"})
    assert found_ones == ("ROBOFLOW_API_KEY", {"ROBOFLOW_API_KEY": ROBOFLOW_KEY}, (ROBOFLOW_KEY,), "")


@pytest.mark.parametrize("environ", [{}, {"ROBOFLOW_API_KEY": ""}, {"ROBOFLOW_API_KEY": " \n"}])
def test_where_there_is_no_key_for_roboflow_its_variable_is_named(environ):
    with pytest.raises(SourceError, match="no credentials for Roboflow were found; set ROBOFLOW_API_KEY to the priv"):
        credentials.roboflow_credentials(environ)


@pytest.mark.parametrize("key", ["MADEUPKEY0", "0123456789", f"{ROBOFLOW_KEY} {ROBOFLOW_KEY}", f"{ROBOFLOW_KEY}\x07"])
def test_what_cannot_be_a_key_for_roboflow_is_described_by_its_shape_alone(key):
    with pytest.raises(SourceError, match=f"cannot be a key of Roboflow's: it has {len(key)} characters") as error:
        credentials.roboflow_credentials({"ROBOFLOW_API_KEY": key})
    assert key not in str(error.value)


@given(key=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1))
def test_a_key_is_refused_exactly_where_roboflows_client_takes_it_for_a_dummy(key):
    # The client's own words, roboflow.check_key: if any(c for c in api_key if c.islower()); else it asks nobody.
    is_asked = any(c for c in key if c.islower())
    try:
        assert credentials.roboflow_credentials({"ROBOFLOW_API_KEY": key}).secrets == (key,)
        assert is_asked
    except SourceError:
        assert not is_asked
