"""A real server with the tests' small embedder, in a process of its own.

python tests/faults/serving.py INDEX
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import conftest

from searchsvc import library, models
from searchsvc.interfaces.http.server import serve
from searchsvc.settings import Settings


def main() -> None:
    embedder = conftest.BagOfWords()
    models.load_embedder = lambda *_, **__: embedder
    serve(library.Library(Settings(index=Path(sys.argv[1]), port=0), announce=tell))


def tell(sentence: str) -> None:
    sys.stderr.write(f"{sentence}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()
