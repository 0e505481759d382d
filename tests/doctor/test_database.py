"""A mongod that runs, one that does not, and a database elsewhere."""

from pathlib import Path

from tandem.doctor.database import Database, judge_database, look_for_database


def test_a_mongod_that_runs_is_told_with_its_version_and_place():
    found = look_for_database({})
    (finding,) = judge_database(found)
    assert finding.level == "ok"
    assert finding.text.startswith("db version v")
    assert finding.text.endswith(f"in {found.path}")


def test_a_database_elsewhere_is_told_by_its_host_alone():
    (finding,) = judge_database(look_for_database({"FIFTYONE_DATABASE_URI": "mongodb://ada:secret@db.example:27017"}))
    assert (finding.level, finding.text) == ("ok", "FIFTYONE_DATABASE_URI names a database on db.example")


def test_without_a_mongod_a_run_would_stop_and_setup_is_what_to_do():
    (finding,) = judge_database(Database(None, "", "/venv/bin/mongod does not exist", ""))
    assert (finding.level, finding.advice) == ("error", "run `tandem setup`")
    assert "/venv/bin/mongod does not exist" in finding.text
    assert judge_database(Database(Path("/m"), "db version v6.0.5", "", ""))[0].level == "ok"
