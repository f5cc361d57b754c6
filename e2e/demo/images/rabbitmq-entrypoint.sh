#!/bin/sh
# RabbitMQ with one user, whose password is the stack's secret. Definitions hold a salted hash of it.
set -eu
export HOME=/var/lib/rabbitmq RABBITMQ_CONFIG_FILE=/run/rabbitmq/rabbitmq.conf RABBITMQ_LOGS=- \
  RABBITMQ_ENABLED_PLUGINS_FILE=/run/rabbitmq/enabled_plugins LC_ALL=C.UTF-8 \
  RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS='+S 1:1 +sbwt none'
mkdir -p /run/rabbitmq /var/lib/rabbitmq /var/log/rabbitmq
echo '[].' >/run/rabbitmq/enabled_plugins
hash=$({ printf '\001\002\003\004'; cat /run/secrets/broker_password; } | openssl dgst -sha256 -binary | { printf '\001\002\003\004'; cat; } | base64 -w0)
cat >/run/rabbitmq/definitions.json <<JSON
{"users": [{"name": "shop", "password_hash": "$hash", "hashing_algorithm": "rabbit_password_hashing_sha256", "tags": ""}],
 "vhosts": [{"name": "/"}],
 "permissions": [{"user": "shop", "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"}]}
JSON
cat >/run/rabbitmq/rabbitmq.conf <<CONF
listeners.tcp.default = 5672
load_definitions = /run/rabbitmq/definitions.json
loopback_users = none
vm_memory_high_watermark.absolute = 256MB
disk_free_limit.absolute = 50MB
CONF
chown -R rabbitmq:rabbitmq /run/rabbitmq /var/lib/rabbitmq /var/log/rabbitmq
exec setpriv --reuid=rabbitmq --regid=rabbitmq --clear-groups -- /usr/lib/rabbitmq/bin/rabbitmq-server
