#!/usr/bin/env bash
# Brings docker-compose.yml up for real, uses what runs, and takes it down again.
#
#   sudo tests/compose.sh      on Debian, with Rust; 8 minutes on two cores, about 5 GB in $TMPDIR
#
# No part of ./test: it builds the release inside a container. It needs neither a Docker
# that runs nor a registry: it starts a dockerd of its own and makes stand-ins for the base
# images out of Debian packages and this machine's Rust, under the names that the Dockerfile
# and the compose file have. All of it runs in namespaces of its own (network, mounts,
# processes), so it meets no port, rule or container of this machine's, and the kernel
# leaves nothing of it running, however it ends.
set -euo pipefail
exec </dev/null
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# --- outside: what needs the network

outside() {
  [ "$(id -u)" = 0 ] || fail "run it as root: a dockerd needs that"
  install_debian_packages
  work=$(mktemp -d "${TMPDIR:-/tmp}/tessera-compose.XXXXXX")
  trap 'rm -rf --one-file-system "$work"' EXIT
  copy_of_the_project
  tree_of_the_base_images
  local status=0
  unshare --net --mount --pid --fork --kill-child --mount-proc \
    "${BASH_SOURCE[0]}" --inside "$work" || status=$?
  remove_control_groups
  return "$status"
}

install_debian_packages() {
  local missing=()
  type -P dockerd >/dev/null || missing+=(docker.io)
  type -P docker-compose >/dev/null || missing+=(docker-compose)
  type -P iptables >/dev/null || missing+=(iptables)
  type -P debootstrap >/dev/null || missing+=(debootstrap)
  type -P ip >/dev/null || missing+=(iproute2)
  type -P openssl >/dev/null || missing+=(openssl)
  type -P curl >/dev/null || missing+=(curl)
  [ ${#missing[@]} -gt 0 ] || return 0
  say "installing ${missing[*]}"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
}

# A copy, so that its secrets are new and the user's are left alone.
copy_of_the_project() {
  mkdir "$work/project"
  tar -C "$root" --exclude=./target --exclude=./.git --exclude=./.tools --exclude=node_modules \
    --exclude=./tessera-data --exclude=./deploy/compose/secrets -cf - . | tar -C "$work/project" -xf -
}

# One tree for both base images: a minimal Debian with a C compiler, Redis, this machine's
# Rust and the crates of Cargo.lock.
tree_of_the_base_images() {
  say "making the base images' tree"
  local tree=$work/tree log=$work/debootstrap.log
  debootstrap --variant=minbase --include=gcc,libc6-dev,redis-server,redis-tools \
    bookworm "$tree" >"$log" 2>&1 || { tail "$log"; fail "debootstrap failed"; }
  rm -rf "$tree"/var/cache/apt/archives/*.deb
  install -d -o 999 -g 999 "$tree/data"

  cargo fetch --locked --quiet --manifest-path "$root/Cargo.toml"
  local sysroot registry=${CARGO_HOME:-$HOME/.cargo}/registry
  sysroot=$(rustc --print sysroot)
  mkdir -p "$tree/usr/local/cargo/registry"
  cp -a "$sysroot/bin/cargo" "$sysroot/bin/rustc" "$tree/usr/local/bin/"
  cp -a "$sysroot/lib/." "$tree/usr/local/lib/"
  cp -a "$registry/index" "$registry/cache" "$tree/usr/local/cargo/registry/"
}

# dockerd leaves the empty folder above its containers' control groups.
remove_control_groups() {
  find /sys/fs/cgroup -depth -type d -path "*/${work##*/}*" -exec rmdir {} + 2>/dev/null || true
}

# --- inside: no network but this one's own

inside() {
  work=$1
  export DOCKER_HOST=unix://$work/docker.sock HOME=$work
  # The classic builder, for which the Dockerfile must do; it needs no plug-in.
  export DOCKER_BUILDKIT=0 COMPOSE_DOCKER_CLI_BUILD=0 COMPOSE_PROJECT_NAME=tessera
  # Of the caller's, they would be settings of the CLI below.
  unset "${!TESSERA_@}"
  cd "$work/project"
  trap 'stop_everything $?' EXIT

  ip link set lo up
  start_dockerd
  import_base_images
  deploy/compose/make-secrets.sh
  say "building and starting"
  docker-compose up -d --build
  for service in redis issuer verifier-1 verifier-2; do healthy "$service"; done
  docker cp "$(docker-compose ps -q issuer)":/usr/local/bin/tessera "$work/tessera"

  say "checking"
  only_loopback_is_published
  containers_are_locked_down
  a_token_works_at_both_verifiers
  redis_killed_loses_nothing
  the_verifier_can_only_read
  servers_end_with_0_when_stopped
  say "all passed"
}

start_dockerd() {
  say "starting dockerd"
  dockerd --data-root "$work/docker" --exec-root "$work/exec" --pidfile "$work/dockerd.pid" \
    --cgroup-parent "${work##*/}" -H "$DOCKER_HOST" >"$work/dockerd.log" 2>&1 &
  dockerd=$!
  within 60 "dockerd to answer" docker info
}

import_base_images() {
  tar -C "$work/tree" -cf - . | docker import -c 'ENV CARGO_HOME=/usr/local/cargo' \
    -c 'ENV CARGO_NET_OFFLINE=true' - rust:1.95-bookworm >/dev/null
  tar -C "$work/tree" --exclude=./usr/local/lib --exclude=./usr/local/cargo -cf - . |
    docker import -c 'WORKDIR /data' -c 'VOLUME /data' - redis:7-bookworm >/dev/null
}

stop_everything() {
  trap - EXIT
  if [ "$1" != 0 ]; then
    docker-compose ps || true
    docker-compose logs --no-color --tail=40 || tail -n 40 "$work/dockerd.log"
  fi
  if [ -n "${dockerd:-}" ]; then
    docker-compose down --volumes --timeout 5 || true
    kill "$dockerd" && wait "$dockerd" || true
  fi
  exit "$1"
}

# --- the checks

only_loopback_is_published() {
  local published
  published=$(docker ps --format '{{.Names}} {{.Ports}}')
  if grep -q -e '0\.0\.0\.0:' -e ':::' <<<"$published"; then fail "published to all: $published"; fi
  local port
  for port in 50051 8080 50052 50053; do
    grep -q "127\.0\.0\.1:$port->" <<<"$published" || fail "$port is not published: $published"
  done
  curl -fsS http://127.0.0.1:8080/.well-known/jwks.json | grep -q '"kid"' || fail "no keys at 8080"
  passed "four ports on loopback; the keys are at 8080"
}

containers_are_locked_down() {
  local service id
  for service in issuer verifier-1 verifier-2; do
    id=$(docker-compose ps -q "$service")
    [ "$(grep -c . <<<"$(docker export "$id" | tar -tf - | grep '^usr/local/bin/.')")" = 3 ] ||
      fail "$service: there should be three programs"
    if docker exec "$id" sh -c true >/dev/null 2>&1; then fail "$service has a shell"; fi
    grep -q '^Uid:\s65532\s65532' "/proc/$(pid_of "$service")/status" || fail "$service: its user"
    grep -q '^CapBnd:\s0*$' "/proc/$(pid_of "$service")/status" || fail "$service has capabilities"
  done
  passed "no shell, user 65532, no capability"
}

a_token_works_at_both_verifiers() {
  TESSERA_PASSWORD_FILE=deploy/compose/secrets/admin_password tessera login --username admin
  tessera token create compose --role Engineers --never >"$work/token"
  both_verifiers_answer 0
  rev "$work/token" | both_verifiers_answer 1 /dev/stdin
  passed "logged in; a token is good at both verifiers, and its letters in another order are not"
}

redis_killed_loses_nothing() {
  kill_redis
  both_verifiers_answer 0
  tessera token revoke "$(cut -d _ -f 2 "$work/token")"
  kill_redis
  both_verifiers_answer 1
  docker-compose restart redis
  both_verifiers_answer 1
  passed "the token, and then its revocation, survived kill -9 of Redis"
}

the_verifier_can_only_read() {
  refused verifier get tessera:sk:x
  refused verifier get tessera:pw:1
  refused verifier set tessera:t:1 x
  refused verifier eval 'return 1' 0
  refused issuer flushall
  refused health get tessera:roles
  docker-compose exec -T redis redis-cli ping | grep -q NOAUTH || fail "Redis answers anyone"
  passed "Redis refuses the verifier what it need not do"
}

servers_end_with_0_when_stopped() {
  docker-compose stop issuer verifier-1 verifier-2
  local service code
  for service in issuer verifier-1 verifier-2; do
    code=$(docker inspect -f '{{.State.ExitCode}}' "$(docker-compose ps -a -q "$service")")
    [ "$code" = 0 ] || fail "$service ended with $code"
  done
  passed "SIGTERM ends each with 0"
}

# --- what the checks stand on

tessera() { "$work/tessera" "$@"; }

# Both verifiers give the exit code $1 (0 good, 1 denied) about the token in the file $2.
# Only 24, UNAVAILABLE, is asked again: their connection to a Redis that came back may be
# a moment behind.
both_verifiers_answer() {
  local port token
  token=$(cat "${2:-$work/token}")
  for port in 50052 50053; do
    within 20 "a verdict at $port" reaches_a_verdict "$port" "$token"
    [ "$verdict" = "$1" ] || fail "the verifier at $port gives $verdict and not $1: $(cat "$work/last")"
  done
}

reaches_a_verdict() {
  verdict=0
  tessera --verifier "http://127.0.0.1:$1" verify --audience cdn <<<"$2" || verdict=$?
  [ "$verdict" != 24 ]
}

# From outside of the container, so that to Docker it is a crash and it starts Redis again.
kill_redis() {
  local before
  before=$(pid_of redis)
  kill -KILL "$before"
  within 30 "Redis to be started again" another_redis_than "$before"
  healthy redis
}

another_redis_than() {
  local now
  now=$(pid_of redis)
  [ "$now" != 0 ] && [ "$now" != "$1" ]
}

refused() {
  local user=$1 password=none
  shift
  [ "$user" = health ] || password=$(cat "deploy/compose/secrets/${user}_store_password")
  docker exec -e "REDISCLI_AUTH=$password" "$(docker-compose ps -q redis)" \
    redis-cli --user "$user" "$@" 2>&1 | grep -q NOPERM || fail "Redis lets $user do $1"
}

pid_of() { docker inspect -f '{{.State.Pid}}' "$(docker-compose ps -q "$1")"; }

healthy() { within 90 "$1 to be healthy" is_healthy "$1"; }

is_healthy() {
  docker inspect -f '{{.State.Health.Status}}' "$(docker-compose ps -q "$1")" | grep -qx healthy
}

# Asks again and again, for $1 seconds at most, until the command after $2 succeeds.
within() {
  local deadline=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >"$work/last" 2>&1; do
    if [ "$SECONDS" -ge "$deadline" ]; then
      cat "$work/last" >&2
      fail "waited too long for $what"
    fi
    sleep 0.2
  done
}

say() { printf -- '== %s\n' "$*"; }
passed() { printf 'ok: %s\n' "$*"; }
fail() {
  printf 'failed: %s\n' "$*" >&2
  exit 1
}

if [ "${1:-}" = --inside ]; then inside "$2"; else outside; fi
