#!/usr/bin/env bash
# Starts the whole composition, asks it what a newcomer would, and takes it down again. Needs Docker with compose.
set -euo pipefail
cd "$(dirname "$0")/.."

export ATPATCH_ADMIN_TOKEN="smoke-$RANDOM$RANDOM$RANDOM"
export COMPOSE_PROJECT_NAME=atpatch-smoke
url=http://127.0.0.1:${ATPATCH_PORT:-8080}

finish() {
  local status=$?
  [ "$status" -eq 0 ] || docker compose logs --tail 50
  docker compose down --volumes --timeout 40
  exit "$status"
}
trap finish EXIT

say() { printf '\n== %s\n' "$1"; }
# expect TEXT COMMAND...: runs the command and wants TEXT in its output.
expect() {
  local wanted=$1 found
  shift
  found=$("$@")
  case $found in
    *"$wanted"*) printf 'ok: %s\n' "$wanted" ;;
    *) printf 'expected %s, got:\n%s\n' "$wanted" "$found" >&2; return 1 ;;
  esac
}
ask() { curl --silent --show-error --max-time 10 "$@"; }

say "start"
docker compose up --build --detach --wait --wait-timeout 180

say "hardening"
expect "uid=1000" docker compose exec -T atpatch id
expect "Read-only file system" docker compose exec -T atpatch sh -c 'touch /app/x 2>&1 || true'

say "predict"
sample=$(gzip -dc models/gtsrb-vit/test.jsonl.gz | head -n 1 | sed 's/.*"instance":\({[^}]*}\).*/\1/')
printf '{"instances":[%s]}' "$sample" >/tmp/atpatch-smoke.json
expect '"predictions"' ask -H 'content-type: application/json' --data @/tmp/atpatch-smoke.json "$url/predict"

say "admin"
expect 401 ask -o /dev/null -w '%{http_code}' "$url/admin/models"
expect gtsrb-vit ask -H "authorization: Bearer $ATPATCH_ADMIN_TOKEN" "$url/admin/models"

say "metrics reach Prometheus, the dashboard reaches Grafana"
expect atpatch_samples_total ask "$url/metrics"
sleep 15
prometheus=http://127.0.0.1:${PROMETHEUS_PORT:-9090}
expect '"value"' ask --get --data-urlencode 'query=up{job="atpatch"} == 1' "$prometheus/api/v1/query"
expect AtPatchTriggerRateHigh ask "$prometheus/api/v1/rules"
expect AtPatch ask "http://127.0.0.1:${GRAFANA_PORT:-3000}/api/dashboards/uid/atpatch"

say "state survives a restart"
docker compose restart --timeout 40 atpatch
docker compose up --detach --wait --wait-timeout 120
expect gtsrb-vit ask -H "authorization: Bearer $ATPATCH_ADMIN_TOKEN" "$url/admin/models"

say "all well"
