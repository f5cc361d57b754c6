#!/bin/sh
# The kubelet keeps pods below the control group kubelet.slice and does not make that one itself.
set -eu
root=/sys/fs/cgroup
if [ -f "$root/cgroup.controllers" ]; then
  mkdir -p "$root/kubelet.slice"
  for group in "$root" "$root/kubelet.slice"; do
    for controller in $(cat "$group/cgroup.controllers"); do
      # One that is refused is one that the kubelet does without.
      echo "+$controller" >"$group/cgroup.subtree_control" || true
    done
  done
else
  # Version 1 has a tree for each controller: those that are mounted, once each.
  awk '/ - cgroup / { print $5 }' /proc/self/mountinfo | while read -r tree; do
    mkdir -p "$tree/kubelet.slice"
  done
fi
