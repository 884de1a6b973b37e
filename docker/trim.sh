#!/bin/sh
# Removes from a node_modules folder what this platform can never load: `docker/trim.sh node_modules`.
set -eu

modules=${1:?usage: docker/trim.sh NODE_MODULES}
platform=$(node -p process.platform)
arch=$(node -p process.arch)

for libraries in "$modules"/onnxruntime-node/bin/napi-v*; do
  for path in "$libraries"/*/*; do
    [ "$path" = "$libraries/$platform/$arch" ] || rm -rf "$path"
  done
  # Folders of platforms that are empty now.
  rmdir "$libraries"/* 2>/dev/null || true
  [ -d "$libraries/$platform/$arch" ] || { echo "no ONNX Runtime for $platform/$arch" >&2; exit 1; }
done
# Browser build of the runtime's shared parts, source maps and TypeScript sources of packages.
find "$modules" \( -name '*.map' -o -name '*.d.ts' -o -name '*.d.mts' -o -name '*.d.cts' \) -type f -delete
