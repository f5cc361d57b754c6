#!/bin/bash
# PID 1 of a phone: init.sh FOLDER NAME, in the phone's own namespaces.
#
# Sets up /run, the host name and what stands in /etc, runs dockerd, and takes in orphans (bash reaps them).
# A line written to the fifo FOLDER/engine starts dockerd again if it is gone.
set -euo pipefail
folder=$1 name=$2

mount --make-rprivate /
hostname "$name"
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/lock
# So that what runs here sees which foreign programs the kernel can start, as on a phone.
mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc 2>/dev/null || true

# FILE of FOLDER in place of what the host has there, which may be a link into the hidden /run.
cover() {
  local target
  target=$(readlink -m "$2")
  mkdir -p "$(dirname "$target")"
  [ -e "$target" ] || : >"$target"
  mount --bind "$1" "$target"
}
cover "$folder/resolv.conf" /etc/resolv.conf
cover "$folder/hosts" /etc/hosts
cover "$folder/hostname" /etc/hostname

# The engine's id comes from a key in here: each phone has its own.
mkdir -p "$folder/etc-docker" /etc/docker
mount --bind "$folder/etc-docker" /etc/docker

dockerd=
start_dockerd() {
  if [ -n "$dockerd" ] && [ "$(cat "/proc/$dockerd/comm" 2>/dev/null)" = dockerd ]; then return; fi
  rm -f /run/docker.pid /run/docker/containerd/containerd.pid
  dockerd --config-file "$folder/daemon.json" >>"$folder/dockerd.log" 2>&1 3>&- &
  dockerd=$!
}

exec 3<>"$folder/engine"
start_dockerd
while read -r -u 3 _; do start_dockerd; done
