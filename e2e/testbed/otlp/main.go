// A collector's front door for tests: takes OTLP over HTTP in protobuf and prints what came, a JSON object a
// line, decoded by OpenTelemetry's own definitions. Prints its address first.
package main

import (
	"compress/gzip"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"

	logs "go.opentelemetry.io/proto/otlp/logs/v1"
	traces "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "host:port")
	flag.Parse()
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(listener.Addr())
	// The requests of the services have the same fields as the data that files hold.
	http.HandleFunc("POST /v1/traces", take("traces", func() proto.Message { return &traces.TracesData{} }))
	http.HandleFunc("POST /v1/logs", take("logs", func() proto.Message { return &logs.LogsData{} }))
	if err := http.Serve(listener, nil); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func take(signal string, message func() proto.Message) http.HandlerFunc {
	return func(response http.ResponseWriter, request *http.Request) {
		decoded, err := decode(request, message())
		if err != nil {
			fmt.Fprintln(os.Stderr, signal, err)
			http.Error(response, err.Error(), http.StatusBadRequest)
			return
		}
		fmt.Printf("{%q:%s}\n", signal, decoded)
		response.Header().Set("Content-Type", "application/x-protobuf")
	}
}

func decode(request *http.Request, message proto.Message) ([]byte, error) {
	if kind := request.Header.Get("Content-Type"); kind != "application/x-protobuf" {
		return nil, fmt.Errorf("content type %q", kind)
	}
	var reader io.Reader = request.Body
	if request.Header.Get("Content-Encoding") == "gzip" {
		unzipped, err := gzip.NewReader(request.Body)
		if err != nil {
			return nil, err
		}
		reader = unzipped
	}
	body, err := io.ReadAll(io.LimitReader(reader, 16<<20))
	if err != nil {
		return nil, err
	}
	// A field that the definitions do not know would be kept unseen.
	if err := proto.Unmarshal(body, message); err != nil {
		return nil, err
	}
	if unknown := message.ProtoReflect().GetUnknown(); len(unknown) > 0 {
		return nil, fmt.Errorf("%d bytes of unknown fields", len(unknown))
	}
	return protojson.Marshal(message)
}
