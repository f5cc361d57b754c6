#!/bin/sh
# Makes the database cluster of an empty volume, then is PostgreSQL. Runs as root until it can hand over.
set -eu
bin=$(echo /usr/lib/postgresql/*/bin)
data=/var/lib/postgresql/data
mkdir -p "$data" /run/postgresql
chown -R postgres:postgres /var/lib/postgresql /run/postgresql
chmod 700 "$data"
as_postgres() { setpriv --reuid=postgres --regid=postgres --clear-groups -- "$@"; }
if [ ! -s "$data/PG_VERSION" ]; then
  as_postgres "$bin/initdb" -D "$data.new" --username=shop --pwfile=/run/secrets/db_password \
    --auth=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 >/dev/null
  echo 'host all all all scram-sha-256' >>"$data.new/pg_hba.conf"
  as_postgres sh -c 'exec "$0" --single -D "$1" postgres' "$bin/postgres" "$data.new" <<SQL >/dev/null
CREATE DATABASE shop
SQL
  # Whole or not at all: a first start that is cut short begins again.
  rmdir "$data" && mv "$data.new" "$data"
fi
exec setpriv --reuid=postgres --regid=postgres --clear-groups -- "$bin/postgres" -D "$data" \
  -c listen_addresses='*' -c unix_socket_directories=/run/postgresql -c shared_buffers=32MB -c dynamic_shared_memory_type=mmap
