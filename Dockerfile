# syntax=docker/dockerfile:1
ARG NODE_IMAGE=node:24.21.0-slim

FROM ${NODE_IMAGE} AS build
WORKDIR /app
# Scripts are off: `prepare` would build before the sources are here, and no package needs its own to run on a CPU.
COPY package.json package-lock.json .npmrc ./
RUN npm ci --ignore-scripts
COPY tsconfig.json ./
COPY src src
RUN npm run build \
 && npm prune --omit=dev --ignore-scripts
# The runtime package carries the libraries of every platform: keep this one's.
COPY docker/trim.sh docker/trim.sh
RUN sh docker/trim.sh node_modules

FROM ${NODE_IMAGE}
LABEL org.opencontainers.image.title="AtPatch" \
      org.opencontainers.image.description="Hot-fix proxy for deployed transformer models: detects and repairs anomalous attention columns while the model serves." \
      org.opencontainers.image.licenses="Apache-2.0"
ENV NODE_ENV=production \
    ATPATCH_HOST=0.0.0.0 \
    ATPATCH_PORT=8080 \
    ATPATCH_MODELS=/app/models \
    ATPATCH_STATE=/state \
    ORT_DISABLE_TELEMETRY=1
WORKDIR /app
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/dist dist
COPY openapi openapi
COPY models models
COPY LICENSE docker/healthcheck.mjs ./
# The only place that is written to; the rest of the file system may be read-only.
RUN mkdir /state && chown node:node /state
VOLUME /state
# The user "node", by number: orchestrators that forbid root cannot resolve a name.
USER 1000:1000
EXPOSE 8080 8081
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 CMD ["node", "healthcheck.mjs"]
# Every verb of the command line: `docker run --rm atpatch inspect models/gtsrb-vit`.
ENTRYPOINT ["node", "dist/cli/main.js"]
CMD ["serve"]
