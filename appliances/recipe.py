"""Recipes: what goes into an appliance, in YAML. Every problem is named at once."""

import difflib
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
)
from pydantic_core import ErrorDetails

from appliances.errors import RecipeError
from provision.entries import Hours, ImageQuery, Name

_VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]*$"
_PACKAGE = r"^[A-Za-z0-9][A-Za-z0-9.+:=~_-]*$"


def _beside_the_recipe(value: Path, info: ValidationInfo) -> Path:
    return Path((info.context or {}).get("folder", ".")) / value


def _file(path: Path) -> Path:
    if not path.is_file():
        raise ValueError(f"{path}: {'is a folder' if path.is_dir() else 'no such file'}")
    return path


def _absolute(value: str) -> str:
    if not value.startswith("/") or value.endswith("/"):
        raise ValueError("must be a file's absolute path on the machine")
    return value


def _as_command(value: object) -> object:
    return {"command": value} if isinstance(value, str) else value


def _one_line(value: str) -> str:
    if "\n" in value or "\0" in value:
        raise ValueError("must be one line")
    return value


Text = Annotated[str, Field(min_length=1)]
#: Relative to the recipe.
Source = Annotated[Path, AfterValidator(_beside_the_recipe), AfterValidator(_file)]
Target = Annotated[str, AfterValidator(_absolute)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CloudImage(_Strict):
    """An image of the cloud: a name or id, one of the inventory's `images`, or a filter."""

    image: Text | ImageQuery


class FileEntry(_Strict):
    """A file that is copied onto the machine, owned by root."""

    source: Source
    target: Target
    mode: Annotated[str, Field(pattern=r"^0?[0-7]{3}$")] = "0644"


class RunEntry(_Strict):
    """A command line for `sh`, run as root. `retries`: attempts after the first."""

    command: Text
    timeout_s: Annotated[float, Field(gt=0, le=24 * 3600)] = 600
    retries: Annotated[int, Field(ge=0, le=10)] = 0


class Sample(_Strict):
    """A message that goes through a program, and what must come out."""

    input: str
    output: str
    exec: Text


class PythonEntry(_Strict):
    """A virtual environment, made without any package index from what this computer gets.

    `lock`: pinned and hashed requirements as pip reads them. `packages`: of these only what they
    need, themselves included; empty: all. `project`: a folder whose own wheel is installed, too.
    """

    lock: Source
    packages: tuple[Text, ...] = ()
    project: Annotated[Path, AfterValidator(_beside_the_recipe)] | None = None
    target: Target


Run = Annotated[RunEntry, BeforeValidator(_as_command)]


class Recipe(_Strict):
    """What goes into one appliance, in this order: packages, files, python, run."""

    name: Name
    base: Annotated[Name | CloudImage, Field(alias="from")]
    packages: tuple[Annotated[str, Field(pattern=_PACKAGE)], ...] = ()
    files: tuple[FileEntry, ...] = ()
    python: PythonEntry | None = None
    run: tuple[Run, ...] = ()
    checks: tuple[Run, ...] = ()
    sample: Sample | None = None
    #: what `run` and `checks` find in their environment
    environment: dict[
        Annotated[str, Field(pattern=_VARIABLE)], Annotated[str, AfterValidator(_one_line)]
    ] = Field(default_factory=dict)
    #: names of secrets that `run` finds in its environment, in capitals; none stays in the image
    secrets: tuple[Name, ...] = ()
    #: of the machine that it is built on
    size: Text | None = None
    hours: Hours | None = None


def load(path: Path) -> Recipe:
    """Read a recipe.

    Raises:
        RecipeError: not there, no YAML, or with problems; each is a line with file and key.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecipeError([f"{path}: {error.strerror}"]) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # dates, nesting
        raise RecipeError([f"{path}: {' '.join(str(error).split())}"]) from None
    if not isinstance(raw, dict):
        raise RecipeError([f"{path}: must hold keys: {', '.join(_keys(Recipe))}"])
    try:
        return Recipe.model_validate(raw, context={"folder": path.parent})
    except ValidationError as error:
        lines = dict.fromkeys(_line(detail) for detail in error.errors())
        raise RecipeError([f"{path}: {line}" for line in lines]) from None


#: The models of nested keys: what could have been meant by a misspelt one.
_NESTED: dict[str, type[BaseModel]] = {
    "files": FileEntry,
    "python": PythonEntry,
    "run": RunEntry,
    "checks": RunEntry,
    "sample": Sample,
}


def _line(detail: ErrorDetails) -> str:
    """Return one of pydantic's errors as people read it."""
    head, *rest = detail["loc"]
    place = ": ".join(str(p + 1) if isinstance(p, int) else str(p) for p in (head, *rest))
    if head == "from" and rest:
        return (
            "from: must be an appliance's name, {image: NAME} or {image: {name: ..., owner: ...}}"
        )
    match detail["type"]:
        case "extra_forbidden":
            model = _NESTED.get(str(head), Recipe) if rest else Recipe
            close = difflib.get_close_matches(str(detail["loc"][-1]), _keys(model), n=1)
            return f"{place}: unknown key{f'; did you mean {close[0]!r}?' if close else ''}"
        case "missing":
            return f"{place}: is missing"
        case "model_type":
            return f"{place}: must be text, or keys: {', '.join(_keys(_NESTED[str(head)]))}"
        case _:
            text = str(detail["msg"]).removeprefix("Value error, ")
            return f"{place}: {text[:1].lower()}{text[1:]}"


def _keys(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]
