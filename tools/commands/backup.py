"""`backup` and `restore`: the manager's state in a file. They work on the database itself."""

import os
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams.errors import StreamsError
from tools import console

if TYPE_CHECKING:
    from manager.store import Backups

app = typer.Typer()
_STREAM = Path("-")
SECRETS = (
    "it is not encrypted, and holds hashes of passwords, and what definitions give to programs"
    " in their environment: keep it as you keep the database"
)

_File = Annotated[Path, typer.Argument(metavar="FILE", help="'-' is stdin or stdout.")]


@app.command("backup")
def backup(
    file: _File,
    *,
    force: Annotated[bool, typer.Option("--force", help="Replace the file.")] = False,
) -> None:
    """Write the manager's state to a file: users, definitions, operations, machines, activity.

    Needs the database (STREAMBOSS_DATABASE_URL, or manager.db of the stack here), and no manager;
    one may be at work. Messages on the broker and objects in S3 are not part of it.

    Example: streamboss backup monday.backup

    Example: streamboss backup - | gpg --symmetric --output monday.backup.gpg
    """
    with closing(_database()) as database:
        if file == _STREAM:
            rows = database.backup(sys.stdout.buffer)
        else:
            rows = _write(database, file, force=force)
    console.say(f"{rows} rows; {SECRETS}")


@app.command("restore")
def restore(
    file: _File,
    *,
    force: Annotated[bool, typer.Option("--force", help="Replace what is there.")] = False,
) -> None:
    """Bring the manager's state back from a file that 'backup' wrote: all of it, or nothing.

    The manager must be stopped. Backups of older releases are brought up to date; those of newer
    ones are refused. Who was logged in to the console logs in again.

    Example: streamboss restore monday.backup --force
    """
    with closing(_database()) as database:
        try:
            if file == _STREAM:
                rows = database.restore(sys.stdin.buffer, force=force)
            else:
                with file.open("rb") as opened:
                    rows = database.restore(opened, force=force)
        except OSError as error:
            raise StreamsError(f"{file}: {error.strerror}") from None
    console.say(f"{rows} rows are back; start the manager")


def _database() -> "Backups":
    from manager.store import Backups, database_url

    return Backups(database_url(console.settings(), Path.cwd()))


def _write(database: "Backups", file: Path, *, force: bool) -> int:
    """Write the file at once, readable by its owner alone from its first moment."""
    if file.exists() and not force:
        raise StreamsError(f"{file} exists: choose another name, or say --force")
    part = file.with_name(f".{file.name}.part")
    try:
        part.unlink(missing_ok=True)
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as opened:
            rows = database.backup(opened)
            opened.flush()
            os.fsync(opened.fileno())
        part.replace(file)
    except OSError as error:
        raise StreamsError(f"{file}: {error.strerror}") from None
    finally:
        part.unlink(missing_ok=True)
    return rows
