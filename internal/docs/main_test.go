package docs

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"secretless/internal/cli"
	"secretless/internal/testenv"
)

// TestMain is the program itself where it is called by its name, as the
// commands of the pages do.
func TestMain(m *testing.M) {
	switch filepath.Base(os.Args[0]) {
	case "secretless":
		os.Exit(cli.Run(context.Background(), cli.Process(), os.Args[1:]))
	case "secretless-broker":
		os.Exit(cli.RunLegacy(context.Background(), cli.Process(), os.Args[1:]))
	}
	os.Exit(testenv.Main(m))
}
