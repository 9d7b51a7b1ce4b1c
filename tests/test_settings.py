"""Settings: from the environment, each checked, none misspelt."""

from dataclasses import fields
from pathlib import Path

import pytest

from searchsvc.errors import BadInput
from searchsvc.settings import Settings


def test_defaults_are_local_and_modest():
    settings = Settings.from_environment({})
    assert (settings.index, settings.host, settings.port, settings.device) == (Path("index"), "127.0.0.1", 8000, "auto")


def test_the_environment_sets_what_it_names():
    settings = Settings.from_environment({"SEARCHSVC_INDEX": "/srv/news", "SEARCHSVC_PORT": "9000", "PATH": "/bin"})
    assert (settings.index, settings.port) == (Path("/srv/news"), 9000)


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("SEARCHSVC_INDX", "x", "there is no setting SEARCHSVC_INDX"),
        ("SEARCHSVC_PORT", "web", "SEARCHSVC_PORT must be a whole number, not 'web'"),
        ("SEARCHSVC_PORT", "70000", "port is 70000; it must be from 0 to 65535"),
        ("SEARCHSVC_DEVICE", "tpu", "device is 'tpu'; it must be one of auto, cpu, cuda"),
        ("SEARCHSVC_PASSAGE_TOKENS", "3", "passage_tokens is 3; it must be from 16 to 8192"),
        ("SEARCHSVC_ARTICLE_BYTES", "0", "article_bytes must be at least 1"),
    ],
)
def test_what_is_misspelt_or_impossible_is_said(variable, value, said):
    with pytest.raises(BadInput) as error:
        Settings.from_environment({variable: value})
    assert error.value.message == said


def test_every_setting_says_what_it_is_for():
    assert [one.name for one in fields(Settings) if not one.metadata.get("help")] == []


def test_the_cache_lies_in_the_users_cache_folder_unless_named():
    assert Settings(cache=Path("/srv/cache")).cache_folder == Path("/srv/cache")
    assert Settings().cache_folder.name == "searchsvc"


def test_what_is_to_be_watched_must_be_quoted_rightly():
    assert Settings(watch="'a b' https://news.example/rss").watch == "'a b' https://news.example/rss"
    with pytest.raises(BadInput, match="no closing quotation"):
        Settings(watch="it's")


def test_another_process_gets_the_same_settings():
    settings = Settings(index=Path("x y"), port=0, watch="'a b' c", rescan_seconds=5)
    assert Settings.from_environment(settings.environment()) == settings
