#!/bin/bash
# The nightly job without systemd, for one configuration or several:
#
#   nightly-backup.sh [CONFIG]...    [the configuration that hookshot reads anyway: HOOKSHOT_CONFIG or /etc/hookshot/config.toml]
#
# Several configurations are several services, one after the other; one that fails does not stop the others. For one
# service, cron can call `hookshot backup` itself.
#
# Prints warnings and failures only. Ends with the first exit code that is not 0: 3 means that the archive is there and
# that the log names what was left undone, 17 that a destination does not hold it.
set -euo pipefail

result=0

nightly() {
    local code=0
    # A table of destinations goes to standard output; failures go to standard error.
    hookshot --quiet --progress never "$@" backup --tag why=nightly >/dev/null || code=$?
    if [ "$result" = 0 ]; then
        result=$code
    fi
}

if [ $# = 0 ]; then
    nightly
fi
for config in "$@"; do
    nightly --config "$config"
done
exit "$result"
