package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const schema = `
CREATE TABLE IF NOT EXISTS menu (item text PRIMARY KEY, kind text NOT NULL, price int NOT NULL);
CREATE TABLE IF NOT EXISTS orders (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, item text NOT NULL REFERENCES menu, kind text NOT NULL,
  customer text NOT NULL, state text NOT NULL DEFAULT 'placed', made_by text, placed timestamptz NOT NULL DEFAULT now());
CREATE TABLE IF NOT EXISTS loyalty (customer text PRIMARY KEY, cups int NOT NULL);
CREATE TABLE IF NOT EXISTS counted (order_id bigint PRIMARY KEY);
INSERT INTO menu VALUES ('espresso','drink',180),('flat white','drink',320),('filter','drink',250),
  ('cinnamon bun','food',290),('sandwich','food',540) ON CONFLICT DO NOTHING;`

// openStore waits for the database and makes its tables. Two services may do so at once: the lock is theirs.
func openStore(ctx context.Context) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig("postgres://shop@" + env("DB_HOST", "db") + ":5432/shop?pool_max_conns=4&connect_timeout=5")
	if err != nil {
		return nil, err
	}
	config.ConnConfig.Password = secret("db_password")
	for {
		pool, err := pgxpool.NewWithConfig(ctx, config)
		if err == nil {
			err = migrate(ctx, pool)
			if err == nil {
				return pool, nil
			}
			pool.Close()
		}
		slog.Info("waiting for the database", "error", err.Error())
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

func migrate(ctx context.Context, pool *pgxpool.Pool) error {
	return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock(7)"); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, schema)
		return err
	})
}
