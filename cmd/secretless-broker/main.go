// Command secretless-broker is the broker under the name and the flags of its
// predecessor, so that existing images, units and scripts keep working.
package main

import (
	"context"
	"os"

	"secretless/internal/cli"
)

func main() {
	os.Exit(cli.RunLegacy(context.Background(), cli.Process(), os.Args[1:]))
}
