package connector

// CommandRunner is implemented by connectors that may start programs. A
// hardened process can only if it is known from the start.
type CommandRunner interface {
	// Commands says in a few words which; empty for none.
	Commands() string
}
