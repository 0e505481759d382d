"""What is printed of findings, and when they count as a stop."""

from tandem.doctor.findings import Diagnosis, findings_as_dict, format_findings, stops

OK = Diagnosis("memory", "ok", "20 GB")
NOTE = Diagnosis("weights", "note", "97 MB are to be downloaded", "put them there by hand")
ERROR = Diagnosis("git", "error", "it is not on PATH", "install git")


def test_each_finding_is_a_line_with_what_to_do_and_the_last_line_counts_them():
    assert format_findings([OK, NOTE, ERROR, ERROR]).splitlines() == [
        "OK     memory: 20 GB",
        "note   weights: 97 MB are to be downloaded; put them there by hand",
        "error  git: it is not on PATH; install git",
        "error  git: it is not on PATH; install git",
        "2 errors, 1 note, 1 OK",
    ]


def test_an_error_stops_a_run_and_a_note_does_not():
    assert not stops([OK, NOTE])
    assert stops([OK, ERROR, NOTE])


def test_a_program_reads_whether_a_run_can_begin_and_each_finding():
    assert findings_as_dict([OK, ERROR]) == {
        "is_ready": False,
        "findings": [
            {"subject": "memory", "level": "ok", "text": "20 GB", "advice": ""},
            {"subject": "git", "level": "error", "text": "it is not on PATH", "advice": "install git"},
        ],
    }
