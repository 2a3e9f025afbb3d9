#!/bin/bash
# Makes a restore point before a deployment: pre-deploy-backup.sh SERVICE
#
# The service may go on meanwhile. FOLDER may be set in the environment. Standard output is the archive's path and nothing else.
set -euo pipefail

service=${1:?usage: pre-deploy-backup.sh SERVICE}
folder=${FOLDER:-/var/backups/hookshot/pre-deploy}
archive=$folder/pre-deploy-$service-$(date --utc +%Y%m%d-%H%M%S).tar.gz

mkdir -p -m 700 "$folder"
hookshot --quiet export "$archive" --tag why=pre-deploy --tag "service=$service"
printf '%s\n' "$archive"
