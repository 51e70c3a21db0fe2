package packaging_test

import (
	"os"
	"testing"

	"secretless/internal/testenv"
)

func TestMain(m *testing.M) { os.Exit(testenv.Main(m)) }
