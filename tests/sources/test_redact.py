"""Redaction: no secret gets through in any form that a client or a service writes it; other words stay as they are."""

import base64
import string
from urllib.parse import quote, quote_plus, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from requests import PreparedRequest

from tandem.sources.transfer.redact import basic_auth, redacted

KAGGLE_KEY = "0badc0de" * 4
ROBOFLOW_KEY = "madeUpKey0madeUpKey1"
LINK_KEY = "madeUpLnk2"
SIGNATURE = "5ca1ab1e" * 8

SIGNED = (
    "https://storage.googleapis.com/kaggle-data-sets/1/2/archive.zip?X-Goog-Algorithm=GOOG4-RSA-SHA256"
    f"&X-Goog-Credential=gcp%40kaggle.iam.gserviceaccount.com%2F20240506&X-Goog-Signature={SIGNATURE}"
)


@pytest.mark.parametrize(
    "said",
    [
        f"HTTPSConnectionPool(host='api.roboflow.com', port=443): Max retries: /?api_key={ROBOFLOW_KEY} (Caused by X)",
        f"Failed to download from https://app.roboflow.com/ds/AbC?key={LINK_KEY}",
        f"see https://app.roboflow.com/ds/AbC?key={LINK_KEY}, or <a href='https://x/?key={LINK_KEY}'>there</a>",
        f"403 Client Error: Forbidden for url: {SIGNED}",
        f"403 for {SIGNED}&X-Goog-Expires=1",
        f"https://storage.googleapis.com/x?GoogleAccessId=a&Signature={SIGNATURE}",
        f"https://x.invalid/?apikey={ROBOFLOW_KEY}&API_KEY={LINK_KEY}&token={KAGGLE_KEY}&sig={SIGNATURE}",
        f"{{'Authorization': 'Basic {basic_auth('wanda', KAGGLE_KEY)}'}}",
        f"authorization: bearer {KAGGLE_KEY}\r\nAccept: */*",
        f"header: b'Authorization: Bearer   KGAT_{KAGGLE_KEY}'",
    ],
)
def test_what_looks_like_a_secret_is_hidden_even_if_nobody_named_it(said):
    clean = redacted(said, [])
    hidden = (ROBOFLOW_KEY, LINK_KEY, SIGNATURE, KAGGLE_KEY, "gcp%40kaggle", basic_auth("wanda", KAGGLE_KEY))
    assert [secret for secret in hidden if secret in clean] == []
    assert "***" in clean


def test_only_the_values_of_a_url_are_hidden():
    assert redacted(f"GET https://api.roboflow.com/ws/p?api_key={ROBOFLOW_KEY}&nocache=true failed", []) == (
        "GET https://api.roboflow.com/ws/p?api_key=***&nocache=true failed"
    )


def test_a_secret_is_hidden_wherever_it_stands():
    said = f'key {KAGGLE_KEY}, {{"key": "{KAGGLE_KEY}"}}, /{KAGGLE_KEY}/, x{KAGGLE_KEY}x'
    assert redacted(said, [KAGGLE_KEY]) == 'key ***, {"key": "***"}, /***/, x***x'


def test_a_secret_is_hidden_as_urls_write_it():
    assert redacted(f"POST /x?a={quote('sé/cr+et=&?', safe='')}", ["sé/cr+et=&?"]) == "POST /x?a=***"


def test_of_two_secrets_the_longer_is_hidden_whole():
    assert redacted("abcdefgh-long abcdefgh", ["abcdefgh", "abcdefgh-long"]) == "*** ***"


def test_an_empty_secret_hides_nothing():
    assert redacted("nothing to hide", ["", ""]) == "nothing to hide"


def test_a_text_that_is_clean_stays_clean():
    clean = redacted(f"{SIGNED} Bearer {KAGGLE_KEY} api_key={ROBOFLOW_KEY} {KAGGLE_KEY}", [KAGGLE_KEY])
    assert redacted(clean, [KAGGLE_KEY]) == clean


def test_basic_is_what_requests_sends():
    request = PreparedRequest()
    request.prepare(method="GET", url="http://localhost/", auth=("wanda", KAGGLE_KEY))
    assert request.headers["Authorization"] == f"Basic {basic_auth('wanda', KAGGLE_KEY)}"
    assert basic_auth("fréd", "clé") == base64.b64encode("fréd:clé".encode()).decode()


# Letters that keys are made of, and those that URLs write otherwise.
keys = st.text(string.ascii_letters + string.digits + "-_.~+/=", min_size=8, max_size=60)
words = st.text(st.characters(exclude_categories=["Cs"]))


@given(keys, words, words)
def test_no_key_of_eight_characters_survives_in_any_form(key, before, after):
    pair = basic_auth("wanda", key)
    forms = [key, quote(key, safe=""), pair, quote(pair, safe=""), urlencode({"api_key": key}), f"Basic {pair}"]
    clean = redacted(before + " ".join(forms) + after, [key, pair])
    assert [form for form in (*forms, quote_plus(key)) if form in clean] == []


@given(st.lists(keys, min_size=2, max_size=4), st.data())
def test_keys_that_share_letters_do_not_save_each_other(secrets, data):
    text = "".join(data.draw(st.permutations([*secrets, *(secret[2:] for secret in secrets), secrets[0][:5]])))
    clean = redacted(text, secrets)
    assert [secret for secret in secrets if secret in clean] == []


@given(words)
def test_a_text_without_secrets_is_unchanged(text):
    # "=" is in all that is hidden of a URL, "basic" and "bearer" begin all that is hidden of a header.
    plain = text.replace("=", "").replace("asic", "").replace("earer", "")
    if KAGGLE_KEY not in plain:
        assert redacted(plain, [KAGGLE_KEY]) == plain


@pytest.mark.parametrize(
    "text",
    [
        "version 9 is not among those of https://www.kaggle.com/datasets/owner/slug: 1, 2; correct the version",
        "monkey=banana, keys= 4, turkey=1",
        "crc32c=AAAAAA==, md5=1B2M2Y8AsgTpgAmY7PhCfg==",
        "https://universe.roboflow.com/x/key/2?page=3",
        "a basic word",
        "the bearer of bad news",
    ],
)
def test_ordinary_words_stay(text):
    assert redacted(text, [KAGGLE_KEY]) == text
