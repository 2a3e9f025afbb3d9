#!/bin/bash
# The nightly job without systemd: export to every destination of `to` under [backup], then apply the retention policy.
#
#   nightly-backup.sh [CONFIG]...    [the configuration that hookshot reads anyway: HOOKSHOT_CONFIG or /etc/hookshot/config.toml]
#
# Several configurations are several services, one after the other; one that fails does not stop the others. The services
# go on meanwhile. Archives are removed only by the policy, so that marked ones (`hookshot keep`) stay, and only after an
# export that every destination has proven to hold.
#
# Prints warnings and failures only. Ends with the first exit code that is not 0: 3 means that the archive is there and
# that what it does not have is named, 17 that a destination does not hold it.
set -euo pipefail

result=0

remember() {
    if [ "$result" = 0 ]; then
        result=$1
    fi
}

nightly() {
    local code=0
    hookshot --quiet --progress never "$@" export --tag why=nightly || code=$?
    if [ "$code" = 0 ] || [ "$code" = 3 ]; then
        remember "$code"
        code=0
        # What stays and goes is a table on standard output; what fails is said on standard error.
        hookshot --quiet --progress never "$@" prune >/dev/null || code=$?
    fi
    remember "$code"
}

if [ $# = 0 ]; then
    nightly
fi
for config in "$@"; do
    nightly --config "$config"
done
exit "$result"
