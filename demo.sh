#!/usr/bin/env bash
# The quickstart as a person would type it, on an embedded stack of its own, each command with its output.
# Ends with 1 when anything that the quickstart promises doesn't come out. Run by `make demo`.
set -uo pipefail

root=$(cd "$(dirname "$0")" && pwd)
place=$(mktemp -d "${TMPDIR:-/tmp}/streamboss-demo.XXXXXX")
mkdir -m 700 "$place/.streamboss" # so that no stack of a folder above is taken for ours
ln -s "$root/tools" "$place/tools"
cd "$place" || exit 1
PATH="$root/.venv/bin:$PATH"
# only what a person has who has just cloned it
for name in $(compgen -e | grep -E '^(STREAMBOSS_|AWS_|PYTHONUNBUFFERED$)'); do unset "$name"; done

bold='' dim='' red='' green='' plain=''
if [ -t 1 ]; then bold=$'\e[1m' dim=$'\e[2m' red=$'\e[31m' green=$'\e[32m' plain=$'\e[0m'; fi

consumers=()
finish() {
    local status=$?
    trap - EXIT INT TERM
    [ ${#consumers[@]} = 0 ] || kill "${consumers[@]}" 2>/dev/null
    streamboss down >/dev/null 2>&1
    cd / && rm -rf "$place"
    exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

fail() {
    printf '%s\n' "${red}demo failed: $*${plain}" >&2
    for log in .streamboss/logs/*.log; do
        [ -s "$log" ] && printf '%s\n' "--- the end of $log" >&2 && tail -n 5 "$log" >&2
    done
    exit 1
}
say() { printf '\n%s\n' "${dim}# $*${plain}"; }
show() { printf '%s\n' "${bold}\$ $*${plain}"; }
run() {
    show "$1"
    eval "$1" || fail "'$1' ended with $?"
}
# consume STREAM FILE COMMAND: in the background, on the terminal and in FILE
consume() {
    show "$3 &"
    $3 > >(tee "$2") &
    consumers+=($!)
    wait_for "the operation behind $1 is running" operation_runs "$1"
}
operation_runs() { streamboss operations --json | grep "\"output_stream\": *\"$1\"" | grep -q "\"state\": *\"running\""; }
# expect FILE TEXT: a line of its own, within half a minute
expect() { wait_for "'$2' comes out" grep -qxF "$2" "$1"; }
came_twice() { [ "$(grep -cxF "$2" "$1")" = 2 ]; }
wait_for() {
    local what=$1 end=$((SECONDS + 30))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$end" ] || fail "not so within 30 s: $what"
        sleep 0.1
    done
}

say "a broker, an S3 server, a manager and an agent, on free ports of 127.0.0.1"
run "streamboss up"
run ". .streamboss/env"

say "which program: its stdin is a message, its stdout the answer"
cat >definition.json <<'END'
{"definition": {"name": "My Operation", "application": "my-operation", "exec": "tr [a-z] [A-Z]"}}
END
run "cat definition.json"
run 'curl -sS -u "$STREAMBOSS_USER:$STREAMBOSS_PASSWORD" -H "Content-Type: application/json" -X POST --data @definition.json $STREAMBOSS_MANAGER_URL/api/process_definition/'
echo

say "a stream, and an operation that turns it into another"
run "tools/create_stream.py mystream"
run "tools/create_operation.py my-operation 1 mystream outputstream"

say "somebody consumes: now the operation is at work"
consume outputstream out.txt "tools/consume.py outputstream"

say "published to the output: unchanged"
run 'echo "Some value" | tools/publish.py outputstream'
expect out.txt "Some value"

say "published to the input: through the program"
run 'echo "Some other text" | tools/publish.py mystream'
expect out.txt "SOME OTHER TEXT"

say "a program that keeps running: each line is a message"
cat >waffle.py <<'END'
import fileinput

for line in fileinput.input():
    print(line.replace("pancake", "waffle"), end="")
END
run "cat waffle.py"
cat >waffle.json <<END
{"definition": {"name": "Waffle", "application": "waffle", "process_type": "service",
  "exec": "python3 $place/waffle.py"}}
END
run "cat waffle.json"
run "streamboss register waffle.json"
run "tools/create_operation.py breakfast 2 kitchen table"
consume table table.txt "tools/consume.py table"
run 'echo "one pancake, please" | tools/publish.py kitchen'
expect table.txt "one waffle, please"

say "a file too large for a message: it goes to S3, and the program gets its content"
cat >checksum.json <<'END'
{"definition": {"name": "Checksum", "application": "checksum", "exec": "sha256sum"}}
END
run "streamboss register checksum.json"
run "tools/create_operation.py checksum 3 files checksums"
consume checksums checksums.txt "tools/consume.py checksums"
run "head -c 64M /dev/urandom > myhugefile.dat"
run "tools/stream_file.py files tmpdata myhugefile.dat"
run "sha256sum < myhugefile.dat"
expect checksums.txt "$(sha256sum <myhugefile.dat)"

say "kept in S3 from now on, and played again: the program gets it a second time"
run "tools/archive_stream.py mystream"
run 'echo "Once more" | tools/publish.py mystream'
expect out.txt "ONCE MORE"
run "tools/stop_archiving_stream.py mystream"
run "tools/stream_archive.py mystream"
wait_for "'ONCE MORE' comes out again" came_twice out.txt "ONCE MORE"

say "what runs where"
run "streamboss status"

[ "$(cat out.txt)" = $'Some value\nSOME OTHER TEXT\nONCE MORE\nONCE MORE' ] || fail "more came out than was put in: $(cat out.txt)"
kill "${consumers[@]}" && consumers=()
say "and all of it ended"
run "streamboss down"
printf '\n%s\n' "${green}The quickstart works on this machine. 'make up' brings up a stack to keep.${plain}"
