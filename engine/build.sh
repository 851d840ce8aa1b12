#!/usr/bin/env bash
# Builds the pulumi program and its Python language host from Go modules, for machines where none is installed.
# Takes about five minutes once; Go's own cache keeps the work. Usage: engine/build.sh OUTPUT_FOLDER
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
version=v3.259.0
command -v go >/dev/null || {
  echo "neither pulumi nor go was found: install Pulumi, see https://www.pulumi.com/docs/iac/download-install/" >&2
  exit 1
}
mkdir -p "$1"
out=$(cd "$1" && pwd)
# Built beside and moved at the end, so that a killed build leaves no half of an engine.
work=$(mktemp -d "$out.XXXXXX")
trap 'rm -rf "$work"' EXIT

# Go tells of each module it fetches, over two hundred of them; what goes wrong is not to be lost among these.
build() { go build -mod=readonly "$@" 2> >(grep -v '^go: downloading ' >&2); }

echo "building pulumi $version from Go modules (about five minutes the first time)"
cd "$here/pulumi"
build -ldflags "-s -w -X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=$version" \
  -o "$work/pulumi" github.com/pulumi/pulumi/pkg/v3/cmd/pulumi
sdk=$(go list -mod=readonly -m -f '{{.Dir}}' github.com/pulumi/pulumi/sdk/v3)

echo "building its Python language host"
cd "$here/language-python"
build -ldflags "-s -w" -o "$work/pulumi-language-python" \
  github.com/pulumi/pulumi/sdk/v3/python/cmd/pulumi-language-python
install -m 755 "$sdk/python/cmd/pulumi-language-python-exec" "$sdk/python/dist/pulumi-resource-pulumi-python" "$work"
mv -f "$work"/* "$out"
echo "pulumi is in $out"
