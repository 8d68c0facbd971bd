"""`user`: who may use the manager. Passwords come from a prompt, never from the command line."""

import secrets
import sys
from getpass import getpass
from typing import Annotated

import typer

from tools import console, names
from tools.commands.arguments import AsJson, Yes

app = typer.Typer()
user = typer.Typer(help="Add, remove and list who may use the manager.")
app.add_typer(user, name="user", no_args_is_help=True)
_PASSWORD_BYTES = 18

_Name = Annotated[str, typer.Argument(metavar="NAME", autocompletion=names.users)]
_Generate = Annotated[
    bool, typer.Option("--generate", help="Print a new password instead of asking for one.")
]


_Publish = Annotated[
    list[str] | None,
    typer.Option(
        metavar="STREAM", autocompletion=names.streams, help="May publish on it; again for more."
    ),
]
_Consume = Annotated[
    list[str] | None,
    typer.Option(
        metavar="STREAM", autocompletion=names.streams, help="May consume it; again for more."
    ),
]


@user.command("add")
def add(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    *,
    role: Annotated[str, typer.Option(help="viewer, user or admin.")] = "user",
    generate: _Generate = False,
) -> None:
    """Add a user. Asks for the password; without a terminal, one is made and printed this once.

    Example: streamboss user add ada --role viewer
    """
    with console.manager() as manager:
        password, made = _password(generate=generate)
        created = manager.add_user(name, password, role)
    console.say(f"user {name!r} {'created' if created else 'exists already'}")
    if made:
        console.put(password)


@user.command("password")
def password(name: _Name, *, generate: _Generate = False) -> None:
    """Give a user another password, which ends all their tokens. Asks as `add` does.

    Example: streamboss user password ada
    """
    with console.manager() as manager:
        text, made = _password(generate=generate)
        manager.change_user(name, password=text)
    console.say(f"user {name!r} has another password")
    if made:
        console.put(text)


@user.command("role")
def role(name: _Name, role: Annotated[str, typer.Argument(help="viewer, user or admin.")]) -> None:
    """Give a user another role, which counts at once.

    Example: streamboss user role ada viewer
    """
    with console.manager() as manager:
        manager.change_user(name, role=role)
    console.say(f"user {name!r} has role {role!r}")


@user.command("token")
def token(name: _Name, *, label: Annotated[str, typer.Option(help="What it is for.")] = "") -> None:
    """Print a new token that logs a user in, for 'Authorization: Bearer TOKEN'.

    Example: streamboss user token ada --label nightly
    """
    with console.manager() as manager:
        console.put(manager.create_token(name, label))


@user.command("tokens")
def tokens(name: _Name, *, as_json: AsJson = False) -> None:
    """List a user's tokens: what they are for, and when each was last used.

    Example: streamboss user tokens ada
    """
    with console.manager() as manager:
        console.show(
            manager.tokens(name),
            ("id", "label", "created_at", "used_at"),
            as_json=as_json,
            nothing=f"no tokens: 'streamboss user token {name}' makes one",
        )


@user.command("revoke")
def revoke(
    name: _Name, token: Annotated[str, typer.Argument(metavar="ID", help="As `tokens` shows it.")]
) -> None:
    """End a user's token: it logs nobody in any more.

    Example: streamboss user revoke ada 3f9a02b17c54
    """
    with console.manager() as manager:
        manager.revoke_token(name, token)
    console.say(f"token {token} of user {name!r} revoked")


@user.command("allow")
def allow(name: _Name, *, publish: _Publish = None, consume: _Consume = None) -> None:
    """Give a user a login at the broker for these streams, and no others. Prints it, this once.

    What it prints is their STREAMBOSS_AMQP_URL. Typed again, it is a new one.

    Example: streamboss user allow ada --publish readings --consume alarms
    """
    if not publish and not consume:
        raise console.UsageError("name a stream with --publish or --consume; 'forbid' ends it all")
    with console.manager() as manager:
        joining = manager.allow_streams(name, publish or [], consume or [])
    console.say(f"user {name!r} may use these streams, with this address of the broker:")
    console.put(",".join(joining["amqp_urls"]))


@user.command("forbid")
def forbid(name: _Name) -> None:
    """Take a user's login at the broker away; its connections end.

    Example: streamboss user forbid ada
    """
    with console.manager() as manager:
        manager.forbid_streams(name)
    console.say(f"user {name!r} has no login at the broker")


@user.command("streams")
def streams(name: _Name, *, as_json: AsJson = False) -> None:
    """List the streams that a user may use on the broker with a login of their own.

    Example: streamboss user streams ada
    """
    with console.manager() as manager:
        rights = manager.stream_rights(name)
    publish, consume = rights["publish"], rights["consume"]
    may = [
        {"stream": stream, "publish": stream in publish, "consume": stream in consume}
        for stream in sorted({*publish, *consume})
    ]
    console.show(
        may,
        ("stream", "publish", "consume"),
        as_json=as_json,
        nothing=f"no streams: 'streamboss user allow {name} --publish STREAM' gives one",
    )


@user.command("buckets")
def buckets(
    name: _Name,
    buckets: Annotated[
        list[str] | None, typer.Argument(metavar="[BUCKET]...", help="All that they may read.")
    ] = None,
    *,
    none: Annotated[bool, typer.Option("--none", help="Take all of them away.")] = False,
    as_json: AsJson = False,
) -> None:
    """Let a user's operations fetch objects from these S3 buckets, and no others; or list them.

    Operations of admins need no such list.

    Example: streamboss user buckets ada photos scans
    """
    if buckets and none:
        raise console.UsageError("name buckets, or --none; not both")
    with console.manager() as manager:
        if buckets or none:
            shown = manager.change_user(name, buckets=buckets or [])
            console.say(f"operations of user {name!r} read these buckets from now on")
        else:
            shown = manager.get("users", name)
    console.show(
        [{"bucket": bucket} for bucket in shown["buckets"]],
        ("bucket",),
        as_json=as_json,
        nothing=f"no buckets: 'streamboss user buckets {name} BUCKET' grants one",
    )


@user.command("remove")
def remove(name: _Name, *, yes: Yes = False) -> None:
    """Remove a user; what they owned becomes yours.

    Example: streamboss user remove ada
    """
    with console.manager() as manager:
        manager.get("users", name)
        console.agree(f"remove user {name!r}? What they own becomes yours.", yes=yes)
        manager.delete("users", name)
    console.say(f"user {name!r} removed")


@user.command("list")
def list_(*, as_json: AsJson = False) -> None:
    """List the users and their roles.

    Example: streamboss user list
    """
    with console.manager() as manager:
        console.show(
            manager.list("users"),
            ("name", "role"),
            as_json=as_json,
            nothing="no users: 'streamboss user add NAME' adds one",
        )


def _password(*, generate: bool) -> tuple[str, bool]:
    """Return a password, and whether it was made here."""
    from manager.roles import SHORTEST_PASSWORD

    if generate or not sys.stdin.isatty():
        return secrets.token_urlsafe(_PASSWORD_BYTES), True
    first = getpass("password: ")
    if len(first) < SHORTEST_PASSWORD:
        short = f"a password has {SHORTEST_PASSWORD} letters or more: type one, or use --generate"
        raise console.UsageError(short)
    if getpass("again: ") != first:
        raise console.UsageError("these two differ: nothing changed")
    return first, False
