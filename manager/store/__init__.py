"""What the manager remembers. The only package with SQL; it returns the values of `manager.model`.

Each method is one transaction and may be called from any thread.
"""

from manager.store.activity import ActivityQueries, Asked
from manager.store.archives import ArchiveQueries
from manager.store.backup import Backups
from manager.store.database import database_url
from manager.store.definitions import DefinitionQueries
from manager.store.leases import LeaseQueries
from manager.store.machines import MachineQueries
from manager.store.nodes import NodeQueries
from manager.store.operations import OperationQueries
from manager.store.paging import Page
from manager.store.replays import ReplayQueries
from manager.store.sessions import SessionQueries
from manager.store.streams import StreamQueries
from manager.store.users import UserQueries

__all__ = ["Asked", "Backups", "Page", "Store", "database_url"]


class Store(
    DefinitionQueries,
    StreamQueries,
    OperationQueries,
    ArchiveQueries,
    ReplayQueries,
    NodeQueries,
    MachineQueries,
    UserQueries,
    SessionQueries,
    ActivityQueries,
    LeaseQueries,
):
    """One database: `Store("sqlite:////path/manager.db")`; opens nothing before its first use.

    Raises (every method):
        StoreUnavailableError: the database doesn't answer.
        NotFoundError, ConflictError: there is no such row, or it forbids this.
    """
