// Reads expressions from standard input, one a line, and names those that Prometheus would refuse.
package main

import (
	"bufio"
	"fmt"
	"os"

	"github.com/prometheus/prometheus/promql/parser"
)

func main() {
	wrong := 0
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		if _, err := parser.ParseExpr(lines.Text()); err != nil {
			fmt.Printf("%s: %v\n", lines.Text(), err)
			wrong++
		}
	}
	if wrong > 0 {
		os.Exit(1)
	}
}
