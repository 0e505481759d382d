"""Credentials: where they are is said, what they are never."""

import json

from tandem.doctor.accounts import Account, judge_accounts, look_for_accounts

SECRET = "0123456789abcdefSECRET"


def findings(environ, **needed_by):
    return judge_accounts(look_for_accounts(environ), needed_by=needed_by)


def test_missing_credentials_are_an_error_where_a_source_needs_them_and_a_note_elsewhere(tmp_path):
    kaggle, roboflow = findings({"HOME": str(tmp_path)}, kaggle=["street", "park"])
    assert kaggle.level == "error"
    assert "sources street, park need them: no credentials for Kaggle were found; create a token at" in kaggle.text
    assert (roboflow.level, roboflow.text) == ("note", "no credentials for Roboflow were found")
    assert "no source here needs them" in roboflow.advice


def test_credentials_are_told_by_their_place_and_never_printed(tmp_path):
    environ = {"HOME": str(tmp_path), "KAGGLE_API_TOKEN": SECRET, "ROBOFLOW_API_KEY": f"{SECRET}x"}
    found = findings(environ, kaggle=["street"])
    assert [each.level for each in found] == ["ok", "ok"]
    assert "credentials in KAGGLE_API_TOKEN" in str(found[0])
    assert SECRET not in " ".join(map(str, found))


def test_credentials_that_cannot_be_right_are_an_error_and_are_not_printed(tmp_path):
    _, roboflow = findings({"HOME": str(tmp_path), "ROBOFLOW_API_KEY": "SHOUTED"}, roboflow=["signs"])
    assert roboflow.level == "error"
    assert "cannot be a key of Roboflow's: it has 7 characters" in roboflow.text
    assert "SHOUTED" not in str(roboflow)


def test_a_file_that_others_can_read_is_told_with_the_command_that_closes_it(tmp_path):
    path = tmp_path / ".kaggle/kaggle.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"username": "ada", "key": SECRET}))
    path.chmod(0o644)
    kaggle, _ = findings({"HOME": str(tmp_path)}, kaggle=["street"])
    assert (kaggle.level, kaggle.advice) == ("note", f"`chmod 600 {path}`")
    assert SECRET not in str(kaggle)
    path.chmod(0o600)
    kaggle, _ = findings({"HOME": str(tmp_path)})
    assert (kaggle.level, kaggle.text) == ("ok", f"credentials in {path}")


def test_an_account_is_judged_by_its_own_service():
    found = judge_accounts([Account("kaggle", "", "none")], needed_by={"roboflow": ["signs"]})
    assert [each.level for each in found] == ["note"]
