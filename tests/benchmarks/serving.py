"""Serving: how fast the real server answers over HTTP, to one client and to eight, and how much memory it holds.

    python tests/benchmarks/serving.py --index DIR --questions FOLDER/queries.jsonl [MORE.jsonl …]
                                       [--clients 8] [--host 127.0.0.1] [--json]

Starts `python -m searchsvc serve` on an index that is there already, waits for /readyz, warms it with a few questions,
and asks the others once each, every second one from one client and then the rest from all clients at once, over
connections that are kept alive. Answers are read but not parsed, so that the load costs little beside the server.
No question is asked twice, so that no cache of answers flatters the figures. Exits 1 when the server does not start.
"""

import argparse
import http.client
import json
import queue
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import quote

import numpy as np

from searchsvc.readers.records import text_lines

WARMING = 10
PATIENCE = 120.0  # seconds until the server must be ready


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--index", type=Path, required=True, help="folder of an index that is built")
    parser.add_argument("--questions", type=Path, nargs="+", required=True, help="JSON Lines with a field text")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--json", action="store_true", help="print one JSON line and no table")
    options = parser.parse_args()
    asked = questions(options.questions)
    if len(asked) < WARMING + 2:
        parser.error(f"at least {WARMING + 2} questions are needed")
    port = free_port(options.host)
    command = [sys.executable, "-m", "searchsvc", "serve", "--index", str(options.index)]
    command += ["--host", options.host, "--port", str(port)]
    with tempfile.TemporaryFile() as said:
        began = time.perf_counter()
        server = subprocess.Popen(command, stdout=said, stderr=said)
        try:
            if not wait_until_ready(server, options.host, port):
                said.seek(0)
                sys.exit("the server did not get ready; it said:\n" + said.read().decode(errors="replace")[-2_000:])
            ready = time.perf_counter() - began
            memory = {"idle": memory_of(server.pid)}
            load(options.host, port, asked[:WARMING], 1)
            memory["warm"] = memory_of(server.pid)
            one = load(options.host, port, asked[WARMING::2], 1)
            memory["after_one"] = memory_of(server.pid)
            many = load(options.host, port, asked[WARMING + 1 :: 2], options.clients)
            memory["after_many"] = memory_of(server.pid)
        finally:
            server.terminate()
            try:
                server.wait(15)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
    show(ready, one, many, memory, options.clients, as_json=options.json)


def questions(files: list[Path]) -> list[str]:
    lines = (line for file in files for line in text_lines(file, 1_000_000) if isinstance(line, str) and line.strip())
    return list(dict.fromkeys(json.loads(line)["text"] for line in lines))


def free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def wait_until_ready(server: subprocess.Popen[bytes], host: str, port: int) -> bool:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and server.poll() is None:
        connection = http.client.HTTPConnection(host, port, timeout=5)
        try:
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                return True
        except (OSError, http.client.HTTPException):
            pass  # not listening yet
        finally:
            connection.close()
        time.sleep(0.1)
    return False


def load(host: str, port: int, asked: list[str], clients: int) -> dict[str, float]:
    """Ask each question once, by so many clients at a time."""
    waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
    for question in asked:
        waiting.put("/search?q=" + quote(question))
    took: list[float] = []
    errors: list[str] = []
    go = threading.Barrier(clients + 1, timeout=60)

    def client() -> None:
        connection = http.client.HTTPConnection(host, port, timeout=60)
        go.wait()
        while True:
            try:
                path = waiting.get_nowait()
            except queue.Empty:
                break
            began = time.perf_counter()
            try:
                connection.request("GET", path)
                response = connection.getresponse()
                response.read()
            except (OSError, http.client.HTTPException) as fault:
                errors.append(repr(fault))
                connection.close()
                continue
            if response.status == 200:
                took.append((time.perf_counter() - began) * 1_000)
            else:
                errors.append(str(response.status))
        connection.close()

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    go.wait()
    began = time.perf_counter()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - began
    p50, p95 = (float(np.percentile(took, percent)) if took else float("nan") for percent in (50, 95))
    return {
        "answers": len(took),
        "errors": len(errors),
        "p50_ms": round(p50, 2),
        "p95_ms": round(p95, 2),
        "answers_per_s": round(len(took) / seconds, 1),
    }


def memory_of(pid: int) -> dict[str, int]:
    """Return resident memory now and at its most, in MB (10^6 bytes)."""
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    names = (("rss_mb", "VmRSS"), ("peak_mb", "VmHWM"))
    return {name: int(lines[field].split()[0]) * 1024 // 1_000_000 for name, field in names}


def show(
    ready: float,
    one: dict[str, float],
    many: dict[str, float],
    memory: dict[str, dict[str, int]],
    clients: int,
    *,
    as_json: bool,
) -> None:
    times = many["answers_per_s"] / one["answers_per_s"] if one["answers_per_s"] else float("nan")
    if as_json:
        row: dict[str, object] = {"ready_s": round(ready, 2), "one": one, "clients": clients, "many": many}
        print(json.dumps(row | {"times": round(times, 2), "memory": memory}))
        return
    print(f"ready after {ready:.2f} s")
    print(f"{'clients':>8}{'answers':>9}{'errors':>8}{'p50 ms':>9}{'p95 ms':>9}{'per s':>9}")
    for count, of in ((1, one), (clients, many)):
        print(
            f"{count:>8}{of['answers']:>9}{of['errors']:>8}{of['p50_ms']:>9}{of['p95_ms']:>9}{of['answers_per_s']:>9}"
        )
    print(f"{clients} clients get {times:.2f} times the answers of one")
    print("memory: " + ", ".join(f"{when} {mb['rss_mb']} MB (peak {mb['peak_mb']})" for when, mb in memory.items()))


if __name__ == "__main__":
    main()
