#!/bin/sh
# Gives the images that came with the node to its runtime; there is no registry to ask.
set -eu
for archive in /kind/images/*.tar; do
  ctr --namespace k8s.io images import --local --all-platforms "$archive"
done
