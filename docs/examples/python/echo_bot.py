#!/usr/bin/env python3
"""Answers each message once, whatever is killed meanwhile: this program or the daemon.

    echo_bot.py [NAME]

Two things do it. Its place in the log of events is kept by the daemon under NAME and moves on
when a message has been answered: so none is missed. And each answer has a `client_id` made from
the id of the message: an answer that is sent again, because nobody knows whether the first try
was heard, is the same answer. Messages are answered that come after the first start.
"""

from __future__ import annotations

import sys
import time
from typing import Any

from bytchat.connection import Connection, RpcError

WAIT_MS = 30_000
# Without room the same answer is tried again, after a while.
FULL = frozenset({"quota", "store.full", "store.failed"})
FULL_SECONDS = 5.0
ANSWER = "echo: "


def place(connection: Connection, name: str) -> int:
    """The number of the last event that is done with; at the first start the last there is."""
    positions = connection.call_again("cursor.list")
    for position in positions["cursors"]:
        if position["name"] == name:
            return int(position["seq"])
    moved = {"name": name, "seq": positions["head"], "epoch": positions["epoch"]}
    connection.call_again("cursor.set", moved)
    return int(positions["head"])


def answer(connection: Connection, name: str, event: dict[str, Any]) -> None:
    """Answers one message, in the name of the account that got it."""
    message = event["data"]
    # Two bots of this kind would talk to each other for ever.
    if message["text"].startswith(ANSWER):
        return
    params = {
        "account": event["account"],
        "to": message["from"],
        "text": ANSWER + message["text"],
        "client_id": f"{name}:{message['id']}",
    }
    while True:
        try:
            connection.call_again("message.send", params)
            return
        except RpcError as error:
            if error.kind not in FULL:
                # Blocked, too long, a changed key: to try again would not help.
                print(f"{message['id']} is not answered: {error}", file=sys.stderr)
                return
            print(error, file=sys.stderr)
        time.sleep(FULL_SECONDS)


def work(connection: Connection, name: str) -> None:
    """Answers what comes, until the log is another one."""
    at = place(connection, name)
    question = {"cursor": name, "types": ["message.received"], "wait_ms": WAIT_MS}
    while True:
        page = connection.call_again("event.list", question)
        if "gap" in page:
            print(f"not everything is to be had: {page['gap']}", file=sys.stderr)
        done = [event["seq"] for event in page["events"]]
        for seq, event in zip(done, page["events"], strict=True):
            answer(connection, name, event)
            moved = {"name": name, "seq": seq, "epoch": page["epoch"]}
            connection.call_again("cursor.set", moved)
        # Also over events of other types, so that the place does not fall behind.
        if page["next"] != (done[-1] if done else at):
            moved = {"name": name, "seq": page["next"], "epoch": page["epoch"]}
            connection.call_again("cursor.set", moved)
        at = page["next"]


def main() -> None:
    """Answers for ever."""
    name = sys.argv[1] if len(sys.argv) > 1 else "echo-bot"
    connection = Connection()
    while True:
        try:
            work(connection, name)
        except RpcError as error:
            # The store is another one, or somebody removed the place: there is a new one.
            if error.kind not in ("event.other_epoch", "not_found"):
                sys.exit(str(error))
            print(error, file=sys.stderr)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(1)
