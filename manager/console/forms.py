"""Forms that come back filled in as they were sent, with what is wrong beside each field. Pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from manager.errors import ConflictError, InvalidError
from manager.roles import SHORTEST_PASSWORD
from streams.errors import DefinitionError, InvalidNameError, ObjectError, StreamsError

#: What whoever filled in a form can mend there; anything else is a page of its own.
MENDABLE = (InvalidError, InvalidNameError, DefinitionError, ConflictError, ObjectError)


@dataclass(frozen=True, slots=True)
class Filled:
    """What is in a form's fields, and what is wrong with each; under "": with none of them."""

    values: Mapping[str, str] = field(default_factory=dict)
    problems: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def of(self, name: str) -> str:
        """Return what is in a field."""
        return self.values.get(name, "")

    def wrong(self, name: str) -> Sequence[str]:
        """Return what is wrong with a field."""
        return self.problems.get(name, ())


def number(text: str) -> int | float | str:
    """Return a number, or what was sent instead of one: the model says what is wrong with that."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def new_password(form: Mapping[str, str]) -> str:
    """Return the password that somebody typed.

    Raises:
        InvalidError: it is short.
    """
    password = form.get("password", "")
    if len(password) < SHORTEST_PASSWORD:
        raise InvalidError([f"password: {SHORTEST_PASSWORD} letters or more"])
    return password


def refused(values: Mapping[str, str], error: StreamsError, fields: Collection[str]) -> Filled:
    """Return a form with an error's problems, `field: text` each as the API says them.

    A problem of something within a field (`instances.min: ...`) is that field's, unless the form
    has one of its own for it; what belongs to none of the form's `fields` is said above them.
    """
    found: dict[str, list[str]] = {}
    for problem in getattr(error, "problems", [str(error)]):
        path, _, text = problem.partition(": ")
        name = next((n for n in (path, path.partition(".")[0]) if n in fields), "")
        found.setdefault(name, []).append(text if name else problem)
    return Filled(values, found)
