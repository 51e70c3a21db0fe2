#!/usr/bin/env bash
# Bitwarden Secrets Manager for Secretless. Ids are those of its secrets.
set -euo pipefail

# answer ID turns a value on standard input into one entry of the answer.
answer() { base64 | tr -d '\n' | jq -Rsc --arg id "$1" '{($id): {base64: .}}'; }

jq -r '.ids[]' | while IFS= read -r id; do
  bws secret get --output json -- "$id" </dev/null | jq -j .value | answer "$id"
done | jq -cs add
