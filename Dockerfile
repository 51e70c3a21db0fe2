# The broker alone: no shell, no package manager, no user but a number. The
# program is the one of script/release, byte for byte, when Go is the same.
#
#   docker build -t secretless .
#   docker run -v ./secretless.yml:/etc/secretless.yml:ro -p 127.0.0.1:5432:5432 secretless
FROM --platform=$BUILDPLATFORM golang:1.26.8-bookworm AS build
ARG TARGETOS=linux
ARG TARGETARCH=amd64
WORKDIR /source
COPY . .
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -trimpath -buildvcs=true -ldflags='-s -w' -o /image/usr/bin/secretless ./cmd/secretless \
 && mkdir -p /image/usr/local/bin /image/etc/ssl/certs /image/run/secretless /image/var/lib/secretless \
 && ln -s secretless /image/usr/bin/secretless-broker \
 && ln -s /usr/bin/secretless /image/usr/local/bin/secretless-broker \
 && cp /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/ \
 && chown 65532:65532 /image/run/secretless /image/var/lib/secretless \
 && chmod 700 /image/var/lib/secretless

FROM scratch
LABEL org.opencontainers.image.title="Secretless" \
      org.opencontainers.image.description="A local credential broker: programs connect without credentials"
COPY --from=build /image/ /
# For unix sockets, and for host keys and the local CA: mount something there to
# keep them, and with a read-only root.
ENV STATE_DIRECTORY=/var/lib/secretless
USER 65532:65532
HEALTHCHECK --interval=10s --timeout=6s --start-period=10s \
    CMD ["/usr/bin/secretless", "health"]
ENTRYPOINT ["/usr/bin/secretless"]
