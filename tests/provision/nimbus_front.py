"""A Nimbus' EC2 front end: HTTPS, GET, signature version 2, 16 actions, no filters, 8 KiB."""

import ssl
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from xml.sax.saxutils import escape

from tests.provision.nimbus_site import RefusedError, Site

ACTIONS = {
    "RunInstances", "DescribeInstances", "RebootInstances", "TerminateInstances", "DescribeImages",
    "CreateKeyPair", "ImportKeyPair", "DeleteKeyPair", "DescribeKeyPairs",
    "DescribeAvailabilityZones", "DescribeSecurityGroups", "DescribeRegions",
}  # fmt: skip
HEADER_BYTES = 8192
KEY = "access-key"


def serve(site: Site, context: ssl.SSLContext) -> ThreadingHTTPServer:
    """Serve the front end over HTTPS on a free port of 127.0.0.1."""

    class Handler(_Handler):
        here = site

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return server


class _Handler(BaseHTTPRequestHandler):
    here: Site

    def do_GET(self) -> None:
        query = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        try:
            if len(self.requestline) + len(str(self.headers)) > HEADER_BYTES:
                self.send_error(413)
                return
            status, body = 200, _answer(self.here, query)
        except RefusedError as error:
            status, body = (
                400,
                f"<Errors><Error><Code>{error}</Code><Message>no</Message></Error></Errors>",
            )
            body = f"<Response>{body}<RequestID>x</RequestID></Response>"
        self.send_response(status)
        self.end_headers()
        with suppress(OSError):
            self.wfile.write(body.encode())

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def _answer(site: Site, query: dict[str, str]) -> str:
    if query.get("SignatureVersion") not in ("1", "2") or "Signature" not in query:
        raise RefusedError("AuthFailure")  # it knows nothing newer
    if query.get("AWSAccessKeyId") != KEY:
        raise RefusedError("AuthFailure")
    action = query["Action"]
    if action not in ACTIONS:
        raise RefusedError("InvalidAction")
    known = {
        "RunInstances": _run, "DescribeInstances": _instances, "DescribeImages": _images,
        "TerminateInstances": _terminate, "DescribeKeyPairs": _keys, "ImportKeyPair": _import,
        "DeleteKeyPair": _delete_key,
    }  # fmt: skip
    body = known[action](site, query)
    version = query.get("Version", "2009-08-15")
    namespace = f"http://ec2.amazonaws.com/doc/{version}/"
    return f'<{action}Response xmlns="{namespace}">{body}</{action}Response>'


def _run(site: Site, query: dict[str, str]) -> str:
    token = query.get("ClientToken", "")
    before = [m for m in site.all("machines") if token and m.get("token") == token]
    if not before and query["ImageId"] not in {i["name"] for i in site.all("images")}:
        raise RefusedError("InvalidAMIID.NotFound")
    machine = before[0] if before else site.launch(query["ImageId"], hours=24, token=token)
    return f"<instancesSet>{_instance(machine)}</instancesSet>"


def _instances(site: Site, _query: dict[str, str]) -> str:
    """Everybody's in this account, whatever filter was sent."""
    rows = "".join(
        f"<item><reservationId>r</reservationId><instancesSet>{_instance(m)}</instancesSet></item>"
        for m in site.all("machines")
    )
    return f"<reservationSet>{rows}</reservationSet>"


def _instance(machine: dict[str, Any]) -> str:
    return (
        f"<item><instanceId>{machine['name']}</instanceId><imageId>{escape(machine['image'])}</imageId>"
        "<instanceState><code>16</code><name>running</name></instanceState>"
        f"<ipAddress>{machine['address']}</ipAddress><instanceType>m1.small</instanceType>"
        f"<launchTime>{machine['born']}</launchTime>"
        f"<clientToken>{machine.get('token', '')}</clientToken></item>"
    )


def _images(site: Site, _query: dict[str, str]) -> str:
    rows = "".join(
        f"<item><imageId>{escape(i['name'])}</imageId><imageState>available</imageState></item>"
        for i in site.all("images")
    )
    return f"<imagesSet>{rows}</imagesSet>"


def _terminate(site: Site, query: dict[str, str]) -> str:
    site.drop("machines", query["InstanceId.1"])
    return (
        f"<instancesSet><item><instanceId>{query['InstanceId.1']}</instanceId>"
        "<currentState><code>48</code><name>terminated</name></currentState></item></instancesSet>"
    )


def _keys(site: Site, _query: dict[str, str]) -> str:
    rows = "".join(
        f"<item><keyName>{k['name']}</keyName><keyFingerprint>f</keyFingerprint></item>"
        for k in site.all("keys")
    )
    return f"<keySet>{rows}</keySet>"


def _import(site: Site, query: dict[str, str]) -> str:
    site.put("keys", query["KeyName"])
    return f"<keyName>{query['KeyName']}</keyName><keyFingerprint>f</keyFingerprint>"


def _delete_key(site: Site, query: dict[str, str]) -> str:
    site.drop("keys", query["KeyName"])
    return "<return>true</return>"
