#!/bin/sh
# What the container must arrange before systemd takes over as its first process.
set -eu

# Pods get volumes that are mounted after they started: mounts travel both ways.
mount --make-rshared /

# The kernel routes between pods and the network of the nodes; what stays on the pods' own bridge passes
# the rules of Services too.
echo 1 >/proc/sys/net/ipv4/ip_forward
switch=/proc/sys/net/bridge/bridge-nf-call-iptables
if [ -w "$switch" ]; then echo 1 >"$switch"; fi

# Every node has an identity of its own.
tr -d '-' </proc/sys/kernel/random/uuid >/etc/machine-id

# Docker answers names on this node's loopback, which is another one in a pod. Pods ask the cluster's name
# server; what that does not know is looked for on this node, where nobody answers, which is told at once.
address=$(hostname -I | awk '{ print $1 }')
echo "nameserver $address" >/etc/resolv.conf

# The folders of volumes.
mkdir -p /var/local/volumes/1 /var/local/volumes/2

exec env container=docker /lib/systemd/systemd --unit=multi-user.target --show-status=true
