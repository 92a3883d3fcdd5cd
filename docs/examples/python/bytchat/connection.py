"""A connection to bytchatd: JSON-RPC 2.0 over its Unix socket, one object a line.

It needs nothing but the standard library of Python 3.11.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

# The daemon of the whole machine; a user's own daemon is looked for first.
SYSTEM_SOCKET = "/run/bytchat/bytchatd.sock"
# A daemon that does not answer for so long is stuck: the slowest call makes a key.
ANSWER_SECONDS = 120.0
# Between two tries to reach a daemon that is away.
PAUSE_SECONDS = 0.2
# Errors that pass by themselves: the same call, made again later, may go well.
PASSING = frozenset({"busy", "shutting_down"})


class Away(Exception):
    """The daemon cannot be reached, or was lost before it answered."""


class RpcError(Exception):
    """The daemon's answer is an error. `kind` is its stable name, `hint` says what to do."""

    kinds: ClassVar[dict[str, type[RpcError]]] = {}

    def __init__(self, code: int, kind: str, message: str, hint: str) -> None:
        super().__init__(f"{message} ({kind}); {hint}" if hint else f"{message} ({kind})")
        self.code = code
        self.kind = kind
        self.message = message
        self.hint = hint

    @classmethod
    def of(cls, error: Mapping[str, Any]) -> RpcError:
        """The exception for an error object: of a class of its own if its kind has one."""
        data = error.get("data")
        data = data if isinstance(data, dict) else {}
        kind = str(data.get("kind", ""))
        made = cls.kinds.get(kind, RpcError)
        return made(int(error["code"]), kind, str(error["message"]), str(data.get("hint", "")))


def sockets() -> list[str]:
    """Where a daemon may listen, best first."""
    if named := os.environ.get("BYTCHAT_SOCKET"):
        return [named]
    own = os.environ.get("XDG_RUNTIME_DIR")
    return ([f"{own}/bytchat/bytchatd.sock"] if own else []) + [SYSTEM_SOCKET]


class Connection:
    """Connects when it has to, and anew after the daemon was lost.

    What was begun on a connection, a subscription for example, ends with it. Who wants it again gives
    `on_connect`, which is called with this object after each connect, before any other call.
    """

    def __init__(
        self,
        path: str | None = None,
        on_connect: Callable[[Connection], object] | None = None,
    ) -> None:
        self._paths = [path] if path else sockets()
        self._on_connect = on_connect
        self._socket: socket.socket | None = None
        self._rest = b""
        self._calls = 0
        self._told: deque[dict[str, Any]] = deque()

    def connect(self) -> None:
        """Connects if there is no connection."""
        if self._socket is not None:
            return
        tried = []
        for path in self._paths:
            stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                stream.connect(path)
            except OSError as error:
                stream.close()
                tried.append(f"{path}: {error.strerror or error}")
                continue
            self._socket, self._rest = stream, b""
            self._told.clear()
            if self._on_connect is not None:
                self._prepare(self._on_connect)
            return
        raise Away("no daemon answers: " + "; ".join(tried))

    def _prepare(self, on_connect: Callable[[Connection], object]) -> None:
        # A connection that is not prepared must not be used by anybody.
        try:
            on_connect(self)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Ends the connection."""
        if self._socket is not None:
            self._socket.close()
        self._socket = None

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def call(self, method: str, params: Mapping[str, object] | None = None) -> Any:
        """Calls a method once and gives its result; raises `RpcError` or `Away`.

        After `Away` nobody knows whether the call was heard. What changes something is
        repeated with the same `client_id`, and then happens once.
        """
        self.connect()
        self._calls += 1
        given = {name: value for name, value in (params or {}).items() if value is not None}
        request = {"jsonrpc": "2.0", "id": self._calls, "method": method, "params": given}
        wait = given.get("wait_ms", given.get("timeout_ms", 0))
        seconds = ANSWER_SECONDS + (wait / 1000 if isinstance(wait, int) else 0)
        self._send(json.dumps(request).encode() + b"\n")
        while True:
            answer = self._line(seconds)
            if "method" in answer:
                self._told.append(answer)
            elif answer.get("id") in (self._calls, None):
                break
        if "error" in answer:
            raise RpcError.of(answer["error"])
        return answer["result"]

    def call_again(self, method: str, params: Mapping[str, object] | None = None) -> Any:
        """Calls until there is an answer, however long the daemon is away."""
        while True:
            try:
                return self.call(method, params)
            except Away:
                self.close()
            except RpcError as error:
                if error.kind not in PASSING:
                    raise
                # A connection without a place, or to a daemon that stops, ends anyway.
                self.close()
            time.sleep(PAUSE_SECONDS)

    def told(self, seconds: float) -> dict[str, Any]:
        """The next thing that a subscription tells; raises `Away` after so long without any."""
        while not self._told:
            line = self._line(seconds)
            if "method" in line:
                self._told.append(line)
        result: dict[str, Any] = self._told.popleft()["params"]["result"]
        return result

    def _send(self, data: bytes) -> None:
        if self._socket is None:
            raise Away("there is no connection")
        self._socket.settimeout(ANSWER_SECONDS)
        try:
            self._socket.sendall(data)
        except OSError:
            # A daemon without a place says so and closes: that answer may wait to be read.
            pass

    def _line(self, seconds: float) -> dict[str, Any]:
        if self._socket is None:
            raise Away("there is no connection")
        parts = [self._rest]
        try:
            self._socket.settimeout(seconds)
            while b"\n" not in parts[-1]:
                part = self._socket.recv(65536)
                if not part:
                    raise Away("the daemon closed the connection")
                parts.append(part)
        except OSError as error:
            self.close()
            raise Away(f"the daemon was lost: {error}") from error
        except Away:
            self.close()
            raise
        line, self._rest = b"".join(parts).split(b"\n", 1)
        answer: dict[str, Any] = json.loads(line)
        return answer
