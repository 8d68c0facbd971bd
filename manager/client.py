"""The manager's API from the other side, for tools: thin, synchronous, errors fit for people."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self
from urllib.parse import quote, urlencode

import httpx

from streams import tls
from streams.errors import StreamsError
from streams.settings import Settings, without_password

_PAGE = 1000
#: Connecting, and the first sign of life, take no longer than this. An answer may: the manager asks
#: the broker first.
CONNECT_S = 3.5
ANSWER_S = 20.0
#: A program that is tried may take its time.
TRIED_S = 60.0

Json = dict[str, Any]
Objects = list[Json]


class ManagerError(StreamsError):
    """The manager said no; `problems` holds one line for each reason, `status` HTTP's number."""

    def __init__(self, problems: Sequence[str], *, status: int | None = None) -> None:
        self.problems = list(problems)
        self.status = status
        super().__init__("; ".join(self.problems))


class ManagerUnreachableError(ManagerError):
    """The manager doesn't answer. Waiting may help."""


class ManagerClient:
    """One manager, as the user of `settings`.

    `kind` is a folder of the API: streams, operations, nodes, users, subscriptions or
    definitions. A subscription's name is `STREAM/NAME`, a definition's its id.
    """

    def __init__(self, settings: Settings) -> None:
        """Prepare to talk to the manager of `settings`.

        Raises:
            SettingsError: none is set.
        """
        self._url = settings.need_manager()
        self._login = (settings.user, settings.password or "") if settings.user else None
        self._http = httpx.Client(
            base_url=f"{self._url}/api/",
            auth=self._login,
            verify=tls.context_for(self._url, settings.ca_file),
            trust_env=False,  # a proxy meant for the outside must not see our passwords
        )
        self._alive = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections kept open."""
        self._http.close()

    def list(self, kind: str) -> Objects:
        """Return everything of a kind, however many pages it takes."""
        return list(self._pages(f"{_folder(kind)}/"))

    def get(self, kind: str, name: str | int) -> Json:
        """Return one thing of a kind."""
        return self._json("GET", _path(kind, name))

    def delete(self, kind: str, name: str | int) -> Json:
        """Remove one thing of a kind; return what the manager says went with it."""
        return self._json("DELETE", _path(kind, name))

    def create_stream(self, name: str) -> bool:
        """Create a stream; False if it existed already."""
        return self._created("streams/", {"name": name})

    def create_operation(
        self,
        name: str,
        definition_id: int,
        input_stream: str,
        output_stream: str,
        **options: Any,
    ) -> bool:
        """Create an operation; False if exactly that one existed already."""
        body = {
            "name": name,
            "process_definition_id": definition_id,
            "input_stream": input_stream,
            "output_stream": output_stream,
            **options,
        }
        return self._created("operations/", body)

    def patch_operation(self, name: str, **changes: Any) -> Json:
        """Change an operation's demand, instances, linger_s, backlog ...; return it."""
        return self._json("PATCH", _path("operations", name), changes)

    def register(self, document: Mapping[str, Any], *, temporary: bool = False) -> int:
        """Register a process definition, `{"definition": {...}}`; return its id.

        `temporary`: it will be removed soon, and takes none of the numbers that people see.
        """
        path = "process_definition/?temporary=true" if temporary else "process_definition/"
        return int(self._json("POST", path, document)["id"])

    def try_definition(self, body: Mapping[str, Any]) -> Json:
        """Have a definition tried on a node, over a message; return what came of it."""
        found = self._send("POST", "process_definition/try/", body, within_s=TRIED_S)
        return self._content(found)

    def update_definition(self, definition_id: int, document: Mapping[str, Any]) -> Json:
        """Make a new version of a process definition; return it."""
        return self._json("PUT", _path("definitions", definition_id), document)

    def versions(self, definition_id: int) -> Objects:
        """Return a definition's versions, the newest first, each with what it changed."""
        return list(self._pages(_path("definitions", definition_id, "versions")))

    def restore_version(self, definition_id: int, version: int) -> Json:
        """Make a new version of a definition that equals an old one; return it."""
        path = _path("definitions", definition_id, "versions", str(version), "restore")
        return self._json("POST", path)

    def create_replay(self, stream: str, body: Mapping[str, Any]) -> Json:
        """Have the manager play a stream's archive; return the replay."""
        return self._json("POST", _path("streams", stream, "replays"), body)

    def find_replay(self, replay: str) -> Json:
        """Return a replay of any stream by its id.

        Raises:
            ManagerError: there is none.
        """
        for found in self._pages("replays/"):
            if found["id"] == replay:
                return found
        raise ManagerError([f"there is no replay {replay!r}: 'streamboss replays' lists them"])

    def ask_replay(self, replay: str, state: str) -> Json:
        """Pause a replay, or let it go on; return it."""
        path = str(self.find_replay(replay)["resource_uri"]).removeprefix("/api/")
        return self._json("PATCH", path, {"state": state})

    def cancel_replay(self, replay: str) -> Json:
        """Cancel a replay; return how far it was."""
        found = self.find_replay(replay)
        self._json("DELETE", str(found["resource_uri"]).removeprefix("/api/"))
        return found

    def purge(self, name: str) -> int:
        """Empty an operation's queue; return how many messages it held."""
        return int(self._json("POST", _path("operations", name, "purge"))["purged"])

    def dead_letters(self, name: str) -> Objects:
        """Return an operation's first 1,000 dead letters."""
        return list(self._pages(_path("operations", name, "dead-letters")))

    def redrive(self, name: str, limit: int | None = None, **chosen: str | None) -> int:
        """Give an operation its dead letters again; return how many.

        `chosen` is `message_id`, or `matching`: a text in the reason or in stderr.
        """
        body = {"limit": limit, **chosen}
        answer = self._json("POST", _path("operations", name, "redrive"), body)
        return int(answer["redriven"])

    def purge_dead_letters(self, name: str) -> int:
        """Throw away an operation's dead letters; return how many."""
        return int(self._json("DELETE", _path("operations", name, "dead-letters"))["purged"])

    def logs(self, name: str) -> Objects:
        """Return the last lines of an operation's stderr, oldest first."""
        return list(self._pages(_path("operations", name, "logs")))

    def archive(self, stream: str) -> Json:
        """Return how the archive of a stream is, and what it holds."""
        return self._json("GET", _path("streams", stream, "archive"))

    def begin_archive(self, stream: str, **options: Any) -> Json:
        """Begin to archive a stream, or change `passive` and `keep_days`; return the archive."""
        return self._json("PUT", _path("streams", stream, "archive"), options)

    def stop_archive(self, stream: str) -> Json:
        """Stop archiving a stream; what waits is stored first. Return the archive."""
        return self._json("DELETE", _path("streams", stream, "archive"))

    def add_node(self, name: str, **options: Any) -> Json:
        """Add a node; return the content of its agent.json, which is shown this once."""
        config: Json = self._json("POST", "nodes/", {"name": name, **options})["config"]
        return config

    def drain_node(self, name: str, *, draining: bool) -> Json:
        """Let a node take nothing new, or take again; return it."""
        return self._json("PATCH", _path("nodes", name), {"draining": draining})

    def remove_node(self, name: str, *, at_once: bool = False) -> None:
        """Remove a node; a machine that was launched is drained before, unless `at_once`."""
        self._json("DELETE", _path("nodes", name) + ("?now=true" if at_once else ""))

    def begin_build(self, name: str, **told: Any) -> None:
        """Tell that an image is being built: `appliance`, `cloud`, `lease_hours`."""
        self._json("POST", "builds/", {"name": name, **told})

    def tell_step(self, name: str, **told: Any) -> None:
        """Tell of a step of a build: `step`, `state` (running, done, failed), `duration_s`."""
        self._json("POST", _path("builds", name, "steps"), told)

    def end_build(self, name: str, **told: Any) -> None:
        """Tell how a build ended: `state` (done, unchanged, failed), `image`, `reason`."""
        self._json("POST", _path("builds", name, "end"), told)

    def renew_node(self, name: str, clock: Mapping[str, Any]) -> Json:
        """Restart a clock of a launched machine; return the node, with a `warning` or none."""
        return self._json("POST", _path("nodes", name, "renew"), clock)

    def add_user(self, name: str, password: str, role: str = "user") -> bool:
        """Add a user; False if exactly that one existed already."""
        return self._created("users/", {"name": name, "password": password, "role": role})

    def change_user(self, name: str, **changes: Any) -> Json:
        """Give a user another password or role, or other buckets; return the user."""
        if "password" in changes and self._login and name == self._login[0]:
            changes["current_password"] = self._login[1]
        return self._json("PATCH", _path("users", name), changes)

    def tokens(self, name: str) -> Objects:
        """Return a user's tokens: id, label, when made and last used."""
        return list(self._pages(_path("users", name, "tokens")))

    def create_token(self, name: str, label: str = "") -> str:
        """Return a new token that logs a user in; it is shown this once."""
        return str(self._json("POST", _path("users", name, "tokens"), {"label": label})["token"])

    def revoke_token(self, name: str, token: str) -> None:
        """End a user's token, by its id."""
        self._json("DELETE", _path("users", name, "tokens", token))

    def stream_rights(self, name: str) -> Json:
        """Return on which streams a user may `publish`, and which they may `consume`."""
        return self._json("GET", _path("users", name, "streams"))

    def allow_streams(self, name: str, publish: Sequence[str], consume: Sequence[str]) -> Json:
        """Let a user use these streams, and no others; return their `amqp_urls`, and maybe `ca`."""
        body = {"publish": list(publish), "consume": list(consume)}
        return self._json("PUT", _path("users", name, "streams"), body)

    def forbid_streams(self, name: str) -> None:
        """Take a user's login at the broker away."""
        self._json("DELETE", _path("users", name, "streams"))

    def activity(self, *, limit: int, **asked: str) -> Objects:
        """Return the latest events, the newest first; `asked` is `kind`, `name` or `by`."""
        query = urlencode({"limit": limit, **asked})
        objects: Objects = self._json("GET", f"activity/?{query}")["objects"]
        return objects

    def remove_subscription(self, stream: str, name: str) -> int:
        """Remove a subscription; return how many messages waited in it."""
        return int(self.delete("subscriptions", f"{stream}/{name}")["messages"])

    def readiness(self) -> tuple[Sequence[str], Sequence[str]]:
        """Return what keeps the manager from its work, and what is worth knowing besides."""
        try:
            answer = self._json("GET", f"{self._url}/readyz")
        except ManagerUnreachableError:
            raise
        except ManagerError as error:
            return error.problems, []
        return [], answer.get("notes", [])

    def _pages(self, path: str) -> Iterator[Json]:
        offset, total = 0, 1
        while offset < total:
            answer = self._json("GET", f"{path}?limit={_PAGE}&offset={offset}")
            yield from answer["objects"]
            total = answer["meta"]["total_count"]
            offset += _PAGE

    def _created(self, path: str, body: Mapping[str, Any]) -> bool:
        return self._send("POST", path, body).status_code == httpx.codes.CREATED

    def _json(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Json:
        return self._content(self._send(method, path, body))

    def _content(self, answer: httpx.Response) -> Json:
        try:
            content: Json = answer.json() if answer.content else {}
        except ValueError:
            raise self._not_ours(answer) from None
        return content

    def _send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        *,
        within_s: float = ANSWER_S,
    ) -> httpx.Response:
        if not self._alive:
            self._request("GET", f"{self._url}/healthz", None, within_s=CONNECT_S)
            self._alive = True
        answer = self._request(method, path, body, within_s=within_s)
        if not answer.is_success:
            raise self._refused(answer)
        return answer

    def _request(
        self, method: str, path: str, body: Mapping[str, Any] | None, *, within_s: float
    ) -> httpx.Response:
        timeout = httpx.Timeout(within_s, connect=CONNECT_S)
        try:
            return self._http.request(method, path, json=body, timeout=timeout)
        except httpx.HTTPError as error:
            if why := tls.problem(error):
                raise ManagerError([f"manager {without_password(self._url)}: {why}"]) from error
            text = (
                f"manager {without_password(self._url)}: not reachable ({_cause(error)}):"
                " run 'streamboss up', or check STREAMBOSS_MANAGER_URL"
            )
            raise ManagerUnreachableError([text]) from error

    def _refused(self, answer: httpx.Response) -> ManagerError:
        try:
            problems = [str(problem) for problem in answer.json()["problems"]]
        except (ValueError, KeyError, TypeError):
            return self._not_ours(answer)
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            where = without_password(self._url)
            problems = [
                f"manager {where}: {problems[0]}: check STREAMBOSS_USER and STREAMBOSS_PASSWORD"
            ]
        return ManagerError(problems, status=answer.status_code)

    def _not_ours(self, answer: httpx.Response) -> ManagerError:
        text = (
            f"manager {without_password(self._url)}: answered {answer.status_code}, and not as a"
            " manager does: check STREAMBOSS_MANAGER_URL"
        )
        return ManagerError([text], status=answer.status_code)


def _folder(kind: str) -> str:
    return "process_definition" if kind == "definitions" else kind


def _path(kind: str, name: str | int, *more: str) -> str:
    safe = "/" if kind == "subscriptions" else ""
    return "/".join((_folder(kind), quote(str(name), safe=safe), *more, ""))


def _cause(error: httpx.HTTPError) -> str:
    if isinstance(error, httpx.TimeoutException):
        return "no answer in time"
    # "[Errno 111] Connection refused": the number tells nobody anything
    return str(error).rpartition("] ")[2] or type(error).__name__
