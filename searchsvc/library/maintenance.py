"""Maintenance of one index: rebuild, verify and repair, tidy, back up, restore."""

import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from searchsvc.catalogue import Catalogue, Key
from searchsvc.engines import Snapshot
from searchsvc.errors import BadInput, Busy, DamagedCatalogue, DamagedIndex, Unwritable
from searchsvc.ingest.repair import TABLES, Damage, Repair, find_damage
from searchsvc.ingest.report import Progress
from searchsvc.library.index import LOSS, Index, Serving
from searchsvc.library.ingestion import Ingestion
from searchsvc.search.verification import Verification, measure_recall

GRACE = timedelta(hours=1)  # for which what is no longer in force is kept, for searches that began before
MIN_RECALL = 0.99  # of the dense index against exact search
UNUSED_SHARE, UNUSED_BYTES = 0.25, 64_000_000  # of the catalogue, both passed: given back to the disk
SWEEP_SECONDS = 60.0  # between two looks at rows' checksums
SWEPT_ROWS = 2_000  # looked at each time: some hundredths of a second
SWEPT = "swept"  # name of the fact that says where the sweep goes on


class Maintenance:
    """Keeps one index well."""

    def __init__(self, index: Index, ingestion: Ingestion) -> None:
        self._index = index
        self._ingestion = ingestion
        self._tidied = time.monotonic()
        self._swept = -SWEEP_SECONDS

    def rebuild(self, progress: Progress) -> None:
        """Make the search index anew; see `Library.rebuild`."""
        index, wanted = self._index, self._ingestion.wanted_space()
        model, space = index.settings.model, index.serving.space
        if model and wanted is None and index.parts.load_embedder(model).fingerprint != space.fingerprint:
            wanted = (space.model, space.passage_tokens)
        if wanted is not None:
            self._ingestion.reembed(wanted, progress)
            return
        with index.lock():
            index.serving.engine.rebuild(index.catalogue)
            if index.catalogue.metadata.get(LOSS) is not None:
                with index.catalogue.writing() as writer:
                    writer.metadata.set(LOSS, None)

    # ------------------------------------------------------------------ verifying and repairing

    def verify(self) -> Verification:
        """Check rows, search index and recall; see `Library.verify`."""
        index = self._index
        serving, catalogue = index.serving, index.catalogue
        problems, damage = [], Damage()
        recall, sample = None, 0
        with suppress(DamagedIndex):
            serving.engine.reopen()
            serving.engine.snapshot(catalogue)  # which takes long, and so not while others wait for the lock
        with self._level_snapshot(serving) as snapshot:
            try:
                problems += catalogue.check()
                damage = find_damage(catalogue)
                problems += filter(None, (catalogue.metadata.get(LOSS),))
                if isinstance(snapshot, DamagedIndex):
                    raise snapshot
                if snapshot is None:
                    index.announce("Others keep writing: the search files were not compared with the catalogue.")
                else:
                    problems += serving.engine.compare(catalogue, snapshot)
                    recall, sample = measure_recall(snapshot, catalogue, serving.space)
                if recall is not None and recall < MIN_RECALL:
                    problems.append(f"the dense index finds only {recall:.1%} of the nearest passages")
            except (DamagedIndex, DamagedCatalogue) as error:
                problems.append(error.message)
        problems += self._repair(damage, all_checked=True)
        return Verification(tuple(problems), recall, sample)

    @contextmanager
    def _level_snapshot(self, serving: Serving) -> Iterator[Snapshot | DamagedIndex | None]:
        """Give the snapshot of the state of the catalogue in which all reads stand, or what is wrong with it.

        None where others have kept writing, so that the two were never of one state.
        """
        with ExitStack() as reads:
            snapshot: Snapshot | DamagedIndex | None = self._level(serving, reads)
            if isinstance(snapshot, DamagedIndex):
                try:
                    with self._index.lock():  # between two commits of writers, the two are of one state
                        self._index.note_loss(serving)
                        snapshot = self._level(serving, reads)
                except Busy:
                    snapshot = None
                except Unwritable:
                    pass  # nobody writes here
            reads.enter_context(self._index.catalogue.reading())
            yield snapshot

    def _level(self, serving: Serving, reads: ExitStack) -> Snapshot | DamagedIndex:
        """Return the snapshot of the state in which `reads` stand from now on, or why there is none."""
        catalogue = self._index.catalogue
        with ExitStack() as transaction:
            transaction.enter_context(catalogue.reading())
            generation = catalogue.changes.last()
            try:
                snapshot = serving.engine.snapshot(catalogue)
            except DamagedIndex as damage:
                return damage
            if behind := generation - snapshot.generation:
                return DamagedIndex(f"the index is {behind:,} changes behind the catalogue")
            reads.push(transaction.pop_all())
            return snapshot

    def _repair(self, damage: Damage, *, all_checked: bool) -> list[str]:
        """Repair what is damaged, where this index can be written, and return what was and what was not."""
        index = self._index
        serving, catalogue = index.serving, index.catalogue
        if not damage and not damage.without and not (all_checked and catalogue.checksums.damaged()):
            return []
        repair = Repair(catalogue, serving.space, self._ingestion.preparer(), index.commit_lock, self._ingestion.reread)
        try:
            done = repair.run(damage)
            if damage.without:
                repair.fill()
            with index.commit_lock(), catalogue.writing() as writer:
                writer.checksums.set_damaged(done.lost, all_checked=all_checked)
            if done.vectors:
                with index.lock():
                    serving.engine.rebuild(catalogue)
        except (Busy, Unwritable) as hindrance:
            rows = {row for row in damage.rows["articles"] if isinstance(row, int)}
            problems = [f"{repair.named(row)} is damaged" for row in sorted(rows)]
            others = sum(map(len, damage.rows.values())) - len(rows)
            if others:
                problems.append(f"{others:,} passages and vectors are damaged")
            return [f"{problem}; it is not repaired: {hindrance.message}" for problem in problems]
        self._ingestion.resplit()
        return done.messages

    def sweep(self) -> None:
        """Check the next rows, at most so often, going on where this index was left; repair what is damaged."""
        if time.monotonic() - self._swept < SWEEP_SECONDS:
            return
        self._swept = time.monotonic()
        catalogue = self._index.catalogue
        name, _, key = (catalogue.metadata.get(SWEPT) or "").partition(" ")
        table = next((one for one in TABLES if one == name), TABLES[0])
        after: Key | None = None if not key else bytes.fromhex(key) if table == "vectors" else int(key)
        checked = catalogue.checksums.check(table, after, SWEPT_ROWS)
        last = checked.last.hex() if isinstance(checked.last, bytes) else checked.last
        place = f"{table} {last}" if last is not None else TABLES[(TABLES.index(table) + 1) % len(TABLES)]
        damage = Damage()
        damage.rows[table] += checked.damaged
        try:
            with self._index.lock(patience=0), catalogue.writing() as writer:
                writer.checksums.fill(table, checked.without)
                writer.metadata.set(SWEPT, place)
        except (Busy, Unwritable):
            return
        for problem in self._repair(damage, all_checked=False):
            self._index.announce(f"Attention: {problem}.")

    # ------------------------------------------------------------------ tidying

    def tidy(self, grace: timedelta = GRACE) -> None:
        """Let go of what has not been in force for a while; past a threshold, give unused space back to the disk."""
        self._tidied = time.monotonic()
        index, catalogue = self._index, self._index.catalogue
        with index.lock():
            with catalogue.writing() as writer:
                writer.tidy(datetime.now(UTC) - grace)
            unused, size = catalogue.unused_bytes()
            if unused > max(UNUSED_BYTES, UNUSED_SHARE * size):
                catalogue.compact()
            spaces = [space for state in ("serving", "making") if (space := catalogue.spaces.get(state))]
            folders = {index.engine_folder(space) for space in spaces}
            for path in (index.folder / index.settings.engine).glob("*"):
                if path not in folders:
                    shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)

    def tidy_if_due(self) -> None:
        """Tidy where that was done longer ago than the grace."""
        if time.monotonic() - self._tidied > GRACE.total_seconds():
            self.tidy()

    # ------------------------------------------------------------------ backup

    def restore(self, file: Path) -> None:
        """Put the index back to what a backup holds; see `Library.restore`."""
        if not Catalogue.is_in(file):
            raise BadInput(f"{file} is no backup of searchsvc", "searchsvc backup FILE makes one")
        index = self._index
        prepared = index.folder / index.settings.engine / ".restored"

        def prepare(catalogue: Catalogue) -> None:
            space = catalogue.spaces.get()
            if space is not None:
                index.engine(space, prepared).rebuild(catalogue)

        with index.lock(restore=True):
            shutil.rmtree(prepared, ignore_errors=True)
            try:
                index.replace_catalogue(Catalogue.restored(file, index.file, prepare))
                space = index.catalogue.spaces.get()
                if space is not None and prepared.exists():
                    folder = index.engine_folder(space)
                    shutil.rmtree(folder, ignore_errors=True)  # of the index that was, and of no use
                    prepared.rename(folder)
            except (ArithmeticError, LookupError, TypeError, ValueError) as error:
                message = f"the backup {file} is damaged or no backup: a value has no meaning ({type(error).__name__})"
                raise DamagedCatalogue(message, "take an older one") from error
            finally:
                shutil.rmtree(prepared, ignore_errors=True)
