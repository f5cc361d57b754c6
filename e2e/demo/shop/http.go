package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"time"
)

// serve answers on :8080 until the context ends, then lets requests finish for 5 s.
func serve(ctx context.Context, mux *http.ServeMux) error {
	host, _ := os.Hostname()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]string{"status": "ok", "host": host})
	})
	server := &http.Server{Addr: ":8080", Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() {
		<-ctx.Done()
		// Still answering for a moment: the load balancer learns first that this task goes.
		time.Sleep(500 * time.Millisecond)
		deadline, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = server.Shutdown(deadline)
	}()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func fail(w http.ResponseWriter, status int, err error) {
	answer(w, status, map[string]string{"error": err.Error()})
}

// runProxy is the shop's door. Names resolve anew for each connection, so replicas may come and go.
func runProxy(ctx context.Context) error {
	transport := &http.Transport{MaxIdleConnsPerHost: 32, IdleConnTimeout: 5 * time.Second, ResponseHeaderTimeout: 10 * time.Second}
	to := func(host string) http.Handler {
		proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: host + ":8080"})
		proxy.Transport = transport
		proxy.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, err error) { fail(w, http.StatusBadGateway, err) }
		return proxy
	}
	mux := http.NewServeMux()
	mux.Handle("/api/menu", to("menu"))
	mux.Handle("/api/orders", to("orders"))
	mux.Handle("/api/orders/", to("orders"))
	mux.Handle("/api/loyalty", to("loyalty"))
	mux.Handle("/", to("page"))
	return serve(ctx, mux)
}
