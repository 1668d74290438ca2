#!/bin/sh
# Start a Redis that only knows the users of users.acl, holds everything in memory, and bounds that memory.
#
#     REDIS_PASSWORD=... start.sh [more options of redis-server]
#
# REDIS_PASSWORD        of the user `autobatch`; goes into REDIS_URL, so letters and digits are best: `openssl rand -hex 32`
# REDIS_PASSWORD_FILE   a file that holds it, instead
# NAMESPACE             as the workers' and batchers' (autobatch)
# REDIS_MAXMEMORY       beyond it pushes are refused and clients get 503; nothing is evicted (1gb)
#
# Needs one writable folder, TMPDIR (/tmp); it may be a tmpfs, and the rest read-only. Runs as any user.
set -eu
umask 077

if [ -n "${REDIS_PASSWORD_FILE:-}" ]; then REDIS_PASSWORD=$(cat "$REDIS_PASSWORD_FILE"); fi
if [ -z "${REDIS_PASSWORD:-}" ]; then
    echo "start.sh: REDIS_PASSWORD or REDIS_PASSWORD_FILE must hold a password" >&2
    exit 2
fi
NAMESPACE=${NAMESPACE:-autobatch}
case $NAMESPACE in *[!A-Za-z0-9_.-]*)
    echo "start.sh: NAMESPACE may hold letters, digits and _ . - only" >&2
    exit 2
    ;;
esac

folder=${TMPDIR:-/tmp}
digest=$(printf %s "$REDIS_PASSWORD" | sha256sum | cut -d ' ' -f 1)
sed -e '/^#/d' -e "s/NAMESPACE/$NAMESPACE/" -e "s/PASSWORD_SHA256/$digest/" "$(dirname "$0")/users.acl" |
    sed -e ':again' -e 'N' -e '$!b again' -e 's/\n  */ /g' >"$folder/users.acl"
unset REDIS_PASSWORD

exec redis-server --aclfile "$folder/users.acl" --dir "$folder" --save "" --appendonly no \
    --maxmemory "${REDIS_MAXMEMORY:-1gb}" --maxmemory-policy noeviction "$@"
