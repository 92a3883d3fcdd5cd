#!/bin/sh
# Answers each message once, as echo_bot.py does, with bytctl and jq.
#
#     bot.sh [NAME]
#
# The daemon keeps the place in the log of events under NAME; a `client_id` made from the id of the
# message makes an answer that is sent twice one answer.
set -eu
name=${1:-shell-bot}

# Calls a method until there is an answer, however long the daemon is away. Errors that do not
# pass are told and left to the caller.
call() {
    until { told=$(bytctl --json rpc "$@" 2>&1); }; do
        case $(printf '%s' "$told" | jq -r '.error.kind' 2>/dev/null) in
            daemon.unreachable | shutting_down | busy | quota | store.*) sleep 0.2 ;;
            *)
                printf '%s\n' "$told" >&2
                return 1
                ;;
        esac
    done
    printf '%s\n' "$told"
}

# The first start begins at the end of the log.
positions=$(call cursor.list)
if ! printf '%s' "$positions" | jq -e --arg name "$name" \
    '.cursors | any(.name == $name)' >/dev/null; then
    call cursor.set name="$name" seq:="$(printf '%s' "$positions" | jq .head)" >/dev/null
fi

while page=$(call event.list cursor="$name" types:='["message.received"]' wait_ms:=30000); do
    epoch=$(printf '%s' "$page" | jq -r .epoch)
    # One event a line; an answer to an answer would go on for ever.
    printf '%s' "$page" | jq -c '.events[] | select(.data.text | startswith("echo: ") | not)' |
        while IFS= read -r event; do
            field() { printf '%s' "$event" | jq -c "$1"; }
            # What is blocked or too long stays without an answer.
            call message.send account:="$(field .account)" to:="$(field .data.from)" \
                text:="$(field '"echo: " + .data.text')" \
                client_id:="$(field "\"$name:\" + .data.id")" </dev/null >/dev/null || true
            call cursor.set name="$name" epoch="$epoch" seq:="$(field .seq)" >/dev/null </dev/null
        done
    call cursor.set name="$name" epoch="$epoch" seq:="$(printf '%s' "$page" | jq .next)" >/dev/null
done
