"""Secrets are hidden in text and settings; text without any stays as it is."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from selfimprove import UserError
from selfimprove.commands.settings_page import _parts
from selfimprove.errors.redaction import HIDDEN, is_secret, redact, redact_settings
from selfimprove.settings.fields import parameters
from selfimprove.tracking.mlflow_address import link_to

SECRET_NAMES = [
    "key",
    "token",
    "secret",
    "password",
    "sig",
    "api_key",
    "apikey",
    "apiKey",
    "access_token",
    "accessToken",
    "X-Amz-Signature",
    "X-Amz-Credential",
    "X-Amz-Security-Token",
    "sas",
    "auth",
    "Authorization",
    "Proxy-Authorization",
    "Cookie",
    "x-api-key",
    "x-goog-api-key",
    "Ocp-Apim-Subscription-Key",
    "AWSAccessKeyId",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_ACCESS_KEY_ID",
    "AccountKey",
    "hub_token",
    "hf_token",
    "client_secret",
    "private_key",
    "passwd",
    "pwd",
    "passphrase",
    "credentials",
    "OPENAI_API_KEY",
    "OPENAI_API_KEY_2",
    "api_keys",
    "refresh_tokens",
    "jwt",
    "bearer",
    "sampler.extra.api_key",
]
PLAIN_NAMES = [
    "tokens",
    "max_tokens",
    "prompt_tokens",
    "tokenizer",
    "key_from",
    "keys",
    "monkey",
    "eos_token",
    "bos_token",
    "pad_token",
    "stop_token_ids",
    "sort_key",
    "primary_key",
    "question",
    "answer",
    "seed",
    "path",
    "signal",
    "author",
    "authored",
    "secretary",
    "passed",
    "pass_at_1",
    "cost_per_token",
    "new_token",
    "cookies_eaten",
    "design",
    "name",
]

HIDDEN_IN = [
    # text, what remains
    ("http://user:S3CRET/pw@host:5000/x?y=1", "http://host:5000/x?y=1"),
    ("s3://AKIAX:SEC/RET+x=@bucket/run", "s3://bucket/run"),
    ("https://TOKEN1234@example.org/repo.git is gone", "https://example.org/repo.git is gone"),
    ("http://a:b@c@host/", "http://host/"),
    ("postgresql+psycopg2://u:p#?@db/mlflow: no", "postgresql+psycopg2://db/mlflow: no"),
    ("(http://h/v1?key=abc&x=1&sig=de): check", "(http://h/v1?key=***&x=1&sig=***): check"),
    ("https://h/x?X-Amz-Signature=abc&X-Amz-Security-Token=d%2Be&v=1", "https://h/x?X-Amz-Signature=***&X-Amz-Security-Token=***&v=1"),
    ("?sv=2024&sas=abc'd,e&se=1", "?sv=2024&sas=***&se=1"),
    ("http://h?next=http%3A%2F%2Fu%3Ap%40h%3Fkey%3Dabc", "http://h?next=http%3A%2F%2Fh%3Fkey%3D***"),
    ("Authorization: Bearer abc.def ghi", "Authorization: ***"),
    ("{'Authorization': 'Bearer abc', 'Accept': 'x'}", "{'Authorization': '***', 'Accept': 'x'}"),
    ("x-api-key: abc123, y", "x-api-key: ***, y"),
    ("Cookie: a=1; session=2", "Cookie: ***"),
    ("sent with bearer abcdefgh.12345678", "sent with bearer ***"),
    ("{'api_key': 'abc', 'eos_token': '</s>'}", "{'api_key': '***', 'eos_token': '</s>'}"),
    ('{"api_key": "a\\"bc", "y": 2}', '{"api_key": "***", "y": 2}'),
    ('"{\\"api_key\\": \\"abc\\"}"', '"{\\"api_key\\": \\"***\\"}"'),
    ("Endpoint(url='http://h', extra={'token': 'x'}, api_key='y z')", "Endpoint(url='http://h', extra={'token': '***'}, api_key='***')"),
    ("--set sampler.extra.api_key=abc: no such field", "--set sampler.extra.api_key=***: no such field"),
    ("DefaultEndpointsProtocol=https;AccountKey=ab/c==;EndpointSuffix=x", "DefaultEndpointsProtocol=https;AccountKey=***"),
    ("api_key: abc", "api_key: ***"),
    ("hf_abcdefghijklmnopqrst is no key", "*** is no key"),
    ("Incorrect API key provided: sk-proj-abcdefghij1234567890.", "Incorrect API key provided: ***."),
    ("AKIAABCDEFGHIJKLMNOP does not exist", "*** does not exist"),
    ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc-def", "***"),
    ("a\n-----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY-----\nb", "a\n***\nb"),
]
UNCHANGED = [
    "",
    "the endpoint rejects the key: set another",
    "the url holds a password: put it into an environment variable and name that in key_from",
    "api_key: Unexpected keyword argument",
    "max_tokens=64 new_token=5 key_from='OPENAI_API_KEY' api_key=None",
    "sqlite:////home/me@home/runs/mlflow.db",
    "file:///home/me@home/runs",
    "https://example.org/v1?api-version=2024 answered 401",
    "pass@1 0.50 → 0.60; --set sampling.temperature=0.7",
    "if token == other: sort_key='length'",
    "What is 3 + 4? Mail me@example.org, or see https://example.org/a/b#c",
    "process_reward=StepRewards(RewardModel(…))",
]

words = st.text(st.characters(exclude_categories=("Cs",), exclude_characters=" \t\r\n\x0b\x0c"), min_size=1).filter(
    lambda text: not any(map(str.isspace, text))
)
# No letters, so that a secret is not part of the text around it by chance.
marked = words.map(lambda text: f"Zq7{text}Zq7")


@pytest.mark.parametrize("name", SECRET_NAMES)
def test_a_name_that_says_secret(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize("name", PLAIN_NAMES)
def test_a_name_that_does_not(name: str) -> None:
    assert not is_secret(name)


@pytest.mark.parametrize(("text", "remains"), HIDDEN_IN)
def test_secrets_are_hidden(text: str, remains: str) -> None:
    assert redact(text) == remains and redact(remains) == remains


@pytest.mark.parametrize("text", UNCHANGED)
def test_text_without_secrets_is_unchanged(text: str) -> None:
    assert redact(text) == text


@given(st.text(st.characters(exclude_characters=":=@%")))
def test_text_without_addresses_fields_and_tokens_is_unchanged(text: str) -> None:
    # Without these signs there is no address, assignment or field; long runs of letters could be a token by chance.
    text = text.replace("_", "").replace("-", "")
    assert redact(text) == text


@given(marked, marked, st.sampled_from(["http", "https", "s3", "gs", "ftp", "postgresql+psycopg2", "HTTP"]))
@example("Zq7/Zq7", "Zq7@/?#Zq7", "http")
def test_no_user_and_no_password_survives(user: str, password: str, scheme: str) -> None:
    for address in (f"{scheme}://{user}:{password}@host/x", f"{scheme}://{user}@host/x"):
        for text in (address, f"cannot reach {address}: refused", f"MLflow(uri='{address}')"):
            assert "Zq7" not in redact(text) and ("host/x" in redact(text) or "=" in address)


@given(marked, st.sampled_from(["key", "token", "sig", "secret", "password", "api_key", "X-Amz-Signature", "access_token", "sas"]))
def test_no_query_value_survives(value: str, name: str) -> None:
    escaped = quote(value, safe="")
    for text in (f"https://h/x?{name}={escaped}&v=2", f"see https://h/x?v=2&{name}={escaped}, or not", f"<a href='https://h/?{name}={escaped}'>"):
        assert "Zq7" not in redact(text)
    # Unescaped, a value ends at the next parameter.
    assert "Zq7" not in redact(f"https://h/x?v=2&{name}={value.replace('&', '')}")


@given(marked | st.text(min_size=1).map(lambda text: f"Zq7{text}Zq7"), st.sampled_from(["api_key", "Authorization", "hub_token", "client-secret"]))
def test_no_value_of_a_field_survives(value: str, name: str) -> None:
    given = {"part": "X", "extra": {name: value, "deep": [{name: [value, 7]}], "temperature": 0.5}}
    hidden = redact_settings(given)
    assert hidden == {"part": "X", "extra": {name: HIDDEN, "deep": [{name: [HIDDEN, HIDDEN]}], "temperature": 0.5}}
    assert redact_settings(hidden) == hidden
    for ascii_only in (True, False):
        assert "Zq7" not in redact(json.dumps({name: value}, ensure_ascii=ascii_only))
    assert "Zq7" not in redact(repr({name: value}))


@given(marked.filter(lambda text: len(text) >= 8))
def test_a_secret_in_use_is_hidden_in_every_quoting(secret: str) -> None:
    for text in (secret, quote(secret), quote(secret, safe=""), json.dumps(secret), repr(secret)):
        assert "Zq7" not in redact(f"the server says {text} is wrong", key=secret)


def test_parts_of_an_address_in_use_are_hidden_where_a_library_repeats_them() -> None:
    uri = "http://user:S3CRET/pw@host"
    assert redact("Failed to parse: user:S3CRET", uri) == "Failed to parse: user:***"
    assert redact('Invalid bucket name "AKIAX:SECRET@bucket"', "s3://AKIAX:SECRET@bucket/run") == 'Invalid bucket name "***@bucket"'
    assert redact("rejected signature a+b/c", "https://h?sig=a%2Bb%2Fc") == "rejected signature ***"
    assert redact("nothing", "http://host/v1?x=nothing", "nothing", "sqlite:////home/nothing@x") == "nothing"


def test_secrets_of_the_environment_are_hidden_wherever_they_occur(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_API_KEY", "Zq7 value")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://user:Zq7pass/word@host")
    monkeypatch.setenv("EMPTY_TOKEN", "")
    monkeypatch.setenv("SHORT_TOKEN", "1")
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")
    assert redact("Zq7 value, Zq7%20value; port Zq7pass; false 1") == "***, ***; port ***; false 1"
    monkeypatch.delenv("MY_API_KEY")
    assert redact("Zq7 value") == "Zq7 value"


def test_the_folders_of_a_shell_are_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PWD", "/home/ana/project")
    monkeypatch.setenv("OLDPWD", "/home/ana/other")
    monkeypatch.setenv("DB_PWD", "hunter2-hunter2")
    shown = "/home/ana/project/runs/first, /home/ana/other/x.py and hunter2-hunter2"
    assert redact(shown) == shown.replace("hunter2-hunter2", HIDDEN)


def test_an_error_of_ours_has_no_secrets_wherever_it_is_shown() -> None:
    assert str(UserError("http://u:p@h cannot be read")) == "http://h cannot be read"


@pytest.mark.parametrize("uri", ["http://127.0.0.1:5000", "sqlite:////home/me@home/runs/mlflow.db"])
def test_the_printed_link_to_mlflow_is_unchanged(uri: str) -> None:
    assert redact(link_to(uri, "1")) == link_to(uri, "1")


def test_no_setting_of_a_part_is_taken_for_a_secret() -> None:
    names = [one.name for part in _parts() for one in parameters(part)]
    assert len(names) > 100 and [name for name in names if is_secret(name)] == []


def test_empty_and_plain_values_are_kept() -> None:
    given = {"api_key": None, "token": "", "password": False, "n": 3, "eos_token": "</s>", "part": "hf_abcdefghijklmnopqrst", 7: [1.5]}
    assert redact_settings(given) == given


@pytest.mark.parametrize("sign", ["a", "://", "=", "key=", ":", "@", "http://a:b@c ", "%", '"', "'api_key': '", "-----BEGIN PRIVATE KEY-----", "\\"])
def test_long_text_takes_no_more_than_linear_time(sign: str) -> None:
    import time

    begin = time.process_time()
    redact(sign * (300_000 // len(sign)))
    assert time.process_time() - begin < 10
