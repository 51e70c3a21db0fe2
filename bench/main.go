// Command bench measures the broker beside a direct connection, HAProxy, nginx
// and PgBouncer, with servers of every protocol behind them, and writes
// what it found into docs/performance.md. Start it with script/bench, which
// installs and builds what it needs.
package main

import (
	"fmt"
	"os"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}
