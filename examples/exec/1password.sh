#!/usr/bin/env bash
# 1Password for Secretless. Ids are secret references: op://vault/item/field.
set -euo pipefail

# answer ID turns a value on standard input into one entry of the answer.
answer() { base64 | tr -d '\n' | jq -Rsc --arg id "$1" '{($id): {base64: .}}'; }

jq -r '.ids[]' | while IFS= read -r id; do
  case $id in
    op://*) op read --no-newline "$id" </dev/null | answer "$id" ;;
    *) echo "$id is no secret reference: write op://vault/item/field" >&2 && exit 2 ;;
  esac
done | jq -cs add
