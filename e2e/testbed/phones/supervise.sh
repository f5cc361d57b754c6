#!/bin/bash
# Keeps one phone's power switch: supervise.sh FOLDER NAME CGROUP
#
# A line written to the fifo FOLDER/power starts the phone unless it runs: its PID 1 (init.sh) in mount,
# host name, process and IPC namespaces of its own and in the network namespace NAME. The phone dies when
# this script dies, which dies when the process that started it ends. FOLDER/outer names the process whose
# only child is the phone's PID 1.
set -euo pipefail
folder=$1 name=$2 cgroup=$3
here=$(cd "$(dirname "$0")" && pwd)

# The engine runs in a leaf group: on cgroup v2 only leaves may hold processes beside groups.
join_cgroup() {
  local hierarchy group
  for hierarchy in /sys/fs/cgroup /sys/fs/cgroup/*/; do
    [ -e "$hierarchy/cgroup.procs" ] || continue
    group=$hierarchy/$cgroup/$name/engine
    mkdir -p "$group"
    if [ -e "$hierarchy/cpuset.cpus" ]; then # a new v1 cpuset is empty and takes no process
      for level in "$hierarchy/$cgroup" "$hierarchy/$cgroup/$name" "$group"; do
        cat "$hierarchy/cpuset.cpus" >"$level/cpuset.cpus"
        cat "$hierarchy/cpuset.mems" >"$level/cpuset.mems"
      done
    fi
    echo "$BASHPID" >"$group/cgroup.procs"
  done
}

power_on() {
  (
    join_cgroup
    # Not `ip netns exec`: it would hide /sys/fs/cgroup.
    exec setpriv --pdeathsig KILL nsenter --net="/run/netns/$name" \
      unshare --mount --uts --ipc --pid --fork --kill-child --mount-proc \
      bash "$here/init.sh" "$folder" "$name"
  ) 3>&- &
  outer=$!
  echo "$outer" >"$folder/outer"
}

exec 3<>"$folder/power"
outer=
while read -r -u 3 _; do
  if [ -z "$outer" ] || ! kill -0 "$outer" 2>/dev/null; then power_on; fi
done
