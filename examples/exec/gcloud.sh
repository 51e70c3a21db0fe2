#!/usr/bin/env bash
# Google Secret Manager for Secretless. Ids are a secret, for its latest version,
# or secret#version. The project is that of gcloud's configuration.
set -euo pipefail

jq -r '.ids[]' | while IFS= read -r id; do
  version=latest
  case $id in *'#'*) version=${id#*#} ;; esac
  # The payload is base64url; printed as text it would not be exact.
  gcloud secrets versions access "$version" --secret="${id%%#*}" \
    --format='get(payload.data)' --quiet </dev/null | tr -d '\n' | tr '_-' '/+' |
    jq -Rsc --arg id "$id" '{($id): {base64: .}}'
done | jq -cs add
