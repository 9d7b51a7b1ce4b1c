"""Print an evaluation of the ranking."""

from rich.text import Text

from searchsvc.evaluation import Evaluation
from searchsvc.evaluation.comparison import Change, Comparison
from searchsvc.evaluation.measures import MAIN
from searchsvc.interfaces.cli.screen import Screen, print_text
from searchsvc.interfaces.formatting import counted
from searchsvc.text.dates import long_date
from searchsvc.text.sanitize import one_line

COLUMN = 12
RARE = 0.05  # of a chance: what a p-value must be below for people to call a difference one


def print_evaluation(screen: Screen, evaluation: Evaluation, *, by_question: bool = False) -> None:
    """Print each measure with its 95 % interval, and how it moved; with `by_question`, which questions moved."""
    differences = {change.name: change for change in (evaluation.against.differences if evaluation.against else ())}
    for measure in evaluation.measures:
        line = Text.assemble((f"{measure.mean:.3f}", "bold"), (f"   {measure.low:.3f} to {measure.high:.3f}", "dim"))
        if change := differences.get(measure.name):
            line.append(f"   {change.mean:+.3f} ({change.low:+.3f} to {change.high:+.3f}), ")
            line.append(f"{change.better:,} up, {change.worse:,} down")
        _row(screen, measure.name, line)
    half, most = _ms(evaluation.took_ms_p50), _ms(evaluation.took_ms_p95)
    _row(screen, "time", Text.assemble("half of the questions within ", (half, "bold"), f", 95 % within {most}"))
    size = f"{counted(evaluation.questions, 'question')} among {counted(evaluation.articles, 'article')}"
    print_text(screen, Text(size + _how(evaluation.run.days_late, evaluation.run.freshness), "dim"))
    if evaluation.unknown_articles:
        print_text(screen, Text(f"{counted(evaluation.unknown_articles, 'right article')} not in the corpus", "dim"))
    if evaluation.against is None:
        return
    if by_question:
        _print_comparison(screen, evaluation.against)
    else:
        print_text(screen, Text(f"changes are since the last run, of {long_date(evaluation.against.made)}", "dim"))


def _row(screen: Screen, name: str, value: Text) -> None:
    print_text(screen, value, lead=Text(name.ljust(COLUMN), "dim"), indent=COLUMN)


def _ms(milliseconds: float) -> str:
    return f"{milliseconds:.1f} ms" if milliseconds < 9.95 else f"{milliseconds:,.0f} ms"


def _probability(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}" if p < 0.0995 else f"p = {p:.2f}"


def _how(days_late: int, freshness: bool) -> str:
    """Return how the questions were asked, unless as they first were."""
    parts = (f"asked {counted(days_late, 'day')} late" if days_late else "", "" if freshness else "freshness off")
    return "".join(f", {part}" for part in parts if part)


def _print_comparison(screen: Screen, comparison: Comparison) -> None:
    """Print which questions are answered better and worse than in the earlier run, and whether chance explains it."""
    main = next(difference for difference in comparison.differences if difference.name == MAIN)
    screen.print()
    print_text(
        screen,
        Text.assemble(
            f"Against the run of {long_date(comparison.made)}{_how(comparison.days_late, comparison.freshness)}: "
            f"{MAIN} is better for {counted(main.better, 'question')}, "
            f"worse for {main.worse:,} and the same for {main.same:,}. ",
            (_in_words(main.mean, main.p, main.better + main.worse), "bold"),
        ),
    )
    if comparison.unshared:
        print_text(screen, Text(f"{counted(comparison.unshared, 'question')} of only one of the runs left out", "dim"))
    for heading, style, changes in (
        ("Better", "bold green", comparison.better),
        ("Worse", "bold red", comparison.worse),
    ):
        if changes:
            screen.print()
            print_text(screen, Text(f"{heading} ({len(changes):,}):", style))
        for change in changes:
            _print_change(screen, change)


def _print_change(screen: Screen, change: Change) -> None:
    lead = f"  {change.before:.3f} → {change.now:.3f}  "
    print_text(screen, Text(one_line(change.text)), lead=Text(lead, "dim"), indent=len(lead))


def _in_words(mean: float, p: float, moved: int) -> str:
    """Return what the significance test says."""
    if not moved:
        return "Nothing has moved."
    if mean == 0:
        return "Gains and losses cancel out."
    test = f"({_probability(p)}, randomisation test)"
    if p < RARE:
        return f"That is {'better' if mean > 0 else 'worse'}: chance alone would seldom move as much {test}."
    return f"That proves nothing: chance alone would often move as much {test}."
