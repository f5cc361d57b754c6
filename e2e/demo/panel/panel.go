package main

import (
	"context"
	"crypto/subtle"
	_ "embed"
	"encoding/json"
	"html/template"
	"io"
	"net"
	"net/http"
	"os"
	"sort"
	"sync"
	"time"
)

//go:embed panel.html
var source string

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

func panel() http.Handler {
	password, key := secret("panel_password"), secret("agent_key")
	name := os.Getenv("AGENTS")
	page := template.Must(template.New("panel").Parse(source))
	mux := http.NewServeMux()
	guarded := func(next func(http.ResponseWriter, *http.Request, []Node)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			user, given, _ := r.BasicAuth()
			if user != "admin" || !same(given, password) {
				w.Header().Set("WWW-Authenticate", `Basic realm="panel"`)
				http.Error(w, "user admin and the password of the stack's secret", http.StatusUnauthorized)
				return
			}
			next(w, r, collect(r.Context(), name, key))
		}
	}
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /api/nodes", guarded(func(w http.ResponseWriter, _ *http.Request, nodes []Node) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(nodes)
	}))
	mux.HandleFunc("GET /{$}", guarded(func(w http.ResponseWriter, _ *http.Request, nodes []Node) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_ = page.Execute(w, nodes)
	}))
	return mux
}

// collect asks all agents at once; one that does not answer is shown with its error.
func collect(ctx context.Context, name, key string) []Node {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	addresses, err := net.DefaultResolver.LookupHost(ctx, name)
	if err != nil {
		return []Node{{Name: name, Error: err.Error()}}
	}
	nodes := make([]Node, len(addresses))
	var group sync.WaitGroup
	for i, address := range addresses {
		group.Go(func() { nodes[i] = fetch(ctx, address, key) })
	}
	group.Wait()
	sort.Slice(nodes, func(i, j int) bool { return nodes[i].Name < nodes[j].Name })
	return nodes
}

func fetch(ctx context.Context, address, key string) Node {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(address, "9001")+"/node", nil)
	if err != nil {
		return Node{Name: address, Error: err.Error()}
	}
	request.Header.Set("Authorization", "Bearer "+key)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return Node{Name: address, Error: err.Error()}
	}
	defer response.Body.Close()
	var node Node
	if response.StatusCode != http.StatusOK {
		return Node{Name: address, Error: response.Status}
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, 8<<20)).Decode(&node); err != nil {
		return Node{Name: address, Error: err.Error()}
	}
	return node
}
