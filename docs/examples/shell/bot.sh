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
# pass are told and left to the caller; whatever is no answer of the daemon ends the bot.
call() {
    until { told=$(bytctl --json rpc "$@" 2>&1); }; do
        case $(printf '%s' "$told" | jq -r '.error.kind' 2>/dev/null) in
            daemon.unreachable | shutting_down | busy | quota | store.*) sleep 0.2 ;;
            ?*.* | conflict | not_found | not_permitted)
                printf '%s\n' "$told" >&2
                return 1
                ;;
            *)
                printf '%s\n' "$told" >&2
                exit 1
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

# Each event that asks for an answer in one line of JSON values, which have no tabs of their own.
# An answer to an answer would go on for ever.
lines() {
    jq -r --arg name "$name" '.events[] | select(.data.text | startswith("echo: ") | not)
        | [.seq, .account, .data.from, "echo: " + .data.text, $name + ":" + .data.id]
        | map(tojson) | join("\t")'
}

tab=$(printf '\t')
while page=$(call event.list cursor="$name" types:='["message.received"]' wait_ms:=30000); do
    epoch=$(printf '%s' "$page" | jq -r .epoch)
    next=$(printf '%s' "$page" | jq .next)
    answers=$(printf '%s' "$page" | lines)
    printf '%s' "${answers:+$answers
}" | while IFS=$tab read -r seq account from text id; do
        # What is blocked or too long stays without an answer.
        call message.send account:="$account" to:="$from" text:="$text" client_id:="$id" \
            </dev/null >/dev/null || true
        call cursor.set name="$name" epoch="$epoch" seq:="$seq" </dev/null >/dev/null
    done
    call cursor.set name="$name" epoch="$epoch" seq:="$next" >/dev/null
done
