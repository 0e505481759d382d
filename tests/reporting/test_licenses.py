"""Licences against the words of Kaggle, Roboflow and Hugging Face, and against the chart of Creative Commons."""

from itertools import product

import pytest

from tandem.reporting.licenses import Terms, incompatibility, licensing, parse_license

# https://wiki.creativecommons.org/wiki/Wiki/cc_license_compatibility: two works of these can be remixed
CHART = {
    "CC0-1.0": {"CC0-1.0", "CC-BY-4.0", "CC-BY-SA-4.0", "CC-BY-NC-4.0", "CC-BY-NC-SA-4.0"},
    "CC-BY-4.0": {"CC0-1.0", "CC-BY-4.0", "CC-BY-SA-4.0", "CC-BY-NC-4.0", "CC-BY-NC-SA-4.0"},
    "CC-BY-SA-4.0": {"CC0-1.0", "CC-BY-4.0", "CC-BY-SA-4.0"},
    "CC-BY-NC-4.0": {"CC0-1.0", "CC-BY-4.0", "CC-BY-NC-4.0", "CC-BY-NC-SA-4.0"},
    "CC-BY-NC-SA-4.0": {"CC0-1.0", "CC-BY-4.0", "CC-BY-NC-4.0", "CC-BY-NC-SA-4.0"},
    "CC-BY-ND-4.0": set(),
    "CC-BY-NC-ND-4.0": set(),
}


@pytest.mark.parametrize(
    ("text", "spdx", "hub"),
    [
        ("CC BY 4.0", "CC-BY-4.0", "cc-by-4.0"),  # Roboflow
        ("BY-NC-SA 4.0", "CC-BY-NC-SA-4.0", "cc-by-nc-sa-4.0"),
        ("ODbL v1.0", "ODbL-1.0", "odbl"),
        ("MIT", "MIT", "mit"),
        ("CC0: Public Domain", "CC0-1.0", "cc0-1.0"),  # Kaggle
        ("Attribution 4.0 International (CC BY 4.0)", "CC-BY-4.0", "cc-by-4.0"),
        ("Attribution-NonCommercial-ShareAlike 3.0 IGO (CC BY-NC-SA 3.0 IGO)", "CC-BY-NC-SA-3.0-IGO", "cc"),
        ("Attribution-NoDerivatives 4.0 International (CC BY-ND 4.0)", "CC-BY-ND-4.0", "cc-by-nd-4.0"),
        ("Database: Open Database, Contents: Database Contents", "ODbL-1.0", "odbl"),
        ("ODC Public Domain Dedication and Licence (PDDL)", "PDDL-1.0", "pddl"),
        ("Community Data License Agreement - Permissive - Version 1.0", "CDLA-Permissive-1.0", "cdla-permissive-1.0"),
        ("GPL 2", "GPL-2.0-only", "gpl-2.0"),
        ("Apache 2.0", "Apache-2.0", "apache-2.0"),
        ("cc-by-sa-3.0", "CC-BY-SA-3.0", "cc-by-sa-3.0"),  # Hugging Face
        ("https://creativecommons.org/licenses/by-nc/4.0/", "CC-BY-NC-4.0", "cc-by-nc-4.0"),
        ("http://www.creativecommons.org/licenses/by-sa/2.5/deed.en", "CC-BY-SA-2.5", "cc"),
        ("https://creativecommons.org/publicdomain/zero/1.0/", "CC0-1.0", "cc0-1.0"),
        ("CC BY", "", "cc"),  # which version?
        ("Public Domain", "", "other"),
    ],
)
def test_the_words_of_services_become_ids(text, spdx, hub):
    found = parse_license(text)
    assert (found.spdx, found.hub) == (spdx, hub)
    assert found.terms
    assert found.url == (f"https://spdx.org/licenses/{spdx}.html" if spdx else "")


@pytest.mark.parametrize(
    ("text", "name", "hub"),
    [
        ("not stated", "not stated", "unknown"),
        ("Unknown", "not stated", "unknown"),
        ("", "not stated", "unknown"),
        ("Other (specified in description)", "Other (specified in description)", "other"),
        ("Data files © Original Authors", "Data files © Original Authors", "other"),
        ("Database: Open Database, Contents: © Original Authors", None, "other"),
        ("by arrangement", "by arrangement", "other"),
        ("Provided by a Roboflow user", "Provided by a Roboflow user", "other"),
    ],
)
def test_of_other_words_no_terms_are_known(text, name, hub):
    found = parse_license(text)
    assert (found.name, found.hub, found.terms, found.spdx) == (name or text, hub, None, "")


def test_what_a_licence_allows_follows_from_its_elements():
    assert parse_license("CC BY-NC-SA 4.0").terms == Terms(False, True, True, True)
    assert parse_license("CC BY-ND 4.0").terms == Terms(True, False, False, True)
    assert parse_license("CC0-1.0").terms == Terms(True, True, False, False)


@pytest.mark.parametrize(("one", "other"), list(product(CHART, CHART)))
def test_licences_can_be_joined_as_the_chart_of_creative_commons_says(one, other):
    first, second = parse_license(one), parse_license(other)
    may_change = first.terms.derivatives and second.terms.derivatives
    assert (may_change and not incompatibility(first, second)) == (other in CHART[one])


def test_share_alike_licences_of_one_family_can_be_joined_and_those_of_two_cannot():
    assert incompatibility(parse_license("CC BY-SA 3.0"), parse_license("CC BY-SA 4.0")) == ""
    assert "under that license alone" in incompatibility(parse_license("ODbL"), parse_license("CC BY-SA 4.0"))
    assert incompatibility(parse_license("unknown"), parse_license("CC BY-SA 4.0")) == ""


def test_what_follows_names_the_sources_and_what_to_do():
    found = licensing(
        {"wild": "not stated", "shared": "CC BY-SA 4.0", "school": "CC BY-NC-SA 4.0", "free": "CC0: Public Domain"}, {}
    )
    assert [(each.kind, each.sources) for each in found.findings] == [
        ("incompatible", ("shared", "school")),
        ("unknown", ("wild",)),
        ("not_commercial", ("school",)),
        ("share_alike", ("shared", "school")),
        ("attribution", ("shared", "school")),
    ]
    first, second, *_ = (each.text for each in found.findings)
    assert first.startswith("shared (CC-BY-SA-4.0) and school (CC-BY-NC-SA-4.0): images of both cannot be handed on")
    assert "wild (not stated): what the license allows is not known here." in second
    assert "`report.licenses` takes what you found" in second
    assert found.hub_ids == ("unknown", "cc-by-sa-4.0", "cc-by-nc-sa-4.0", "cc0-1.0")


def test_changes_that_are_not_allowed_are_named():
    kinds = [each.kind for each in licensing({"still": "CC BY-ND 4.0"}, {}).findings]
    assert kinds == ["no_derivatives", "attribution"]


def test_free_licences_ask_for_nothing():
    assert licensing({"one": "CC0-1.0", "other": "Public Domain"}, {}).findings == ()


def test_what_the_user_states_goes_first_and_is_said_to_be_so():
    row = licensing({"wild": "not stated"}, {"wild": "CC0-1.0"}).rows[0]
    assert (row.by, row.stated, row.licenses[0].spdx) == ("user", "CC0-1.0", "CC0-1.0")


def test_a_source_of_two_licences_has_both():
    found = licensing({"both": "CC BY 4.0; CC BY-NC 4.0"}, {})
    assert [each.spdx for each in found.rows[0].licenses] == ["CC-BY-4.0", "CC-BY-NC-4.0"]
    assert [each.kind for each in found.findings] == ["not_commercial", "attribution"]
