"""An article's id is ours, short and stable; its site is what the URL says."""

import pytest

from searchsvc.text.article import article_id, site_of


def test_an_id_depends_on_the_key_alone_and_never_changes():
    assert article_id("000_de6a2ec9b66b9b61.txt") == "6biz4huwospungey"
    assert article_id("https://example.com/a?b=c#d") == "bdlzgp2t2gfbpkkp"


def test_an_id_is_safe_in_a_url_whatever_the_key():
    for key in ("", "a/b", "ü", "中文", "\ud800", "x" * 10_000):
        assert len(article_id(key)) == 16
        assert set(article_id(key)) <= set("abcdefghijklmnopqrstuvwxyz234567")


@pytest.mark.parametrize(
    ("url", "site"),
    [
        ("https://www.bbc.co.uk/news/1", "bbc.co.uk"),
        ("http://Example.COM:8080/", "example.com"),
        ("not a url", None),
        ("http://[broken", None),
        (None, None),
    ],
)
def test_the_site_of_a_url(url, site):
    assert site_of(url) == site
