#!/bin/sh
# Makes the secrets that docker-compose.yml mounts, in deploy/compose/secrets/. What is
# there already stays as it is, so it is safe to run again. Needs openssl.
#
#   admin_password           of the first administrator, `admin`
#   key_encryption_key       seals the signing keys in Redis; lose it, and they are lost
#   issuer_store_password    of the Redis user `issuer`
#   verifier_store_password  of the Redis user `verifier`, which can only read
#   redis_users              Redis's users, from ../redis/users.acl: hashes of those two
set -eu
cd "$(dirname "$0")"

# Only the owner gets through the folder. The files in it are readable by all, since
# a mounted file keeps its owner and mode, and in the container others must read it:
# 65532 (Tessera) and 999 (Redis).
umask 077
mkdir -p secrets

# Written beside and moved into place: an interrupted run leaves no half of a secret.
keep() {
  cat >"secrets/.$1.new"
  chmod 0444 "secrets/.$1.new"
  mv -f "secrets/.$1.new" "secrets/$1"
}

for name in admin_password key_encryption_key issuer_store_password verifier_store_password; do
  [ -s "secrets/$name" ] || openssl rand -hex 32 | keep "$name"
done

sha256_of() {
  tr -d '\n' <"secrets/$1" | openssl dgst -sha256 -r | cut -d ' ' -f 1
}

# The users that are left out are for replicated installations.
sed -e '/SENTINEL_SHA256/d' -e '/REPLICA_SHA256/d' \
  -e "s/ISSUER_SHA256/$(sha256_of issuer_store_password)/" \
  -e "s/VERIFIER_SHA256/$(sha256_of verifier_store_password)/" \
  ../redis/users.acl | keep redis_users

echo "The secrets are in $PWD/secrets; log in as admin with the password in admin_password."
