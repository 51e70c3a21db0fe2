// Command secretless is the broker: programs connect to it without
// credentials, it logs in to the target for them. Called secretless-broker, it
// takes the flags of its predecessor.
package main

import (
	"context"
	"os"

	"secretless/internal/cli"
)

func main() {
	os.Exit(cli.Main(context.Background(), cli.Process(), os.Args))
}
