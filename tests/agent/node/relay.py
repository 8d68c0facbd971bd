"""A relay before the broker whose connections can be made half-open."""

import socket
import threading
from typing import Self
from urllib.parse import urlsplit


class Relay:
    """Passes bytes both ways; for `with`."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._target = (parts.hostname or "", parts.port or 0)
        self._listener = socket.create_server(("127.0.0.1", 0))
        port = self._listener.getsockname()[1]
        self.url = url.replace(f"@{parts.hostname}:{parts.port}", f"@127.0.0.1:{port}")
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._held: set[socket.socket] = set()
        self._closing = False

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing = True
        self._listener.close()
        for pair in self._pairs:
            for end in pair:
                end.close()

    def break_half(self) -> None:
        """Close the clients' side of all connections; the broker's side stays open and silent."""
        pairs = list(self._pairs)
        self._held |= {theirs for _, theirs in pairs}
        for ours, _ in pairs:
            ours.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while not self._closing:
            try:
                ours, _ = self._listener.accept()
            except OSError:
                return
            theirs = socket.create_connection(self._target)
            self._pairs.append((ours, theirs))
            for source, sink in ((ours, theirs), (theirs, ours)):
                threading.Thread(target=self._pass, args=(source, sink), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            if sink not in self._held:
                sink.shutdown(socket.SHUT_RDWR)
        except OSError:
            return
