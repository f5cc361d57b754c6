// The coffee shop: one program, a service for each subcommand.
//
//	proxy     the one public port: / to the page, /api to menu, orders and loyalty
//	page      the front end
//	menu      what there is to order
//	orders    takes an order: writes it to the database, publishes it to the broker
//	barista   makes drinks: consumes orders, publishes what is ready
//	kitchen   makes food, likewise
//	counter   consumes what is ready, marks it in the database
//	loyalty   counts the cups of each customer
//
// Every service answers /healthz, reconnects to broker and database by itself, and ends on SIGTERM after
// what is under way is done.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
)

var services = map[string]func(context.Context) error{
	"proxy":   runProxy,
	"page":    runPage,
	"menu":    runMenu,
	"orders":  runOrders,
	"barista": func(ctx context.Context) error { return runMaker(ctx, "drink") },
	"kitchen": func(ctx context.Context) error { return runMaker(ctx, "food") },
	"counter": runCounter,
	"loyalty": runLoyalty,
}

func main() {
	if len(os.Args) != 2 || services[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: shop proxy|page|menu|orders|barista|kitchen|counter|loyalty")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	slog.SetDefault(slog.New(slog.NewJSONHandler(os.Stderr, nil)).With("service", os.Args[1]))
	if err := services[os.Args[1]](ctx); err != nil {
		slog.Error("ended", "error", err)
		os.Exit(1)
	}
}

// env gives a variable, or what stands in for it.
func env(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

// secret reads a file as Docker mounts secrets, without its last newline.
func secret(name string) string {
	content, err := os.ReadFile("/run/secrets/" + name)
	if err != nil {
		return env(name, "")
	}
	for len(content) > 0 && content[len(content)-1] == '\n' {
		content = content[:len(content)-1]
	}
	return string(content)
}
