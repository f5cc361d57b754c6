// The administration stack: an agent on every node, a panel on one manager.
//
//	agent   answers what its node's engine says: the node and its containers
//	panel   asks every agent (the addresses behind the name AGENTS) and shows nodes and tasks on :9000
//
// Agents answer nobody who does not show the shared key; the panel asks people for a password. Both are
// secrets of the stack. The panel reads; it changes nothing.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	run := map[string]func() http.Handler{"agent": agent, "panel": panel}
	if len(os.Args) != 2 || run[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: panel agent|panel")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	port := map[string]string{"agent": ":9001", "panel": ":9000"}[os.Args[1]]
	server := &http.Server{Addr: port, Handler: run[os.Args[1]](), ReadHeaderTimeout: 5 * time.Second}
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func secret(name string) string {
	content, err := os.ReadFile("/run/secrets/" + name)
	if err != nil || len(content) == 0 {
		fmt.Fprintf(os.Stderr, "secret %s is missing: name it in the stack\n", name)
		os.Exit(1)
	}
	return string(content)
}

// Node is what an agent says.
type Node struct {
	Name       string      `json:"name"`
	Engine     string      `json:"engine"`
	Arch       string      `json:"architecture"`
	Containers []Container `json:"containers"`
	Error      string      `json:"error,omitempty"`
}

// Container is one task as its node sees it.
type Container struct {
	Name  string `json:"name"`
	Stack string `json:"stack"`
	Image string `json:"image"`
	State string `json:"state"`
}

var engine = &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
	DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", "/var/run/docker.sock")
	},
}}

func ask(path string, into any) error {
	response, err := engine.Get("http://engine" + path)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("engine: %s %s", path, response.Status)
	}
	return json.NewDecoder(io.LimitReader(response.Body, 8<<20)).Decode(into)
}

func agent() http.Handler {
	key := secret("agent_key")
	mux := http.NewServeMux()
	mux.HandleFunc("GET /node", func(w http.ResponseWriter, r *http.Request) {
		if !same(r.Header.Get("Authorization"), "Bearer "+key) {
			http.Error(w, "wrong key", http.StatusUnauthorized)
			return
		}
		var info struct{ Name, ServerVersion, Architecture string }
		var list []struct {
			Names        []string
			Image, State string
			Labels       map[string]string
		}
		err := errors.Join(ask("/info", &info), ask("/containers/json?all=1", &list))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		node := Node{Name: info.Name, Engine: info.ServerVersion, Arch: info.Architecture}
		for _, one := range list {
			if len(one.Names) > 0 {
				node.Containers = append(node.Containers, Container{one.Names[0][1:], one.Labels["com.docker.stack.namespace"], one.Image, one.State})
			}
		}
		_ = json.NewEncoder(w).Encode(node)
	})
	return mux
}
