// Command web is what the tests deploy: it answers with its version and its host, is healthy or not as it is
// told, and can be slow to stop. Settings come from the environment:
//
//	VERSION        what / answers with; also in the header Web-Version
//	PORT           where it listens (8080)
//	START_SECONDS  how long it is not ready after its start (0)
//	STOP_SECONDS   how long it goes on answering after SIGTERM (0)
//	UDP_PORT       where it answers each datagram with its version, its host and the datagram (nowhere)
//	CRASH_SECONDS  it exits with 1 after so long (never)
//
// Paths: / version and host; /healthz 200 or 503; /hostname; /version; /env?name=X; /slow?seconds=N;
// POST /unhealthy and POST /healthy change what /healthz says; POST /exit?code=N ends it.
//
// With -version it prints what / answers with, and ends.
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

func main() {
	hostname, _ := os.Hostname()
	version := text("VERSION", "1")
	greeting := fmt.Sprintf("version %s on %s", version, hostname)
	if len(os.Args) > 1 && os.Args[1] == "-version" {
		fmt.Println(greeting)
		return
	}
	var healthy atomic.Bool
	time.AfterFunc(seconds("START_SECONDS"), func() { healthy.Store(true) })
	if after := seconds("CRASH_SECONDS"); after > 0 {
		time.AfterFunc(after, func() { log.Fatal("crashing, as told") })
	}

	mux := http.NewServeMux()
	answer := func(path, body string) {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			if path == "/" && r.URL.Path != "/" {
				http.NotFound(w, r)
				return
			}
			w.Header().Set("Web-Version", version)
			w.Header().Set("Web-Host", hostname)
			fmt.Fprintln(w, body)
		})
	}
	answer("/", greeting)
	answer("/hostname", hostname)
	answer("/version", version)
	mux.HandleFunc("/env", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, os.Getenv(r.URL.Query().Get("name")))
	})
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) {
		if !healthy.Load() {
			http.Error(w, "not healthy", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
		wait, _ := strconv.ParseFloat(r.URL.Query().Get("seconds"), 64)
		time.Sleep(time.Duration(wait * float64(time.Second)))
		fmt.Fprintln(w, version)
	})
	change := func(path string, action func(r *http.Request)) {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodPost {
				http.Error(w, "POST is wanted", http.StatusMethodNotAllowed)
				return
			}
			action(r)
			fmt.Fprintln(w, "done")
		})
	}
	change("/healthy", func(*http.Request) { healthy.Store(true) })
	change("/unhealthy", func(*http.Request) { healthy.Store(false) })
	change("/exit", func(r *http.Request) {
		code, _ := strconv.Atoi(r.URL.Query().Get("code"))
		time.AfterFunc(50*time.Millisecond, func() { os.Exit(code) })
	})

	if port := os.Getenv("UDP_PORT"); port != "" {
		go echo(port, fmt.Sprintf("version %s on %s: ", version, hostname))
	}
	server := &http.Server{Addr: ":" + text("PORT", "8080"), Handler: mux}
	go func() {
		stop := make(chan os.Signal, 1)
		signal.Notify(stop, syscall.SIGTERM, os.Interrupt)
		<-stop
		log.Print("stopping")
		time.Sleep(seconds("STOP_SECONDS"))
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = server.Shutdown(ctx)
	}()
	log.Printf("version %s listens on %s", version, server.Addr)
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		log.Fatal(err)
	}
}

func echo(port, prefix string) {
	socket, err := net.ListenPacket("udp", ":"+port)
	if err != nil {
		log.Fatal(err)
	}
	buffer := make([]byte, 2048)
	for {
		length, sender, err := socket.ReadFrom(buffer)
		if err != nil {
			log.Fatal(err)
		}
		_, _ = socket.WriteTo(append([]byte(prefix), buffer[:length]...), sender)
	}
}

func text(name, fallback string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return fallback
}

func seconds(name string) time.Duration {
	value, _ := strconv.ParseFloat(os.Getenv(name), 64)
	return time.Duration(value * float64(time.Second))
}
