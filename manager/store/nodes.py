"""Nodes in the store: which were added. What they do comes from their heartbeats."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import select
from sqlalchemy.orm import Session

from manager.errors import ConflictError, NotFoundError
from manager.model import NodeRecord
from manager.store.database import Database
from manager.store.tables import NodeRow


class NodeQueries(Database):
    """Nodes are seen by everybody."""

    @contextmanager
    def created_node(self, name: str, owner: str, offers: Sequence[str]) -> Iterator[NodeRecord]:
        """Keep a new node if the block, which makes its broker user, succeeds."""
        with self._writing() as session:
            if session.get(NodeRow, name):
                raise ConflictError(
                    f"node {name!r} exists already, and its password was shown once:"
                    f" remove it and add it again for a new one"
                )
            row = NodeRow(name=name, owner=owner, offers=list(offers))
            session.add(row)
            session.flush()
            yield to_node(row)

    def get_node(self, name: str) -> NodeRecord:
        """Return a node's record."""
        with self._reading() as session:
            return to_node(_row(session, name))

    def list_nodes(self) -> list[NodeRecord]:
        """Return every node's record, by name."""
        with self._reading() as session:
            rows = session.scalars(select(NodeRow).order_by(NodeRow.name))
            return [to_node(row) for row in rows]

    def drain_node(self, name: str, *, draining: bool) -> bool:
        """Let a node take nothing new, or take again; say whether that changes anything."""
        with self._writing() as session:
            row = _row(session, name)
            changed = row.draining is not draining
            row.draining = draining
            return changed

    @contextmanager
    def removed_node(self, name: str) -> Iterator[None]:
        """Forget a node if the block, which deletes its broker user, succeeds."""
        with self._writing() as session:
            session.delete(_row(session, name))
            session.flush()
            yield


def to_node(row: NodeRow) -> NodeRecord:
    """Return the row as a value."""
    return NodeRecord(
        name=row.name,
        owner=row.owner,
        added_at=row.added_at,
        draining=row.draining,
        offers=tuple(row.offers),
    )


def _row(session: Session, name: str) -> NodeRow:
    row = session.get(NodeRow, name)
    if row is None:
        raise NotFoundError(f"there is no node {name!r}")
    return row
