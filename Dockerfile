# One image with the three programs of Tessera, and nothing else: no shell, no libraries.
# Run one of them by name: `docker run IMAGE tessera-verifier --help`.

FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
# Linked statically, for there is no libc in the image. glibc reads /etc/hosts and asks DNS
# without loading a library from 2.34 on; bookworm has 2.36. With --target named, even the
# host's own, RUSTFLAGS stays off build scripts and macros, which can't be static.
ENV RUSTFLAGS="-C target-feature=+crt-static" \
    CARGO_PROFILE_RELEASE_STRIP=debuginfo
RUN target="$(rustc --print host-tuple)" \
 && cargo build --locked --release --target "$target" \
      --bin tessera --bin tessera-issuer --bin tessera-verifier \
 && mkdir /programs \
 && cd "target/$target/release" \
 && mv tessera tessera-issuer tessera-verifier /programs/

FROM scratch
COPY --from=build /programs/ /usr/local/bin/
USER 65532:65532
# No HEALTHCHECK here, since the port is up to the program: docker-compose.yml has
# `tessera health HOST:PORT`, and a kubelet asks grpc.health.v1 by itself.
CMD ["tessera", "--help"]
