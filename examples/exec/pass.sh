#!/usr/bin/env bash
# pass for Secretless. Ids are an entry, for its first line, or entry#field for
# the rest of its line "field: …".
set -euo pipefail

# answer ID turns a value on standard input into one entry of the answer.
answer() { base64 | tr -d '\n' | jq -Rsc --arg id "$1" '{($id): {base64: .}}'; }

# line FIELD prints what follows "FIELD: " in the text on standard input, all of
# which it reads.
line() {
  local text found=
  while IFS= read -r text; do
    case $text in "$1: "*) [ -n "$found" ] || printf %s "${text#"$1: "}"; found=1 ;; esac
  done
  [ -n "$found" ] || { echo "the entry has no line $1:" >&2; return 1; }
}

jq -r '.ids[]' | while IFS= read -r id; do
  entry=$(pass show -- "${id%%#*}" </dev/null)
  case $id in
    *'#'*) value=$(printf '%s\n' "$entry" | line "${id#*#}") ;;
    *) value=${entry%%$'\n'*} ;;
  esac
  printf %s "$value" | answer "$id"
done | jq -cs add
