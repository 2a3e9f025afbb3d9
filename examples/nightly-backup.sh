#!/bin/bash
# The nightly job where the service may rest for a moment: stop, export, start, then copy the archive elsewhere.
#
#   SERVICE    the unit that holds the database; empty for none        [hookshot.service]
#   FOLDER     where archives are kept                                 [/var/backups/hookshot]
#   REMOTE     user@host:/folder, where a copy goes; empty for none    []
#   KEEP_DAYS  older archives in FOLDER go, once the new one is proven; empty keeps all []
#
# Ends with hookshot's exit code when the export fails; the service is started again in every case.
set -euo pipefail

service=${SERVICE-hookshot.service}
folder=${FOLDER:-/var/backups/hookshot}
remote=${REMOTE-}
keep_days=${KEEP_DAYS-}

start_again() {
    if [ -n "$service" ]; then
        systemctl start "$service"
    fi
}

if [ -n "$service" ]; then
    # The database is held as long as the service runs, and hookshot copies none that is held.
    trap start_again EXIT
    systemctl stop "$service"
fi

report=$(hookshot --quiet --json export "${folder%/}/" --tag why=nightly) || {
    code=$?
    jq --raw-output '.error | .message, (.hint // empty)' <<<"$report" >&2
    exit "$code"
}
archive=$(jq --raw-output .archive <<<"$report")
digest=$(jq --raw-output .sha256 <<<"$report")

trap - EXIT
start_again

if [ -n "$remote" ]; then
    host=${remote%%:*}
    path=${remote#*:}
    scp -q -p "$archive" "$remote/"
    # The copy is proven where it arrived.
    # shellcheck disable=SC2029 # both names are meant to be expanded here
    ssh "$host" "cd '$path' && echo '$digest  ${archive##*/}' | sha256sum --check --quiet"
fi

if [ -n "$keep_days" ]; then
    find "$folder" -maxdepth 1 -type f -name '*.tar.gz' -mtime "+$keep_days" ! -path "$archive" -print -delete
fi
