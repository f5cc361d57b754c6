package main

import (
	"context"
	_ "embed"
	"html/template"
	"net/http"
	"os"
)

//go:embed page.html
var pageSource string

// runPage serves the one page; its script talks to /api through the same door.
func runPage(ctx context.Context) error {
	page := template.Must(template.New("page").Parse(pageSource))
	host, _ := os.Hostname()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_ = page.Execute(w, map[string]string{"Name": env("SHOP_NAME", "Coffee shop"), "Host": host})
	})
	return serve(ctx, mux)
}
