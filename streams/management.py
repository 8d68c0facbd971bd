"""RabbitMQ's management API: users, permissions, policies, and the broker's own view of itself.

The only module that speaks it. Counts of messages lag by the broker's statistics interval (5 s);
bindings and consumers don't.
"""

import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import httpx

from streams import tls
from streams.errors import BrokerError, BrokerRefusedError, BrokerUnreachableError
from streams.settings import Settings, login_of, vhost_of

TIMEOUT_S = 10.0


class Management:
    """One broker's management API, seen from one vhost.

    `url` may be several, of one cluster, with commas between them: the first that answers is asked,
    until it doesn't.
    """

    def __init__(
        self,
        url: str,
        *,
        user: str,
        password: str,
        vhost: str = "/",
        ca_file: Path | None = None,
    ) -> None:
        self.vhost = vhost
        self._urls = deque(url.split(","))
        self._vhost = quote(vhost, safe="")
        # trust_env off: a proxy meant for the outside must not see broker passwords
        self._http = httpx.Client(
            auth=(user, password),
            timeout=TIMEOUT_S,
            trust_env=False,
            verify=tls.context_for(url, ca_file),
        )

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Reach the broker of `settings` with its AMQP login.

        Raises:
            SettingsError: no broker is set.
        """
        amqp_url = settings.need_amqp()[0]
        user, password = login_of(amqp_url)
        return cls(
            settings.need_broker_api(),
            user=user,
            password=password,
            vhost=vhost_of(amqp_url),
            ca_file=settings.ca_file,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections kept open."""
        self._http.close()

    def bindings(self) -> list[dict[str, Any]]:
        """Return each binding: source, destination, destination_type, routing_key."""
        return list(self._get(f"/bindings/{self._vhost}"))

    def bound_to(self, exchange: str) -> list[str]:
        """Return the queues and exchanges bound to an exchange; none if it doesn't exist."""
        path = f"/exchanges/{self._vhost}/{quote(exchange, safe='')}/bindings/source"
        answer = self._http_get(path)
        if answer.status_code == httpx.codes.NOT_FOUND:
            return []
        return [item["destination"] for item in self._checked(answer).json()]

    def consumers(self) -> list[dict[str, Any]]:
        """Return each consumer: queue.name, consumer_tag, channel_details.name."""
        return list(self._get(f"/consumers/{self._vhost}"))

    def queues(self) -> list[dict[str, Any]]:
        """Return each queue's name, type and counts: messages, messages_ready, consumers."""
        totals = "disable_stats=true&enable_queue_totals=true"
        return list(self._get(f"/queues/{self._vhost}?{totals}"))

    def policies(self) -> dict[str, dict[str, Any]]:
        """Return what each policy of the vhost says, operator policies included, by name."""
        kinds = ("policies", "operator-policies")
        found = [item for kind in kinds for item in self._get(f"/{kind}/{self._vhost}")]
        return {item["name"]: item["definition"] for item in found}

    def nodes(self) -> list[dict[str, Any]]:
        """Return each node of the broker: name, mem_alarm, disk_free_alarm, uptime (in ms)."""
        return list(self._get("/nodes?columns=name,mem_alarm,disk_free_alarm,uptime"))

    def up_since(self) -> float:
        """Return when the oldest node of the broker began, in seconds since 1970."""
        uptimes_ms = [float(node.get("uptime", 0)) for node in self.nodes()]
        return time.time() - max(uptimes_ms, default=0.0) / 1000

    def exchange_names(self) -> list[str]:
        """Return the name of each exchange."""
        return [item["name"] for item in self._get(f"/exchanges/{self._vhost}?columns=name")]

    def exchange_rates(self) -> list[dict[str, Any]]:
        """Return each exchange's name and, where something came, message_stats.

        Rates are in messages a second, counted every 5 s: `publish_in_details.rate` of what came,
        `publish_out_details.rate` of what went to queues, once for each.
        """
        stats = ("publish_in", "publish_in_details.rate", "publish_out_details.rate")
        columns = ",".join(("name", *(f"message_stats.{name}" for name in stats)))
        return list(self._get(f"/exchanges/{self._vhost}?columns={columns}"))

    def exchange(self, name: str, *, age_s: int, step_s: int) -> dict[str, Any]:
        """Return an exchange with its message_stats' samples of the last `age_s`; oldest last."""
        query = f"msg_rates_age={age_s}&msg_rates_incr={step_s}"
        path = f"/exchanges/{self._vhost}/{quote(name, safe='')}?{query}"
        return dict(self._get(path))

    def plugin_events(self) -> bool:
        """Say whether the event exchange exists and may be looked at."""
        answer = self._http_get("/exchanges/%2F/amq.rabbitmq.event")
        return answer.status_code == httpx.codes.OK

    def alive(self) -> bool:
        """Say whether the broker answers and every vhost of it is up."""
        try:
            answer = self._http_get("/health/checks/virtual-hosts")
        except BrokerError:
            return False
        return answer.status_code == httpx.codes.OK

    def put_vhost(self, name: str) -> None:
        """Create a vhost in which the current user has all rights."""
        self._send("PUT", f"/vhosts/{quote(name, safe='')}", {})
        user = self._get("/whoami")["name"]
        self._send(
            "PUT",
            f"/permissions/{quote(name, safe='')}/{quote(user, safe='')}",
            {"configure": ".*", "write": ".*", "read": ".*"},
        )

    def delete_vhost(self, name: str) -> None:
        """Delete a vhost and everything in it."""
        self._send("DELETE", f"/vhosts/{quote(name, safe='')}")

    def put_user(self, name: str, password: str, tags: Sequence[str] = ()) -> None:
        """Create a broker user, or give it another password."""
        body = {"password": password, "tags": ",".join(tags)}
        self._send("PUT", f"/users/{quote(name, safe='')}", body)

    def delete_user(self, name: str) -> None:
        """Delete a broker user, which closes its connections; it may be gone already."""
        self._send("DELETE", f"/users/{quote(name, safe='')}", missing_ok=True)

    def user_names(self) -> list[str]:
        """Return the name of each broker user."""
        return [item["name"] for item in self._get("/users?columns=name")]

    def put_permissions(self, user: str, *, configure: str, write: str, read: str) -> None:
        """Set what `user` may do on the vhost: three regular expressions over names."""
        self._send(
            "PUT",
            f"/permissions/{self._vhost}/{quote(user, safe='')}",
            {"configure": configure, "write": write, "read": read},
        )

    def permissions(self) -> list[dict[str, Any]]:
        """Return who may do what on the vhost: user, configure, write, read."""
        return list(self._get(f"/vhosts/{self._vhost}/permissions"))

    def put_topic_permissions(self, user: str, exchange: str, *, write: str, read: str) -> None:
        """Set which routing keys of a topic exchange `user` may publish and bind."""
        self._send(
            "PUT",
            f"/topic-permissions/{self._vhost}/{quote(user, safe='')}",
            {"exchange": exchange, "write": write, "read": read},
        )

    def put_policy(self, name: str, pattern: str, definition: Mapping[str, Any]) -> None:
        """Set a policy on the queues whose names match `pattern`."""
        body = {"pattern": pattern, "definition": dict(definition), "apply-to": "queues"}
        self._send("PUT", f"/policies/{self._vhost}/{quote(name, safe='')}", body)

    def delete_policy(self, name: str) -> None:
        """Delete a policy; it may be gone already."""
        path = f"/policies/{self._vhost}/{quote(name, safe='')}"
        self._send("DELETE", path, missing_ok=True)

    def _get(self, path: str) -> Any:
        return self._checked(self._http_get(path)).json()

    def _http_get(self, path: str) -> httpx.Response:
        return self._request("GET", path, None)

    def _send(
        self, method: str, path: str, body: object = None, *, missing_ok: bool = False
    ) -> None:
        answer = self._request(method, path, body)
        if missing_ok and answer.status_code == httpx.codes.NOT_FOUND:
            return
        self._checked(answer)

    def _request(self, method: str, path: str, body: object) -> httpx.Response:
        # whatever is asked here may be asked twice
        for left in reversed(range(len(self._urls))):
            try:
                answer = self._http.request(method, f"{self._url}/api{path}", json=body)
            except httpx.HTTPError as error:
                if text := tls.problem(error):
                    raise BrokerRefusedError(f"broker management {self._url}: {text}") from error
                if not left:
                    raise BrokerUnreachableError(
                        f"broker management {','.join(self._urls)}: not reachable"
                        f" ({type(error).__name__}): check STREAMBOSS_BROKER_API_URL"
                    ) from error
            else:
                if answer.status_code < httpx.codes.INTERNAL_SERVER_ERROR or not left:
                    return answer
            self._urls.rotate(-1)
        raise AssertionError("unreachable")  # pragma: no cover

    @property
    def _url(self) -> str:
        return self._urls[0]

    def _checked(self, answer: httpx.Response) -> httpx.Response:
        if answer.is_success:
            return answer
        where = f"broker management {self._url}"
        if answer.status_code in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
            raise BrokerRefusedError(
                f"{where}: the AMQP user was refused: it needs the 'administrator' tag"
            )
        raise BrokerError(f"{where}: {answer.status_code} {answer.text[:200]}")
