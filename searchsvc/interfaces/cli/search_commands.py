"""Commands that search: search, brief, eval."""

from pathlib import Path
from typing import Any

from searchsvc.errors import BadInput, NoIndex
from searchsvc.interfaces.cli.call import DONE, FAILED, Call, as_text, write_error
from searchsvc.interfaces.cli.index_commands import SEEDS, index_sources
from searchsvc.query import OPTIONS, Query


def search(call: Call) -> int:
    """Answer a question with hits."""
    from searchsvc.interfaces.cli.print_results import print_results
    from searchsvc.search.serialize import serialize_results

    query = _query(call)
    exit_code = _ensure_index(call, query)
    results = call.library.search(query)
    call.answer(
        serialize_results(results, explain=query.explain),
        lambda out: print_results(out, results, explain=query.explain),
    )
    return exit_code


def brief(call: Call) -> int:
    """Answer a question in quotations."""
    from searchsvc.search.brief import brief_markdown
    from searchsvc.search.serialize import serialize_brief

    query = _query(call)
    exit_code = _ensure_index(call, query)
    answer = call.library.brief(query)
    call.answer(serialize_brief(answer), lambda out: out.print(brief_markdown(answer), end="", soft_wrap=True))
    return exit_code


def _query(call: Call) -> Query:
    options: dict[str, Any] = {name: value for name, value in vars(call.arguments).items() if name in OPTIONS}
    for name, value in options.items():
        if isinstance(value, str):
            options[name] = as_text(value)
        elif isinstance(value, list):
            options[name] = [as_text(item) for item in value]
    return Query(as_text(" ".join(call.arguments.question)), **options)


def _ensure_index(call: Call, query: Query) -> int:
    """Make the first index from ./seeds where there is none, with all messages on stderr; return the exit code."""
    if call.library.exists:
        return DONE
    from searchsvc.interfaces.cli.print_index import print_report
    from searchsvc.query.interpretation import interpret

    interpret(query)  # what cannot be answered shall not first cost the minutes of making an index
    call.library.reranker  # noqa: B018  says so where it cannot be loaded
    if not SEEDS.is_dir():
        raise NoIndex(
            f"there is no index in {call.library.folder}, and no folder ./{SEEDS} to make one from",
            "searchsvc index PATH… makes one from your articles",
        )
    report, exit_code = index_sources(call, [SEEDS])
    print_report(call.messages, report)
    return exit_code


def evaluate(call: Call) -> int:
    """Judge the ranking."""
    from searchsvc.evaluation import as_record, evaluate
    from searchsvc.evaluation.runs import load, save
    from searchsvc.interfaces.cli.print_evaluation import print_evaluation
    from searchsvc.interfaces.cli.print_index import show_progress

    arguments = call.arguments
    target: Path | None = arguments.save
    if target is not None and not target.absolute().parent.is_dir():
        raise BadInput(f"there is no folder {target.parent} to save in")  # said before the questions are asked
    against = None if arguments.against is None else load(arguments.against)
    with show_progress(call.messages) as progress:
        evaluation = evaluate(
            arguments.folder,
            call.settings,
            days_late=arguments.late,
            freshness=arguments.freshness,
            against=against,
            floors=dict(arguments.floor),
            announce=call.announce,
            progress=progress,
        )
    record = as_record(evaluation)
    if target is not None:
        save(record, target)
    call.answer(record, lambda out: print_evaluation(out, evaluation, by_question=against is not None))
    for measure in evaluation.missed:
        write_error(f"{measure.name} is {measure.mean:.4g}, below the floor of {measure.floor:.4g}")
    return FAILED if evaluation.missed else DONE
