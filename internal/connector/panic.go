package connector

import (
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
)

// LogPanic logs a panic that was contained, and where it happened. A stack holds
// addresses and no bytes, but the value of a panic can be any text, a secret in
// it included: only the runtime's own errors are known to be harmless.
func LogPanic(log *slog.Logger, value any) {
	text := fmt.Sprintf("a %T, not shown", value)
	if err, ok := value.(runtime.Error); ok {
		text = err.Error()
	}
	log.Error("panic contained", "panic", text, "stack", string(debug.Stack()))
}
