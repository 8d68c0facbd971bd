"""Expected failures of building appliances; each is a ProvisionError, fit for a person."""

from collections.abc import Sequence

from provision.errors import ProvisionError


class RecipeError(ProvisionError):
    """A recipe with problems; `problems` holds one line for each."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(self.problems))


class BuildError(ProvisionError):
    """A build that went wrong in one of its steps."""
