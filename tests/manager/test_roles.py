"""Who may do what: each route and each role; and that whatever is changed is noted."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from starlette.routing import Route

from manager.api import create_app
from manager.console import _PLACES
from manager.model import Role
from manager.throttle import FREE
from streams.broker import Session, topology
from streams.settings import Settings
from tests.manager.replays.playing import Archive, numbered
from tests.manager.serving import ADMIN, Api, serving
from tests.rabbit import BrokerNode
from tests.s3 import S3Server

ROLES = ("anonymous", "viewer", "stranger", "owner", "admin")
#: From what each says to the roles that it lets in; `self` and `owner` are the owner here.
LETS_IN = {
    "everybody": frozenset(ROLES),
    "viewer": frozenset(ROLES[1:]),
    "user": frozenset(ROLES[2:]),
    "owner": frozenset(ROLES[3:]),
    "self": frozenset(ROLES[3:]),
    "admin": frozenset(ROLES[4:]),
}
MATRIX = {
    "GET /api/process_definition/": "viewer",
    "POST /api/process_definition/": "user",
    "POST /api/process_definition/try/": "user",
    "GET /api/process_definition/{number}/": "owner",
    "PUT /api/process_definition/{number}/": "owner",
    "DELETE /api/process_definition/{number}/": "owner",
    "GET /api/process_definition/{number}/versions/": "owner",
    "GET /api/process_definition/{number}/versions/{version}/": "owner",
    "POST /api/process_definition/{number}/versions/{version}/restore/": "owner",
    "GET /api/streams/": "viewer",
    "POST /api/streams/": "user",
    "GET /api/streams/{name}/": "viewer",
    "DELETE /api/streams/{name}/": "owner",
    "GET /api/archives/": "viewer",
    "GET /api/streams/{name}/archive/": "viewer",
    "PUT /api/streams/{name}/archive/": "owner",
    "DELETE /api/streams/{name}/archive/": "owner",
    "GET /api/replays/": "viewer",
    "GET /api/streams/{name}/replays/": "viewer",
    "POST /api/streams/{name}/replays/": "owner",
    "GET /api/streams/{name}/replays/{replay}/": "viewer",
    "PATCH /api/streams/{name}/replays/{replay}/": "owner",
    "DELETE /api/streams/{name}/replays/{replay}/": "owner",
    "GET /api/operations/": "viewer",
    "POST /api/operations/": "user",
    "GET /api/operations/{name}/": "viewer",
    "PATCH /api/operations/{name}/": "owner",
    "DELETE /api/operations/{name}/": "owner",
    "POST /api/operations/{name}/purge/": "owner",
    "GET /api/operations/{name}/dead-letters/": "viewer",
    "DELETE /api/operations/{name}/dead-letters/": "owner",
    "POST /api/operations/{name}/redrive/": "owner",
    "GET /api/operations/{name}/logs/": "viewer",
    "GET /api/nodes/": "viewer",
    "POST /api/nodes/": "admin",
    "GET /api/nodes/{name}/": "viewer",
    "PATCH /api/nodes/{name}/": "admin",
    "DELETE /api/nodes/{name}/": "admin",
    "POST /api/nodes/{name}/renew/": "admin",
    "GET /api/clouds/": "viewer",
    "GET /api/images/": "viewer",
    "GET /api/builds/": "viewer",
    "POST /api/builds/": "user",
    "GET /api/builds/{name}/": "viewer",
    "POST /api/builds/{name}/steps/": "owner",
    "POST /api/builds/{name}/end/": "owner",
    "GET /api/users/": "admin",
    "POST /api/users/": "admin",
    "GET /api/users/{name}/": "self",
    "PATCH /api/users/{name}/": "self",
    "DELETE /api/users/{name}/": "admin",
    "GET /api/users/{name}/tokens/": "self",
    "POST /api/users/{name}/tokens/": "self",
    "DELETE /api/users/{name}/tokens/{token}/": "self",
    "GET /api/users/{name}/streams/": "self",
    "PUT /api/users/{name}/streams/": "admin",
    "DELETE /api/users/{name}/streams/": "admin",
    "GET /api/subscriptions/": "viewer",
    "GET /api/subscriptions/{stream}/{name}/": "viewer",
    "DELETE /api/subscriptions/{stream}/{name}/": "owner",
    "GET /api/activity/": "viewer",
    "GET /healthz": "everybody",
    "GET /readyz": "everybody",
    "GET /metrics": "viewer",
}
#: Where what is wrong with a body is said before whose thing it is about.
BODIES: dict[str, Any] = {
    "PUT /api/process_definition/{number}/": {
        "definition": {"name": "n", "application": "a", "exec": "cat"}
    },
    "PATCH /api/streams/{name}/replays/{replay}/": {"state": "paused"},
    "POST /api/builds/{name}/steps/": {"step": "one", "state": "running"},
    "POST /api/builds/{name}/end/": {"state": "done"},
}
UPPER = {"definition": {"name": "Upper", "application": "upper", "exec": "tr a-z A-Z"}}
BUILD = {"appliance": "a", "cloud": "c", "lease_hours": 1}
OPERATION = {"process_definition_id": 1, "input_stream": "s", "output_stream": "out"}


@dataclass(frozen=True)
class World:
    """A manager with one of everything, all of it the owner's."""

    api: Api
    replay: str

    def login(self, role: str) -> tuple[str, str] | None:
        if role == "admin":
            return ADMIN
        return None if role == "anonymous" else (role, f"{role}'s secret")

    def ask(self, route: str, role: str, who: str, *, there: bool) -> int:
        """Send a request as somebody; about what is `there`, or about what isn't."""
        method, path = route.split()
        path = path.replace("{token}", "0123456789ab")
        if there or who != "admin":  # else an admin's deed would take the owner away
            path = path.replace("/users/{name}", "/users/owner")
        path = path.replace("{version}", "1")
        if there:
            path = path.replace("{replay}", self.replay).replace("{number}", "1")
            path = path.replace("{stream}/{name}", "s/sub")
            path = path.replace("/nodes/{name}", "/nodes/node")
            path = path.replace("/builds/{name}", "/builds/built")
            path = path.replace("/operations/{name}", "/operations/op").replace("{name}", "s")
        for part in ("{replay}", "{number}", "{name}", "{stream}"):
            path = path.replace(part, "404")
        body: Any = BODIES.get(route, {}) if method in {"POST", "PUT", "PATCH"} else None
        return self.api.request(method, path, body, user=self.login(role)).status_code


@pytest.fixture(scope="module")
def world(
    broker_node: BrokerNode,
    s3_server: S3Server,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[World]:
    database = f"sqlite:///{tmp_path_factory.mktemp('roles')}/manager.db"
    with broker_node.vhost() as bare, s3_server.bucket() as bucket:
        settings = _with_s3(bare, s3_server, bucket)
        Archive(settings).add(numbered(*range(3)))
        with serving(settings, database) as api:
            yield World(api, _fill(api))


def _with_s3(settings: Settings, server: S3Server, bucket: str) -> Settings:
    return replace(settings, s3=server.access, bucket=bucket, object_bucket=bucket)


def _fill(api: Api) -> str:
    """Make one of everything as the owner; return the replay's id."""
    api.add_user("viewer", Role.VIEWER)
    api.add_user("stranger")
    owner = api.add_user("owner")
    assert api.post("/api/process_definition/", UPPER, user=owner).status_code == 201
    operation = {"name": "op", **OPERATION}
    assert api.post("/api/operations/", operation, user=owner).status_code == 201
    assert api.request("PUT", "/api/streams/s/archive/", {}, user=owner).status_code == 201
    assert api.post("/api/nodes/", {"name": "node"}).status_code == 201
    assert api.post("/api/builds/", {"name": "built", **BUILD}, user=owner).status_code == 201
    with Session(api.settings.need_amqp(), name="test") as session:
        session.call(lambda channel: topology.declare_subscription(channel, "s", "sub"))
    replay = api.post("/api/streams/s/replays/", {}, user=owner)
    assert replay.status_code == 201
    return str(replay.json()["id"])


def test_each_route_lets_in_whom_the_matrix_names_and_nobody_else(world: World) -> None:
    routes = _routes(world.api)
    assert routes == set(MATRIX), "a route that isn't in the matrix, or one of it that is gone"
    wrong = []
    for route, who in MATRIX.items():
        for role in ROLES:
            if role in LETS_IN[who]:
                # what isn't there, so that it stays for the others; reading does no harm
                status = world.ask(route, role, who, there=route.startswith("GET"))
                good = status not in {401, 403} and status < 500
            else:
                status = world.ask(route, role, who, there=True)
                # somebody else's definition is one that isn't there
                hidden = {404} if "process_definition/{" in route and role == "stranger" else {403}
                expected = {401} if role == "anonymous" else hidden
                good = status in expected or _is_hidden_from_viewers(route, role, status)
            if not good:
                wrong.append(f"{role}: {route}: {status}")
    assert not wrong


def _is_hidden_from_viewers(route: str, role: str, status: int) -> bool:
    return route.startswith("GET /api/process_definition/{") and role == "viewer" and status == 404


def _routes(api: Api) -> set[str]:
    described = api.get("/api/openapi.json").json()["paths"]
    return {f"{method.upper()} {path}" for path, found in described.items() for method in found}


@pytest.mark.parametrize(
    "change", [{"role": "admin"}, {"buckets": ["photos"]}], ids=["role", "buckets"]
)
def test_only_admins_give_people_more_rights(world: World, change: dict[str, Any]) -> None:
    for role in ("viewer", "owner"):
        path = f"/api/users/{role}/"
        before = world.api.get(path).json()
        assert world.api.request("PATCH", path, change, user=world.login(role)).status_code == 403
        assert world.api.get(path).json() == before


def test_no_route_is_served_that_is_not_described(world: World) -> None:
    app = create_app(world.api.services)
    served = {f"{method} {route.path}" for route in app.state.routes for method in route.methods}
    assert served == set(MATRIX)


def test_the_console_shows_nothing_to_strangers_and_does_nothing_without_its_own_form(
    world: World,
) -> None:
    http, seen = world.api.http, 0
    assert http.post("/login/", data={"name": "owner", "password": "owner's secret"}).is_redirect
    cookie = "; ".join(f"{name}={value}" for name, value in http.cookies.items())
    http.cookies.clear()
    routes = [route for place in _PLACES for route in place.router.routes]
    for route in routes:
        assert isinstance(route, Route)
        if route.path == "/login/":
            continue
        path = route.path.replace("{name}", "op").replace("{stream}", "s")
        for method in route.methods or ():
            answer = http.request(method, path)
            assert answer.status_code in {303, 401}, (method, path)
            assert answer.headers.get("location", "/login/").startswith("/login/")
            if method == "POST":
                seen += 1
                word, headers = {"word": "guessed"}, {"cookie": cookie}
                answer = http.request(method, path, data=word, headers=headers)
                assert answer.status_code == 403, (method, path)
    http.cookies.clear()
    assert seen > 10


#: What changes something: route, what is sent for it, and what is noted. In this order.
DEEDS: tuple[tuple[str, str, Any, str], ...] = (
    ("POST /api/process_definition/", "", UPPER, "definition.created"),
    ("PUT /api/process_definition/{number}/", "2", UPPER, "definition.changed"),
    (
        "POST /api/process_definition/{number}/versions/{version}/restore/",
        "2",
        None,
        "definition.changed",
    ),
    ("DELETE /api/process_definition/{number}/", "2", None, "definition.removed"),
    ("POST /api/streams/", "", {"name": "t"}, "stream.created"),
    ("PUT /api/streams/{name}/archive/", "t", {}, "archive.begun"),
    ("DELETE /api/streams/{name}/archive/", "t", None, "archive.ended"),
    ("POST /api/streams/{name}/replays/", "s", {}, "replay.created"),
    ("PATCH /api/streams/{name}/replays/{replay}/", "s", {"state": "paused"}, "replay.paused"),
    ("DELETE /api/streams/{name}/replays/{replay}/", "s", None, "replay.cancelled"),
    ("POST /api/operations/", "", {"name": "did", **OPERATION}, "operation.created"),
    ("PATCH /api/operations/{name}/", "did", {"linger_s": 1}, "operation.changed"),
    ("POST /api/operations/{name}/purge/", "did", None, "operation.purged"),
    (
        "DELETE /api/operations/{name}/dead-letters/",
        "did",
        None,
        "operation.dead-letters-purged",
    ),
    ("DELETE /api/operations/{name}/", "did", None, "operation.removed"),
    ("POST /api/nodes/", "", {"name": "did"}, "node.added"),
    ("PATCH /api/nodes/{name}/", "did", {"draining": True}, "node.drained"),
    ("DELETE /api/nodes/{name}/", "did", None, "node.removed"),
    ("POST /api/builds/", "", {"name": "did", **BUILD}, "build.begun"),
    ("POST /api/builds/{name}/steps/", "did", {"step": "s", "state": "running"}, "build.step"),
    ("POST /api/builds/{name}/end/", "did", {"state": "done"}, "build.ended"),
    ("POST /api/users/", "", {"name": "did", "password": "did's own words"}, "user.added"),
    ("PATCH /api/users/{name}/", "did", {"role": "viewer"}, "user.changed"),
    ("PUT /api/users/{name}/streams/", "did", {"publish": ["s"]}, "user.streams-allowed"),
    ("DELETE /api/users/{name}/streams/", "did", None, "user.streams-forbidden"),
    ("POST /api/users/{name}/tokens/", "did", {}, "token.created"),
    ("DELETE /api/users/{name}/tokens/{token}/", "did", None, "token.revoked"),
    ("DELETE /api/users/{name}/", "did", None, "user.removed"),
    ("DELETE /api/subscriptions/{stream}/{name}/", "s/sub", None, "subscription.removed"),
    ("POST /api/streams/", "", {"name": "u"}, "stream.created"),
    ("DELETE /api/streams/{name}/", "u", None, "stream.removed"),
)
#: Take a machine, an agent, and dead letters: tests/console/test_nodes.py,
#: tests/manager/test_trials.py and tests/manager/test_api.py.
ELSEWHERE = {
    "POST /api/nodes/{name}/renew/",
    "POST /api/process_definition/try/",
    "POST /api/operations/{name}/redrive/",
}


def test_every_change_is_noted_with_who_made_it(world: World) -> None:
    changing = {route for route in MATRIX if not route.startswith("GET")}
    assert {deed[0] for deed in DEEDS} | ELSEWHERE == changing
    api, replay = world.api, ""
    for route, name, body, event in DEEDS:
        method, path = route.split()
        if "{token}" in path:
            (token,) = api.get(f"/api/users/{name}/tokens/").json()["objects"]
            path = path.replace("{token}", token["id"])
        path = path.replace("{number}", name).replace("{stream}/{name}", name)
        path = path.replace("{version}", "1")
        path = path.replace("{name}", name).replace("{replay}", replay)
        answer = api.request(method, path, body)
        assert answer.is_success, (route, answer.text)
        if event == "replay.created":
            replay = answer.json()["id"]
        newest = api.get("/api/activity/?limit=3").json()["objects"]
        noted = [entry for entry in newest if entry.get("by") == ADMIN[0]]
        assert noted[0]["event"] == event, (route, newest)


def test_no_answer_lets_a_browser_do_more_than_it_must(world: World) -> None:
    for path in ("/api/streams/", "/healthz", "/nothing", "/login/", "/static/console.css"):
        headers = world.api.http.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy, path
        assert "frame-ancestors 'none'" in policy, path
        assert "unsafe" not in policy, path
        assert headers["x-content-type-options"] == "nosniff", path
        assert "server" not in headers, path
        assert "strict-transport-security" not in headers, path


def test_who_guesses_at_the_api_has_to_wait_and_nobody_else(world: World) -> None:
    api = world.api
    viewer = api.add_user("patient", Role.VIEWER)
    assert api.get("/api/streams/", user=viewer).status_code == 200
    guesses = [api.get("/api/streams/", user=("guessed", "x")).status_code for _ in range(FREE + 1)]
    assert guesses == [401] * FREE + [429]
    answer = api.get("/api/streams/", user=("guessed", "x"))
    assert int(answer.headers["retry-after"]) > 0
    assert "try again in" in answer.json()["detail"]
    assert api.get("/api/streams/", user=viewer).status_code == 200
