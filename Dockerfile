# Annals in a container: one binary and what it links to, nothing to log in to. Everything that is written is below /data, so the
# root file system may be read-only:
#
#   docker run --read-only --cap-drop ALL --security-opt no-new-privileges -v annals:/data -p 127.0.0.1:7400:7400 annals
#
# Set ANNALS_BOOTSTRAP_ADMIN_KEY for the first start; without it the admin's key is printed, which puts it into the
# container's log. The server is process 1 and needs no init: it starts no other program, and ends on SIGTERM.

FROM docker.io/library/rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked && mkdir /data

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /src/target/release/annals /usr/bin/annals
COPY --from=build --chown=65532:65532 --chmod=0700 /data /data
USER 65532:65532
WORKDIR /data
ENV ANNALS_DATA=/data/annals ANNALS_LISTEN=0.0.0.0:7400
VOLUME ["/data"]
EXPOSE 7400
STOPSIGNAL SIGTERM
# There is nothing here to ask with: whoever runs the container asks /readyz.
HEALTHCHECK NONE
ENTRYPOINT ["/usr/bin/annals"]
CMD ["serve"]
