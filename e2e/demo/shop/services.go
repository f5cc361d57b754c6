package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
)

// runMenu lists what there is.
func runMenu(ctx context.Context) error {
	store, err := openStore(ctx)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/menu", func(w http.ResponseWriter, r *http.Request) {
		rows, _ := store.Query(r.Context(), "SELECT item, kind, price FROM menu ORDER BY kind, item")
		menu, err := pgx.CollectRows(rows, pgx.RowToMap)
		if err != nil {
			fail(w, http.StatusServiceUnavailable, err)
			return
		}
		answer(w, http.StatusOK, menu)
	})
	return serve(ctx, mux)
}

const selectOrders = `SELECT id, item, kind, customer, state, coalesce(made_by, '') FROM orders `

func scanOrder(row pgx.CollectableRow) (o Order, err error) {
	err = row.Scan(&o.ID, &o.Item, &o.Kind, &o.Customer, &o.State, &o.MadeBy)
	return
}

// runOrders takes orders. What the broker did not take is published again by the sweep.
func runOrders(ctx context.Context) error {
	store, err := openStore(ctx)
	if err != nil {
		return err
	}
	broker := &Broker{}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/orders", func(w http.ResponseWriter, r *http.Request) {
		var order Order
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4096)).Decode(&order); err != nil {
			fail(w, http.StatusBadRequest, err)
			return
		}
		err := store.QueryRow(r.Context(), `INSERT INTO orders (item, kind, customer) SELECT item, kind, $2 FROM menu WHERE item = $1
			RETURNING id, kind, state`, order.Item, order.Customer).Scan(&order.ID, &order.Kind, &order.State)
		if errors.Is(err, pgx.ErrNoRows) {
			fail(w, http.StatusNotFound, errors.New("item: not on the menu; see /api/menu"))
			return
		}
		if err != nil {
			fail(w, http.StatusServiceUnavailable, err)
			return
		}
		// The order stands once it is in the database; the sweep publishes what the broker missed.
		_ = broker.publish(r.Context(), "order."+order.Kind, order)
		answer(w, http.StatusCreated, order)
	})
	mux.HandleFunc("GET /api/orders", func(w http.ResponseWriter, r *http.Request) {
		rows, _ := store.Query(r.Context(), selectOrders+"ORDER BY id DESC LIMIT 20")
		orders, err := pgx.CollectRows(rows, scanOrder)
		if err != nil {
			fail(w, http.StatusServiceUnavailable, err)
			return
		}
		answer(w, http.StatusOK, orders)
	})
	mux.HandleFunc("GET /api/orders/{id}", func(w http.ResponseWriter, r *http.Request) {
		rows, _ := store.Query(r.Context(), selectOrders+"WHERE id::text = $1", r.PathValue("id"))
		order, err := pgx.CollectExactlyOneRow(rows, scanOrder)
		if err != nil {
			fail(w, http.StatusNotFound, err)
			return
		}
		answer(w, http.StatusOK, order)
	})
	go sweep(ctx, func() {
		rows, _ := store.Query(ctx, selectOrders+"WHERE state = 'placed' AND placed < now() - interval '5 seconds' LIMIT 50")
		late, _ := pgx.CollectRows(rows, scanOrder)
		for _, order := range late {
			_ = broker.publish(ctx, "order."+order.Kind, order)
		}
	})
	return serve(ctx, mux)
}

func sweep(ctx context.Context, once func()) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(5 * time.Second):
			once()
		}
	}
}

// runMaker makes drinks or food.
func runMaker(ctx context.Context, kind string) error {
	broker := &Broker{}
	host, _ := os.Hostname()
	go func() {
		_ = consume(ctx, "make-"+kind, "order."+kind, func(ctx context.Context, order Order) error {
			time.Sleep(50 * time.Millisecond)
			order.State, order.MadeBy = "ready", host
			return broker.publish(ctx, "ready."+kind, order)
		})
	}()
	return serve(ctx, http.NewServeMux())
}

// runCounter marks what is ready.
func runCounter(ctx context.Context) error {
	store, err := openStore(ctx)
	if err != nil {
		return err
	}
	go func() {
		_ = consume(ctx, "counter", "ready.*", func(ctx context.Context, order Order) error {
			_, err := store.Exec(ctx, "UPDATE orders SET state = 'ready', made_by = $2 WHERE id = $1", order.ID, order.MadeBy)
			return err
		})
	}()
	return serve(ctx, http.NewServeMux())
}

// runLoyalty counts each order once, however often the broker delivers it.
func runLoyalty(ctx context.Context) error {
	store, err := openStore(ctx)
	if err != nil {
		return err
	}
	go func() {
		_ = consume(ctx, "loyalty", "ready.drink", func(ctx context.Context, order Order) error {
			_, err := store.Exec(ctx, `WITH fresh AS (INSERT INTO counted VALUES ($1) ON CONFLICT DO NOTHING RETURNING 1)
				INSERT INTO loyalty SELECT $2, 1 FROM fresh ON CONFLICT (customer) DO UPDATE SET cups = loyalty.cups + 1`, order.ID, order.Customer)
			return err
		})
	}()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/loyalty", func(w http.ResponseWriter, r *http.Request) {
		rows, _ := store.Query(r.Context(), "SELECT customer, cups FROM loyalty ORDER BY cups DESC LIMIT 20")
		list, err := pgx.CollectRows(rows, pgx.RowToMap)
		if err != nil {
			fail(w, http.StatusServiceUnavailable, err)
			return
		}
		answer(w, http.StatusOK, list)
	})
	return serve(ctx, mux)
}
