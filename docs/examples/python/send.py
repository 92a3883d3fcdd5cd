#!/usr/bin/env python3
"""Sends a message and prints how far it comes, until a device of the recipient has it.

    send.py TO TEXT

It uses the typed client, of which `mypy --strict` knows every method, parameter and result.
"""

from __future__ import annotations

import sys
import uuid

from bytchat.client import AccountNone, AddressUnknown, Client
from bytchat.connection import Away, RpcError


def send(client: Client, to: str, text: str) -> str:
    """Sends; makes an account if there is none yet. Gives the id of the message."""
    client_id = str(uuid.uuid4())
    try:
        sent = client.message_send(to=to, text=text, client_id=client_id)
    except AccountNone:
        account = client.account_create(name="python")
        print(f"account {account['id']}", flush=True)
        sent = client.message_send(to=to, text=text, client_id=client_id)
    print(sent["state"], flush=True)
    return sent["id"]


def main(to: str, text: str) -> None:
    """Sends and follows."""
    with Client() as client:
        # The place before the message, so that nothing of it is missed.
        begin = client.event_list(limit=1)
        message = send(client, to, text)
        for told in client.events(since=begin["head"], epoch=begin["epoch"]):
            if told["type"] != "message.state" or told["data"]["id"] != message:
                continue
            print(told["data"]["state"], flush=True)
            if told["data"]["state"] in ("delivered", "read", "expired"):
                return


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: send.py TO TEXT")
    try:
        main(*sys.argv[1:])
    except AddressUnknown as error:
        sys.exit(f"nobody is called {sys.argv[1]}: {error.hint}")
    except (RpcError, Away) as error:
        sys.exit(str(error))
