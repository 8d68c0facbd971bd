"""Who gets in: key pairs and security groups, named by what they are, so that twice is once."""

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from provision.account import Account
from provision.attempts import Thing
from provision.capabilities import Capability
from provision.classify import classify
from provision.errors import Kind
from provision.journal import Journal


class Access:
    """One account's key pairs and security groups of ours.

    Their names hold our mark and a hash of their content: whoever needs the same one shares it,
    and garbage collection removes it when no machine of ours is left.
    """

    def __init__(self, account: Account, journal: Journal) -> None:
        self._account, self._journal = account, journal

    def key(self, public_key: str | None) -> str | None:
        """Return the name of the key pair that holds `public_key`, imported if it wasn't there."""
        if public_key is None or Capability.KEY_PAIRS not in self._account.can:
            return None
        name = self._name(public_key.strip())
        if name not in self._account.key_pairs():
            attempt = self._journal.intend(Thing.KEY, self._account.name, name, {})
            self._account.repeat("import a key pair", lambda: self._import(name, public_key))
            self._journal.done(attempt, name)
        return name

    def groups(self, ports: Sequence[int] = ()) -> tuple[str, ...]:
        """Return the security groups for a machine: the inventory's, and one that lets ssh in.

        With `ports` a further one, which lets in to these from where ssh may come, and from our
        other machines.
        """
        entry = self._account.entry
        named: tuple[str, ...] = getattr(entry, "security_groups", ())
        if entry.ssh.cidr is None or Capability.FIREWALL not in self._account.can:
            return named
        ssh = self._group(self._name(f"ssh {entry.ssh.cidr}"), entry.ssh.cidr)
        if not ports:
            return (*named, ssh)
        name = self._name(f"{ports} {entry.ssh.cidr}") + "-ports"
        return (*named, ssh, self._group(name, entry.ssh.cidr, ports, ssh))

    def remove_key(self, name: str) -> None:
        """Delete a key pair of ours."""

        def call() -> None:
            pairs = self._account.driver.list_key_pairs()
            for pair in (pair for pair in pairs if pair.name == name):
                self._account.driver.delete_key_pair(pair)

        self._account.repeat(f"delete key pair {name}", call)

    def remove_group(self, name: str) -> None:
        """Delete a security group of ours."""
        self._account.repeat(
            f"delete security group {name}", lambda: self._account.driver.ex_delete_group(name)
        )

    def _group(self, name: str, cidr: str, *more: Any) -> str:
        """Make sure that there is a group with these rules; return its name."""
        attempt = None
        if name not in self._account.groups():
            attempt = self._journal.intend(Thing.GROUP, self._account.name, name, {})
        # also where it is there: a crash may have left it without its rules
        self._account.repeat(
            f"let {cidr} in", lambda: self._account.driver.ex_ensure_group(name, cidr, *more)
        )
        if attempt:
            self._journal.done(attempt, name)
        return name

    def _name(self, content: str) -> str:
        return self._account.mark + sha256(content.encode()).hexdigest()[:12]

    def _import(self, name: str, public_key: str) -> None:
        try:
            self._account.driver.import_key_pair_from_string(name, public_key)
        except Exception as error:
            if "Duplicate" not in str(error) and not _conflict(error):  # another run was quicker
                raise


def _conflict(error: Exception) -> bool:
    return classify(error) is Kind.FATAL and getattr(error, "code", None) == 409  # noqa: PLR2004
