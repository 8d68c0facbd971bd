"""Node-RED, as a peer: a flow that takes from a queue, runs `tr` for each message, and publishes.

The AMQP nodes are those of node-red-contrib-amqp-ack: node-red-contrib-amqp takes all messages at
once and acknowledges none (for the broker they are done when they are sent). `tr` is run by
Node-RED's own exec node, as often as there are messages. Its daemon node (node-red-node-daemon)
would run it once, as our services do; but it gives an output the fields of the latest input, so
that the wrong message would be acknowledged, or none.

What it lacks beside an operation: confirms (an input is acknowledged when its output was handed to
the client), order, ids, attempts and dead letters (the input of a program that fails is
acknowledged with what that wrote), and bytes: a message is text, an argument of a shell, of 128 KiB
at most. As many programs run at once as messages are taken: eight for each core, since its client's
acknowledgements go out late (it doesn't set TCP_NODELAY), and with two it mostly waited for them.
"""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bench.scenario import LeftOutError
from streams.settings import Settings

_SOURCE = Path(__file__).parent / "peers" / "node_red"
#: Node-RED's user directory, with what npm installs.
_ENVIRONMENT = Path(__file__).parent / "environment" / "node-red"
_INSTALL_S = 240
COMMAND = [
    shutil.which("node") or "node",
    str(_ENVIRONMENT / "node_modules" / "node-red" / "red.js"),
    "--userDir",
    str(_ENVIRONMENT),
]


def install() -> None:
    """Install what is missing, beside the other peers. Raises LeftOutError: npm can't."""
    shutil.copytree(_SOURCE, _ENVIRONMENT, dirs_exist_ok=True)
    done, wanted = _ENVIRONMENT / "installed", (_SOURCE / "package.json").read_text()
    if done.exists() and done.read_text() == wanted:
        return
    quietly = ["--omit=optional", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    npm = ["npm", "install", "--prefix", str(_ENVIRONMENT), *quietly]
    try:
        subprocess.run(npm, check=True, timeout=_INSTALL_S, cwd=_ENVIRONMENT)
    except (OSError, subprocess.SubprocessError) as error:
        raise LeftOutError("npm couldn't install it") from error
    done.write_text(wanted)


def variables(settings: Settings) -> Mapping[str, str]:
    """Return the flow's environment: where the broker is, and how many messages at once."""
    url = urlsplit(settings.need_amqp()[0])
    return {
        "PATH": "/usr/bin:/bin",
        "PEER_HOST": url.hostname or "",
        "PEER_PORT": str(url.port),
        "PEER_VHOST": url.path.removeprefix("/"),
        "PEER_USER": unquote(url.username or ""),
        "PEER_PASSWORD": unquote(url.password or ""),
        "PEER_PREFETCH": str(8 * (os.cpu_count() or 1)),
    }
