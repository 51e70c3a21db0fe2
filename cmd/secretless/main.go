// Command secretless is the broker: programs connect to it without
// credentials, it logs in to the target for them.
package main

import (
	"context"
	"os"

	"secretless/internal/cli"
)

func main() {
	os.Exit(cli.Run(context.Background(), cli.Process(), os.Args[1:]))
}
