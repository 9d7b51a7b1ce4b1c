"""A real server with what it does in the background: following files, jobs, several processes, feeds."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

Site = Any  # see conftest

PATIENCE = 60.0  # seconds after which what should happen counts as not happening


@contextmanager
def serving(index: Path, *typed: str) -> Iterator[tuple[httpx.Client, "subprocess.Popen[str]"]]:
    command = [sys.executable, "-m", "searchsvc", "serve", "--index", str(index), "--port", "0", *typed]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        said = server.stderr.readline()
        found = re.match(r"searchsvc listens on (http://127\.0\.0\.1:\d+)", said)
        assert found, said
        drain = threading.Thread(target=server.stderr.read)  # so that the pipe never fills
        drain.start()
        try:
            with httpx.Client(base_url=found[1], timeout=60, trust_env=False) as client:
                yield client, server
        finally:
            if server.poll() is None:
                server.send_signal(signal.SIGTERM)
            server.wait(60)
            drain.join(60)


def until(holds: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not (found := holds()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


def keys(client: httpx.Client, question: str) -> list[str]:
    answer = client.get("/search", params={"q": question})
    if answer.status_code == 503:  # nothing is indexed yet
        return []
    return [hit["article"]["key"] for hit in answer.raise_for_status().json()["hits"]]


def write(file: Path, *lines: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n\n".join(lines), encoding="utf-8")


@pytest.fixture(scope="module")
def news(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("news")
    for name in ("bridge", "harbour", "tunnel"):
        write(folder / f"{name}.txt", f"The {name}", f"The {name} was closed on Monday.")
    return folder


@pytest.fixture(scope="module")
def client(news: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with serving(tmp_path_factory.mktemp("served") / "index", "--watch", str(news)) as (client, _):
        until(lambda: len(keys(client, "closed on Monday")) == 3)
        yield client


def test_a_served_folder_is_followed(client: httpx.Client, news: Path) -> None:
    write(news / "2024" / "quagga.txt", "A quagga", "A quagga was seen in Cape Town.")
    until(lambda: keys(client, "quagga")[:1] == ["2024/quagga.txt"])
    write(news / "2024" / "quagga.txt", "A quagga", "The animal in Cape Town was an okapi.")
    until(lambda: client.get("/search", params={"q": "okapi"}).json()["hits"][0]["article"]["version"] == 2)
    ident = client.get("/search", params={"q": "okapi"}).json()["hits"][0]["article"]["id"]
    versions = client.get(f"/articles/{ident}/versions").json()["versions"]
    assert [(one["version"], one["text"]) for one in versions] == [
        (2, "The animal in Cape Town was an okapi."),
        (1, "A quagga was seen in Cape Town."),
    ]
    assert versions[0]["since"] == versions[1]["until"]
    (news / "2024" / "quagga.txt").unlink()
    until(lambda: "2024/quagga.txt" not in keys(client, "okapi"))
    assert client.get(f"/articles/{ident}/versions").status_code == 404


def test_a_job_brings_the_folders_in_step_and_is_remembered(client: httpx.Client) -> None:
    started = client.post("/reindex")
    assert started.status_code == 202
    assert started.json()["state"] == "running"
    ident = started.json()["id"]
    assert started.headers["location"] == f"/jobs/{ident}"
    job = until(lambda: (now := client.get(f"/jobs/{ident}").json())["state"] != "running" and now)
    assert (job["state"], job["error"]) == ("done", None)
    assert (job["report"]["files"], job["report"]["unchanged_files"], job["report"]["problems"]) == (3, 3, [])


def test_an_unknown_job_is_not_found(client: httpx.Client) -> None:
    answer = client.get("/jobs/nonesuch")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


def test_several_processes_answer_from_what_one_of_them_wrote(tmp_path: Path) -> None:
    with serving(tmp_path / "index", "--workers", "2") as (client, server):
        article = {"key": "okapi", "title": "An okapi", "text": "An okapi was born in Basel."}
        added = client.post("/articles", json=article)
        assert (added.status_code, added.json()["added"]) == (200, 1)
        for _ in range(20):  # over new connections, which go to either process
            with httpx.Client(base_url=client.base_url, timeout=60, trust_env=False) as other:
                assert keys(other, "okapi") == ["okapi"]
        assert client.post("/reindex").json()["error"]["message"] == "this server serves no folders"
        server.send_signal(signal.SIGTERM)
        assert server.wait(60) == 0


def processes_with(text: str) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if text in (entry / "cmdline").read_bytes().decode(errors="replace"):
                found.append(int(entry.name))
        except OSError:
            continue  # it has ended meanwhile
    return found


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks for processes in /proc")
def test_what_follows_the_files_ends_with_the_server_even_when_that_is_killed(news: Path, tmp_path: Path) -> None:
    with serving(tmp_path / "index", "--watch", str(news)) as (client, server):
        until(lambda: len(keys(client, "closed on Monday")) == 3)
        beside = [one for one in processes_with(str(news)) if "--until-eof" in Path(f"/proc/{one}/cmdline").read_text()]
        mine = [one for one in beside if str(server.pid) in Path(f"/proc/{one}/stat").read_text().split()[3:4]]
        assert len(mine) == 1
        server.kill()
        server.wait()
        until(lambda: mine[0] not in processes_with("--until-eof"))


def test_watch_reports_each_run_and_stops_when_told(news: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "searchsvc", "watch", "--json", "--index", str(tmp_path / "index"), str(news)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as watch:
        assert watch.stdout is not None
        assert json.loads(watch.stdout.readline())["added"] == 3
        write(news / "zebra.txt", "A zebra", "A zebra was seen in Bern.")
        assert json.loads(watch.stdout.readline())["added"] == 1
        (news / "zebra.txt").unlink()
        assert json.loads(watch.stdout.readline())["removed"] == 1
        watch.send_signal(signal.SIGTERM)
        assert watch.wait(60) == 0


def children_of(process: int) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            stat = (entry / "stat").read_text()
        except OSError:
            continue
        if int(stat.rpartition(")")[2].split()[1]) == process:
            found.append(int(entry.name))
    return found


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_server_that_is_told_to_stop_leaves_nothing_behind(workers: str, tmp_path: Path) -> None:
    busy = tmp_path / "busy"
    for number in range(400):
        write(busy / f"{number}.txt", f"News {number}", f"Report {number} says that nothing was seen. " * 40)
    with serving(tmp_path / "index", "--watch", str(busy), "--workers", workers) as (client, server):
        until(lambda: client.get("/healthz").status_code == 200)
        client.post("/reindex").raise_for_status()
        started = until(lambda: (found := children_of(server.pid)) and len(found) >= int(workers) and found)
        server.send_signal(signal.SIGTERM)
        assert server.wait(60) == 0
    until(lambda: not any(Path(f"/proc/{one}").exists() for one in started))


def told_of(process: int, file: str) -> str:
    """Return what a file in /proc tells of a process; nothing where it has ended."""
    try:
        return Path(f"/proc/{process}/{file}").read_text(errors="replace")
    except OSError:
        return ""


def status_of(index: Path) -> Any:
    command = [sys.executable, "-m", "searchsvc", "status", "--json", "--index", str(index)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks for processes in /proc")
def test_what_fails_beside_a_server_is_said_by_every_process_and_goes_on(tmp_path: Path) -> None:
    feed = "http://me:secret@127.0.0.1:9/rss?key=secret"
    (tmp_path / "own").mkdir()
    with serving(tmp_path / "index", "--workers", "2", "--watch", str(tmp_path / "own"), feed) as (client, server):

        def parts() -> dict[str, dict[str, Any]]:
            answer = client.get("/status")
            return {one["name"].split("?")[0]: one for one in answer.json().get("parts", [])}

        refused = until(lambda: parts().get("feed http://127.0.0.1:9/rss"))
        assert refused["message"] == "refused: the URL holds a name or a password"
        (beside,) = (one for one in children_of(server.pid) if "--until-eof" in told_of(one, "cmdline"))
        os.kill(beside, signal.SIGKILL)
        killed = until(lambda: parts().get("watch"))
        assert killed["message"] == "searchsvc watch was ended by SIGKILL; the server's log may say more"
        assert (killed["state"], killed["failures"]) == ("failing", 1)
        write(tmp_path / "own" / "zebra.txt", "A zebra", "A zebra was seen in Bern.")
        until(lambda: keys(client, "zebra") == ["zebra.txt"])
        said = status_of(tmp_path / "index")
        assert (said["health"], {one["name"].split("?")[0] for one in said["parts"]}) == (
            "failing",
            {"watch", "feed http://127.0.0.1:9/rss"},
        )
        metrics = client.get("/metrics").text
        assert 'searchsvc_parts_failing{part="watch"} 1.0' in metrics
        assert 'searchsvc_parts_failing{part="feed"} 1.0' in metrics
        assert "secret" not in metrics + json.dumps(said) + client.get("/status").text
        assert client.get("/healthz").json() == {"alive": True}
    said = status_of(tmp_path / "index")
    assert (said["health"], said["parts"]) == ("ok", [])


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks for processes in /proc")
def test_a_job_lives_and_dies_with_its_own_process_of_several(tmp_path: Path) -> None:
    slow = tmp_path / "slow"
    for number in range(400):
        write(slow / f"{number}.txt", f"News {number}", f"Report {number} says that nothing was seen. " * 40)
    with serving(tmp_path / "index", "--workers", "2", "--watch", str(slow)) as (client, server):
        ident = until(lambda: client.post("/reindex").json().get("id"))

        def state() -> Any:
            with httpx.Client(base_url=client.base_url, timeout=60, trust_env=False) as either:
                return either.get(f"/jobs/{ident}").json()

        def workers() -> dict[int, bool]:
            """By process that serves by now, whether it runs the job."""
            found = [one for one in children_of(server.pid) if "spawn_main" in told_of(one, "cmdline")]
            warming = [one for one in found if "openvino" in told_of(one, "maps")]
            return {one: bool(children_of(one)) for one in warming}

        both = until(lambda: (found := workers()) and sorted(found.values()) == [False, True] and found)
        other, own = sorted(both, key=lambda one: both[one])
        os.kill(other, signal.SIGKILL)
        until(lambda: other not in workers() and len(workers()) == 2)
        said = until(lambda: [one for one in status_of(tmp_path / "index")["parts"] if one["name"] == "workers"])
        assert said[0]["message"] == f"process {other} was ended by SIGKILL; replaced"
        assert [state()["state"] for _ in range(6)] == ["running"] * 6  # from either process
        os.kill(own, signal.SIGKILL)
        ended = until(lambda: (now := state())["state"] != "running" and now)
        assert (ended["state"], ended["error"]["message"]) == ("failed", "the server stopped before it was done")


def test_what_is_to_be_served_must_be_there(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "searchsvc", "serve", "--port", "0", "--watch", str(tmp_path / "none")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"searchsvc: there is no {tmp_path / 'none'}; name files, folders and feeds that are there\n"
    )


# ---------------------------------------------------------------------- feeds

ITEMS = """
<item><guid>https://news.example/1</guid><link>{base}/gone.html</link><title>Comet seen</title>
  <description>A comet was seen over Lima, astronomers said.</description></item>
<item><guid>https://news.example/2</guid><link>{base}/page.html</link><title>Volcano awakes</title>
  <description>A volcano has erupted.</description></item>
"""
PAGE = (
    "<html><head><title>Volcano awakes</title></head><body><article>"
    + "".join(
        f"<p>{line}</p>"
        for line in (
            "The volcano Fagradalsfjall has erupted for the first time in eight hundred years.",
            "Nobody was hurt, but the road to Grindavik was closed, and travellers were asked to be patient.",
            "It was expected since thousands of small earthquakes were felt.",
        )
    )
    + "</article></body></html>"
)


@pytest.fixture
def feed(site: Site) -> str:
    body = f'<rss version="2.0"><channel><title>News</title>{ITEMS.format(base=site.url)}</channel></rss>'
    site.page("/feed.xml", body, "application/rss+xml")
    site.page("/page.html", PAGE)
    return f"{site.url}/feed.xml"


def index(url: str, folder: Path, **environment: str) -> tuple[int, Any]:
    command = [sys.executable, "-m", "searchsvc", "index", "--json", "--index", str(folder), url]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environment})
    return done.returncode, json.loads(done.stdout)


def test_a_feed_is_indexed_with_its_pages_and_once(feed: str, site: Site, tmp_path: Path) -> None:
    allowed = {"SEARCHSVC_PRIVATE_NETWORKS": "allow"}
    code, report = index(feed, tmp_path / "index", **allowed)
    assert (code, report["added"], report["embedded"]) == (0, 2, 2)
    # The first entry links to a page that is not there; its summary stands in for it.
    assert [(one["lost"], "answered 404" in one["reason"]) for one in report["problems"]] == [(False, True)]
    search = [sys.executable, "-m", "searchsvc", "search", "--json", "--index", str(tmp_path / "index"), "Grindavik"]
    hit = json.loads(subprocess.run(search, capture_output=True, text=True, check=True).stdout)["hits"][0]
    assert hit["article"]["key"] == "https://news.example/2"
    assert "the road to Grindavik was closed" in hit["passage"]["text"]
    code, report = index(feed, tmp_path / "index", **allowed)
    assert (code, report["added"], report["changed"]) == (0, 0, 0)
    assert site.asked.count("/page.html") == 1


def test_a_feed_on_a_private_network_is_refused_unless_allowed(feed: str, tmp_path: Path) -> None:
    code, report = index(feed, tmp_path / "index")
    assert code == 4
    assert [(one["where"], one["lost"]) for one in report["problems"]] == [(feed, True)]
    assert "private network" in report["problems"][0]["reason"]
