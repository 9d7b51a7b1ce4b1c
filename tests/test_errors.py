"""The drawn tree of errors is the tree of the classes."""

import inspect
import re

from searchsvc import errors


def test_the_drawing_names_every_error_and_nothing_else():
    drawn = set(re.findall(r"(?:^    |[├└]── )(\w+)", errors.__doc__, re.MULTILINE))
    classes = {name for name, kind in inspect.getmembers(errors, inspect.isclass) if kind.__module__ == errors.__name__}
    assert drawn == classes


def test_every_error_is_a_searchsvc_error_with_a_message_and_a_hint():
    leaves = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if kind is not errors.SearchsvcError]
    for kind in leaves:
        error = kind("what happened", "what to do")
        assert isinstance(error, errors.SearchsvcError)
        assert (str(error), error.message, error.hint) == ("what happened", "what happened", "what to do")
