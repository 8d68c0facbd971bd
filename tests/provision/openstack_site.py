"""A small OpenStack: Keystone 3, Nova, Glance and Neutron as far as we use them.

Written after the API reference; never compared with a real one. It refuses what they refuse:
wrong passwords, unknown flavors, images, networks and groups, groups in use, and a second key
of a name.
"""

import json
import threading
from contextlib import suppress
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import uuid4

PASSWORD = "right"
PROJECT = "p" * 32


class RefusedError(Exception):
    """An HTTP status and a message."""

    def __init__(self, status: int, text: str) -> None:
        self.status = status
        super().__init__(text)


class OpenStack:
    """Its state, and its answers by method and path."""

    def __init__(self) -> None:
        self.servers: dict[str, dict[str, Any]] = {}
        self.images: dict[str, dict[str, Any]] = {}
        self.keys: dict[str, str] = {}
        self.groups: dict[str, dict[str, Any]] = {}
        self.quota = 8
        #: how many answers to POSTs of servers are lost, after it happened
        self.loses = 0
        self.add_image("debian-12-generic")

    def start(self) -> str:
        """Serve on a free port of 127.0.0.1; return Keystone's address."""
        site = self

        class Handler(_Handler):
            here = site

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        return self.url

    def stop(self) -> None:
        """Serve no more."""
        self._server.shutdown()
        self._server.server_close()

    def add_image(self, name: str, **properties: str) -> str:
        """Add an image; return its id."""
        key = str(uuid4())
        self.images[key] = {
            "id": key, "name": name, "status": "active", "visibility": "private",
            "created_at": _now(), "updated_at": _now(), "min_ram": 0, "min_disk": 0, **properties,
        }  # fmt: skip
        return key

    def answer(self, method: str, path: list[str], body: Any) -> tuple[int, Any, dict[str, str]]:
        """Return status, body and headers."""
        for prefix, act in (
            ("v3/auth/tokens", self._token), ("compute/v2.1/servers", self._servers),
            ("compute/v2.1/flavors/detail", self._flavors), ("image/v2/images", self._images),
            ("compute/v2.1/os-keypairs", self._keypairs), ("network/v2.0/networks", self._networks),
            ("network/v2.0/security-groups", self._security_groups),
            ("network/v2.0/security-group-rules", self._rule),
        ):  # fmt: skip
            words = prefix.split("/")
            if path[: len(words)] == words:
                return act(method, path[len(words) :], body)
        raise RefusedError(404, f"no route {method} {path}")

    def _flavors(self, *_: Any) -> tuple[int, Any, dict[str, str]]:
        return 200, {"flavors": [_flavor("1", "m1.small"), _flavor("2", "m1.large")]}, {}

    def _networks(self, *_: Any) -> tuple[int, Any, dict[str, str]]:
        net = {"id": "net-1", "name": "private", "admin_state_up": True, "status": "ACTIVE"}
        return 200, {"networks": [{**net, "subnets": [], "shared": False}]}, {}

    def _token(self, _method: str, _rest: list[str], body: Any) -> tuple[int, Any, dict[str, str]]:
        user = body["auth"]["identity"]["password"]["user"]
        if user["password"] != PASSWORD:
            raise RefusedError(401, "The request you have made requires authentication.")
        catalog = [
            {"type": kind, "name": name, "id": kind, "endpoints": [self._endpoint(path)]}
            for kind, name, path in (
                ("compute", "nova", "/compute/v2.1"), ("image", "glance", "/image"),
                ("network", "neutron", "/network"), ("identity", "keystone", "/v3"),
            )
        ]  # fmt: skip
        token = {
            "expires_at": "2099-01-01T00:00:00.000000Z", "issued_at": _now(), "catalog": catalog,
            "project": {"id": PROJECT, "name": "streams", "domain": {"id": "d", "name": "Default"}},
            "user": {"id": "u", "name": "us", "domain": {"id": "d", "name": "Default"}},
            "roles": [{"id": "r", "name": "member"}], "methods": ["password"],
        }  # fmt: skip
        return 201, {"token": token}, {"X-Subject-Token": "t"}

    def _endpoint(self, path: str) -> dict[str, str]:
        return {
            "id": path, "interface": "public", "region": "RegionOne", "region_id": "RegionOne",
            "url": self.url + path,
        }  # fmt: skip

    def _servers(self, method: str, rest: list[str], body: Any) -> tuple[int, Any, dict[str, str]]:
        match method, rest:
            case "GET", ["detail"]:
                return 200, {"servers": list(self.servers.values())}, {}
            case "POST", []:
                made = self._boot(body["server"])
                return 202, {"server": made}, {}
            case "GET", [key] if key in self.servers:
                return 200, {"server": self.servers[key]}, {}
            case "DELETE", [key] if key in self.servers:
                del self.servers[key]
                return 204, None, {}
            case "POST", [key, "metadata"] if key in self.servers:
                self.servers[key]["metadata"] |= body["metadata"]
                return 200, {"metadata": self.servers[key]["metadata"]}, {}
            case "POST", [key, "action"] if key in self.servers:
                return self._act(self.servers[key], body)
        raise RefusedError(404, f"Instance {rest} could not be found.")

    def _boot(self, wanted: dict[str, Any]) -> dict[str, Any]:
        if wanted["flavorRef"] not in ("1", "2") or wanted["imageRef"] not in self.images:
            raise RefusedError(400, "Invalid flavorRef or imageRef provided.")
        if len(self.servers) >= self.quota:
            raise RefusedError(403, "Quota exceeded for instances: Requested 1, but already used 8")
        names = {group["name"] for group in self.groups.values()}
        if not {group["name"] for group in wanted.get("security_groups", [])} <= names:
            raise RefusedError(400, "Security group not found.")
        if wanted.get("key_name") and wanted["key_name"] not in self.keys:
            raise RefusedError(400, "Invalid key_name provided.")
        key = str(uuid4())
        self.servers[key] = {
            "id": key, "name": wanted["name"], "status": "ACTIVE", "created": _now(),
            "updated": _now(), "hostId": "h", "tenant_id": PROJECT, "user_id": "u",
            "metadata": wanted["metadata"], "image": {"id": wanted["imageRef"]},
            "flavor": {"id": wanted["flavorRef"]}, "key_name": wanted.get("key_name"),
            "groups": wanted.get("security_groups", []),
            "addresses": {"private": [{"addr": "10.1.2.3", "version": 4}]},
            "links": [{"rel": "self", "href": f"{self.url}/compute/v2.1/servers/{key}"}],
        }  # fmt: skip
        return self.servers[key]

    def _act(self, server: dict[str, Any], body: Any) -> tuple[int, Any, dict[str, str]]:
        match body:
            case {"os-stop": _}:
                server["status"] = "SHUTOFF"
                return 202, None, {}
            case {"os-getConsoleOutput": _}:
                return 200, {"output": "booted"}, {}
            case {"createImage": wanted}:
                key = self.add_image(wanted["name"], **wanted.get("metadata", {}))
                return 202, None, {"Location": f"{self.url}/image/v2/images/{key}"}
        raise RefusedError(400, "no such action")

    def _keypairs(self, method: str, rest: list[str], body: Any) -> tuple[int, Any, dict[str, str]]:
        match method, rest:
            case "GET", []:
                return (
                    200,
                    {"keypairs": [{"keypair": _key(n, k)} for n, k in self.keys.items()]},
                    {},
                )
            case "POST", []:
                wanted = body["keypair"]
                if wanted["name"] in self.keys:
                    raise RefusedError(409, f"Key pair '{wanted['name']}' already exists.")
                self.keys[wanted["name"]] = wanted["public_key"]
                return 200, {"keypair": _key(wanted["name"], wanted["public_key"])}, {}
            case "DELETE", [name] if name in self.keys:
                del self.keys[name]
                return 202, None, {}
        raise RefusedError(404, "Keypair not found")

    def _images(self, method: str, rest: list[str], body: Any) -> tuple[int, Any, dict[str, str]]:
        match method, rest:
            case "GET", []:
                return 200, {"images": list(self.images.values())}, {}
            case "GET", [key] if key in self.images:
                return 200, self.images[key], {}
            case "PATCH", [key] if key in self.images:
                for change in body:
                    name = change["path"].removeprefix("/").replace("~1", "/").replace("~0", "~")
                    if change["op"] == "replace" and name not in self.images[key]:
                        raise RefusedError(409, "Property does not exist")
                    self.images[key][name] = change["value"]
                return 200, self.images[key], {}
            case "DELETE", [key] if key in self.images:
                del self.images[key]
                return 204, None, {}
        raise RefusedError(404, "No image found")

    def _security_groups(
        self, method: str, rest: list[str], body: Any
    ) -> tuple[int, Any, dict[str, str]]:
        match method, rest:
            case "GET", []:
                return 200, {"security_groups": list(self.groups.values())}, {}
            case "POST", []:
                key, name = str(uuid4()), body["security_group"]["name"]
                self.groups[key] = {
                    "id": key, "name": name, "description": "", "tenant_id": PROJECT,
                    "security_group_rules": [],
                }  # fmt: skip
                return 201, {"security_group": self.groups[key]}, {}
            case "DELETE", [key] if key in self.groups:
                name = self.groups[key]["name"]
                if any({"name": name} in server["groups"] for server in self.servers.values()):
                    raise RefusedError(409, "Security Group in use.")
                del self.groups[key]
                return 204, None, {}
        raise RefusedError(404, "Security group does not exist")

    def _rule(self, _method: str, _rest: list[str], body: Any) -> tuple[int, Any, dict[str, str]]:
        wanted = body["security_group_rule"]
        rule = {
            "id": str(uuid4()), "tenant_id": PROJECT, "direction": "ingress",
            "remote_group_id": None, **wanted,
        }  # fmt: skip
        self.groups[wanted["security_group_id"]]["security_group_rules"].append(rule)
        return 201, {"security_group_rule": rule}, {}


class _Handler(BaseHTTPRequestHandler):
    here: OpenStack
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(length)
        path = [part for part in self.path.partition("?")[0].split("/") if part]
        headers = dict[str, str]()
        try:
            answer = self.here.answer(self.command, path, json.loads(raw) if raw else None)
            status, body, headers = answer
            if self.command == "POST" and path[-1] == "servers" and self.here.loses:
                self.here.loses -= 1
                self.close_connection = True
                return
        except RefusedError as error:
            status = error.status
            body = {"error": {"message": str(error), "code": status}}
        text = b"" if body is None else json.dumps(body).encode()
        with suppress(OSError):
            self.send_response(status)
            for name, value in {**headers, "Content-Type": "application/json"}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

    do_POST = do_GET  # noqa: N815 http.server wants these names
    do_DELETE = do_GET  # noqa: N815
    do_PATCH = do_GET  # noqa: N815

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def _flavor(key: str, name: str) -> dict[str, Any]:
    return {"id": key, "name": name, "ram": 512, "disk": 1, "vcpus": 1, "swap": "", "links": []}


def _key(name: str, public: str) -> dict[str, str]:
    return {"name": name, "public_key": public, "fingerprint": "f"}


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
