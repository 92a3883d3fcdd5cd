#!/usr/bin/env python3
"""Prints each event of the daemon's log as one line of JSON, live, over restarts of the daemon.

    follow.py [SINCE]

SINCE is the number of the last event that you have; 0 prints the whole log, and without it the
first line is the next event. No event is missing and none comes twice.
"""

from __future__ import annotations

import json
import sys
import time

from bytchat.connection import PAUSE_SECONDS, PASSING, Away, Connection, RpcError

# The daemon says every 30 seconds that it is there: three times nothing is a dead connection.
SILENCE_SECONDS = 90.0


def follow(connection: Connection, place: dict[str, object]) -> None:
    """Follows from a place on, which it moves, until the connection ends."""
    begun = connection.call("event.subscribe", place)
    if place.get("epoch", begun["epoch"]) != begun["epoch"]:
        # The old number means nothing in this log: the two change together.
        place["since"] = begun["first"]
    place["epoch"] = begun["epoch"]
    place.setdefault("since", begun["head"])
    while True:
        told = connection.told(SILENCE_SECONDS)
        if "seq" in told:
            print(json.dumps(told), flush=True)
            place["since"] = told["seq"]
        elif told["type"] == "stream.failed":
            print(f"the log cannot be read: {told['data']['message']}", file=sys.stderr)
            return
        elif told["type"] == "stream.gap":
            # With the reason `epoch` it is another log, which is told from its beginning.
            print(f"not everything is to be had: {told['data']}", file=sys.stderr)
            place["since"] = told["data"]["to"]


def main() -> None:
    """Follows for ever."""
    place: dict[str, object] = {"since": int(sys.argv[1])} if len(sys.argv) > 1 else {}
    connection = Connection()
    while True:
        try:
            follow(connection, place)
        except Away as away:
            print(away, file=sys.stderr)
        except RpcError as error:
            if error.kind not in PASSING:
                sys.exit(str(error))
        connection.close()
        time.sleep(PAUSE_SECONDS)


if __name__ == "__main__":
    try:
        main()
    except (KeyboardInterrupt, BrokenPipeError):
        sys.exit(1)
