#!/bin/bash
# First program of the test bed's container: enter.sh COMMAND...
#
# On cgroup v2 only leaves may hold processes beside groups: those of the container go into one, and its
# controllers are handed on, so that the engines in it can make groups of their own.
set -euo pipefail
root=/sys/fs/cgroup
if [ -e "$root/cgroup.controllers" ]; then
  mkdir -p "$root/testbed"
  while read -r pid; do
    echo "$pid" >"$root/testbed/cgroup.procs" 2>/dev/null || true # it has ended
  done <"$root/cgroup.procs"
  for controller in $(cat "$root/cgroup.controllers"); do
    echo "+$controller" >"$root/cgroup.subtree_control"
  done
fi
exec "$@"
