"""What the command line prints of results: nothing that should not be seen on a screen."""

from datetime import UTC, datetime

import pytest

from searchsvc.interfaces.cli.print_results import print_results
from searchsvc.interfaces.cli.screen import Screen
from searchsvc.query import Query
from searchsvc.search.results import Hit, IndexState, Results
from searchsvc.text.article import Article

SECRET = "https://ann:s3cret@news.example/grain?page=2"


def printed(url: str | None, key: str) -> str:
    article = Article(1, "a" * 16, key, "Grain", "Ministers met.", url, None, None, None, None, "en")
    hit = Hit(1, 1.0, article, article.excerpt(0, 14), None, also_in=(article,))
    now = datetime(2024, 6, 18, tzinfo=UTC)
    results = Results(Query("grain", as_of=now), (hit,), IndexState(1, 1, 1, now, 0), None, None, None, 1.0)
    screen = Screen()
    with screen.capture() as capture:
        print_results(screen, results)
    return capture.get()


@pytest.mark.parametrize(("url", "key"), [(SECRET, "grain"), (None, SECRET), (SECRET, SECRET)])
def test_the_password_in_an_address_is_not_printed(url: str | None, key: str) -> None:
    shown = printed(url, key)
    assert "https://news.example/grain?" in shown
    assert "s3cret" not in shown
    assert "ann" not in shown


@pytest.mark.parametrize("url", ["https://news.example/grain?page=2", "https://news.example/@ann/grain"])
def test_an_address_without_one_is_printed_as_it_is(url: str) -> None:
    assert f"    {url}\n" in printed(url, "grain")
