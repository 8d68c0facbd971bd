"""The stack's S3: a server of our own or somebody else's, and what is said about objects."""

import secrets
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from streams.access import S3Access
from streams.settings import without_password
from tools.stack import seaweedfs
from tools.stack.ports import free_ports, kept

#: Our own server has none; clients want one.
_REGION = "us-east-1"
#: What `up` remembers of its environment, and says where that says nothing.
_SETTINGS = {
    "STREAMBOSS_BUCKET": "archives",
    "STREAMBOSS_OBJECT_BUCKET": "outputs",
    "STREAMBOSS_OBJECT_THRESHOLD": "",
    "STREAMBOSS_OBJECT_DAYS": "",
}


@dataclass(frozen=True, slots=True)
class Storage:
    """Where the stack's objects are. Made once, like the rest of its state."""

    ports: seaweedfs.Ports
    access_key_id: str
    secret_access_key: str = field(repr=False)
    #: an S3 server that somebody else runs, named in the environment of `up`
    borrowed: S3Access | None = None
    #: the settings about objects that the environment of `up` named
    named: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def new(cls) -> Self:
        """Choose ports and keys."""
        return cls(seaweedfs.Ports(*free_ports(8)), secrets.token_hex(10), secrets.token_hex(20))

    @classmethod
    def parse(cls, data: dict[str, Any]) -> Self:
        """Read what `asdict` made."""
        data["ports"] = seaweedfs.Ports(**data["ports"])
        if data["borrowed"]:
            data["borrowed"] = S3Access(**data["borrowed"])
        return cls(**data)

    def node(self, folder: Path) -> seaweedfs.Node:
        """Return our own server, in `.streamboss/s3`."""
        return seaweedfs.Node(folder / "s3", self.ports, self.access_key_id, self.secret_access_key)

    @property
    def endpoint_url(self) -> str:
        """Where S3 is, without passwords."""
        if self.borrowed and self.borrowed.endpoint_url:
            return without_password(self.borrowed.endpoint_url)
        return f"http://127.0.0.1:{self.ports.s3}"

    def environment(self) -> dict[str, str]:
        """Return the settings for `.streamboss/env`."""
        own = S3Access(self.endpoint_url, _REGION, self.access_key_id, self.secret_access_key)
        return {**(self.borrowed or own).environment(), **_SETTINGS, **self.named}

    def with_environment(self, env: Mapping[str, str]) -> Self:
        """Use the S3 server that `env` names, if any, and remember what it says of objects.

        Our own server, from a sourced `.streamboss/env`, isn't somebody else's; an empty value
        goes back to our own.
        """
        said = {name: env[name] for name in _SETTINGS if name in env}
        named = {name: value for name, value in {**self.named, **said}.items() if value}
        storage = replace(self, named={n: v for n, v in named.items() if v != _SETTINGS[n]})
        if not {"AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"} & set(env):
            return storage
        access = S3Access.of(env)
        if access.access_key_id == self.access_key_id:
            return storage
        return replace(storage, borrowed=access if access.endpoint_url else None)

    def with_free_ports(self, fresh: Iterator[int]) -> Self:
        """Keep the ports, but for those that somebody else has taken."""
        ports = {name: kept(port, fresh) for name, port in asdict(self.ports).items()}
        return replace(self, ports=seaweedfs.Ports(**ports))
